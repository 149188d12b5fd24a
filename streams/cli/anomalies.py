"""`anomalies`: what the observer found, what you say of it, and the scores of any series."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click

from engine.errors import Refused
from streams.cli.group import LazyGroup, example, existing_file

if TYPE_CHECKING:
    from streams.series_file import Row

_COMMANDS: Final = {
    "list": "streams.cli.episodes:list_",
    "verdict": "streams.cli.episodes:verdict",
    "score": "streams.cli.anomalies:score",
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS)
def anomalies() -> None:
    """List anomalies, say what they were, score a series of your own."""


@click.command(
    epilog=example(
        "rekindle anomalies score visits.csv", "rekindle anomalies score visits.csv --out s.csv"
    )
)
@click.argument("file", type=existing_file)
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Else stdout.")
def score(*, file: str, out: str | None) -> None:
    """Score every row of FILE (CSV: timestamp,value) from 0 to 1, by the rows before it alone.

    Prints timestamp,value,score. 0.5 and more is as rare as one row in ten thousand.
    """
    from monitoring.anomalies.scoring import Scorer
    from streams.series_file import rows

    scorer = Scorer()
    with _text(file) as lines, _written(out) as target:
        written = csv.writer(target, lineterminator="\n")
        written.writerow(("timestamp", "value", "score"))
        for row in rows(lines, file):
            written.writerow(_scored(row, scorer.update(row.at, row.value)))


def _scored(row: "Row", share: float) -> tuple[str, str, str]:
    return row.time, row.cell, f"{share:.6f}"


@contextmanager
def _text(file: str) -> Iterator[TextIO]:
    try:
        # utf-8-sig: spreadsheets begin a file with a mark.
        with open(file, encoding="utf-8-sig", newline="") as lines:  # noqa: PTH123 - click's path
            yield lines
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise Refused(message) from error


@contextmanager
def _written(out: str | None) -> Iterator[TextIO]:
    if out is None:
        yield click.get_text_stream("stdout")
        return
    # Beside it first: an error leaves no half file, and FILE itself may be named.
    part = f"{out}.part"
    try:
        with open(part, "w", encoding="utf-8", newline="") as target:  # noqa: PTH123 - click's path
            yield target
        Path(part).replace(out)
    except Refused:
        Path(part).unlink(missing_ok=True)
        raise
    except OSError as error:
        message = f"{out} cannot be written: {error.strerror}."
        raise Refused(message) from error


__all__ = ["anomalies", "score"]
