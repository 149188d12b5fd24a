"""Follows every topic of a run from its beginning and writes it down, because the broker forgets.

The files are those of :mod:`streams.replay.recording`, so that replay, training and the recount
read them: ``events/<partition>.jsonl`` with offset and broker time per record,
``artefacts/<sha256>``, and ``<topic>.jsonl`` with the values of every other topic (topics without
prefix). Dead letters need not be JSON: ``dead-letters.jsonl`` holds their headers and the bytes as
base64.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from engine.errors import Unavailable
from streams.log.producer import Producer
from streams.log.topics import DEAD_LETTERS, expected
from streams.replay.recording import Recorder

Place = tuple[str, int]

_PATIENCE: Final = 30.0
# ms; it reads 26 partitions, most of them empty, and each empty fetch costs the broker and us CPU
# that the worker of a small machine needs: at 5 ms a fifth of a core. Nobody waits for it in a run.
_FETCH_WAIT: Final = 100


class Tape:
    """Records a run into ``folder``; topics are named without prefix.

    ``watch`` is told each record's topic and value, after it was written down.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        folder: Path,
        watch: Callable[[str, bytes], None] = lambda _topic, _value: None,
    ) -> None:
        """Nothing is connected before :meth:`start`."""
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._folder = folder
        self._watch = watch
        self._names = [prefix + topic.name for topic in expected()]
        self._next: dict[TopicPartition, int] = {}
        self._moved = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, producer: Producer) -> None:
        """Begin at the first record of each topic; ``producer`` finds their partitions."""
        for name in self._names:
            for partition in range(await producer.partitions(name)):
                self._next[TopicPartition(name, partition)] = 0
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT,
        )
        await self._consumer.start()
        self._consumer.assign(list(self._next))
        self._task = asyncio.create_task(self._follow(self._consumer))

    async def stop(self) -> None:
        """Close the files; what was read until now is in them."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._consumer is not None:
            await self._consumer.stop()

    def place(self, topic: str, partition: int) -> int:
        """Return the next offset to read of a topic, named with its prefix."""
        return self._next.get(TopicPartition(topic, partition), 0)

    async def reach(self, places: Mapping[Place, int]) -> None:
        """Wait until everything before these offsets was read; topics with prefix."""
        await self.until(
            lambda: all(self.place(*place) >= offset for place, offset in places.items()),
            "the recorder did not see what was written",
        )

    async def catch_up(self, *topics: str) -> None:
        """Wait until everything that stands in these topics now was read."""
        assert self._consumer is not None
        at = [place for place in self._next if place.topic in topics]
        ends = await self._consumer.end_offsets(at)
        await self.reach({(place.topic, place.partition): end for place, end in ends.items()})

    async def until(
        self, reached: Callable[[], bool], otherwise: str, seconds: float = _PATIENCE
    ) -> None:
        """Wait until ``reached`` says so; raises Unavailable with the sentence ``otherwise``."""
        try:
            async with asyncio.timeout(seconds):
                while not reached():
                    self._moved.clear()
                    self._ended()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await self._moved.wait()
        except TimeoutError as late:
            message = f"After {seconds:.0f} s {otherwise}."
            raise Unavailable(message) from late

    def _ended(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        with Recorder(self._folder) as files:
            while True:
                for at, records in (await consumer.getmany(timeout_ms=200)).items():
                    for record in records:
                        self._take(files, at, record)
                files.flush()
                self._moved.set()

    def _take(self, files: Recorder, at: TopicPartition, record: ConsumerRecord) -> None:
        topic = at.topic.removeprefix(self._prefix)
        value = _letter(record) if topic == DEAD_LETTERS else record.value or b""
        files.record(topic, at.partition, record.offset, record.timestamp, record.key, value)
        self._next[at] = record.offset + 1
        self._watch(topic, value)


def _letter(record: ConsumerRecord) -> bytes:
    headers: dict[str, Any] = {name: value.decode() for name, value in record.headers}
    return orjson.dumps({**headers, "value": b64encode(record.value or b"").decode()})


__all__ = ["Tape"]
