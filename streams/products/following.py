"""Follows the topic ``products`` from its beginning, in every process that needs to know of them.

What it holds is no part of any state: the topic is compacted, so each start reads all of it again,
and no product is missed however long a process was away. A record that cannot be read is told to
the keeper and goes no further: the topic itself keeps it under its key until the shop mends it,
and a copy in the dead letters would be written again at every start of every process.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final, Literal, Protocol

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from engine.errors import InvalidEvent, Unavailable
from streams.log import topics
from streams.log.away import away
from streams.products import record as records
from streams.products.record import Product
from streams.settings import Deployment

log = logging.getLogger(__name__)

# s between two looks whether somebody has created the topic.
MISSING_FOR: Final = 15.0
_RETRY: Final = 1.0
# s for which somebody who must know waits for the first reading.
PATIENCE: Final = 10.0
_AT_ONCE: Final = 5_000
# ms; not the deployment's: nobody waits for a price as for an event, and an embedded broker, which
# is asked every 5 ms, would be asked for nothing.
_FETCH_WAIT: Final = 500

State = Literal["reading", "read", "missing"]


class Keeper(Protocol):
    """Who is told, in the order of the topic."""

    def tell(self, product: Product) -> None:
        """Take the last word on a product."""
        ...

    def cannot_read(self, product_id: str) -> None:
        """Take note that the last word on a product cannot be read."""
        ...

    def forget(self, product_id: str) -> None:
        """Take note that a product is gone."""
        ...

    def forget_all(self) -> None:
        """Begin anew: all of the topic is told again."""
        ...


class Following(faust.Service):
    """Reads and goes on reading; a deployment without the topic is looked at now and then."""

    def __init__(self, deployment: Deployment, keeper: Keeper) -> None:
        """Nothing is connected before it starts."""
        super().__init__()
        self._deployment = deployment
        self._keeper = keeper
        self.topic = deployment.topic_prefix + topics.PRODUCTS
        self.stands: State = "reading"
        self._settled = asyncio.Event()

    async def settled(self) -> None:
        """Return once all that the topic held was read, or there is none; raises Unavailable."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._settled.wait()
        except TimeoutError:
            message = f"{self.topic} has not been read yet"
            raise Unavailable(message) from None

    def _stand(self, state: State) -> None:
        self.stands = state
        if state == "reading":
            self._settled.clear()
        else:
            self._settled.set()

    @faust.Service.task
    async def _follow(self) -> None:
        told = ""
        while not self.should_stop:
            try:
                await self._once()
                told = ""
            except (Unavailable, KafkaError, OSError) as error:
                if str(error) != told:
                    log.warning("products: %s", error)
                told = str(error)
            await self.sleep(MISSING_FOR if self.stands == "missing" else _RETRY)

    async def _once(self) -> None:
        counts = await topics.there(self._deployment, [self.topic])
        if not counts[self.topic]:
            if self.stands == "read":
                self._keeper.forget_all()
            self._stand("missing")
            return
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._deployment.kafka,
            enable_auto_commit=False,
            # an offset that is gone: the topic was made anew, and so is what we know of it
            auto_offset_reset="none",
            fetch_max_wait_ms=_FETCH_WAIT,
        )
        try:
            try:
                await consumer.start()
            except (KafkaError, OSError) as error:
                raise away(self._deployment.kafka) from error
            await self._read(consumer, counts[self.topic])
        finally:
            with suppress(Exception):
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, count: int) -> None:
        places = [TopicPartition(self.topic, partition) for partition in range(count)]
        consumer.assign(places)
        begin = await consumer.beginning_offsets(places)
        left = await consumer.end_offsets(places)
        self._stand("reading")
        self._keeper.forget_all()
        for at in places:
            consumer.seek(at, begin[at])
        while not self.should_stop:
            fetched = await consumer.getmany(timeout_ms=200, max_records=_AT_ONCE)
            for found in fetched.values():
                for one in found:
                    self._take(one)
            if self.stands == "reading":
                # by position: compaction may have removed the last records
                left = {at: end for at, end in left.items() if await consumer.position(at) < end}
                if not left:
                    self._stand("read")
            await asyncio.sleep(0)

    def _take(self, found: ConsumerRecord) -> None:
        try:
            product_id = records.key_of(found.key)
        except InvalidEvent as error:  # of nobody: there is nothing to take back
            log.warning("%s %d/%d: %s", self.topic, found.partition, found.offset, error)
            return
        if found.value is None:
            self._keeper.forget(product_id)
            return
        try:
            product = records.read(product_id, found.value)
        except InvalidEvent as error:
            log.warning("%s %d/%d: %s", self.topic, found.partition, found.offset, error)
            self._keeper.cannot_read(product_id)
            return
        self._keeper.tell(product)


__all__ = ["MISSING_FOR", "Following", "Keeper", "State"]
