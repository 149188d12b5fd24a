"""`trial`: whether the model earns its place, in simulated worlds whose truth is known."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from streams.cli.group import as_json, example, on_terminal, print_json


def _worlds(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    from streams.demo.worlds import WORLDS

    if value is None:
        return tuple(WORLDS)
    chosen = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    wrong = [name for name in chosen if name not in WORLDS]
    if wrong:
        message = f"{', '.join(wrong)}: choose among {', '.join(WORLDS)}."
        raise click.BadParameter(message)
    return chosen


@click.command(
    epilog=example(
        "rekindle trial", "rekindle trial --worlds default,useless-sms --shoppers 4000 --seeds 8"
    )
)
@click.option("--worlds", callback=_worlds, metavar="A,B", help="Of the simulator; else all.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 1_000),
    default=5,
    show_default=True,
    help="Shops per world; with fewer than 5 nothing is concluded.",
)
@click.option(
    "--shoppers", type=click.IntRange(1, 1_000_000), default=1_500, show_default=True, help="Each."
)
@click.option(
    "--days",
    type=click.IntRange(1, 400),
    default=30,
    show_default=True,
    help="Of learning, and then as many of being judged.",
)
@click.option(
    "--explore",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    default=0.3,
    show_default=True,
    help="Of decisions left to chance while learning, over every channel, as in the demo.",
)
@as_json
@click.pass_context
def trial(
    context: click.Context,
    *,
    worlds: tuple[str, ...],
    seeds: int,
    shoppers: int,
    days: int,
    explore: float,
    as_json: bool,
) -> None:
    """Let the model, the prior and other strategies play the same simulated shops.

    Everything is simulated, in memory, on all cores; nothing is sent and no setting is read. Exit
    code 1 when the model loses to the prior by more than noise.
    """
    from streams.trial import run, table

    asked = [
        run.Asked(
            world=world,
            seed=seed,
            shoppers=shoppers,
            learn_days=days,
            judge_days=days,
            explore=explore,
        )
        for world in worlds
        for seed in range(1, seeds + 1)
    ]
    with _progress(len(asked)) as done:
        trials = run.run_all(asked, done)
    if as_json:
        print_json(table.as_json(trials))
    else:
        for line in table.told(trials):
            click.echo(line)
    if table.loses(trials):
        context.exit(1)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Show how many trials are over, when somebody watches."""
    if not on_terminal():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=total)
        yield lambda name: shown.update(task, advance=1, description=name)
