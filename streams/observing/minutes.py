"""Gathers facts of many partitions by minute, and says which minutes are closed and complete.

A minute is closed when every partition has passed its end: by a later record, or because it was
read to its end and the broker knew of nothing more after the minute was over. Time is the brokers'
append time; within a partition it never goes back (where producers write their own times, a record
counts at the latest time before it).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec import Struct

from engine.ports import OutboxId
from engine.times import MINUTE
from monitoring.figures.seen import Seen
from monitoring.figures.shop import in_order

# A partition that runs further ahead of the slowest is not read on: what is gathered stays bounded.
AHEAD: Final = 2 * MINUTE

# Topic and partition.
Place = tuple[str, int]


class Standing(Struct, frozen=True, array_like=True):
    """Where a partition goes on: its next offset, and the last outbox position before it."""

    offset: int
    last: tuple[int, int] | None = None


@dataclass(slots=True)
class _Lane:
    """One partition: what was read of it, and where each minute that is not closed begins."""

    standing: Standing
    reached: int
    begun: deque[tuple[int, Standing]] = field(default_factory=deque)


class Closed(NamedTuple):
    """One closed minute: its end (ms), its facts in order, and where every partition goes on."""

    end: int
    facts: list[Seen]
    standings: dict[Place, Standing]


class Minutes:
    """The minutes that are not closed yet."""

    def __init__(self, until: int, standings: Mapping[Place, Standing]) -> None:
        """``until``: end of the last closed minute; ``standings``: where partitions go on then."""
        self.until = until
        self._lanes = {place: _Lane(standing, until) for place, standing in standings.items()}
        self._facts: dict[int, list[tuple[str, int, int, Seen]]] = {}

    # --- told by the reader -----------------------------------------------------------------------

    def time_of(self, place: Place, timestamp: int, now: int) -> int:
        """Return at which time a record counts: never before what is closed, never after ``now``.

        ``now``: ms; a producer whose clock is ahead must not close minutes of others.
        """
        return max(min(timestamp, now), self._lanes[place].reached)

    def take(
        self,
        place: Place,
        offset: int,
        at: int,
        seen: Iterable[Seen],
        last: OutboxId | None = None,
    ) -> bool:
        """Take one record's facts; ``at`` from :meth:`time_of`. Returns whether it is new.

        ``last``: its outbox position: a record that a killed worker wrote twice is taken once.
        """
        lane = self._lanes[place]
        before = lane.standing
        end = at - at % MINUTE + MINUTE
        if not lane.begun or lane.begun[-1][0] < end:
            lane.begun.append((end, before))
        again = last is not None and before.last is not None and tuple(last) <= before.last
        told = before.last if last is None or again else (last.offset, last.ordinal)
        lane.standing = Standing(offset + 1, told)
        lane.reached = max(lane.reached, at)
        if not again:
            into = self._facts.setdefault(end, [])
            into.extend((*place, offset, one) for one in seen)
        return not again

    def idle(self, place: Place, at: int) -> None:
        """Say that a partition was read to its end, and held nothing more at ``at`` (ms)."""
        lane = self._lanes[place]
        lane.reached = max(lane.reached, at)

    # --- asked ------------------------------------------------------------------------------------

    def offset(self, place: Place) -> int:
        """Return the next offset of a partition."""
        return self._lanes[place].standing.offset

    def reached(self) -> Mapping[Place, int]:
        """Return how far each partition was read, ms."""
        return {place: lane.reached for place, lane in self._lanes.items()}

    @property
    def horizon(self) -> int:
        """Return the time every partition has passed, ms."""
        return min((lane.reached for lane in self._lanes.values()), default=self.until)

    def ahead(self) -> set[Place]:
        """Return the partitions that ran so far ahead that they must wait."""
        furthest = self.horizon + AHEAD
        return {place for place, lane in self._lanes.items() if lane.reached > furthest}

    def closed(self) -> Iterator[Closed]:
        """Yield the minutes that are closed, in order; each is forgotten when it was yielded."""
        while self.until + MINUTE <= self.horizon:
            self.until += MINUTE
            found = in_order(self._facts.pop(self.until, ()))
            yield Closed(
                self.until, found, {p: self._left(lane) for p, lane in self._lanes.items()}
            )

    def _left(self, lane: _Lane) -> Standing:
        """Return where a partition goes on after the minute that was just closed."""
        while lane.begun and lane.begun[0][0] <= self.until:
            lane.begun.popleft()
        return lane.begun[0][1] if lane.begun else lane.standing


__all__ = ["AHEAD", "Closed", "Minutes", "Place", "Standing"]
