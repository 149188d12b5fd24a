"""`report campaigns`: how the campaigns are doing, and whether they make a difference."""

import re
from pathlib import Path
from typing import Final

import click

from streams.cli.group import as_json, example, existing_folder, print_json, run

_HOURS: Final = {"h": 1, "d": 24, "w": 7 * 24}


def _since(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    from engine.times import HOUR

    if value is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5})([hdw])", value.strip())
    if found is None:
        message = "write a whole number and h, d or w, such as 30d"
        raise click.BadParameter(message)
    return int(found[1]) * _HOURS[found[2]] * HOUR


@click.group()
def report() -> None:
    """Report on what was said and what came of it."""


@report.command(
    epilog=example("rekindle report campaigns --since 30d", "rekindle report campaigns --from DIR")
)
@click.option("--from", "recorded", type=existing_folder, help="A recorded run; else the topics.")
@click.option(
    "--since", callback=_since, metavar="30d", help="Only the newest part of the log; else all."
)
@as_json
def campaigns(*, recorded: str | None, since: int | None, as_json: bool) -> None:
    """Say how it is going: messages, silence, cost, and orders with and without a message.

    Orders are told per 1,000 with an interval, only over conversion windows that are over, and
    with how many rows are missing until an effect would show. Testers and dry runs are left out.
    """
    from streams.reporting import origin
    from streams.reporting.campaigns import report as reported
    from streams.reporting.told import told
    from streams.settings import Deployment

    if recorded:
        found = reported(Path(recorded), since)
    else:
        found = run(origin.of_topics(Deployment.from_process(), since))
    if as_json:
        print_json(found.as_json())
        return
    for line in told(found):
        click.echo(line)
