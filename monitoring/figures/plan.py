"""Plans: how much a channel may send in a day, and how much it will at the pace of now."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct, field

from engine.times import MINUTE, SECOND
from monitoring.anomalies import clock

_HOURS: Final = 24
# The days before this one whose hours say what is usual.
_DAYS: Final = 7
# The pace of now is that of so many minutes: two steps of the brake, or it would answer its own
# last step by another. Below so many messages it is no pace.
_NOW: Final = 10
_LEAST: Final = 30


class Plan(Struct, frozen=True, kw_only=True):
    """At most ``per_day`` messages of a channel in a day of ``zone``."""

    channel: str
    per_day: float
    zone: str = "UTC"


class Ahead(NamedTuple):
    """What is left of the plan for this day, and what will go out of it at the pace of now."""

    planned: float
    projected: float


class Sent(Struct):
    """Messages that gateways took of one channel: by day and hour of the plan's zone, and lately.

    ``days`` by ordinal, the one that runs and seven before it; ``lately`` the last ten minutes.
    """

    days: dict[int, list[int]] = field(default_factory=dict)
    lately: list[int] = field(default_factory=list)

    def close(self, plan: Plan, end: int, accepted: int) -> Ahead | None:
        """Take the minute that ended at ``end`` (ms) in, and look ahead; None = nothing to say."""
        at = datetime.fromtimestamp((end - MINUTE) / SECOND, clock.zone(plan.zone))
        today = at.toordinal()
        self.days.setdefault(today, [0] * _HOURS)[at.hour] += accepted
        for old in [day for day in self.days if day < today - _DAYS]:
            del self.days[old]
        self.lately = [*self.lately, accepted][-_NOW:]
        left = plan.per_day - sum(self.days[today])
        rest = self._rest(at, today)
        if sum(self.lately) < _LEAST or (rest is None and left > 0):
            return None
        pace = sum(self.lately) / len(self.lately)
        minutes = _minutes_left(at) if rest is None else rest
        return Ahead(max(left, 0.0), round(pace * minutes, 1))

    def _rest(self, at: datetime, today: int) -> float | None:
        """Return what is left of a usual day after the minute ``at``; None = not known.

        In minutes of this hour: people are not evenly there, and the crowd of the morning after
        quiet hours says nothing of the evening.
        """
        past = [hours for day, hours in self.days.items() if day < today]
        usual = [sum(hours[hour] for hours in past) for hour in range(_HOURS)]
        if not usual[at.hour]:
            return None
        of_this_hour = 1.0 - (at.minute + 1) / 60
        later = sum(usual[at.hour + 1 :]) / usual[at.hour]
        return (of_this_hour + later) * 60


def _minutes_left(at: datetime) -> float:
    """Return the minutes from the end of the minute ``at`` to the next midnight of its zone."""
    midnight = datetime.combine(at.date() + timedelta(days=1), datetime.min.time(), at.tzinfo)
    return (midnight.timestamp() - at.timestamp()) / 60 - 1


__all__ = ["Ahead", "Plan", "Sent"]
