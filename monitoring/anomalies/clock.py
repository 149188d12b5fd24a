"""Where a moment lies in its week: hour of the day, weekday or weekend, in the business's zone."""

from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.times import SECOND

HOURS: Final = 48  # 24 of a weekday, 24 of a weekend day
_SATURDAY: Final = 5


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return the time zone ``name``; raises ValueError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        message = f"{name!r} is no time zone; write an IANA name such as Europe/Rome"
        raise ValueError(message) from error


def place(at_ms: int, zone_name: str) -> tuple[int, int, float]:
    """Return the two hours whose middles lie around ``at_ms`` and the share of the second.

    Steps from hour to hour would look like a fault at every hour's turn; a series is compared
    with the line between two hours. A day's edge stays in its own sort of day.
    """
    local = datetime.fromtimestamp(at_ms / SECOND, zone(zone_name))
    base = 24 if local.weekday() >= _SATURDAY else 0
    hour = local.hour + local.minute / 60 + local.second / 3600 - 0.5
    first = int(hour // 1)
    return base + first % 24, base + (first + 1) % 24, hour - first
