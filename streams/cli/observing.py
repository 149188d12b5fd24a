"""`observe`: business figures, anomalies and brakes, in one process beside the workers."""

import click

from streams.cli.group import Duration, example


@click.command(
    epilog=example(
        "REKINDLE_HTTP=127.0.0.1:6071 rekindle observe",
        "REKINDLE_KPIS=kpis.toml rekindle observe --since 24h",
    )
)
@click.option(
    "--since",
    type=Duration(least=0),
    default="0s",
    metavar="24h",
    help="How far back the first start begins; a later one goes on where it was.  [0s]",
)
def observe(*, since: int) -> None:
    """Count what happens in the shop and tell what is unlike itself, until told to stop.

    One is at work at a time; another waits and takes over. The KPI file (REKINDLE_KPIS) says what
    is watched; a wrong one is refused with its line.
    """
    from streams.observing import process
    from streams.settings import Deployment

    process.run(Deployment.from_process(), since)


__all__ = ["observe"]
