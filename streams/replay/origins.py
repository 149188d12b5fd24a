"""Where the records come from: a recorded run, a topic, or a file of events with its ticks."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from engine.errors import InvalidEvent, Refused
from engine.events import Event, Record, SettingsRecord, Tick
from streams.log import codec, topics
from streams.log.producer import Producer
from streams.log.reader import Reader
from streams.replay import recording
from streams.replay.run import Log, Origin, Placed
from streams.settings import Deployment

# A name that no worker has: settings records made here are recognised in what they leave.
_MADE_HERE: Final = "replay"


def recorded(folder: Path) -> Origin:
    """Return a recorded run; raises Refused when there is none. It keeps partitions and offsets."""
    found = recording.partitions(folder)
    unreadable: dict[str, int] = defaultdict(int)

    async def log() -> Log:
        for partition, path in found:
            for line in recording.records(path):
                record = _read(bytes(line.value), line.timestamp, unreadable)
                if record is not None:
                    yield Placed(partition, line.offset, record)

    return Origin(log=log(), files=recording.artefacts(folder), unreadable=unreadable)


async def topic(deployment: Deployment, name: str) -> Origin:
    """Return an ``events`` topic as it stands now, with the artefacts beside it.

    Raises Refused when there is no such topic, Unavailable.
    """
    reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
    producer = Producer(deployment.kafka)
    try:
        count = await producer.partitions(name)
    finally:
        await producer.stop()
    if not count:
        message = f"There is no topic {name} at {deployment.kafka}."
        raise Refused(message)
    files: dict[str, bytes] = {}
    async for entry in reader.whole(deployment.topic_prefix + topics.ARTEFACTS):
        if entry.key is not None and entry.value is not None:
            files[entry.key.decode()] = entry.value
    unreadable: dict[str, int] = defaultdict(int)
    notes = []
    for partition in range(count):
        begin, _ = await reader.bounds(name, partition)
        if begin:
            notes.append(
                f"{name}/{partition} begins at offset {begin}: what retention removed before it is "
                "not in the profiles of this replay."
            )

    async def log() -> Log:
        try:
            for partition in range(count):
                async for entry in reader.whole(name, partition):
                    record = _read(entry.value or b"", entry.timestamp, unreadable)
                    if record is not None:
                        yield Placed(partition, entry.offset, record)
        finally:
            await reader.stop()

    return Origin(log=log(), files=files, unreadable=unreadable, notes=notes)


def _read(value: bytes, timestamp: int, unreadable: dict[str, int]) -> Record | None:
    """Read a record as the worker does; what it would dead-letter is counted."""
    try:
        return codec.read_at(value, timestamp)
    except InvalidEvent as invalid:
        unreadable[invalid.reason] += 1
        return None


def timeline(
    records: Iterable[Event | Tick],
    artefacts: Mapping[str, bytes],
    partitions: int,
    *,
    unreadable: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
) -> Origin:
    """Return events in the order of their source, ticks between them, as a log of its own.

    ``artefacts``: content by kind (campaigns, templates, model); put in force by the first record
    of every partition. Events go to the partition of their user, every tick to every partition.
    """
    files = {sha256(content).hexdigest(): content for content in artefacts.values()}
    named = {kind: sha256(content).hexdigest() for kind, content in artefacts.items()}
    settings = SettingsRecord(
        campaigns=named.get("campaigns"),
        templates=named.get("templates"),
        model=named.get("model"),
        origin=_MADE_HERE,
    )

    async def log() -> Log:
        offsets = [1] * partitions
        for partition in range(partitions):
            yield Placed(partition, 0, settings)
        for record in records:
            if isinstance(record, Tick):
                for partition in range(partitions):
                    yield Placed(partition, offsets[partition], record)
                    offsets[partition] += 1
            else:
                partition = topics.partition_of(record.user_id.encode(), partitions)
                yield Placed(partition, offsets[partition], record)
                offsets[partition] += 1

    return Origin(log=log(), files=files, unreadable=dict(unreadable or {}), notes=list(notes))
