"""CSV files of one series: rows of a time and a value, read one by one, forgiving what can be."""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import isfinite
from typing import Final, NamedTuple

from engine.errors import Refused
from engine.times import SECOND, to_ms

_TIME: Final = "timestamp"
_VALUE: Final = "value"
_BLANK: Final = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})
# As seconds this is the year 5138, as milliseconds 1973: nobody's series lies on both sides.
_MILLISECONDS_FROM: Final = 100_000_000_000
_LAST_MS: Final = 253_402_300_799_000  # the end of the year 9999


class Row(NamedTuple):
    """One row: its cells as written, its time (ms UTC) and its value, None when it has none."""

    time: str
    cell: str
    at: int
    value: float | None


def rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    """Yield the rows of the file ``name`` in its order.

    A time is ISO 8601 (without a zone: UTC) or a number of seconds or milliseconds since 1970. A
    value that is blank, NaN or infinite is None. Empty lines are left out. Raises Refused with
    the line that cannot be read.
    """
    reader = csv.reader(lines)
    try:
        time, value = _columns(next(reader, []), name)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _row(cells, time, value, f"{name}: line {reader.line_num}")
    except (csv.Error, UnicodeDecodeError) as error:
        message = f"{name}: after line {reader.line_num} it is no CSV text in UTF-8: {error}."
        raise Refused(message) from error


def _columns(header: list[str], name: str) -> tuple[int, int]:
    names = [cell.strip().lower() for cell in header]
    missing = [column for column in (_TIME, _VALUE) if column not in names]
    if missing:
        message = (
            f"{name}: line 1 names no column {' and no column '.join(missing)}; "
            f"begin the file with the line `{_TIME},{_VALUE}`."
        )
        raise Refused(message)
    return names.index(_TIME), names.index(_VALUE)


def _row(cells: list[str], time: int, value: int, where: str) -> Row:
    if len(cells) <= time:
        message = f"{where} has no {_TIME}; every row needs one."
        raise Refused(message)
    # A row that ends before its value has none.
    cell = cells[value] if len(cells) > value else ""
    return Row(cells[time], cell, _at(cells[time].strip(), where), _value(cell.strip(), where))


def _at(text: str, where: str) -> int:
    try:
        at = _moment(text)
    except (ValueError, OverflowError) as error:
        message = (
            f"{where}: {text!r} is no time; write ISO 8601 such as 2026-01-31 09:30:00, "
            "or seconds or milliseconds since 1970."
        )
        raise Refused(message) from error
    return at


def _moment(text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        said = datetime.fromisoformat(text)
        return to_ms(said if said.tzinfo else said.replace(tzinfo=UTC))
    at = number if abs(number) >= _MILLISECONDS_FROM else number * SECOND
    if not abs(at) <= _LAST_MS:
        message = "out of the calendar"
        raise ValueError(message)
    return round(at)


def _value(text: str, where: str) -> float | None:
    if text.lower() in _BLANK:
        return None
    try:
        value = float(text)
    except ValueError as error:
        message = f"{where}: {text!r} is no number; write one, or leave the cell empty."
        raise Refused(message) from error
    return value if isfinite(value) else None
