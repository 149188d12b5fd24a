"""`replay`: what the engine would have decided, over a file, a recorded run or a topic."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from streams.cli.group import (
    Duration,
    as_json,
    example,
    existing_file,
    existing_folder,
    on_terminal,
    print_json,
    read,
    run,
)

if TYPE_CHECKING:
    from streams.replay.run import Options, Result

_FORMATS = ("segment", "retailrocket", "rees46", "onlineretail", "events")
_TOPIC = "kafka:"
_RECORDED = "recorded"


class _FileOrRecorded(click.Path):
    """A campaigns file, or the word for what the log itself had in force."""

    name = "file"

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False)

    def convert(
        self,
        value: str | PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Return the word or the path; fails when there is no such file."""
        return _RECORDED if value == _RECORDED else str(super().convert(value, param, ctx))


@click.command(
    epilog=example(
        "rekindle replay events.csv.gz --format retailrocket --campaigns campaigns.toml",
        "rekindle replay demo-run --campaigns mine.toml --diff recorded",
        "rekindle replay demo-run --campaigns mine.toml --diff yours.toml",
        "rekindle replay kafka:rekindle.events --decisions decisions.jsonl",
    )
)
@click.argument("source")
@click.option("--format", "format_", type=click.Choice(_FORMATS), help="Of a file; else guessed.")
@click.option("--campaigns", type=existing_file, help="In the place of every campaigns file.")
@click.option(
    "--diff",
    type=_FileOrRecorded(),
    metavar="OLD",
    help="Who gains and loses what with --campaigns, compared with this file, or with "
    "`recorded`: what the log itself had in force.",
)
@click.option("--templates", type=existing_folder, help="Laid over the shipped templates; files.")
@click.option(
    "--model", type=existing_file, metavar="ARTEFACT", help="A model to score with; files."
)
@click.option("--chunk", type=click.IntRange(1, 100_000), default=500, help="Events per commit.")
@click.option("--partitions", type=click.IntRange(1, 10_000), default=1, help="Of a file's log.")
@click.option("--tick", type=Duration(), metavar="5m", help="Time between the ticks of a file.")
@click.option(
    "--mode",
    type=click.Choice(["dry_run", "live"]),
    help="Decide as if the file said so. Default: live for files, as recorded for a recorded log.",
)
@click.option(
    "--decisions", type=click.Path(dir_okay=False), metavar="OUT", help="Write them here."
)
@click.option("--actions", type=click.Path(dir_okay=False), metavar="OUT", help="Write them here.")
@as_json
def replay(
    *,
    source: str,
    format_: str | None,
    campaigns: str | None,
    diff: str | None,
    templates: str | None,
    model: str | None,
    chunk: int,
    partitions: int,
    tick: int | None,
    mode: Literal["dry_run", "live"] | None,
    decisions: str | None,
    actions: str | None,
    as_json: bool,
) -> None:
    """Send SOURCE through the same engine in memory; nothing is sent to anybody.

    SOURCE is a file of events, the folder of a recorded run, or kafka:TOPIC for a topic of the
    broker in REKINDLE_KAFKA. A recorded log keeps its partitions, its ticks and its settings.

    With --diff: who newly gets or loses what when --campaigns takes the place of OLD.
    """
    from rules import campaigns as campaigns_files
    from rules import templates as words
    from streams.campaigns_file import checked
    from streams.replay import origins
    from streams.replay import run as replays
    from streams.replay.told import Sides, told

    kind = _kind(source)
    _comparable(kind, campaigns, diff)
    words_in_force = words.artefact(Path(templates) if templates else None)
    given = read(campaigns) if campaigns else None
    other = read(diff) if diff and diff != _RECORDED else None
    for content, name in ((given, campaigns), (other, diff)):
        if content is not None and name is not None:
            checked(content, name, words_in_force)
    artefacts = {"campaigns": given or campaigns_files.shipped(), "templates": words_in_force}
    if model is not None:
        artefacts["model"] = read(model)
    if kind != "file":
        _fitting(format_=format_, partitions=partitions, tick=tick)
    with _progress() as progress:
        options = replays.Options(
            chunk=chunk,
            mode=mode or ("live" if kind == "file" else None),
            campaigns=given,
            other=other,
            as_recorded=diff == _RECORDED,
            decisions=Path(decisions) if decisions else None,
            actions=Path(actions) if actions else None,
            progress=progress,
        )
        match kind:
            case "topic":
                result = run(_from_topic(source, options))
            case "folder":
                result = run(replays.replay(origins.recorded(Path(source)), options))
            case "file":
                path = Path(source)
                origin = origins.file(
                    path,
                    format_ or origins.guessed(path),
                    artefacts,
                    partitions=partitions,
                    spacing=tick,
                )
                result = run(replays.replay(origin, options))
    if as_json:
        print_json(result.as_json())
        return
    here = "the shipped campaigns" if kind == "file" else "the log's own campaigns"
    old = "the log's own campaigns" if diff == _RECORDED else diff
    for line in told(result, Sides(campaigns or here, old or "")):
        click.echo(line)


def _comparable(kind: str, campaigns: str | None, diff: str | None) -> None:
    """Refuse a comparison of something with itself, or with settings that are not there."""
    if diff != _RECORDED:
        return
    if campaigns is None:
        message = "--diff recorded needs --campaigns: the file that is to be compared."
        raise click.UsageError(message)
    if kind == "file":
        message = "--diff recorded: a file of events has no settings; name a campaigns file."
        raise click.UsageError(message)


def _fitting(*, format_: str | None, partitions: int, tick: int | None) -> None:
    """Refuse options that a recorded log answers itself."""
    said = {
        "--format": format_ not in {None, "events"},
        "--partitions": partitions != 1,
        "--tick": tick is not None,
    }
    wrong = [name for name, given in said.items() if given]
    if wrong:
        message = f"{', '.join(wrong)}: a recorded log keeps its partitions and ticks."
        raise click.UsageError(message)


def _kind(source: str) -> Literal["topic", "folder", "file"]:
    if source.startswith(_TOPIC):
        return "topic"
    path = Path(source)
    if path.is_dir():
        return "folder"
    if path.is_file():
        return "file"
    message = f"{source} is no file and no folder; a topic is written kafka:{source}."
    raise click.BadParameter(message, param_hint="SOURCE")


async def _from_topic(source: str, options: "Options") -> "Result":
    from streams.replay import origins
    from streams.replay.run import replay
    from streams.settings import Deployment

    topic = source.removeprefix(_TOPIC)
    return await replay(await origins.topic(Deployment.from_process(), topic), options)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show how far it has come, when somebody watches."""
    if not on_terminal():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,.0f} records, {task.speed:,.0f}/s"),
        TimeElapsedColumn(),
    )
    shown = Progress(*columns, console=Console(stderr=True), transient=True)
    with shown:
        task = shown.add_task("replay", total=None)
        yield lambda count: shown.update(task, completed=count)
