"""Waits until nothing is on its way any more, and reads every topic into files."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import redis
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.log import topics
from streams.state import keys
from tests.faults.world.plan import Read

_ACTIONS: Final = tuple(topics.ACTIONS + channel for channel in topics.CHANNELS)
_SOURCES: Final = (topics.RAW, topics.FEEDBACK)
NAMES: Final = (
    topics.RAW,
    topics.EVENTS,
    topics.DECISIONS,
    *_ACTIONS,
    topics.FEEDBACK,
    topics.DEAD_LETTERS,
    topics.ARTEFACTS,
)
# So often in a row nothing may be left, half a second apart: what arises from the last step shows.
_CALM: Final = 4
_EVERY: Final = 0.5
# Longer than a hand-over takes at a gateway that is well: 10 s for an answer, 30 s between tries.
_UNDER_WAY: Final = 45.0


class Still:
    """Looks at Kafka and Redis directly; ``prefix`` that of the topics."""

    def __init__(self, bootstrap: str, url: str, prefix: str, partitions: int) -> None:
        """Nothing is connected before the first look."""
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._partitions = partitions
        self._redis: Any = redis.Redis.from_url(url)
        self._seen: dict[tuple[int, str, bytes], float] = {}

    async def wait(self, seconds: float) -> str | None:
        """Return None once nothing is left to do, or what was left when the time was over."""
        deadline = time.monotonic() + seconds
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await consumer.start()
        await admin.start()
        calm = 0
        left = "nobody looked"
        try:
            while time.monotonic() < deadline:
                left = await self._left(consumer, admin)
                calm = 0 if left else calm + 1
                if calm >= _CALM:
                    return None
                await asyncio.sleep(_EVERY)
        finally:
            await consumer.stop()
            await admin.close()
        return left or "it was never calm for long enough"

    async def _left(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> str:
        """Return the first thing that is not done yet, or nothing."""
        for name in _SOURCES:
            ends = await self._ends(consumer, name)
            behind = {p: end - self._forwarded(name, p) for p, end in enumerate(ends)}
            if any(behind.values()):
                return f"not forwarded from {name}: {behind}"
        ends = await self._ends(consumer, topics.EVENTS)
        behind = {p: end - self._folded(p) for p, end in enumerate(ends)}
        if any(behind.values()):
            return f"not folded: {behind}"
        now = int(time.time() * 1000)
        for partition in range(self._partitions):
            due = self._redis.zcount(keys.keys_of(partition).wakes, "-inf", now)
            if due:
                return f"due and not decided in partition {partition}: {due}"
            if begun := self._begun(partition):
                return f"begun and not answered in partition {partition}: {begun}"
        return await self._not_handed_over(consumer, admin)

    def _begun(self, partition: int) -> list[str]:
        """Return the hand-overs of a partition that may be under way.

        A fall-back of Redis brings back notes of hand-overs that were answered; the next owner
        walks them. A note this old is such a one: whoever is on it had answered by now.
        """
        now, young = time.monotonic(), []
        for channel in topics.CHANNELS:
            for action in self._redis.hkeys(keys.keys_of(partition).begun(channel)):
                since = self._seen.setdefault((partition, channel, action), now)
                if now - since < _UNDER_WAY:
                    young.append(f"{channel} {action.decode()}")
        return young

    async def _not_handed_over(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> str:
        committed = await admin.list_consumer_group_offsets(f"{self._prefix}deliver")
        for name in _ACTIONS:
            ends = await self._ends(consumer, name)
            for partition, end in enumerate(ends):
                at = committed.get(TopicPartition(self._prefix + name, partition))
                if end > (0 if at is None else max(at.offset, 0)):
                    return f"not handed over: {name}/{partition} at {at} of {end}"
        return ""

    def _forwarded(self, name: str, partition: int) -> int:
        return int(self._redis.hget(keys.lane(self._prefix + name, partition), "o") or 0)

    def _folded(self, partition: int) -> int:
        return int(self._redis.hget(keys.keys_of(partition).meta, "o") or 0)

    async def _ends(self, consumer: AIOKafkaConsumer, name: str) -> Sequence[int]:
        places = [TopicPartition(self._prefix + name, p) for p in range(self._partitions)]
        ends = await consumer.end_offsets(places)
        return [ends[at] for at in places]


async def read_all(bootstrap: str, prefix: str, partitions: int, to: Path) -> dict[str, int]:
    """Write every topic to a file of its own in ``to``, which is there; returns the counts."""
    counts = {}
    for name in NAMES:
        count = 1 if name in {topics.ARTEFACTS, topics.DEAD_LETTERS} else partitions
        counts[name] = await _read(bootstrap, prefix + name, count, to / name)
    return counts


async def _read(bootstrap: str, topic: str, partitions: int, to: Path) -> int:
    encode = msgspec.msgpack.Encoder().encode
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    written = 0
    try:
        places = [TopicPartition(topic, partition) for partition in range(partitions)]
        ends = await consumer.end_offsets(places)
        with to.open("wb") as file:
            for at in places:
                consumer.assign([at])
                consumer.seek(at, 0)
                while await consumer.position(at) < ends[at]:
                    found = await consumer.getmany(at, timeout_ms=1000, max_records=5000)
                    for record in found.get(at, []):
                        packed = encode(
                            Read(
                                topic,
                                record.partition,
                                record.offset,
                                record.timestamp,
                                record.key,
                                record.value,
                                record.headers,
                            )
                        )
                        file.write(len(packed).to_bytes(4, "big") + packed)
                        written += 1
    finally:
        await consumer.stop()
    return written
