"""Looks into the log without belonging to a group: bounds, single records, whole topics."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from engine.errors import Unavailable
from engine.ports import OutboxId
from streams.log.away import away

POSITION = "x-pos"

# How long a record known to be there may take to arrive before Kafka counts as away.
_PATIENCE = 15.0
# The same for many partitions at once, ms.
_QUIET = 15_000


class Bounds(NamedTuple):
    """First offset kept and the offset the next record will get."""

    begin: int
    end: int


class Reader:
    """One group-less consumer, used by one look at a time."""

    def __init__(self, bootstrap: str, *, fetch_wait_ms: int = 500) -> None:
        """``bootstrap``: brokers; nothing is connected before the first look."""
        self._bootstrap = bootstrap
        self._wait = fetch_wait_ms
        self._consumer: AIOKafkaConsumer | None = None
        self._one = asyncio.Lock()

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=self._wait,
            )
            try:
                await consumer.start()
            except (KafkaError, OSError) as error:
                with suppress(Exception):
                    await consumer.stop()
                raise away(self._bootstrap) from error
            self._consumer = consumer
        return self._consumer

    async def bounds(self, topic: str, partition: int) -> Bounds:
        """Return the bounds of a partition; raises Unavailable."""
        async with self._one:
            try:
                return await self._bounds(await self._started(), topic, partition)
            except (KafkaError, OSError, TimeoutError) as error:
                raise await self._lost(error) from error

    @staticmethod
    async def _bounds(consumer: AIOKafkaConsumer, topic: str, partition: int) -> Bounds:
        at = TopicPartition(topic, partition)
        begin = await consumer.beginning_offsets([at])
        end = await consumer.end_offsets([at])
        return Bounds(begin[at], end[at])

    async def record(self, topic: str, partition: int, offset: int) -> ConsumerRecord:
        """Return the record at ``offset``, which must be inside the bounds; raises Unavailable."""
        async with self._one:
            try:
                consumer, at = await self._started(), TopicPartition(topic, partition)
                consumer.assign([at])
                consumer.seek(at, offset)
                async with asyncio.timeout(_PATIENCE):
                    return await consumer.getone(at)
            except (KafkaError, OSError, TimeoutError) as error:
                raise await self._lost(error) from error

    async def tails(self, topics: Sequence[str], partition: int) -> dict[str, OutboxId | None]:
        """Return the position of the last record of each output topic; None when there is none.

        None also when retention has emptied it: then the readers' own rule on ``x-pos`` is what
        drops a repetition.
        """
        async with self._one:
            try:
                return await self._tails(await self._started(), topics, partition)
            except (KafkaError, OSError, TimeoutError) as error:
                raise await self._lost(error) from error

    @staticmethod
    async def _tails(
        consumer: AIOKafkaConsumer, topics: Sequence[str], partition: int
    ) -> dict[str, OutboxId | None]:
        places = [TopicPartition(topic, partition) for topic in topics]
        begin = await consumer.beginning_offsets(places)
        end = await consumer.end_offsets(places)
        filled = [at for at in places if end[at] > begin[at]]
        found: dict[str, OutboxId | None] = dict.fromkeys(topics)
        if filled:
            consumer.assign(filled)
        for at in filled:  # all before the first is awaited, so that one fetch brings them all
            consumer.seek(at, end[at] - 1)
        for at in filled:
            async with asyncio.timeout(_PATIENCE):
                found[at.topic] = position_of(await consumer.getone(at))
        return found

    async def whole(self, topic: str, partition: int = 0) -> AsyncIterator[ConsumerRecord]:
        """Yield what a partition holds now, first to last; raises Unavailable."""
        bounds = await self.bounds(topic, partition)
        async for record in self.span(topic, partition, bounds):
            yield record

    async def span(
        self, topic: str, partition: int, bounds: Bounds
    ) -> AsyncIterator[ConsumerRecord]:
        """Yield the records of a partition within ``bounds``, in order; raises Unavailable."""
        offset = bounds.begin
        while offset < bounds.end:
            async with self._one:
                try:
                    consumer, at = await self._started(), TopicPartition(topic, partition)
                    consumer.assign([at])
                    consumer.seek(at, offset)
                    async with asyncio.timeout(_PATIENCE):
                        found = await consumer.getmany(at, timeout_ms=5000, max_records=2000)
                except (KafkaError, OSError, TimeoutError) as error:
                    raise await self._lost(error) from error
            records = found.get(at, [])
            if not records:  # compaction may have removed the last ones
                return
            for record in records:
                if record.offset >= bounds.end:
                    return
                yield record
            offset = records[-1].offset + 1

    async def together(self, topics: Mapping[str, int]) -> AsyncIterator[ConsumerRecord]:
        """Yield what whole topics hold now; partitions mixed, each in order; raises Unavailable.

        ``topics``: number of partitions by name. All are fetched at once: changing from one to the
        next costs over a second each, and a deployment has 64 of every topic.
        """
        places = [(name, at) for name, count in topics.items() for at in range(count)]
        bounds = {TopicPartition(*place): await self.bounds(*place) for place in places}
        offsets = {at: found.begin for at, found in bounds.items() if found.begin < found.end}
        left = set(offsets)
        while left:
            async with self._one:
                try:
                    fetched = await self._fetch(await self._started(), offsets)
                except (KafkaError, OSError, TimeoutError) as error:
                    raise await self._lost(error) from error
            if not fetched:  # compaction may have removed the last ones
                return
            for at, records in fetched.items():
                for record in records:
                    if record.offset < bounds[at].end:
                        yield record
                offsets[at] = records[-1].offset + 1
                if offsets[at] >= bounds[at].end:
                    left.discard(at)

    @staticmethod
    async def _fetch(
        consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return some records from these offsets on; another look may have moved the consumer."""
        if consumer.assignment() != set(offsets):
            consumer.assign(list(offsets))
            for at, offset in offsets.items():
                consumer.seek(at, offset)
        found: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
            timeout_ms=_QUIET, max_records=2000
        )
        return found

    async def _lost(self, error: Exception) -> Unavailable:
        await self._close()
        if isinstance(error, Unavailable):  # said in a sentence already
            return error
        return Unavailable(f"Kafka did not answer: {error!r}")

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(Exception):
                async with asyncio.timeout(5):
                    await consumer.stop()

    async def stop(self) -> None:
        """Close the connection."""
        async with self._one:
            await self._close()


def position_of(record: ConsumerRecord) -> OutboxId | None:
    """Return the position a record of an output topic carries in its header."""
    for name, value in record.headers:
        if name == POSITION:
            offset, _, ordinal = value.decode().partition(".")
            return OutboxId(int(offset), int(ordinal))
    return None
