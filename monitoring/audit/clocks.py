"""Wall clocks of the zones a person may be in, by the pinned zone files of ``tzdata``."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from monitoring.audit.reading import utc

_OFFSET: Final = re.compile(r"UTC([+-])(0\d|1[0-4]):([0-5]\d)")
_NAME: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
# Years 2 to 9998: a client's "0001-01-01" must not leave the calendar in any zone.
_FIRST: Final = -62_104_060_800_000
_LAST: Final = 253_370_764_800_000 - 1
# "Factory" is the zone of a machine nobody has set up, not of a person.
_NOBODYS: Final = frozenset({"Factory", "localtime", "posixrules"})


@lru_cache(maxsize=4096)
def zone(name: str) -> tzinfo | None:
    """Return the zone of an IANA name or of an offset such as ``UTC+05:30``; None = no such."""
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        if minutes > 14 * 60:
            return None
        return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    if name in _NOBODYS or _NAME.fullmatch(name) is None:
        return None
    file = files("tzdata").joinpath("zoneinfo", *name.split("/"))
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        try:
            return ZoneInfo.from_file(opened, key=name)
        except ValueError:  # a table that lies beside the zones
            return None


def homes(zones: Sequence[str], fallback: str) -> list[str]:
    """Return those of her zones that exist, else the file's own."""
    return [name for name in zones if zone(name) is not None] or [fallback]


def wall(name: str, at: int) -> datetime:
    """Return the wall clock of an existing zone at ``at`` (ms), kept within the calendar."""
    return utc(min(max(at, _FIRST), _LAST)).astimezone(zone(name))


def quiet(hours: tuple[int, int], zones: Sequence[str], at: int) -> bool:
    """Return whether it is quiet in any of these zones.

    ``hours``: from and to in minutes of the day, may span midnight; equal = never quiet.
    """
    start, end = hours
    for name in zones:
        there = wall(name, at)
        minute = there.hour * 60 + there.minute
        if start <= minute < end if start <= end else minute >= start or minute < end:
            return True
    return False
