"""How full a frequency cap is, and when it has room again: the arithmetic of all three kinds."""

from typing import NamedTuple

from engine.policy import Cap
from engine.ports import CapState, Case
from rules.charges import charged_since, forgotten_since
from rules.zones import day_start, zones_of


class Fill(NamedTuple):
    """What is used of a cap, and the ms at which one more is allowed (now, when there is room)."""

    used: int
    free_at: int


def fill(cap: Cap, case: Case) -> Fill:
    """Return how full a cap is for this case at its ``now``."""
    if cap.kind == "calendar_day":
        # She lives in one of her zones; the strictest of them is right wherever that is.
        names = zones_of(case.profile.zones, case.policy.timezone)
        days = [_of_day(cap, case, name) for name in names]
        return Fill(max(day.used for day in days), max(day.free_at for day in days))
    return _of_window(cap, case)


def _of_day(cap: Cap, case: Case, zone: str) -> Fill:
    # A charge at midnight itself is the new day's, hence "later than" one ms before it.
    start = day_start(zone, case.now) - 1
    used = _used(cap, len(charged_since(case, start, channel=cap.channel)), case, start)
    return Fill(used, case.now if used < cap.limit else day_start(zone, case.now, days=1))


def _of_window(cap: Cap, case: Case) -> Fill:
    """Count a rolling window or a gap; a charge exactly one window ago has left it."""
    start = case.now - cap.window
    times = charged_since(case, start, channel=cap.channel)
    used = _used(cap, len(times), case, start)
    if used < cap.limit:
        return Fill(used, case.now)
    free_at = times[-cap.limit] + cap.window if len(times) >= cap.limit else case.now
    if forgotten_since(case, start):
        free_at = max(free_at, case.profile.sends_lost_at + cap.window)
    return Fill(used, free_at)


def _used(cap: Cap, counted: int, case: Case, start: int) -> int:
    """A window that reaches back beyond a forgotten send counts as full: in doubt, silence."""
    return max(counted, cap.limit) if forgotten_since(case, start) else counted


def count_caps(case: Case) -> list[CapState]:
    """Return every cap of the policy with what is used of it before this decision."""
    return [CapState(cap.name, fill(cap, case).used, cap.limit) for cap in case.policy.caps]
