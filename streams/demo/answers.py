"""What gateways answer, read as it is told: the shop goes on when every message was answered."""

from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.demo.embedded import FETCH_WAIT
from streams.demo.recorder import Place

# ms that one look waits for something new.
_LOOK: Final = 20


class Answers:
    """Follows the topic ``feedback`` (full name in ``topic``) from its first record.

    ``first``: the first report of each action by id; ``ends``: the next offset of each partition
    that was written to.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        """Nothing is connected before :meth:`start`."""
        self.topic = topic
        self.first: dict[str, str] = {}
        self.ends: dict[Place, int] = {}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT,
        )

    async def start(self, partitions: int) -> None:
        """Stand at the first record of each partition."""
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self.topic, p) for p in range(partitions)])

    async def stop(self) -> None:
        """Close the connection."""
        await self._consumer.stop()

    async def read(self) -> None:
        """Take what was told since the last look."""
        for at, records in (await self._consumer.getmany(timeout_ms=_LOOK)).items():
            for record in records:
                told = orjson.loads(record.value)
                self.first.setdefault(told["action_id"], told["type"])
            self.ends[at.topic, at.partition] = records[-1].offset + 1


__all__ = ["Answers"]
