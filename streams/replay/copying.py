"""Copies topics aside as a recorded run, for what reads a log more than once."""

from collections.abc import Iterable
from pathlib import Path

from streams.log.producer import Producer
from streams.log.reader import Reader
from streams.replay.recording import Recorder
from streams.settings import Deployment


async def copy_aside(deployment: Deployment, folder: Path, topics: Iterable[str]) -> None:
    """Record what ``topics`` (named without prefix) hold now into ``folder``; raises Unavailable.

    A topic that is not there is left out: who reads the folder says what is missing.
    """
    prefix = deployment.topic_prefix
    reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
    producer = Producer(deployment.kafka)
    try:
        counts = {prefix + topic: await producer.partitions(prefix + topic) for topic in topics}
        with Recorder(folder) as recorder:
            async for record in reader.together(counts):
                if record.value is not None:
                    recorder.record(
                        record.topic.removeprefix(prefix),
                        record.partition,
                        record.offset,
                        record.timestamp,
                        record.key,
                        record.value,
                    )
    finally:
        await producer.stop()
        await reader.stop()


__all__ = ["copy_aside"]
