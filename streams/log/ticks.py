"""Who ticks: the owner, into its own partition, one in flight, only while nothing is missing.

Late is allowed, wrong is not: ticks are written only while intake has forwarded everything that
reached Kafka more than five seconds ago, and while the owner stands at the end of its partition.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import faust
from aiokafka import TopicPartition

from engine.errors import Unavailable
from engine.events import Tick
from engine.ports import Head
from engine.times import MINUTE, SECOND
from streams.log import codec
from streams.log.producer import Producer, Record

log = logging.getLogger(__name__)

# At most 500 users per live tick, at least one tick a minute, 5 s of tolerance.
LIMIT = 500
HEARTBEAT = MINUTE
BEHIND = 5 * SECOND
_GATE_EVERY = 1.0
# However few are due, a tick costs about 2 ms of CPU: three requests to Kafka write it and what is
# decided, one fetches it, and Redis is asked who is due, for them, and to commit. More than 200 a
# second and process would be half a core, so where many partitions have somebody due (more than 20
# with ticks 0.1 s apart) they are ticked less often.
_EACH = 5


class Watermarks(Protocol):
    """Reads how far intake has come, per lane; None = a lane that has not said anything."""

    async def watermarks(self, expected: Sequence[tuple[str, int]]) -> list[int | None]:
        """Return ms per expected lane."""
        ...


class TickedLane(Protocol):
    """What the ticker must know of an owned partition; see the decide agent's lane."""

    at: TopicPartition
    offset: int
    halted: str | None
    head: Head
    next_wake: int | None
    taken_at: int


class Gate:
    """Whether time may pass: the oldest watermark of all intake lanes is at most 5 s old.

    And not older than ``since``: what reached Kafka while all workers were down for a moment is
    then in ``events`` before the first tick, also when they were down for less than 5 s.
    """

    def __init__(
        self, watermarks: Watermarks, expected: Sequence[tuple[str, int]], since: int = 0
    ) -> None:
        """``expected``: every partition of the sources and of ``feedback``.

        ``since``: ms, when this process began to tick.
        """
        self._watermarks = watermarks
        self._since = since
        self.expected = list(expected)
        self.oldest: int | None = None
        self.blocking: str | None = None
        self.behind: int | None = None

    async def look(self, now: int) -> None:
        """Read the watermarks; raises Unavailable. ``blocking`` names the lane that holds time."""
        found = await self._watermarks.watermarks(self.expected)
        silent = [lane for lane, at in zip(self.expected, found, strict=True) if at is None]
        known = [at for at in found if at is not None]
        self.blocking, self.behind, self.oldest = None, None, None
        if silent:
            self.blocking = _name(silent[0])
        elif known:
            self.oldest = min(known)
            if now - self.oldest > BEHIND or self.oldest < self._since:
                self.blocking = _name(self.expected[found.index(self.oldest)])
                self.behind = now - self.oldest

    def open_at(self, now: int) -> bool:
        """Return whether ticks may be written at ``now``; a look that is too old closes it."""
        fresh = self.oldest is not None and now - self.oldest <= BEHIND
        return fresh and self.blocking is None


class Ticker(faust.Service):
    """Writes the ticks of all partitions this process owns."""

    def __init__(
        self,
        lanes: Callable[[], Iterable[TickedLane]],
        end: Callable[[TopicPartition], int | None],
        gate: Gate,
        producer: Producer,
        clock: Callable[[], int],
        *,
        spacing: int,
        origin: str,
    ) -> None:
        """``lanes``: what is owned now; ``end``: the end of a partition as last seen, or None.

        ``spacing``: ms between two ticks of a partition, at least; ``origin``: the worker's id.
        """
        super().__init__()
        self.lanes = lanes
        self.end = end
        self.gate = gate
        self.producer = producer
        self.clock = clock
        self.spacing = spacing
        self.origin = origin
        self.written = 0
        self._in_flight: dict[int, int] = {}
        self._last: dict[int, int] = {}

    @faust.Service.task
    async def _gatekeeper(self) -> None:
        while not self.should_stop:
            try:
                await self.gate.look(self.clock())
            except Unavailable as error:
                log.warning("watermarks: %s", error)
            await self.sleep(_GATE_EVERY)

    @faust.Service.task
    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.should_stop:
            began, now = loop.time(), self.clock()
            wanted = await self.write(now) if self.gate.open_at(now) else 0
            # From beginning to beginning: what the acknowledgements take, every decision would wait
            # for on top.
            pause = max(self.spacing, wanted * _EACH) / 1000
            # mode's own makes a task and a timer of each: a sixth of an idle shop's loop turns
            await asyncio.sleep(max(0.0, began + pause - loop.time()))

    async def write(self, now: int) -> int:
        """Write the ticks wanted at ``now``; return how many, once all are acknowledged."""
        # All at once: one after the other, 64 acknowledgements took as long as the spacing.
        wanted = [lane for lane in self.lanes() if self._wants(lane, now)]
        if wanted:
            await asyncio.gather(*[self._write(lane, now) for lane in wanted])
        return len(wanted)

    def _wants(self, lane: TickedLane, now: int) -> bool:
        """Return whether a lane wants a tick: somebody is due, or it had none for a minute."""
        # What it stopped for may be mended by records that come behind the tick.
        if lane.halted is not None:
            return False
        partition = lane.at.partition
        flying = self._in_flight.get(partition)
        if flying is not None and lane.offset <= flying:
            return False
        last = self._last.get(partition, 0)
        due = lane.next_wake is not None and lane.next_wake <= now
        if not due and now - last < HEARTBEAT:
            return False
        return now > lane.head.now and self._near_the_end(lane, now)

    async def _write(self, lane: TickedLane, now: int) -> None:
        partition = lane.at.partition
        tick = Tick(now=now, limit=LIMIT, origin=self.origin)
        try:
            self._in_flight[partition] = await self.producer.run(
                lane.at.topic, partition, [Record(None, codec.write(tick))]
            )
        except Unavailable as error:
            log.warning("tick: %s", error)
            return
        self._last[partition] = now
        self.written += 1

    def _near_the_end(self, lane: TickedLane, now: int) -> bool:
        """Return whether the lane stands at the end of its partition or less than 5 s behind."""
        end = self.end(lane.at)
        at_end = end is None or lane.offset >= end
        return at_end or now - lane.taken_at <= BEHIND


def _name(lane: tuple[str, int]) -> str:
    return f"{lane[0]}/{lane[1]}"
