"""Where somebody is and which language she reads, from the many ways clients write it.

Zones come from the tzdata package alone, never from the machine, so that a replay elsewhere gives
the same candidates.
"""

import re
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from engine.profile import MAX_ZONES
from streams.sources.values import text

MAX_PLACE: Final = 64

_OFFSET = re.compile(r"(?:GMT|UTC)?\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|\d{3}))?")

# Offsets in minutes that no Etc/GMT zone has, and who lives there.
_ODD_OFFSETS: Final = {
    -570: ("Pacific/Marquesas",),
    -210: ("America/St_Johns",),
    -150: ("America/St_Johns",),
    210: ("Asia/Tehran",),
    270: ("Asia/Kabul",),
    330: ("Asia/Kolkata",),
    345: ("Asia/Kathmandu",),
    390: ("Asia/Yangon",),
    525: ("Australia/Eucla",),
    570: ("Australia/Darwin", "Australia/Adelaide"),
    630: ("Australia/Adelaide", "Australia/Lord_Howe"),
    765: ("Pacific/Chatham",),
    825: ("Pacific/Chatham",),
}

# Beside the two letters and the English names of iso3166.tab.
_COUNTRY_NAMES: Final = {
    "uk": "GB",
    "united kingdom": "GB",
    "great britain": "GB",
    "usa": "US",
    "united states of america": "US",
    "chn": "CN",
    "south korea": "KR",
    "republic of korea": "KR",
    "czech republic": "CZ",
    "eire": "IE",
    "vietnam": "VN",
    "russian federation": "RU",
}


@lru_cache(maxsize=4096)
def zones_of(written: str) -> tuple[str, ...]:
    """Return the zone a client names: IANA in any case, or ``GMT+0800``; empty = unknown."""
    known = _zone_names().get(written.lower())
    if known is not None:
        return (known,)
    match = _OFFSET.fullmatch(written)
    if match is None:
        return ("UTC",) if written.upper() in ("GMT", "Z") else ()
    hours, minutes = int(match[2]), int(match[3] or 0)
    total = (hours * 60 + minutes) * (-1 if match[1] == "-" else 1)
    if total == 0:
        return ("UTC",)
    # POSIX signs: Etc/GMT-8 is eight hours east.
    exact = _zone_names().get(f"etc/gmt{-total // 60:+d}") if total % 60 == 0 else None
    return (exact,) if exact else _ODD_OFFSETS.get(total, ())


@lru_cache(maxsize=1024)
def zones_of_country(written: str) -> tuple[str, ...]:
    """Return the zones of a country (two letters or its English name), west to east, at most 8.

    Zones with the same summer and winter time count once; of more than 8 both ends are kept,
    because quiet hours must hold in every one of them.
    """
    wanted = written.strip().lower()
    code = _COUNTRY_NAMES.get(wanted) or _country_codes().get(wanted)
    if code is None:
        return ()
    distinct: dict[tuple[float, float], str] = {}
    for zone in _zones_by_country()[code]:
        distinct.setdefault(_offsets(zone), zone)
    ordered = [zone for _, zone in sorted(distinct.items())]
    if len(ordered) <= MAX_ZONES:
        return tuple(ordered)
    last = len(ordered) - 1
    return tuple(ordered[last * index // (MAX_ZONES - 1)] for index in range(MAX_ZONES))


@lru_cache(maxsize=4096)
def locale_of(written: str) -> str:
    """Return a BCP 47 locale of ``zh_CN``, ``en-US@posix`` or ``de_DE.UTF-8``; ``""`` = unreadable."""
    bare = re.split(r"[@.]", written.strip(), maxsplit=1)[0].replace("_", "-")
    match = _LOCALE.fullmatch(bare)
    if match is None:
        return ""
    language, script, region = match.groups()
    parts = [language.lower(), script.title() if script else "", region.upper() if region else ""]
    return "-".join(part for part in parts if part)


def place(value: object) -> str:
    """Return a value of any type as the text of a place or locale."""
    return text(value, MAX_PLACE)


# --- the tables of tzdata -----------------------------------------------------------------------


@cache
def _zone_names() -> dict[str, str]:
    listed = files("tzdata").joinpath("zones").read_text("utf-8").split()
    return {zone.lower(): zone for zone in listed}


def _table(name: str) -> list[list[str]]:
    path = files("tzdata").joinpath("zoneinfo", name)
    lines = path.read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


@cache
def _country_codes() -> dict[str, str]:
    rows = _table("iso3166.tab")
    codes = {code.lower(): code for code, _ in rows}
    return codes | {name.lower(): code for code, name in rows}


@cache
def _zones_by_country() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {code: [] for code in _country_codes().values()}
    for code, _, zone, *_ in _table("zone.tab"):
        found[code].append(zone)
    return found


def _offsets(zone: str) -> tuple[float, float]:
    """Return (January, July) offsets in seconds, in a year of today's rules."""
    with files("tzdata").joinpath("zoneinfo", *zone.split("/")).open("rb") as data:
        rules = ZoneInfo.from_file(data, key=zone)
    january, july = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)
    return _offset(january, rules), _offset(july, rules)


def _offset(at: datetime, rules: ZoneInfo) -> float:
    offset = at.astimezone(rules).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0
