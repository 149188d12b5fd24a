"""What a log must come to: the recorded topic folded in memory, without faults, in one go."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord

from engine.memory import MemoryArtefacts, MemoryStore
from engine.pipeline import chunks, take
from engine.ports import Head, OutboxId
from streams import in_force
from streams.log import codec
from streams.log.reader import position_of
from streams.state.keys import keys_of
from tests.support.redis_cluster import open_redis

# (position, value) of the records of one topic and partition, in order
Written = Mapping[tuple[str, int], list[tuple[OutboxId, bytes]]]


@dataclass
class Expected:
    """Outgoing records per topic and partition, and the packed state of every user."""

    written: dict[tuple[str, int], list[tuple[OutboxId, bytes]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    profiles: dict[tuple[int, str], bytes] = field(default_factory=dict)
    addresses: dict[tuple[int, str], bytes] = field(default_factory=dict)
    wakes: dict[tuple[int, str], int] = field(default_factory=dict)
    events: int = 0


def expected(log: Iterable[ConsumerRecord], artefacts: Iterable[ConsumerRecord]) -> Expected:
    """Fold the records of ``events``, partition by partition."""
    files = MemoryArtefacts(in_force.build)
    for artefact in artefacts:
        files.put(artefact.key.decode(), artefact.value)
    by_partition: dict[int, list[ConsumerRecord]] = defaultdict(list)
    for record in log:
        by_partition[record.partition].append(record)
    found = Expected()
    for partition, records in sorted(by_partition.items()):
        asyncio.run(_fold(partition, records, files, found))
    return found


async def _fold(
    partition: int, records: Sequence[ConsumerRecord], files: MemoryArtefacts, found: Expected
) -> None:
    store, head = MemoryStore(), Head()
    await store.acquire(partition, "oracle")
    decoded = [(r.offset, codec.read_at(r.value, r.timestamp)) for r in records]
    for chunk in chunks(decoded, records[0].offset, size=137):
        force = files.resolve(head.settings)
        assert force is not None
        taken = await take(store, partition, head, chunk, force)
        await store.commit(partition, "oracle", taken.commit)
        head = taken.commit.head
        found.events += sum(taken.report.events.values())
        for entry in taken.commit.outbox:
            found.written[entry.topic, partition].append((entry.id, entry.value))
    at = store.partitions[partition]
    found.profiles |= {(partition, user): packed for user, packed in at.users.items()}
    found.addresses |= {(partition, user): packed for user, packed in at.addresses.items()}
    found.wakes |= {(partition, user): wake for user, wake in at.wakes.items()}


def written(
    topic: str, records: Iterable[ConsumerRecord]
) -> dict[tuple[str, int], list[tuple[OutboxId, bytes]]]:
    """Return what an output topic holds, in order, before the readers' rule."""
    found: dict[tuple[str, int], list[tuple[OutboxId, bytes]]] = defaultdict(list)
    for record in records:
        at = position_of(record)
        assert at is not None, "a record without x-pos"
        found[topic, record.partition].append((at, record.value))
    return found


def readers_rule(entries: Sequence[tuple[OutboxId, bytes]]) -> list[tuple[OutboxId, bytes]]:
    """Drop what is not above the last position seen, as every reader does."""
    kept: list[tuple[OutboxId, bytes]] = []
    for entry in entries:
        if not kept or entry[0] > kept[-1][0]:
            kept.append(entry)
    return kept


def stored(url: str, partitions: int) -> Expected:
    """Return the state Redis holds, in the shape of the oracle's."""
    client = open_redis(url)
    found = Expected()
    for partition in range(partitions):
        keys = keys_of(partition)
        for kind, into in (("u", found.profiles), ("a", found.addresses)):
            prefix = f"rk:{{{partition}}}:{kind}:".encode()
            for key in client.scan_iter(prefix + b"*", count=1000):
                value = client.get(key)
                assert isinstance(value, bytes)
                into[partition, key[len(prefix) :].decode()] = value
        wakes: Any = client.zrange(keys.wakes.decode(), 0, -1, withscores=True)
        found.wakes |= {(partition, user.decode()): int(wake) for user, wake in wakes}
    return found
