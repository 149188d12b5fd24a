"""Gathers facts of many partitions by minute, and says which minutes are closed and complete.

A minute is closed when every partition has passed its end: by a later record, or because it was
read to its end and the broker knew of nothing more after the minute was over. Time is the brokers'
append time; within a partition it never goes back (where producers write their own times, a record
counts at the latest time before it).

Where the data carries its own time (``dated``), records of a partition come in any order of it:
each counts in its own minute, or in the first that is not closed. Only who reads the ticks knows
what is over then.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from msgspec import Struct

from engine.ports import OutboxId
from engine.times import MINUTE
from monitoring.figures.seen import Ruled, Seen
from monitoring.figures.shop import in_order

# A partition that runs further ahead of the slowest is not read on: what is gathered stays bounded.
AHEAD: Final = 2 * MINUTE
# Nor one of dated records of which so many wait for their minute to be over.
MOST_WAITING: Final = 20_000

# Topic and partition.
Place = tuple[str, int]


class Standing(Struct, frozen=True, array_like=True):
    """Where a partition goes on: its next offset, and the last outbox position before it.

    ``counted``: spans of offsets from there on (first, and one after the last) that are counted.
    """

    offset: int
    last: tuple[int, int] | None = None
    counted: tuple[tuple[int, int], ...] = ()

    def has(self, offset: int) -> bool:
        """Return whether a record from there on is counted already."""
        return any(first <= offset < after for first, after in self.counted)

    def passed(self, offset: int, last: tuple[int, int] | None) -> "Standing":
        """Return where it goes on after a record."""
        left = tuple(span for span in self.counted if span[1] > offset + 1)
        return Standing(offset + 1, last, left)


@dataclass(slots=True)
class _Lane:
    """One partition: how far it was read, and where runs of records of one minute begin in it.

    ``latest``: the latest time of a record; ``waiting``: facts of minutes that are not closed.
    """

    standing: Standing
    reached: int
    latest: int
    waiting: int = 0
    begun: deque[tuple[int, Standing]] = field(default_factory=deque)


class Closed(NamedTuple):
    """One closed minute: its end (ms), its facts in order, and where every partition goes on."""

    end: int
    facts: list[Seen]
    standings: dict[Place, Standing]


class Minutes:
    """The minutes that are not closed yet."""

    def __init__(
        self, until: int, standings: Mapping[Place, Standing], *, dated: bool = False
    ) -> None:
        """``until``: end of the last closed minute; ``standings``: where partitions go on then.

        ``dated``: records carry their own time, and nothing but :meth:`idle` says what is over.
        """
        self.until = until
        self._dated = dated
        self._lanes = {place: _Lane(one, until, until) for place, one in standings.items()}
        self._facts: dict[int, list[tuple[str, int, int, Seen]]] = {}

    # --- told by the reader -----------------------------------------------------------------------

    def time_of(self, place: Place, timestamp: int, now: int) -> int:
        """Return at which time a record counts: never before what is closed, never after ``now``.

        ``now``: ms; a producer whose clock is ahead must not close minutes of others.
        """
        return max(min(timestamp, now), self._lanes[place].reached)

    def time_of_dated(self, place: Place, own: int | None) -> int:
        """Return at which time a dated record counts; without one (None) when the latest does."""
        return max(self._lanes[place].latest if own is None else own, self.until)

    def take(
        self,
        place: Place,
        offset: int,
        at: int,
        seen: Iterable[Seen],
        last: OutboxId | None = None,
    ) -> bool:
        """Take one record's facts, at the time that was returned for it; returns whether it is new.

        ``last``: its outbox position: a record that a killed worker wrote twice is taken once.
        """
        lane = self._lanes[place]
        before = lane.standing
        counted = before.has(offset)
        end = self.until if counted else at - at % MINUTE + MINUTE
        if not lane.begun or lane.begun[-1][0] != end:
            lane.begun.append((end, before))
        again = last is not None and before.last is not None and tuple(last) <= before.last
        told = before.last if last is None or again else (last.offset, last.ordinal)
        lane.standing = before.passed(offset, told)
        lane.latest = max(lane.latest, at)
        if not self._dated:
            lane.reached = lane.latest = max(lane.reached, at)
        new = not again and not counted
        if new:
            facts = [(*place, offset, one) for one in seen]
            self._facts.setdefault(end, []).extend(facts)
            lane.waiting += len(facts)
        return new

    def idle(self, place: Place, at: int) -> None:
        """Say that a partition was read to its end, and held nothing more at ``at`` (ms)."""
        lane = self._lanes[place]
        lane.reached = max(lane.reached, at)

    def begin(self) -> bool:
        """Begin with the first minute in which something happened; False = in none yet.

        What is dated before ``until`` is forgotten: settings of then are known from elsewhere.
        """
        happened = [
            end
            for end, facts in self._facts.items()
            if any(not isinstance(one[3], Ruled) for one in facts)
        ]
        if not happened:
            return False
        self.until = max(self.until, min(happened) - MINUTE)
        for end in [one for one in self._facts if one <= self.until]:
            self._popped(end)
        return True

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
        if self._dated:
            return {place for place, lane in self._lanes.items() if lane.waiting >= MOST_WAITING}
        furthest = self.horizon + AHEAD
        return {place for place, lane in self._lanes.items() if lane.reached > furthest}

    def crowded(self, known: int) -> None:
        """Let partitions that must wait pass what they were read up to, at most ``known`` (ms).

        They are not read to their end before some of their minutes are closed.
        """
        for place in self.ahead():
            self.idle(place, min(self._lanes[place].latest, known))

    def closed(self) -> Iterator[Closed]:
        """Yield the minutes that are closed, in order; each is forgotten when it was yielded."""
        while self.until + MINUTE <= self.horizon:
            self.until += MINUTE
            found = in_order(self._popped(self.until))
            yield Closed(
                self.until, found, {p: self._left(lane) for p, lane in self._lanes.items()}
            )

    def _popped(self, end: int) -> list[tuple[str, int, int, Seen]]:
        facts = self._facts.pop(end, [])
        for topic, partition, _, _ in facts:
            self._lanes[topic, partition].waiting -= 1
        return facts

    def _left(self, lane: _Lane) -> Standing:
        """Return where a partition goes on after the minute that was just closed."""
        while lane.begun and lane.begun[0][0] <= self.until:
            lane.begun.popleft()
        if not lane.begun:
            return lane.standing
        counted = []
        # Later runs of closed minutes, which only dated records have.
        for (end, begin), (_, after) in pairwise((*lane.begun, (0, lane.standing))):
            if end <= self.until:
                counted.append((begin.offset, after.offset))
        first = lane.begun[0][1]
        return Standing(first.offset, first.last, (*counted, *lane.standing.counted))


__all__ = ["AHEAD", "MOST_WAITING", "Closed", "Minutes", "Place", "Standing"]
