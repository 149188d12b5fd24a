"""`targets`: whom Prometheus is to scrape."""

from pathlib import Path

import click

from streams.cli.group import as_json, example, print_json, run


@click.command(
    epilog=example(
        "rekindle targets --file /etc/prometheus/rekindle.json --follow", "rekindle targets"
    )
)
@click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write there, in one go; without it the targets are printed, one a line.",
)
@click.option("--follow", is_flag=True, help="Keep the file up to date until it is stopped.")
@as_json
def targets(*, path: Path | None, follow: bool, as_json: bool) -> None:
    """Write what Prometheus reads with file_sd_configs: every process that runs now.

    The labels are job, kind (worker, observe, audit) and worker. A process that cannot be reached
    stays in the file for the ten seconds after which its word in Redis lapses.
    """
    if follow and path is None:
        message = "--follow needs the --file that it keeps up to date."
        raise click.UsageError(message)
    run(_targets(path, follow=follow, as_json=as_json))


async def _targets(path: Path | None, *, follow: bool, as_json: bool) -> None:
    from asyncio import sleep

    from streams import fleet
    from streams import targets as scraped
    from streams.settings import Deployment
    from streams.state.connection import RedisConnection

    redis = RedisConnection(Deployment.from_process().redis)
    try:
        if follow and path is not None:
            await scraped.follow(redis, path, lambda said: click.echo(said, err=True), sleep)
        found = scraped.targets_of(await fleet.read(redis))
        if path is not None:
            scraped.write(path, scraped.encode(found))
        if as_json:
            print_json({"targets": found})
        elif path is None:
            click.echo("\n".join(map(str, found)) or "no process runs")
    finally:
        await redis.close()
