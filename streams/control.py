"""The operator's hand: artefacts into their topic, settings records into every partition."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import Refused
from engine.events import Event, SettingsRecord
from streams.artefacts import name_of
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.log.topics import ARTEFACTS, EVENTS, partition_of
from streams.settings import Deployment

# Events per run while importing: keeps the memory of an import flat.
_RUN = 5_000


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``apply`` put in force; hashes are sha256 of the artefact's bytes."""

    partitions: int
    campaigns: str | None = None
    templates: str | None = None
    model: str | None = None
    pause: Mapping[str, bool] = field(default_factory=dict)


async def apply(
    deployment: Deployment,
    *,
    campaigns: bytes | None = None,
    templates: bytes | None = None,
    model: bytes | None = None,
    pause: Mapping[str, bool] | None = None,
    origin: str = "apply",
) -> Applied:
    """Put artefacts and pauses in force in every partition; raises Unavailable.

    Artefacts first, then one settings record per partition: a worker that lacks an artefact holds
    the partition. May be repeated after a crash in between: the same record changes nothing.
    """
    producer = Producer(deployment.kafka)
    try:
        named: dict[str, str] = {}
        for kind, content in (("campaigns", campaigns), ("templates", templates), ("model", model)):
            if content is not None:
                named[kind] = name_of(content)
                record = Record(named[kind].encode(), content)
                await producer.run(deployment.topic_prefix + ARTEFACTS, 0, [record])
        settings = SettingsRecord(
            campaigns=named.get("campaigns"),
            templates=named.get("templates"),
            model=named.get("model"),
            pause=dict(pause or {}),
            origin=origin,
        )
        partitions = await to_every_partition(producer, deployment, codec.write(settings))
        return Applied(
            partitions, settings.campaigns, settings.templates, settings.model, settings.pause
        )
    finally:
        await producer.stop()


async def to_every_partition(producer: Producer, deployment: Deployment, value: bytes) -> int:
    """Append one record without key to every partition of ``events``; returns their count."""
    topic = deployment.topic_prefix + EVENTS
    count = await producer.partitions(topic)
    if not count:
        message = f"There is no topic {topic}: run rekindle topics create."
        raise Refused(message)
    await asyncio.gather(
        *[producer.run(topic, partition, [Record(None, value)]) for partition in range(count)]
    )
    return count


async def append(deployment: Deployment, events: Iterable[Event]) -> int:
    """Append events to ``events``, each to the partition of its user; returns how many."""
    producer = Producer(deployment.kafka)
    topic = deployment.topic_prefix + EVENTS
    written = 0
    try:
        count = await producer.partitions(topic)
        run: list[Event] = []
        for event in events:
            run.append(event)
            if len(run) >= _RUN:
                written += await _write(producer, topic, count, run)
                run = []
        return written + await _write(producer, topic, count, run)
    finally:
        await producer.stop()


async def _write(producer: Producer, topic: str, count: int, events: Sequence[Event]) -> int:
    by_partition: dict[int, list[Record]] = {}
    for event in events:
        key = event.user_id.encode()
        record = Record(key, codec.write(event))
        by_partition.setdefault(partition_of(key, count), []).append(record)
    await asyncio.gather(*[producer.run(topic, p, run) for p, run in by_partition.items()])
    return len(events)
