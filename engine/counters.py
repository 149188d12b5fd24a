"""Decayed sums of what she does, as of her last event; any order of events gives the same."""

from typing import Final

from engine.decay import decayed
from engine.profile import COUNTED, LONG_HALF_LIFE, SHORT_HALF_LIFE, Profile

VIEWS: Final = COUNTED.index("views")
ADDS: Final = COUNTED.index("adds")
ORDERS: Final = COUNTED.index("orders")
SEARCHES: Final = COUNTED.index("searches")


def count(profile: Profile, what: int, at: int) -> None:
    """Add one to a decayed counter at event time ``at``; any order gives the same sum."""
    counters = profile.counters
    elapsed = at - counters.at
    if elapsed < 0:
        counters.short[what] += decayed(1.0, -elapsed, SHORT_HALF_LIFE)
        counters.long[what] += decayed(1.0, -elapsed, LONG_HALF_LIFE)
        return
    if elapsed and counters.at:
        short, long = decayed(1.0, elapsed, SHORT_HALF_LIFE), decayed(1.0, elapsed, LONG_HALF_LIFE)
        _shrink(counters.short, short)
        _shrink(counters.long, long)
    counters.at = at
    counters.short[what] += 1.0
    counters.long[what] += 1.0


def _shrink(sums: list[float], by: float) -> None:
    """Multiply in place, leaving nothing as it is: most people never bought nor searched."""
    for what, value in enumerate(sums):
        if value:
            sums[what] = value * by
