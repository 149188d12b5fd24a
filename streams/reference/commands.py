"""docs/reference/commands.md: every command as its own help tells it."""

from collections.abc import Iterator

import click

from streams.cli import main
from streams.reference.markdown import head, written

# Fixed, so that the page does not depend on the terminal it was written in.
_WIDTH = 96


def page() -> str:
    """Return the page."""
    lines = head(
        "Commands",
        "the help of the command line (`streams/cli`)",
        "Settings come from `REKINDLE_` variables, see [settings](settings.md). Every command "
        "prints its results on stdout, progress and mistakes on stderr; a mistake is one sentence "
        "that says how to mend it. Exit code 0: done; 1: not done, or something is not well; 2: "
        "the command was written wrongly.",
    )
    for path, command in every():
        lines += [f"## {' '.join(path)}", "", "```text", *_help(path, command), "```", ""]
    return written(lines)


def every(
    group: click.Group = main, path: tuple[str, ...] = ("rekindle",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that does something, by its words, in the order of the help."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every(command, (*path, name))
        elif command is not None:
            yield (*path, name), command


def _help(path: tuple[str, ...], command: click.Command) -> list[str]:
    context = click.Context(
        command, info_name=" ".join(path), terminal_width=_WIDTH, help_option_names=["-h", "--help"]
    )
    return [line.rstrip() for line in command.get_help(context).splitlines()]


__all__ = ["every", "page"]
