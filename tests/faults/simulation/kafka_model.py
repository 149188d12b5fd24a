"""A model of Kafka under the real sources, producers and readers: what aiokafka does of it.

Partitions with retention and re-creation, a group coordinator with eager rebalances and static
members, a consumer that prefetches, an idempotent producer whose requests may arrive after it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    UnknownError,
    UnknownTopicOrPartitionError,
)

from streams.log.producer import Producer
from streams.log.reader import Reader
from streams.log.source import Group
from tests.faults.simulation.loop import VirtualLoop
from tests.faults.simulation.network import Lost, Server

Append = tuple[bytes | None, bytes, Sequence[tuple[str, bytes]]]


@dataclass
class Partition:
    """One partition: ``records`` from ``begin`` on; ``lost``: those retention took."""

    records: list[ConsumerRecord] = field(default_factory=list)
    begin: int = 0
    lost: list[ConsumerRecord] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.begin + len(self.records)

    @property
    def whole(self) -> list[ConsumerRecord]:
        """All it ever held, by offset."""
        return self.lost + self.records

    def wake(self) -> None:
        """Answer those who wait for news."""
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)
        self.waiting.clear()

    def read(self, offset: int, most: int) -> list[ConsumerRecord]:
        first = max(0, offset - self.begin)
        return self.records[first : first + most]


class Broker(Server):
    """All brokers as one: nothing that was acknowledged is ever lost."""

    def __init__(
        self, loop: VirtualLoop, random: Random, counts: Counter[str], clock: Callable[[], int]
    ) -> None:
        super().__init__(loop, random, counts, "kafka")
        self.clock = clock
        self.topics: dict[str, list[Partition]] = {}
        self.stamped: set[str] = set()  # topics where the broker's time is the record's
        self.groups: dict[str, Coordinator] = {}
        self.patience = 3.0
        self.most = 500  # records per fetch
        self.batch = 100  # records per batch of a producer
        self.on_append: Callable[[str, int, Append], None] = lambda *_: None
        self.misplaced = 0.0  # chance that a fetch brings records of elsewhere

    def create(self, topic: str, partitions: int) -> None:
        self.topics[topic] = [Partition() for _ in range(partitions)]

    def delete(self, topic: str) -> list[Partition]:
        """Delete a topic, as it was; Kafka forgets what groups committed of it."""
        gone = self.topics.pop(topic)
        for group in self.groups.values():
            for at in [at for at in group.committed if at.topic == topic]:
                del group.committed[at]
        for place in gone:
            place.wake()
        return gone

    def at(self, topic: str, partition: int) -> Partition:
        if topic not in self.topics:
            raise UnknownTopicOrPartitionError(topic)
        return self.topics[topic][partition]

    def append(self, topic: str, partition: int, records: Iterable[Append]) -> int:
        """Append and return the offset of the first."""
        place = self.at(topic, partition)
        first = place.end
        for key, value, headers in records:
            self.on_append(topic, partition, (key, value, headers))
            place.records.append(
                ConsumerRecord(
                    topic=topic,
                    partition=partition,
                    offset=place.end,
                    timestamp=self.clock(),
                    timestamp_type=int(topic in self.stamped),
                    key=key,
                    value=value,
                    checksum=None,
                    serialized_key_size=len(key or b""),
                    serialized_value_size=len(value),
                    headers=tuple(headers),
                )
            )
        place.wake()
        return first

    def cut(self, topic: str, partition: int, begin: int) -> None:
        """Let retention take what lies before ``begin``."""
        place = self.at(topic, partition)
        place.lost += place.records[: begin - place.begin]
        place.records = place.read(begin, len(place.records))
        place.begin = begin

    def group(self, name: str) -> "Coordinator":
        found = self.groups.get(name)
        if found is None:
            found = self.groups[name] = Coordinator(self)
        return found

    async def request(self, work: Callable[[], Any], arrives: float | None = None) -> Any:
        """Ask; what is lost raises as aiokafka does."""
        try:
            return await self.ask(work, arrives)
        except Lost as lost:
            raise KafkaConnectionError(str(lost)) from lost


# --- groups -------------------------------------------------------------------------------------


@dataclass
class Member:
    """One consumer as its group knows it."""

    instance: str
    topics: Sequence[str]
    session: float
    patience: float
    heard: float
    joining: asyncio.Future[list[TopicPartition]] | None = None
    gone: bool = False
    owns: list[TopicPartition] = field(default_factory=list)


class Coordinator:
    """Eager: before anybody gets anything, everybody gives everything back."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.members: dict[str, Member] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.preparing = False
        # Partitions per topic when places were given out last.
        self.known: dict[str, int] | None = None
        self._round = 0
        self._watching = False

    def join(self, member: Member) -> None:
        """Take a new member in, or one that answers a rebalance; its future brings the rest."""
        member.heard = self.broker.loop.time()
        before = self.members.get(member.instance)
        if before is not None and before is not member:
            before.gone = True  # fenced: another took its place
            self.members[member.instance] = member
            if not self.preparing:
                member.owns = before.owns  # a static member comes back to what it had
                self._answer(member)
                return
        elif before is None:
            self.members[member.instance] = member
        self._prepare(member.patience)
        self._complete()
        if not self._watching:
            self._watching = True
            self._watch()

    def _prepare(self, patience: float) -> None:
        if self.preparing:
            return
        self.preparing = True
        self._round += 1
        this = self._round
        self.broker.loop.call_outside(patience, lambda: self._expire(this))

    def _expire(self, this: int) -> None:
        """Go on without those who did not join in time."""
        if self.preparing and self._round == this:
            for name, member in list(self.members.items()):
                if member.joining is None or member.joining.done():
                    member.gone = True
                    del self.members[name]
            self._complete()

    def _complete(self) -> None:
        members = list(self.members.values())
        if not members or any(m.joining is None or m.joining.done() for m in members):
            if not members:
                self.preparing = False
            return
        self.preparing = False
        self.broker.counts["rebalances"] += 1
        there = self.known = self._there()
        places = [
            TopicPartition(name, number) for name in sorted(there) for number in range(there[name])
        ]
        self.broker.random.shuffle(places)
        self.broker.random.shuffle(members)
        for index, member in enumerate(members):
            member.owns = places[index :: len(members)]
            self._answer(member)

    def _there(self) -> dict[str, int]:
        """Return the topics its members ask for that are there, and their partitions."""
        names = {name for member in self.members.values() for name in member.topics}
        topics = self.broker.topics
        return {name: len(topics[name]) for name in names if name in topics}

    def _answer(self, member: Member) -> None:
        member.heard = self.broker.loop.time()
        if member.joining is not None and not member.joining.done():
            member.joining.set_result(list(member.owns))

    def _watch(self) -> None:
        """Drop members that are silent for their session."""
        now = self.broker.loop.time()
        for name, member in list(self.members.items()):
            waits = member.joining is not None and not member.joining.done()
            if not waits and not self.preparing and now - member.heard > member.session:
                member.gone = True
                del self.members[name]
                if self.members:
                    self._prepare(member.patience)
        # A member whose topic is gone, or there again, hears so with its metadata. A topic that was
        # gone for a moment only, nobody may have missed.
        if self.members and not self.preparing and self.known not in (None, self._there()):
            self.broker.counts["rebalances for a topic"] += 1
            self._prepare(max(member.patience for member in self.members.values()))
        self.broker.loop.call_outside(0.5, self._watch)

    def heartbeat(self, member: Member) -> str:
        """Return what a member is told: ok, rejoin, fenced or unknown."""
        known = self.members.get(member.instance)
        if known is not member:
            return "unknown" if known is None else "fenced"
        member.heard = self.broker.loop.time()
        return "rejoin" if self.preparing else "ok"

    def commit(self, member: Member, offsets: Mapping[TopicPartition, int]) -> None:
        known = self.members.get(member.instance)
        if known is not member:
            raise CommitFailedError if known is None else UnknownError
        for at in offsets:
            self.broker.at(*at)
        self.committed.update(offsets)


# --- the consumer -------------------------------------------------------------------------------


class ModelConsumer:
    """What of AIOKafkaConsumer the product uses; with a group, or assigned by hand."""

    def __init__(self, broker: Broker, group: Group | None = None) -> None:
        self.broker = broker
        self.group = group
        self.topics: list[str] = []
        self.listener: Any = None
        self.member: Member | None = None
        self.owns: list[TopicPartition] = []
        self.position: dict[TopicPartition, int] = {}
        self.ahead: dict[TopicPartition, list[ConsumerRecord]] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.polled: dict[TopicPartition, int] = {}
        self.sought: set[TopicPartition] = set()  # what comes after a seek is what was asked for
        self._coordination: asyncio.Task[None] | None = None
        self._assigned = asyncio.Event()

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        self.topics, self.listener = list(topics), listener

    def assignment(self) -> set[TopicPartition]:
        return set(self.owns)

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.owns = list(places)
        self.ahead.clear()

    async def start(self) -> None:
        await self.broker.request(lambda: None)
        if self.group is not None:
            self._coordination = asyncio.ensure_future(self._coordinate())
            await self._assigned.wait()

    async def stop(self) -> None:
        """End. A static member does not say so: its place waits for it."""
        task, self._coordination = self._coordination, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # --- the group ------------------------------------------------------------------------------

    async def _coordinate(self) -> None:
        assert self.group is not None
        group = self.broker.group(self.group.name)
        beat = self.group.heartbeat / 1000
        await self._join(group)
        while True:
            await asyncio.sleep(beat)
            member = self.member
            assert member is not None
            try:
                told = await self.broker.request(partial(group.heartbeat, member))
            except KafkaError:
                continue
            if told == "fenced":
                return  # aiokafka stops coordinating; whoever commits hears of it
            if told in ("rejoin", "unknown"):
                await self.listener.on_partitions_revoked(set(self.owns))
                self.owns = []
                self.ahead.clear()
                await self._join(group)

    async def _join(self, group: Coordinator) -> None:
        assert self.group is not None
        loop = self.broker.loop
        while True:
            if self.member is None or self.member.gone:
                self.member = Member(
                    self.group.instance or f"anonymous-{id(self)}",
                    self.topics,
                    self.group.session_timeout / 1000,
                    self.group.rebalance_timeout / 1000,
                    loop.time(),
                )
            member = self.member
            joined: asyncio.Future[list[TopicPartition]] = loop.create_future()
            member.joining = joined
            try:
                await self.broker.request(partial(group.join, member))
                async with asyncio.timeout(30):
                    owns = await joined
                committed = await self.broker.request(lambda: dict(group.committed))
            except (KafkaError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            break
        self.owns = owns
        self.ahead.clear()
        self.ends.clear()
        self.polled.clear()
        for at in owns:
            if at.topic not in self.broker.topics:  # deleted since
                self.position[at] = 0
                continue
            place = self.broker.at(*at)
            found = committed.get(at)
            inside = found is not None and place.begin <= found <= place.end
            self.position[at] = found if found is not None and inside else place.begin
        self._assigned.set()
        await self.listener.on_partitions_assigned(tuple(owns))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if any(at not in self.owns for at in offsets):
            raise IllegalStateError("not assigned")
        assert self.group is not None
        group, member = self.broker.group(self.group.name), self.member
        assert member is not None
        await self.broker.request(lambda: group.commit(member, dict(offsets)))

    async def committed(self, at: TopicPartition) -> int | None:
        assert self.group is not None
        group = self.broker.group(self.group.name)
        found: int | None = await self.broker.request(lambda: group.committed.get(at))
        return found

    # --- records --------------------------------------------------------------------------------

    def seek(self, at: TopicPartition, offset: int) -> None:
        if at not in self.owns:
            raise IllegalStateError("not assigned")
        self.position[at] = offset
        self.ahead.pop(at, None)
        self.sought.add(at)

    def highwater(self, at: TopicPartition) -> int | None:
        return self.ends.get(at)

    def last_poll_timestamp(self, at: TopicPartition) -> int | None:
        return self.polled.get(at)

    async def getone(self, at: TopicPartition) -> ConsumerRecord:
        while True:
            found = await self.getmany(at, timeout_ms=500, max_records=1)
            if found:
                return found[at][0]

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Bring what is there, or what comes within the time."""
        wanted = list(places or self.owns)
        if any(at not in self.owns for at in wanted):
            raise IllegalStateError("not assigned")
        if not any(self.ahead.get(at) for at in wanted):
            await self._fetch(wanted, timeout_ms / 1000)
        found = {}
        most = max_records or 500
        for at in wanted:
            records = self.ahead.get(at)
            if records and at in self.owns:
                taken = records[:most]
                self.ahead[at] = records[most:]
                found[at] = taken
                self.position[at] = taken[-1].offset + 1
        return found

    async def _fetch(self, wanted: Sequence[TopicPartition], wait: float) -> None:
        broker, loop = self.broker, self.broker.loop
        asked = {at: self.position[at] for at in wanted}
        end = loop.time() + wait
        while True:
            try:
                answer = await broker.request(lambda: self._served(asked))
            except KafkaError:
                if loop.time() >= end:
                    return
                await asyncio.sleep(min(0.1, max(end - loop.time(), 0.001)))
                continue
            now = broker.clock()
            for at, (records, highwater, reset) in answer.items():
                if at not in self.owns or self.position.get(at) != asked[at]:
                    continue  # sought elsewhere in between
                if reset is not None:
                    self.position[at] = asked[at] = reset
                self.ends[at], self.polled[at] = highwater, now
                if records:
                    self.ahead[at] = records
            if any(self.ahead.get(at) for at in wanted) or loop.time() >= end:
                return
            await self._news(asked, end - loop.time())

    def _served(
        self, asked: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, tuple[list[ConsumerRecord], int, int | None]]:
        """Return records, end and, where the offset is out of range, where to go on instead."""
        broker, found = self.broker, {}
        for at, offset in asked.items():
            if at.topic not in broker.topics:
                continue
            place = broker.at(*at)
            start = offset
            chance = 0.0 if self.group is None or at in self.sought else broker.misplaced
            self.sought.discard(at)
            if chance and broker.random.random() < chance:
                start = max(place.begin, offset + broker.random.choice((-2, -1, 1, 2, 3)))
                broker.counts["fetches that jump"] += 1
            if not place.begin <= start <= place.end:
                start = place.begin  # auto_offset_reset
            inside = place.begin <= offset <= place.end
            reset = None if inside else place.begin  # auto_offset_reset
            found[at] = place.read(start, broker.most), place.end, reset
        return found

    async def _news(self, asked: Mapping[TopicPartition, int], wait: float) -> None:
        """Wait until something is appended to one of the partitions."""
        waiter: asyncio.Future[None] = self.broker.loop.create_future()
        for at, offset in asked.items():
            if at.topic not in self.broker.topics:
                continue
            place = self.broker.at(*at)
            if place.end > offset:
                return
            place.waiting.append(waiter)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await waiter

    # --- looking --------------------------------------------------------------------------------

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[Any, int]:
        broker = self.broker
        found: dict[Any, int] = await broker.request(
            lambda: {at: broker.at(*at).begin for at in places}
        )
        return found

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[Any, int]:
        broker = self.broker
        found: dict[Any, int] = await broker.request(
            lambda: {at: broker.at(*at).end for at in places}
        )
        return found


class ModelReader(Reader):
    """The real reader over the model's consumer."""

    def __init__(self, broker: Broker) -> None:
        super().__init__("model")
        self._broker = broker

    async def _started(self) -> Any:
        if self._consumer is None:
            self._consumer = ModelConsumer(self._broker)
        return self._consumer


# --- the producer -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Where the first record of a batch stands."""

    offset: int


class ModelBatch:
    """A batch: full after so many records."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.records: list[Append] = []

    def append(
        self, *, key: bytes | None, value: bytes, timestamp: int | None, headers: Any
    ) -> object | None:
        if len(self.records) >= self.most:
            return None
        self.records.append((key, value, tuple(headers)))
        return self

    def record_count(self) -> int:
        return len(self.records)


class ModelInner:
    """What of AIOKafkaProducer the product uses.

    One connection: requests arrive in order. Idempotent: behind a batch that is missing none of
    the same partition is taken.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.last = 0.0
        self.numbers: Counter[tuple[str, int]] = Counter()
        self.taken: Counter[tuple[str, int]] = Counter()
        self.sending: set[asyncio.Task[Acknowledged]] = set()
        self.closed = False

    async def partitions_for(self, topic: str) -> set[int]:
        if topic not in self.broker.topics:
            raise UnknownTopicOrPartitionError(topic)
        return set(range(len(self.broker.topics[topic])))

    def create_batch(self) -> ModelBatch:
        return ModelBatch(self.broker.batch)

    async def send_batch(
        self, batch: ModelBatch, topic: str, *, partition: int
    ) -> "asyncio.Task[Acknowledged]":
        """Send; the acknowledgement may come before that of an earlier batch."""
        at = topic, partition
        number = self.numbers[at]
        self.numbers[at] += 1
        loop = self.broker.loop
        self.last = max(self.last + 1e-6, loop.time() + self.broker.delay())
        sending = asyncio.ensure_future(self._send(at, number, batch.records, self.last))
        self.sending.add(sending)
        return sending

    async def _send(
        self, at: tuple[str, int], number: int, records: list[Append], arrives: float
    ) -> Acknowledged:
        def take() -> Acknowledged:
            if self.taken[at] != number:
                raise KafkaConnectionError("out of order")
            self.taken[at] += 1
            return Acknowledged(self.broker.append(*at, records))

        answer: Acknowledged = await self.broker.request(take, arrives)
        return answer

    async def stop(self) -> None:
        self.closed = True


class ModelProducer(Producer):
    """The real producer over the model's inner one."""

    def __init__(self, broker: Broker) -> None:
        super().__init__("model")
        self._broker = broker

    async def started(self) -> Any:
        if self._inner is None:
            self._inner = ModelInner(self._broker)
        return self._inner


def count_by_topic(broker: Broker) -> dict[str, int]:
    """Return how many records each topic holds."""
    found: dict[str, int] = defaultdict(int)
    for name, partitions in broker.topics.items():
        found[name] = sum(len(place.records) for place in partitions)
    return dict(found)


__all__ = ["Broker", "Coordinator", "ModelConsumer", "ModelProducer", "ModelReader"]
