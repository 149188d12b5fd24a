"""The caps, counted again over every window: what was charged before against what is allowed."""

from collections.abc import Iterable, Sequence

from monitoring.audit.clocks import wall
from monitoring.audit.people import Charge
from monitoring.audit.terms import Cap


def full(
    caps: Iterable[Cap], charges: Sequence[Charge], channel: str, at: int, zones: Sequence[str]
) -> Cap | None:
    """Return the first cap that had no room for a message on ``channel`` at ``at`` (ms).

    ``charges``: what was charged before it. Those given back or of a dry run bind no message;
    where she may be in several zones, every one of their days must have room; without any, a
    day is not known.
    """
    counted = [charge for charge in charges if charge.stands and not charge.dry]
    for cap in caps:
        if cap.channel not in (None, channel):
            continue
        times = [charge.at for charge in counted if cap.channel in (None, charge.channel)]
        if cap.kind == "calendar_day":
            used = max((_of_day(times, at, zone) for zone in zones), default=0)
        else:
            used = sum(at - cap.window < time <= at for time in times)
        if used >= cap.limit:
            return cap
    return None


def _of_day(times: Iterable[int], at: int, zone: str) -> int:
    today = wall(zone, at).date()
    return sum(time <= at and wall(zone, time).date() == today for time in times)
