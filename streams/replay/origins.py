"""Where the records come from: a recorded run, a topic, or a file of events with its ticks."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Final

from engine.errors import InvalidEvent, Refused
from engine.events import Event, Record, SettingsRecord, Tick
from streams.log import codec, topics
from streams.log.producer import Producer
from streams.log.reader import Reader
from streams.replay import recording
from streams.replay.placed import Log, Origin, Placed
from streams.settings import Deployment
from streams.sources import (
    FORMATS,
    WITHOUT_TICKS,
    FileReader,
    Notes,
    files,
    onlineretail,
    reader,
    rees46,
    retailrocket,
    ticks,
)

# A name that no worker has: settings records made here are recognised in what they leave.
_MADE_HERE: Final = "replay"

_LAYOUTS: Final = {
    "retailrocket": retailrocket.LAYOUT,
    "rees46": rees46.LAYOUT,
    "onlineretail": onlineretail.LAYOUT,
}


def recorded(folder: Path, only: int | None = None) -> Origin:
    """Return a recorded run; raises Refused when there is none. It keeps partitions and offsets.

    ``only``: this partition alone.
    """
    found = [entry for entry in recording.partitions(folder) if only in (None, entry.partition)]
    unreadable: dict[str, int] = defaultdict(int)

    async def log() -> Log:
        for partition, path in found:
            for line in recording.records(path):
                record = _read(bytes(line.value), line.timestamp, unreadable)
                if record is not None:
                    yield Placed(partition, line.offset, record)

    return Origin(log=log(), files=recording.artefacts(folder), unreadable=unreadable)


async def topic(deployment: Deployment, name: str, only: int | None = None) -> Origin:
    """Return an ``events`` topic as it stands now, with the artefacts beside it.

    ``only``: this partition alone. Raises Refused when there is no such topic, Unavailable.
    """
    looking = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
    producer = Producer(deployment.kafka)
    try:
        count = await producer.partitions(name)
    finally:
        await producer.stop()
    if not count:
        message = f"There is no topic {name} at {deployment.kafka}."
        raise Refused(message)
    named: dict[str, bytes] = {}
    async for entry in looking.whole(deployment.topic_prefix + topics.ARTEFACTS):
        if entry.key is not None and entry.value is not None:
            named[entry.key.decode()] = entry.value
    unreadable: dict[str, int] = defaultdict(int)
    notes = []
    partitions = range(count) if only is None else (only,)
    for partition in partitions:
        begin, _ = await looking.bounds(name, partition)
        if begin:
            notes.append(
                f"{name}/{partition} begins at offset {begin}: what retention removed before it is "
                "not known here."
            )

    async def log() -> Log:
        try:
            for partition in partitions:
                async for entry in looking.whole(name, partition):
                    record = _read(entry.value or b"", entry.timestamp, unreadable)
                    if record is not None:
                        yield Placed(partition, entry.offset, record)
        finally:
            await looking.stop()

    return Origin(log=log(), files=named, unreadable=unreadable, notes=notes)


def _read(value: bytes, timestamp: int, unreadable: dict[str, int]) -> Record | None:
    """Read a record as the worker does; what it would dead-letter is counted."""
    try:
        return codec.read_at(value, timestamp)
    except InvalidEvent as invalid:
        unreadable[invalid.reason] += 1
        return None


def guessed(path: Path) -> str:
    """Return the format of a file by its first line; raises Refused when it tells nothing."""
    _, first = next(files.lines(path), (0, b""))
    columns = {name.strip() for name in first.decode("utf-8", "replace").split(",")}
    for name, layout in _LAYOUTS.items():
        if columns.issuperset(layout.columns):
            return name
    if first.startswith(b"{"):
        try:
            codec.read(first)
        except InvalidEvent:
            return "segment"
        return "events"
    message = f"{path} is of no known format: name it with --format, one of {', '.join(FORMATS)}."
    raise Refused(message)


def file(
    path: Path,
    format_: str,
    artefacts: Mapping[str, bytes],
    *,
    partitions: int,
    spacing: int | None = None,
) -> Origin:
    """Return a file with the ticks of a loader, as a log of its own; raises Refused.

    ``artefacts``: content by kind (campaigns, templates, model), put in force by the first record
    of every partition, unless a file of our own records begins with settings itself. Events go to
    the partition of their user, every tick to every partition. ``spacing`` in ms.
    """
    notes: Notes = Notes()
    read = reader(format_)
    if format_ in WITHOUT_TICKS:
        records = ticks.with_ticks(_events_of(path, read, notes), spacing)
    else:
        records = read(path, notes=notes)
    here = {sha256(content).hexdigest(): content for content in artefacts.values()}
    first = next(records, None)
    settings = None if isinstance(first, SettingsRecord) else _settings(artefacts)
    every = records if first is None else chain([first], records)
    return Origin(
        log=_spread(every, settings, partitions),
        files={**recording.artefacts(path.parent), **here},
        unreadable=notes,
    )


def _events_of(path: Path, read: FileReader, notes: Notes) -> Callable[[], Iterator[Event]]:
    """Return what opens the file anew; it is read twice, and only the last reading counts."""

    def opened() -> Iterator[Event]:
        notes.clear()
        for record in read(path, notes=notes):
            assert not isinstance(record, Tick | SettingsRecord)
            yield record

    return opened


def _settings(artefacts: Mapping[str, bytes]) -> SettingsRecord:
    named = {kind: sha256(content).hexdigest() for kind, content in artefacts.items()}
    return SettingsRecord(
        campaigns=named.get("campaigns"),
        templates=named.get("templates"),
        model=named.get("model"),
        origin=_MADE_HERE,
    )


async def _spread(
    records: Iterable[Record], settings: SettingsRecord | None, partitions: int
) -> Log:
    """Yield records where a loader would have put them, each partition counting its offsets."""
    offsets = [0] * partitions
    for record in chain([] if settings is None else [settings], records):
        if isinstance(record, Tick | SettingsRecord):
            to: Iterable[int] = range(partitions)
        else:
            to = (topics.partition_of(record.user_id.encode(), partitions),)
        for partition in to:
            yield Placed(partition, offsets[partition], record)
            offsets[partition] += 1
