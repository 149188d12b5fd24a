"""Where somebody is and which language she reads, from the many ways clients write it."""

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

from rules import zones
from streams.sources.values import text

MAX_PLACE: Final = 64

_OFFSET = re.compile(r"(?:GMT|UTC)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|\d{3}))?")

# What people write beside the two letters and the English names of ISO 3166.
_COUNTRY_NAMES: Final = {
    "uk": "GB",
    "united kingdom": "GB",
    "great britain": "GB",
    "usa": "US",
    "united states of america": "US",
    "chn": "CN",
    "south korea": "KR",
    "republic of korea": "KR",
    "eire": "IE",
    "vietnam": "VN",
    "russian federation": "RU",
}


@lru_cache(maxsize=4096)
def zone_of(written: str) -> str:
    """Return the zone a client names: IANA, or ``GMT+0800`` as ``UTC+08:00``; ``""`` = unknown."""
    if zones.known(written):
        return written
    if written.upper() in ("GMT", "Z"):
        return "UTC"
    match = _OFFSET.fullmatch(written)
    if match is None:
        return ""
    hours, minutes = int(match[2]), int(match[3] or 0)
    fixed = f"UTC{match[1]}{hours:02d}:{minutes:02d}" if hours or minutes else "UTC"
    return fixed if zones.known(fixed) else ""


@lru_cache(maxsize=1024)
def zones_of_country(written: str) -> tuple[str, ...]:
    """Return the zones of a country, named by two letters or its English name; empty = unknown."""
    wanted = written.strip().lower()
    return tuple(zones.candidates(_country_codes().get(wanted, wanted)))


@lru_cache(maxsize=4096)
def locale_of(written: str) -> str:
    """Return ``zh_CN``, ``en-US@posix`` or ``de_DE.UTF-8`` as BCP 47; ``""`` = unreadable."""
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


@cache
def _country_codes() -> dict[str, str]:
    table = files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line and not line.startswith("#")]
    return {name.lower(): code for code, name in rows} | _COUNTRY_NAMES
