"""`demo`, `up`, `worker` and `bench`: commands that run the product itself."""

import click

from streams.cli.group import Duration, as_json, example, existing_file, read

AGENTS = ("intake", "decide", "deliver")


def _agents(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return AGENTS
    chosen = tuple(name.strip() for name in value.split(","))
    wrong = [name for name in chosen if name not in AGENTS]
    if wrong:
        message = f"{', '.join(wrong)}: choose among {', '.join(AGENTS)}."
        raise click.BadParameter(message)
    return chosen


@click.command(epilog=example("rekindle worker", "rekindle worker --only decide,deliver"))
@click.option(
    "--only",
    callback=_agents,
    metavar="AGENTS",
    help="Run only these of intake,decide,deliver; all workers are equal otherwise.",
)
def worker(*, only: tuple[str, ...]) -> None:
    """Run one worker until it is told to stop (SIGTERM, Ctrl-C).

    Refuses to start, with one sentence, when Kafka, Redis, topics or settings cannot be used.
    """
    from streams import worker as workers
    from streams.settings import Deployment

    workers.run(Deployment.from_process(), only)


@click.command(epilog=example("rekindle up", "rekindle up --campaigns campaigns.toml"))
@click.option(
    "--campaigns",
    type=existing_file,
    help="Put this campaigns file in force; else the shipped one, if there is none.",
)
def up(*, campaigns: str | None) -> None:
    """Run everything in one process tree: broker, Redis, topics, settings, worker, live page.

    An observer and an audit run beside the worker.

    Uses the Kafka and the Redis of REKINDLE_KAFKA and REKINDLE_REDIS, or embedded ones when
    neither is set: those start empty and forget everything.
    """
    from streams import up as whole

    given = (campaigns, read(campaigns)) if campaigns else None
    whole.run(given, lambda text: click.echo(text, err=True))


@click.command(
    epilog=example("rekindle demo", "rekindle demo --days 20 --shoppers 500 --seed 7 --json")
)
@click.option("--days", type=click.IntRange(1, 400), help="Simulated days.")
@click.option("--shoppers", type=click.IntRange(1, 1_000_000), help="Shoppers of the shop.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed, the same shop."
)
@click.option(
    "--world",
    default="default",
    show_default=True,
    metavar="NAME",
    help="What messages do to people there: default, useless-sms, fatigued, would-buy-anyway, "
    "nothing-works.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False),
    metavar="DIR",
    default="demo-run",
    show_default=True,
    help="Where the run is left; what an earlier demo left there is replaced.",
)
@as_json
def demo(
    *, days: int | None, shoppers: int | None, seed: int, world: str, keep: str, as_json: bool
) -> None:
    """Show the whole product on a simulated shop: sixty days in about three minutes.

    Real agents on an embedded Kafka and Redis, one kill -9, a model trained on the way.
    """
    from streams.demo.run import run
    from streams.demo.worlds import WORLDS

    if world not in WORLDS:
        raise click.BadParameter(f"choose among {', '.join(WORLDS)}.", param_hint="--world")
    run(days=days, shoppers=shoppers, seed=seed, world=world, keep=keep, as_json=as_json)


def _parts(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    from streams.bench.plan import PARTS

    if value is None:
        return PARTS
    chosen = tuple(name.strip() for name in value.split(","))
    wrong = [name for name in chosen if name not in PARTS]
    if wrong:
        message = f"{', '.join(wrong)}: choose among {', '.join(PARTS)}."
        raise click.BadParameter(message)
    return chosen


@click.command(
    epilog=example(
        "rekindle bench --quick --json",
        "rekindle bench --only whole,growth --runs 5",
        "rekindle bench --only soak --soak 10m",
    )
)
@click.option("--quick", is_flag=True, help="A few minutes instead of most of an hour: one run.")
@click.option(
    "--only",
    callback=_parts,
    metavar="PARTS",
    help="Only these of whole,growth,restart,idle,soak,live,burst,handovers,door,peers.",
)
@click.option(
    "--runs", type=click.IntRange(1, 99), help="Runs per part and case; medians are told.  [3]"
)
@click.option(
    "--events",
    type=click.IntRange(10_000, 100_000_000),
    help="Raw messages per run.  [50000]",
)
@click.option(
    "--soak", type=Duration(least=1_000), metavar="TIME", help="How long memory is watched.  [40s]"
)
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write the tables to a file as well.",
)
@click.option(
    "--note",
    default="",
    metavar="TEXT",
    help="Keep this with the figures: Kafka tells nobody its version.",
)
@as_json
def bench(
    *,
    quick: bool,
    only: tuple[str, ...],
    runs: int | None,
    events: int | None,
    soak: int | None,
    markdown: str | None,
    note: str,
    as_json: bool,
) -> None:
    """Measure the whole job, its latency and its memory on this machine.

    Needs a Kafka (REKINDLE_KAFKA) and an empty Redis (REKINDLE_REDIS), never those of a shop; what
    it makes there is taken away, however it ends. `make bench` starts both.
    """
    from pathlib import Path

    from streams.bench import plan, run
    from streams.logs import silent

    sizes = plan.of(quick=quick, runs=runs, events=events, soak=soak and soak // 1_000)
    told = Path(markdown) if markdown else None
    with silent("aiokafka"):
        run(sizes=sizes, only=only, as_json=as_json, markdown=told, note=note)
