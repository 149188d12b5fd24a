"""How commands are found late, how a user's mistake ends in a sentence, and small parts."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any, Final, TypeVar

import click
import msgspec

from engine.errors import Refused, Unavailable
from streams.logs import silent

T = TypeVar("T")

MISTAKE: Final = 1


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called or listed."""

    def __init__(self, *args: Any, commands_at: Mapping[str, str], **options: Any) -> None:
        """``commands_at``: ``module:attribute`` by command name, in the order of the help."""
        super().__init__(*args, **options)
        self._commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - of click
        """Return the commands in the order they are declared: first the ones used first."""
        return list(self._commands_at)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - of click
        cmd_name: str,
    ) -> click.Command | None:
        """Import one command."""
        place = self._commands_at.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; Refused and Unavailable are sentences on stderr and exit code 1."""
        try:
            return super().invoke(ctx)
        except (Refused, Unavailable) as mistake:
            click.echo(str(mistake), err=True)
            ctx.exit(MISTAKE)


class Duration(click.ParamType):
    """A duration with its unit, as milliseconds: 200ms, 90s, 5m, 1h."""

    name = "duration"

    def __init__(self, least: int = 1) -> None:
        """``least``: the shortest that makes sense, ms."""
        self._least = least

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return ms; refuses what is no duration, or too short a one."""
        from streams.settings import duration

        if isinstance(value, int):
            return value
        try:
            ms = duration(value)
        except ValueError as wrong:
            self.fail(f"{value}: {wrong}", param, ctx)
        if ms < self._least:
            self.fail(f"{value}: it must last longer", param, ctx)
        return ms


def example(*lines: str) -> str:
    """Return the epilog that shows how a command is used."""
    word = "Example" if len(lines) == 1 else "Examples"
    return "\n".join(["\b", f"{word}:", *(f"  {text}" for text in lines)])


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def print_json(value: Any) -> None:
    """Print one JSON value on one line."""
    click.echo(msgspec.json.encode(value, order="deterministic").decode())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work to its end; what fails is told by us, in one sentence."""
    with silent("aiokafka"):
        return asyncio.run(work)


def on_terminal() -> bool:
    """Return whether somebody watches stderr."""
    return sys.stderr.isatty()


def read(path: str) -> bytes:
    """Read a file that click has found to exist; raises Refused when it cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - `-` and paths of click are plain text
            return file.read()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise Refused(message) from error


existing_file = click.Path(exists=True, dir_okay=False)
existing_folder = click.Path(exists=True, file_okay=False)
existing_path = click.Path(exists=True)

Command = Callable[..., Any]
