"""`move`: all that is known about people, into topics with another partition count."""

import click

from streams.cli.group import as_json, example, print_json, run


@click.command(
    epilog=example(
        "rekindle move --partitions 256 --to-prefix rekindle2. --to-redis redis://redis-2:6379/0"
    )
)
@click.option(
    "--partitions", type=click.IntRange(1, 10_000), required=True, help="Of the new topics."
)
@click.option("--to-prefix", required=True, help="What the names of the new topics begin with.")
@click.option("--to-redis", required=True, help="An empty Redis, or another database of the same.")
@as_json
def move(*, partitions: int, to_prefix: str, to_redis: str, as_json: bool) -> None:
    """Copy all that is known about people into new topics with another partition count.

    The workers are stopped and everything is worked off. Old topics and the old Redis stay as they
    are; the new ones are used by setting REKINDLE_TOPIC_PREFIX, REKINDLE_REDIS and, so that the
    apps go on publishing where they did, REKINDLE_SOURCES.
    """
    from streams.moving import move as copy
    from streams.settings import Deployment

    here = Deployment.from_process()
    moved = run(copy(here, partitions=partitions, prefix=to_prefix, redis=to_redis))
    if as_json:
        print_json(moved)
        return
    sources = ",".join(f"{topic}:{dialect}" for topic, dialect in here.sources)
    click.echo(f"{moved.users} people and {moved.wakes} wake-ups in {moved.partitions} partitions")
    click.echo(
        f"start the workers with REKINDLE_TOPIC_PREFIX={to_prefix} REKINDLE_SOURCES={sources} and "
        "REKINDLE_REDIS of the new Redis"
    )
