"""The intake agent: from what apps and gateways publish to the one log ``events``. Stateless.

Parse, check, key by user, write, and say how far everything is forwarded. One bad client never
stops the shop: what cannot be read goes to the dead letters with its reason.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import faust
from aiokafka import ConsumerRecord, TopicPartition
from faust.types import StreamT

from engine.errors import InvalidEvent, Refused, Unavailable
from engine.events import Event, Position
from streams.log import codec
from streams.log.dead_letters import DeadLetters
from streams.log.producer import Headers, Producer, Record
from streams.log.reader import Bounds, Reader
from streams.log.source import Gaps, Source, went_back
from streams.log.topics import EVENTS, partition_of
from streams.state.keys import lane as lane_key
from streams.state.lanes import IntakeLanes, LaneState
from streams.tracing import Link, Tracing

log = logging.getLogger(__name__)

Parse = Callable[[bytes, Position, int], list[Event]]
_LOG_APPEND_TIME = 1


@dataclass(frozen=True)
class Parts:
    """What every lane of intake works with. ``parsers``: by topic; ``clock``: ms.

    ``arrived`` is told of each chunk when its last record was appended, and how long its events
    took to come to our door (ms).
    """

    lanes: IntakeLanes
    producer: Producer
    reader: Reader
    dead_letters: DeadLetters
    prefix: str
    parsers: dict[str, Parse]
    clock: Callable[[], int]
    count: Callable[[str, int, list[str]], None]
    arrived: Callable[[str, int, list[int]], None] = lambda _topic, _at, _delays: None
    tracing: Tracing | None = None


@dataclass(slots=True)
class _Parsed:
    """What a chunk came to: runs by partition of ``events``, and what cannot be read.

    ``delays`` of the events, ms; ``traced``: the sampled events among them.
    """

    runs: dict[int, list[Record]] = field(default_factory=lambda: defaultdict(list))
    letters: list[tuple[ConsumerRecord, InvalidEvent]] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    traced: list[tuple[Link, Event]] = field(default_factory=list)


class IntakeLane:
    """The work on one partition of one source topic."""

    def __init__(self, at: TopicPartition, parts: Parts) -> None:
        """Nothing is touched before :meth:`enter`."""
        self.at = at
        self.offset = 0
        self.halted: str | None = None
        self.parts = parts
        self.state = LaneState(generation=0, offset=0, crc=0)
        self.forwarded_at: int | None = None
        self.told: int | None = None
        self._gaps = Gaps(at, parts.reader)

    async def enter(self) -> None:
        """Go on where the lane stood, in the log it stood in."""
        topic, partition = self.at.topic, self.at.partition
        bounds = await self.parts.reader.bounds(topic, partition)
        state = await self.parts.lanes.load(topic, partition)
        if state is None:
            generation = await self.parts.lanes.generation(topic)
            state = LaneState(generation, bounds.begin, 0)
        else:
            await self._same_log(state, bounds)
        # Said at the door: a Redis that is full answers reads. Without it every new try wrote the
        # same records into `events` once more before it heard that where it stands is not kept.
        await self.parts.lanes.save(topic, partition, state)
        self.state, self.offset = state, state.offset

    async def _same_log(self, state: LaneState, bounds: Bounds) -> None:
        topic, partition = self.at.topic, self.at.partition
        if state.offset < bounds.begin:
            message = (
                f"{topic}/{partition} was read up to offset {state.offset} and begins at "
                f"{bounds.begin} now: retention removed records before they were read; raise its "
                "retention.ms, and to go on without them run: redis-cli del "
                f"{lane_key(topic, partition)}"
            )
            raise Refused(message)
        inside = state.offset <= bounds.end
        if inside and state.offset > bounds.begin and state.crc:
            last = await self.parts.reader.record(topic, partition, state.offset - 1)
            inside = codec.crc(last.key, last.value, last.timestamp) == state.crc
        if not inside:
            message = (
                f"{topic}/{partition} is not the log that was read up to offset {state.offset} "
                f"(it holds {bounds.begin} to {bounds.end} now): if the topic was re-created, "
                f"run: rekindle sources reset {topic}"
            )
            raise Refused(message)

    async def step(self, records: Sequence[ConsumerRecord]) -> bool:
        """Forward records and wait until every partition of ``events`` has acknowledged.

        False = they begin beyond ``offset``.
        """
        if records[0].offset < self.offset:
            raise went_back(self.at, self.offset, records[0].offset)
        if records[0].offset > self.offset and not await self._gaps.crossed(
            self.offset, records[0].offset
        ):
            return False
        tracing = self.parts.tracing
        started = tracing.clock() if tracing is not None else 0
        parsed = await self._parse(records)
        letters = parsed.letters
        writing = [
            self.parts.producer.run(self.parts.prefix + EVENTS, partition, run)
            for partition, run in parsed.runs.items()
        ]
        if letters:
            writing.append(self._bury(letters))
        for failed in await asyncio.gather(*writing, return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed
        last = records[-1]
        crc = codec.crc(last.key, last.value, last.timestamp)
        self.state = LaneState(self.state.generation, last.offset + 1, crc)
        await self.parts.lanes.save(self.at.topic, self.at.partition, self.state)
        self.offset = last.offset + 1
        # A producer's own time says nothing about what came before it: then only the end tells.
        self.forwarded_at = last.timestamp if _stamped(last) else None
        self.parts.count(self.at.topic, len(records), [error.reason for _, error in letters])
        self.parts.arrived(self.at.topic, last.timestamp, parsed.delays)
        if tracing is not None:
            self._trace(tracing, parsed.traced, started)
        return True

    def _trace(self, tracing: Tracing, traced: list[tuple[Link, Event]], started: int) -> None:
        for link, event in traced:
            kind = str(event.__struct_config__.tag)
            attributes = {
                "messaging.destination.name": self.at.topic,
                "messaging.destination.partition.id": str(self.at.partition),
                "rekindle.event.type": kind,
            }
            tracing.took_in(link, started, attributes)

    async def _bury(self, letters: list[tuple[ConsumerRecord, InvalidEvent]]) -> int:
        await self.parts.dead_letters.write(letters)
        return len(letters)

    async def _parse(self, records: Sequence[ConsumerRecord]) -> _Parsed:
        parse = self.parts.parsers[self.at.topic]
        count = await self.parts.producer.partitions(self.parts.prefix + EVENTS)
        parsed = _Parsed()
        now = self.parts.clock()
        for record in records:
            position = Position(
                self.at.topic, self.state.generation, self.at.partition, record.offset
            )
            # The broker's time is the door where it stamps; a producer's own time is not.
            received_at = record.timestamp if _stamped(record) else now
            try:
                events = parse(record.value or b"", position, received_at)
            except InvalidEvent as error:
                parsed.letters.append((record, error))
                continue
            for event in events:
                parsed.delays.append(event.received_at - event.occurred_at)
                key = event.user_id.encode()
                run = parsed.runs[partition_of(key, count)]
                run.append(Record(key, codec.write(event), self._headers(event, parsed)))
        return parsed

    def _headers(self, event: Event, parsed: _Parsed) -> Headers:
        """Return the header of a sampled event, and note it; most have none."""
        tracing = self.parts.tracing
        link = tracing.of_event(event) if tracing is not None else None
        if link is None:
            return ()
        parsed.traced.append((link, event))
        return (link.header,)

    def watermark(self, end: int | None, as_of: int | None) -> int | None:
        """Return the time before which everything appended is acknowledged in ``events``.

        ``end``: the end of the partition, ``as_of`` the time (ms) before which what was appended
        lies below it.
        """
        if end is not None and as_of is not None and self.offset >= end:
            return max(as_of, self.forwarded_at or 0)
        return self.forwarded_at

    async def leave(self) -> None:
        """Nothing is left in flight: every step awaits its acknowledgements."""


def _stamped(record: ConsumerRecord) -> bool:
    """Return whether the broker has stamped the record with the time it was appended."""
    return bool(record.timestamp_type == _LOG_APPEND_TIME)


class Watermarks(faust.Service):
    """Publishes, once a second, how far each intake lane of this process has come."""

    def __init__(self, source: Source, lanes: IntakeLanes) -> None:
        """``source``: the intake source whose lanes are reported."""
        super().__init__()
        self.source = source
        self.lanes = lanes
        # Per lane: when the last fetch but one was answered, and the last.
        self._polled: dict[TopicPartition, tuple[int | None, int | None]] = {}

    @faust.Service.timer(1.0)
    async def _publish(self) -> None:
        by_topic: dict[str, list[tuple[IntakeLane, int]]] = defaultdict(list)
        for lane, mark in self._marks():
            by_topic[lane.at.topic].append((lane, mark))
        for topic, reached in by_topic.items():
            try:
                await self.lanes.tell(topic, {lane.at.partition: mark for lane, mark in reached})
            except Unavailable as error:
                log.warning("how far intake has come is not told: %s", error)
                return
            for lane, mark in reached:
                lane.told = mark

    def _marks(self) -> Iterator[tuple[IntakeLane, int]]:
        """Yield the lanes of this process whose watermark is known, with it (ms)."""
        consumer = self.source.consumer
        ours = consumer.assignment() if consumer is not None else ()
        for at, own in self.source.owned.items():
            if consumer is None or not own.entered or at not in ours:
                continue
            if isinstance(own.lane, IntakeLane):
                lane = own.lane
                as_of = self._as_of(at, consumer.last_poll_timestamp(at))
                mark = lane.watermark(consumer.highwater(at), as_of)
                if mark is not None:
                    yield lane, mark

    def _as_of(self, at: TopicPartition, polled_at: int | None) -> int | None:
        """Return since when at the latest the end of a partition is known (ms).

        The time of a poll is when its answer was read, which may be long after the broker gave it:
        a process stopped in between would vouch for what came meanwhile. The answer before it was
        read before this one was asked for.
        """
        before, last = self._polled.get(at, (None, None))
        if polled_at != last:
            before, last = last, polled_at
            self._polled[at] = before, last
        return before


def agent(app: faust.App, source: Source, concurrency: int = 8) -> Any:
    """Make the Faust agent."""

    @app.agent(source.channel, concurrency=concurrency, name="rekindle.intake")
    async def intake(stream: StreamT[Any]) -> None:
        async for own, records in stream:
            await source.work(own, records)

    return intake
