"""Reads tables of a settings file strictly and keeps every complaint with its line.

A reader of a wrong value complains and returns a harmless one, so that one run finds everything.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from math import isfinite
from typing import Any, Final, NamedTuple

from engine.errors import Refused
from engine.times import DAY, HOUR, MINUTE, SECOND, to_ms
from rules.lines import Path
from rules.zones import instant

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION: Final = re.compile(r"(\d{1,9})([smhd])")
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
# Longer than any memory of ours; keeps sums of times within the calendar.
LONGEST: Final = 3650 * DAY


class Wish(NamedTuple):
    """What a value should have been, and how to write it."""

    noun: str
    mend: str


DURATION: Final = Wish("a duration", 'a whole number and s, m, h or d, such as "90m"')
CLOCK: Final = Wish("a time of day", 'hours and minutes in quotes, such as "21:00"')
DAY_OF_YEAR: Final = Wish("a date", "a day such as 2026-11-11")
SWITCH: Final = Wish("a switch", "true or false")


@dataclass(slots=True)
class Complaints:
    """What is wrong with one file, by line."""

    name: str
    lines: Mapping[Path, int]
    found: list[tuple[int, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of the nearest place the file mentions."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def say(self, path: Path, sentence: str) -> None:
        """Add a complaint about the place ``path``."""
        self.found.append((self.line(path), sentence.replace("?.", "?")))

    def refuse(self) -> None:
        """Raise Refused with every complaint in order of lines; do nothing if there is none."""
        if self.found:
            ordered = sorted(dict.fromkeys(self.found))
            raise Refused("\n".join(f"{self.name}:{line}: {what}" for line, what in ordered))


class Table:
    """One table of the file; every key is asked for once, the rest is unknown."""

    def __init__(
        self,
        complaints: Complaints,
        path: Path,
        values: Mapping[str, Any],
        later: Mapping[str, str] | None = None,
    ) -> None:
        """``later``: keys of later releases, each with the sentence that says so."""
        self.complaints, self.path, self.values = complaints, path, values
        self._later = later or {}
        self._asked: set[str] = set()
        self._unsound: set[str] = set()

    def __contains__(self, key: str) -> bool:
        """Return whether the file gives the key."""
        return key in self.values

    def say(self, key: str | None, sentence: str) -> None:
        """Complain about a key, or about the table itself."""
        self._unsound.add(key or "")
        self.complaints.say(self.path if key is None else (*self.path, key), sentence)

    def sound(self, *keys: str) -> bool:
        """Return whether nothing is wrong with these keys: one mistake needs one complaint."""
        return self._unsound.isdisjoint(keys) and all(key in self.values for key in keys)

    def _get(self, key: str) -> Any:
        self._asked.add(key)
        return self.values.get(key)

    def _wrong(self, key: str, wish: Wish) -> None:
        if key in self.values:
            shown = written(self.values[key])
            self.say(key, f"`{key} = {shown}` is not {wish.noun}; write {wish.mend}.")
        else:
            self.say(None, f"`{key}` is missing; add {wish.noun}: {wish.mend}.")

    # --- values -----------------------------------------------------------------------------

    def text(self, key: str, wish: Wish, pattern: str, default: str | None = None) -> str:
        """Return a text that matches ``pattern``; None as default = it must be given."""
        value = self._get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        self._wrong(key, wish)
        return default or ""

    def choice(self, key: str, allowed: Collection[str], default: str | None = None) -> str:
        """Return one of a closed list of words."""
        value = self._get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        words = alternatives(allowed)
        if key in self.values:
            hint = suggestion(value, allowed)
            self.say(key, f"`{key} = {written(value)}` is unknown{hint}; write {words}.")
        else:
            self.say(None, f"`{key}` is missing; add it as {words}.")
        return default or ""

    def number(
        self,
        key: str,
        wish: Wish,
        *,
        low: float,
        high: float = float("inf"),
        above: bool = False,
        below: bool = False,
        default: float | None = None,
    ) -> float:
        """Return a finite number from ``low`` to ``high``; ``above``/``below`` exclude the ends."""
        value = self._get(key)
        if value is None and default is not None:
            return default
        fits = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        at_end = (above and value == low) or (below and value == high)
        if fits and low <= value <= high and not at_end:
            return float(value)
        self._wrong(key, wish)
        return low if default is None else default

    def whole(self, key: str, wish: Wish, *, low: int, high: int, default: int | None) -> int:
        """Return a whole number from ``low`` to ``high``."""
        value = self._get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self._wrong(key, wish)
        return low if default is None else default

    def switch(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._get(key)
        if isinstance(value, bool):
            return value
        if value is not None:
            self._wrong(key, SWITCH)
        return default

    def duration(self, key: str, *, default: int | None, zero: bool = False) -> int:
        """Return a duration such as ``"90m"`` in ms; ``zero`` = none at all is allowed."""
        value = self._get(key)
        if value is None and default is not None:
            return default
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            self._wrong(key, DURATION)
            return default or DAY
        ms = int(found[1]) * _UNITS[found[2]]
        if ms == 0 and not zero:
            self.say(key, f'`{key} = "{value}"` is no time at all; write one longer than "0s".')
        if ms > LONGEST:
            self.say(key, f'`{key} = "{value}"` is longer than ten years; write a shorter one.')
            return default or DAY
        return ms

    def clock(self, key: str) -> int:
        """Return a time of day as minutes since midnight."""
        value = self._get(key)
        found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
        if found is not None:
            return int(found[1]) * 60 + int(found[2])
        if isinstance(value, time) and not value.second and not value.microsecond:
            return value.hour * 60 + value.minute
        self._wrong(key, CLOCK)
        return 0

    def day(self, key: str, zone: str, *, whole_day: bool) -> int | None:
        """Return a date in the file's zone as ms; ``whole_day``: a bare date lasts to its end."""
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, str):
            with suppress(ValueError):
                value = date.fromisoformat(value)
        if isinstance(value, datetime):
            return instant(zone, value) if value.tzinfo is None else to_ms(value)
        if isinstance(value, date) and 1 < value.year < 9998:
            last = value + timedelta(days=whole_day)
            return instant(zone, datetime.combine(last, time()))
        self._wrong(key, DAY_OF_YEAR)
        return None

    def words(self, key: str, wish: Wish, default: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return a list of distinct texts, in order."""
        value = self._get(key)
        if value is None and default is not None:
            return default
        texts = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
        if not texts or (default is None and not value):
            self._wrong(key, wish)
            return default or ()
        for one in sorted({one for one in value if value.count(one) > 1}):
            self.say(key, f'`{key}` names "{one}" twice; name it once.')
        return tuple(dict.fromkeys(value))

    # --- tables -----------------------------------------------------------------------------

    def table(self, key: str) -> "Table | None":
        """Return a sub-table, None if the file has none."""
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.say(key, f"`{key}` must be a section; write it as {self._header(key)}.")
            return None
        return Table(self.complaints, (*self.path, key), value, self._later)

    def tables(self, key: str) -> "list[Table]":
        """Return the entries of an array of tables."""
        value = self._get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.say(key, f"`{key}` must be a list of sections; begin each with [[{key}]].")
            return []
        return [
            Table(self.complaints, (*self.path, key, index), one, self._later)
            for index, one in enumerate(value)
        ]

    def each(self) -> "Iterable[tuple[str, Table]]":
        """Return the sub-tables by name, when the names are the file's to choose."""
        for key in self.values:
            below = self.table(key)
            if below is not None:
                yield key, below

    def _header(self, key: str) -> str:
        names = [part for part in (*self.path, key) if isinstance(part, str)]
        return f"[{'.'.join(names)}]"

    def refuse(self, keys: Iterable[str], why: str) -> None:
        """Complain about each of these keys that is given; an empty ``why`` lets them pass."""
        for key in keys:
            self._asked.add(key)
            if why and key in self.values:
                self.say(key, f"`{key}` {why}")

    def close(self) -> None:
        """Complain about every key nobody asked for."""
        for key in self.values:
            if key in self._asked:
                continue
            if key in self._later:
                self.say(key, self._later[key])
            else:
                hint = suggestion(key, self._asked - self.values.keys())
                mend = "" if hint else "; take it out, or look for its name in the shipped file"
                self.say(key, f"`{key}` is not a key of {self._title()}{hint}{mend}.")

    def _title(self) -> str:
        names = [part for part in self.path if isinstance(part, str)]
        return f"[{'.'.join(names)}]" if names else "this file"


# --- prose --------------------------------------------------------------------------------------


def written(value: object) -> str:
    """Return a value as the file may have it, short enough for a sentence."""
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = f'"{value}"'
        case list():
            text = "[…]" if value else "[]"
        case dict():
            text = "{…}"
        case _:
            text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def alternatives(words: Iterable[str]) -> str:
    """Return ``"a", "b" or "c"``."""
    *first, last = [f'"{word}"' for word in words]
    return f"{', '.join(first)} or {last}" if first else last


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return ``, did you mean …?`` when something known is close, else nothing."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.7) if isinstance(word, str) else []
    return f"; did you mean `{near[0]}`?" if near else ""
