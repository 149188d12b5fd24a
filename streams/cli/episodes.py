"""`anomalies list` and `anomalies verdict`: what the observer found, and what you say of it."""

from typing import TYPE_CHECKING

import click

from streams.cli.group import as_json, example, print_json, run

if TYPE_CHECKING:
    from streams.observing.messages import Verdict
    from streams.observing.telling import Row


@click.command("list", epilog=example("rekindle anomalies list", "rekindle anomalies list --all"))
@click.option("--all", "everything", is_flag=True, help="Closed episodes too.")
@as_json
def list_(*, everything: bool, as_json: bool) -> None:
    """List the episodes that are open, newest first."""
    from streams.observing.telling import episodes
    from streams.settings import Deployment

    rows = run(episodes(Deployment.from_process()))
    rows = [row for row in rows if everything or row.open]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(_line(row))
    if not rows:
        click.echo("No episode is open." if not everything else "There was no episode yet.")


def _line(row: "Row") -> str:
    where = "/".join(row.dimension.values())
    seen = "?" if row.value is None else f"{row.value:g}"
    expected = "?" if row.expected is None else f"{row.expected:.4g}"
    said = f"; {row.verdict} by {row.by}" if row.verdict else ""
    until = f" to {row.closed_at[:16]}" if row.closed_at else ""
    known = f"; explained: {row.suppressed_by}" if row.suppressed_by else ""
    return (
        f"{row.anomaly_id}  {row.severity:8}  {row.opened_at[:16]}{until}  {row.title}"
        f"{f' {where}' if where else ''}: {seen} where {expected} {row.unit} was expected"
        f"{known}{said}"
    )


@click.command(
    epilog=example(
        "rekindle anomalies verdict 13dfdd7f false --by anna",
        'rekindle anomalies verdict 13dfdd7f expected --by anna --note "spring sale"',
    )
)
@click.argument("anomaly_id", metavar="ID")
@click.argument("verdict", type=click.Choice(["true", "false", "expected"]))
@click.option("--by", required=True, metavar="NAME", help="Who says so.")
@click.option("--note", default="", metavar="TEXT", help="Why; everybody will read it.")
@as_json
def verdict(*, anomaly_id: str, verdict: "Verdict", by: str, note: str, as_json: bool) -> None:
    """Say what an episode was: a fault (true), nothing (false), or something you knew (expected).

    ID may be the beginning of one. The observer takes it with the next minute: false and expected
    close the episode, and three times false in a row make that figure less touchy.
    """
    from time import time

    from streams.observing.telling import judge
    from streams.settings import Deployment

    at = int(time() * 1000)
    row = run(judge(Deployment.from_process(), anomaly_id, verdict, by=by, at=at, note=note))
    if as_json:
        print_json({"anomaly_id": row.anomaly_id, "verdict": verdict, "by": by})
    else:
        click.echo(f"{row.anomaly_id}: {verdict} by {by}.")


__all__ = ["list_", "verdict"]
