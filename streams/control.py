"""The operator's hand: artefacts into their topic, settings records into every partition."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from engine import controls
from engine.errors import Refused, Unavailable
from engine.events import Control, Event, SettingsRecord
from engine.policy import Settings
from streams.artefacts import name_of
from streams.delivery import kill
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.log.topics import ARTEFACTS, EVENTS, partition_of
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.store import RedisStore

log = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class Acted:
    """What ``act`` did: ``control`` with ``before`` and ``after`` filled in.

    ``partitions`` into which it was written, 0 = it would have changed nothing; ``at_handover``
    whether the kill switch has it too.
    """

    control: Control
    partitions: int
    at_handover: bool


async def act(deployment: Deployment, control: Control) -> Acted:
    """Pause, resume or throttle: at hand-over at once, and in the log; see :mod:`engine.controls`.

    May be repeated. What is nobody's own doing is written only where it changes something. Raises
    Refused for what makes no sense or only a person may do, and Unavailable while Kafka is away:
    then a pause already acts at hand-over, and no decision knows of it.
    """
    controls.check(control)
    redis = RedisConnection(deployment.redis)
    producer = Producer(deployment.kafka)
    try:
        flipped = await _flip(redis, control)
        try:
            return await _in_log(deployment, producer, redis, control, flipped=flipped)
        except Unavailable as away:
            if flipped is None or control.action == "throttle":
                raise
            word = "stopped" if control.action == "pause" else "let go"
            message = (
                f"{control.target} is {word} at hand-over, but the log could not be written "
                f"({away}): repeat the command."
            )
            raise Unavailable(message) from away
    finally:
        await producer.stop()
        await redis.close()


async def _flip(redis: RedisConnection, control: Control) -> bool | None:
    """Set the kill switch; None where Redis is away, and nothing can be handed over either."""
    try:
        return await kill.flip(redis, control)
    except Unavailable as away:
        log.warning(
            "%s of %s is written to the log alone: %s", control.action, control.target, away
        )
        return None


async def _in_log(
    deployment: Deployment,
    producer: Producer,
    redis: RedisConnection,
    control: Control,
    *,
    flipped: bool | None,
) -> Acted:
    topic = deployment.topic_prefix + EVENTS
    found = await in_partitions(redis, await producer.partitions(topic))
    record = _record(control)
    after = [settings.merged(record) for settings in found]
    at_handover = flipped is not None and control.action != "throttle"
    control = msgspec.structs.replace(
        control, before=_share(found, control), after=_after(after, control)
    )
    if found and found == after and not flipped and controls.automatic(control):
        return Acted(control, 0, at_handover)
    partitions = await to_every_partition(producer, deployment, codec.write(_record(control)))
    return Acted(control, partitions, at_handover)


def _record(control: Control) -> SettingsRecord:
    """Return the record of a control; ``pause`` is for releases that read no control."""
    pause = {} if control.action == "throttle" else {control.target: control.action == "pause"}
    return SettingsRecord(pause=pause, control=control, origin=control.actor)


def _share(found: Sequence[Settings], control: Control) -> float | None:
    """Return the least of a target that any partition may send; None = nobody could be asked."""
    return min(
        (settings.standing(control.at).share(control.target) for settings in found), default=None
    )


def _after(after: Sequence[Settings], control: Control) -> float | None:
    """Return what may be sent afterwards; of a throttle what it asks for, which is its order."""
    return control.after if control.action == "throttle" else _share(after, control)


async def in_partitions(redis: RedisConnection, count: int) -> list[Settings]:
    """Return what is in force, as folded by now, one per partition; empty while Redis is away."""
    store = RedisStore(redis)
    try:
        heads = await asyncio.gather(*[store.head(partition) for partition in range(count)])
    except Unavailable:
        return []
    return [Settings() if head is None else head.settings for head in heads]


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
