"""Nobody is woken: no message while it may be night where she is."""

from functools import lru_cache
from typing import NamedTuple

from engine.decisions import ids
from engine.draws import draw
from engine.policy import QuietHours
from engine.ports import Case, Objection
from engine.times import DAY, HOUR, MINUTE
from rules.zones import change, ms_of_day, wall, zones_of

# Hand-over follows the decision; what is decided must not be refused minutes later.
AHEAD = 10 * MINUTE
# The burst of everybody's 08:00 is spread over this.
SPREAD = HOUR
# Zones that share no waking moment in so many days share none: the longest trigger is long stale.
_HORIZON = 3 * DAY


class Span(NamedTuple):
    """A stretch of one zone's time that is quiet, or is not, up to ``until`` (ms)."""

    quiet: bool
    until: int


class Quiet:
    """Objects while it is, or within ten minutes becomes, quiet in any zone she may be in.

    At hand-over only the moment itself counts. ``when_quiet = "hold"`` defers to the first
    moment at which every zone is awake, later by a keyed draw so that not all start at once.
    """

    at_handover = True
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection: night is the same on every channel."""
        zones = tuple(zones_of(case.profile.zones, case.policy.timezone))
        ahead = 0 if case.handing_over else AHEAD
        awake = _awake(zones, case.policy.quiet_hours, case.now, ahead)
        if awake is not None and awake.opens <= case.now:
            return None
        if awake is None or case.campaign.when_quiet == "drop":
            return Objection("quiet_hours")
        return Objection("quiet_hours", awake.opens + _jitter(case, awake, ahead))


class Awake(NamedTuple):
    """A stretch in which every zone is awake: from ``opens`` to ``closes`` at least."""

    opens: int
    closes: int


def _jitter(case: Case, awake: Awake, ahead: int) -> int:
    """Return ms in [0, 1 h), keyed by the action; less where the waking stretch is short."""
    policy = case.policy
    room = min(SPREAD, awake.closes - ahead - awake.opens)
    return int(draw(policy.app, policy.holdout.epoch, "jitter", ids(case)[0]) * room)


# Everybody of one tick asks about the same moment, on every channel, in a handful of zones.
@lru_cache(maxsize=512)
def _awake(zones: tuple[str, ...], hours: QuietHours, now: int, ahead: int) -> Awake | None:
    """Return the first common waking stretch longer than ``ahead``; None = none within days."""
    at = now
    while at <= now + _HORIZON:
        spans = [span(zone, hours, at) for zone in zones]
        if any(one.quiet for one in spans):
            at = max(one.until for one in spans if one.quiet)
            continue
        end = at + ahead + SPREAD + 1
        closes = min(_closes(zone, hours, at, end) for zone in zones)
        if closes - at > ahead:
            return Awake(at, closes)
        at = closes
    return None


def _closes(zone: str, hours: QuietHours, at: int, end: int) -> int:
    """Return when this zone, awake at ``at``, next becomes quiet; looks no further than ``end``."""
    while at < end:
        stretch = span(zone, hours, at)
        if stretch.quiet:
            return at
        at = stretch.until
    return end


def span(zone: str, hours: QuietHours, at: int) -> Span:
    """Return whether the zone's wall clock is quiet at ``at``, and until when that is sure.

    A stretch ends at the next bound on the wall clock, or where summer time moves the clock: what
    comes then is for the next call to say. So an hour that comes twice is judged by its clock.
    """
    there = wall(zone, at)
    clock, start, end = ms_of_day(there), hours.start * MINUTE, hours.end * MINUTE
    quiet = start <= clock < end if start <= end else clock >= start or clock < end
    bound = end if quiet else start
    until = at + ((bound - clock) % DAY or DAY)
    if wall(zone, until).utcoffset() != there.utcoffset():
        until = change(zone, at, until)
    return Span(quiet, until)


GUARD = Quiet()
