"""CSV files of shops' events, read in time order, with the last row of every group known ahead.

A file in order is read twice and never held; one that is not is sorted in memory, which its size
bounds. Rows that are torn (fewer cells than columns) are left out and counted.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from engine.errors import InvalidEvent, Refused
from streams.sources.files import Slice, opened, unpacking
from streams.sources.reasons import Notes

Cells = Sequence[str]


class Row(NamedTuple):
    """One row: its place in time order (the line number where the file is in order), line, time."""

    place: int
    line: int
    at: int
    cells: Cells


@dataclass(frozen=True)
class Layout:
    """How a file is read: columns in the order wanted, time of a row, the group it belongs to.

    ``at`` raises ValueError for what is no time; ``group`` None = the row stands alone;
    ``keep`` False = the row is left out and counted.
    """

    columns: tuple[str, ...]
    at: Callable[[Cells], int]
    group: Callable[[Cells], str | None]
    keep: Callable[[Cells], bool] = lambda _: True


@dataclass(frozen=True)
class Survey:
    """What one reading ahead found: whether rows are in time order, where each group ends."""

    in_order: bool
    last: dict[str, int]


def read(path: Path, layout: Layout, part: Slice, notes: Notes) -> tuple[Iterator[Row], Survey]:
    """Return the rows in time order, and the survey by whose ``last`` a group is complete.

    Raises Refused for a file of another layout.
    """
    survey = _survey(_rows(path, layout, part, Notes()), layout)
    rows = _rows(path, layout, part, notes)
    if survey.in_order:
        return rows, survey
    # Line 1 names the columns, so the first place is 2, as in a file that is in order.
    ordered = [
        row._replace(place=place)
        for place, row in enumerate(sorted(rows, key=lambda row: (row.at, row.line)), 2)
    ]
    return iter(ordered), _survey(iter(ordered), layout)


def _survey(rows: Iterator[Row], layout: Layout) -> Survey:
    in_order, before = True, 0
    last: dict[str, int] = {}
    for row in rows:
        in_order = in_order and row.at >= before
        before = row.at
        group = layout.group(row.cells)
        if group is not None:
            last[group] = row.place
    return Survey(in_order, last)


def _rows(path: Path, layout: Layout, part: Slice, notes: Notes) -> Iterator[Row]:
    return islice(_all_rows(path, layout, part, notes), part.rows)


def _all_rows(path: Path, layout: Layout, part: Slice, notes: Notes) -> Iterator[Row]:
    with opened(path) as data, unpacking(path):
        table = csv.reader(TextIOWrapper(data, encoding="utf-8", errors="replace", newline=""))
        header = [name.strip() for name in next(table, [])]
        missing = [name for name in layout.columns if name not in header]
        if missing:
            raise Refused(
                f"{path} has no column {', '.join(missing)}: its first line must name the columns "
                f"{', '.join(layout.columns)}; choose another --format for another file."
            )
        wanted = [header.index(name) for name in layout.columns]
        for raw in table:
            if len(raw) < len(header):
                notes["skipped_row"] += 1
                continue
            cells = [raw[index] for index in wanted]
            if not layout.keep(cells):
                notes["skipped_row"] += 1
                continue
            at = _time(path, table.line_num, layout, cells)
            if part.holds(at):
                yield Row(table.line_num, table.line_num, at, cells)


def _time(path: Path, line: int, layout: Layout, cells: Cells) -> int:
    try:
        return layout.at(cells)
    except (ValueError, InvalidEvent) as error:
        raise Refused(
            f"{path}:{line}: {error}; mend the time or choose another --format."
        ) from error
