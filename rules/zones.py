"""Wall clocks of the zones a person may be in, from the pinned zone database of ``tzdata`` only."""

import re
import zoneinfo
from collections.abc import Sequence
from datetime import datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib.resources import files
from typing import Final

from engine.times import SECOND, to_ms, utc

# The zones of the machine are switched off for the whole process: a rule of summer time that one
# worker's Linux knows and another's does not would make replay differ from what was done.
zoneinfo.reset_tzpath(to=())

MAX_CANDIDATES: Final = 8

# "Factory" is the zone of a machine nobody has set up, not of a person.
_NAMES: Final = frozenset(zoneinfo.available_timezones()) - {"Factory", "localtime"}
_OFFSET: Final = re.compile(r"UTC([+-])(0\d|1[0-4]):([0-5]\d)")
_WIDEST: Final = 14 * 60
# Years 2 to 9998: a client's "0001-01-01" must not leave the calendar in any zone.
_FIRST: Final = to_ms(utc(0).replace(year=2))
_LAST: Final = to_ms(utc(0).replace(year=9998))
# Two zones of a country count as one when their clocks agree on both days of this year.
_WINTER: Final = to_ms(utc(0).replace(year=2026, month=1, day=15))
_SUMMER: Final = to_ms(utc(0).replace(year=2026, month=7, day=15))


def known(name: str) -> bool:
    """Return whether ``name`` is an IANA zone or a fixed offset such as ``UTC+05:30``."""
    return name in _NAMES or _offset_minutes(name) is not None


def _offset_minutes(name: str) -> int | None:
    found = _OFFSET.fullmatch(name)
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    if minutes > _WIDEST:
        return None
    return minutes if found[1] == "+" else -minutes


@lru_cache(maxsize=4096)
def _known_zone(name: str) -> tzinfo:
    """Return the zone of a known name; only known ones are cached, so that nobody can fill it."""
    minutes = _offset_minutes(name)
    if minutes is not None:
        return timezone(timedelta(minutes=minutes), name)
    # no_cache: another library may have cached a zone of this name from the machine before us
    return zoneinfo.ZoneInfo.no_cache(name)


def zone(name: str) -> tzinfo:
    """Return the zone of this name; raises ValueError when it is not :func:`known`."""
    if not known(name):
        message = f"{name!r} is no time zone we know"
        raise ValueError(message)
    return _known_zone(name)


def zones_of(names: Sequence[str], fallback: str) -> list[str]:
    """Return the known ones among the zones she may be in, else the file's ``fallback``."""
    return [name for name in names if known(name)] or [fallback]


def wall(name: str, at: int) -> datetime:
    """Return the wall clock of a zone at ``at`` (ms)."""
    return utc(min(max(at, _FIRST), _LAST)).astimezone(zone(name))


def ms_of_day(clock: datetime) -> int:
    """Return the ms since midnight that a wall clock shows."""
    seconds = (clock.hour * 60 + clock.minute) * 60 + clock.second
    return seconds * SECOND + clock.microsecond // 1000


def offset(name: str, at: int) -> timedelta:
    """Return how far the zone's clock is ahead of UTC at ``at`` (ms)."""
    return wall(name, at).utcoffset() or timedelta()


def change(name: str, before: int, after: int) -> int:
    """Return the ms at which the zone's offset becomes that of ``after``, found by halving.

    The offsets at ``before`` and ``after`` differ and change once between them.
    """
    final = offset(name, after)
    while after - before > 1:
        middle = (before + after) // 2
        if offset(name, middle) == final:
            after = middle
        else:
            before = middle
    return after


def instant(name: str, clock: datetime) -> int:
    """Return the ms at which a zone's clocks first show ``clock`` (without zone) or later.

    Where the hour comes twice this is the first; where it is left out, the moment after the gap.
    """
    there = clock.replace(tzinfo=zone(name), fold=0)
    at = to_ms(there)
    if wall(name, at).replace(tzinfo=None) == clock:
        return at
    return change(name, to_ms(there.replace(fold=1)), at)


def day_start(name: str, at: int, days: int = 0) -> int:
    """Return the ms at which the local day of ``at``, or the one ``days`` later, begins."""
    date = wall(name, at).date() + timedelta(days=days)
    return instant(name, datetime.combine(date, time()))


class PinnedTime:
    """LocalTime on the pinned zone database; the first zone she may be in speaks for her."""

    def hour(self, zones: Sequence[str], fallback: str, at: int) -> int:
        """Return the local hour 0-23."""
        return wall(zones_of(zones, fallback)[0], at).hour

    def weekday(self, zones: Sequence[str], fallback: str, at: int) -> int:
        """Return the local weekday, Monday 0."""
        return wall(zones_of(zones, fallback)[0], at).weekday()

    def days_later(self, zones: Sequence[str], fallback: str, at: int, days: int) -> int:
        """Return the ms at which the clock shows the same time ``days`` calendar days later."""
        name = zones_of(zones, fallback)[0]
        clock = wall(name, at).replace(tzinfo=None, fold=0)
        return instant(name, clock + timedelta(days=days))


ZONES: Final = PinnedTime()


# --- zones of a country -------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _by_country() -> dict[str, list[str]]:
    """Read tzdata's table of countries; the zone of "most areas" first, else in its order."""
    rows: dict[str, list[tuple[bool, str]]] = {}
    table = files("tzdata").joinpath("zoneinfo/zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, name, *comment = line.split("\t")
            rows.setdefault(country, []).append(("most" not in "".join(comment), name))
    return {
        country: [name for _, name in sorted(found, key=lambda row: row[0])]
        for country, found in rows.items()
    }


@lru_cache(maxsize=512)
def _distinct(country: str) -> tuple[str, ...]:
    clocks: dict[tuple[timedelta, timedelta], str] = {}
    for name in _by_country().get(country, []):
        clocks.setdefault((offset(name, _WINTER), offset(name, _SUMMER)), name)
    if len(clocks) <= MAX_CANDIDATES:
        return tuple(clocks.values())
    ranked = sorted(clocks)
    kept = {ranked[0], ranked[-1]}
    kept |= {min(ranked, key=lambda pair: pair[1]), max(ranked, key=lambda pair: pair[1])}
    between = [pair for pair in ranked if pair not in kept]
    room = MAX_CANDIDATES - len(kept)
    kept |= {between[index * len(between) // room] for index in range(room)}
    return tuple(name for pair, name in clocks.items() if pair in kept)


def candidates(country: str) -> list[str]:
    """Return the zones somebody in this country (ISO 3166, two letters) may live in.

    One per distinct clock, at most eight; a bigger country keeps its extremes, which are what
    quiet hours depend on. Empty when the country is unknown.
    """
    code = country.upper()
    return list(_distinct(code)) if code in _by_country() else []
