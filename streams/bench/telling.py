"""How figures are shown: tables, once for the terminal and once for a page of Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as Drawn


@dataclass(frozen=True, slots=True)
class Table:
    """One table; the first column names, the others are figures. ``note`` stands below it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def on_terminal(tables: Iterable[Table]) -> None:
    """Print tables to stdout."""
    console = Console(highlight=False)
    for table in tables:
        drawn = Drawn(title=table.title, title_justify="left", caption=table.note or None)
        drawn.caption_justify = "left"
        for index, name in enumerate(table.head):
            drawn.add_column(name, justify="right" if index else "left")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)


def as_markdown(tables: Iterable[Table]) -> str:
    """Return tables as a section of a page."""
    return "\n".join(_section(table) for table in tables)


def _section(table: Table) -> str:
    lines = [f"### {table.title}", "", _row(table.head)]
    lines.append("|---|" + "---:|" * (len(table.head) - 1))
    lines += [_row(row) for row in table.rows]
    if table.note:
        lines += ["", table.note]
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def figure(value: float | None, unit: str = "", digits: int = 1) -> str:
    """Write a figure as a person reads it; None = not measured."""
    if value is None:
        return "not measured"
    return f"{value:,.{digits}f}{unit and ' ' + unit}"


__all__ = ["Table", "as_markdown", "figure", "on_terminal"]
