"""When a person visits: how many times on a day of hers, and at which hours of her clock."""

from bisect import bisect_right
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Final

from rules import zones

# When people like to shop: lunch, after work, late evening.
FAVOURITE_HOURS: Final = (9, 12, 12, 15, 18, 19, 20, 20, 21, 22)
# Weight of an hour by its distance from her favourite one; then a little at any waking hour.
_NEAR: Final = (26.0, 17.0, 8.0, 4.0, 3.0, 2.0)
_ELSEWHEN: Final = 1.5
_ASLEEP: Final = range(1, 7)
# At the weekend the day has one more good time.
_WEEKEND: Final = {10: 9.0, 11: 9.0, 15: 6.0}
SATURDAY: Final = 5
# The second visit of a day, for somebody who has made one.
_TWICE: Final = 0.12


@lru_cache(maxsize=64)
def shares(favourite: int, *, weekend: bool = False) -> tuple[float, ...]:
    """Return which share of her visits falls on each local hour of the day."""
    weights = []
    for hour in range(24):
        distance = min((hour - favourite) % 24, (favourite - hour) % 24)
        weight = _NEAR[distance] if distance < len(_NEAR) else _ELSEWHEN
        if weekend:
            weight += _WEEKEND.get(hour, 0.0)
        weights.append(0.0 if hour in _ASLEEP else weight)
    total = sum(weights)
    return tuple(weight / total for weight in weights)


@lru_cache(maxsize=64)
def _up_to(favourite: int, *, weekend: bool) -> tuple[float, ...]:
    return tuple(accumulate(shares(favourite, weekend=weekend)))


def hour_of(lot: float, favourite: int, *, weekend: bool) -> int:
    """Return the local hour that a lot in [0, 1) falls on."""
    return min(bisect_right(_up_to(favourite, weekend=weekend), lot), 23)


def is_weekend(day: date) -> bool:
    """Return whether it is a Saturday or a Sunday."""
    return day.weekday() >= SATURDAY


def on_day(visits: float, liking: float, *, weekend: bool) -> float:
    """Return her expected visits on such a day; ``liking`` multiplies those of a weekend.

    What weekends have more, the other five days have less, so that a week keeps its mean.
    """
    return visits * (liking if weekend else (7 - 2 * liking) / 5)


def times(lot: float, expected: float) -> int:
    """Return how often she visits on a day of which ``expected`` visits are expected."""
    once = expected / (1 + _TWICE)
    if lot >= once:
        return 0
    return 2 if lot < once * _TWICE else 1


def hours_of(zone: str, day: date) -> tuple[int, ...]:
    """Return the ms at which each hour 0 .. 23 of a local day begins."""
    midnight = datetime.combine(day, time())
    return tuple(zones.instant(zone, midnight + timedelta(hours=hour)) for hour in range(24))


__all__ = [
    "FAVOURITE_HOURS",
    "SATURDAY",
    "hour_of",
    "hours_of",
    "is_weekend",
    "on_day",
    "shares",
    "times",
]
