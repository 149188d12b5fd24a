"""Where records go that can never be read: the original bytes, bounded, and why."""

from aiokafka import ConsumerRecord

from engine.errors import InvalidEvent
from streams.log.producer import Producer, Record
from streams.log.topics import DEAD_LETTERS

# A dead letter is for people to look at; what is longer than this is cut.
_BOUND = 64 * 1024


class DeadLetters:
    """Writes to the topic ``dead-letters``."""

    def __init__(self, producer: Producer, prefix: str) -> None:
        """``prefix`` of all topics."""
        self._producer = producer
        self._topic = prefix + DEAD_LETTERS

    async def write(self, letters: list[tuple[ConsumerRecord, InvalidEvent]]) -> None:
        """Write letters and wait for the acknowledgement; raises Unavailable."""
        await self._producer.run(self._topic, 0, [_letter(*letter) for letter in letters])


def _letter(record: ConsumerRecord, error: InvalidEvent) -> Record:
    headers = (
        ("reason", error.reason.encode()),
        ("message", str(error)[:500].encode("utf-8", "replace")),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
    )
    return Record(record.key, (record.value or b"")[:_BOUND], headers)
