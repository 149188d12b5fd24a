"""Takes what left the engine into Kafka: decisions first, then actions, each acknowledged.

Named by the position of its cause, so that a new owner can tell from the tail of each topic what
is already there.
"""

from collections.abc import Iterable, Sequence

from engine.actions import decode as decode_action
from engine.pipeline import ACTIONS, DECISIONS
from engine.ports import OutboxId, Outgoing
from streams.log.producer import Headers, Producer, Record
from streams.log.reader import POSITION, Reader

_VERSION = ("v", b"1")


class Outbox:
    """The way out of one partition."""

    def __init__(self, producer: Producer, prefix: str, partition: int) -> None:
        """``prefix`` of all topics; records go to ``partition`` of their topic."""
        self._producer = producer
        self._prefix = prefix
        self._partition = partition

    async def publish(self, entries: Sequence[Outgoing]) -> OutboxId | None:
        """Write the entries, decisions before actions; returns the last id, None if there is none.

        Raises Unavailable; then any prefix of any topic's entries may stand in the log.
        """
        by_topic: dict[str, list[Record]] = {}
        for entry in entries:
            by_topic.setdefault(entry.topic, []).append(record(entry, self._prefix))
        for topic in sorted(by_topic, key=lambda name: (name != DECISIONS, name)):
            await self._producer.run(self._prefix + topic, self._partition, by_topic[topic])
        return max((entry.id for entry in entries), default=None)

    async def drain(self, entries: Iterable[Outgoing], reader: Reader) -> OutboxId | None:
        """Publish what the log does not hold yet; returns the last id of all entries."""
        waiting = sorted(entries)
        tails = {
            topic: await reader.tail(self._prefix + topic, self._partition)
            for topic in sorted({entry.topic for entry in waiting})
        }
        missing = []
        for entry in waiting:
            tail = tails[entry.topic]
            if tail is None or entry.id > tail:
                missing.append(entry)
        await self.publish(missing)
        return waiting[-1].id if waiting else None


def record(entry: Outgoing, prefix: str) -> Record:
    """Return the Kafka record of an entry, with its headers."""
    headers: Headers = (_VERSION, (POSITION, str(entry.id).encode()))
    if entry.topic.startswith(ACTIONS):
        headers = (*headers, *_cloud_event(entry.value, prefix))
    return Record(entry.key.encode(), entry.value, headers)


def _cloud_event(value: bytes, prefix: str) -> Headers:
    """Return the CloudEvents 1.0 headers of an action (Kafka binding, binary mode)."""
    action = decode_action(value)
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", action.action_id.encode()),
        ("ce_type", b"rekindle.action.send.v1"),
        ("ce_source", f"/{prefix.strip('.')}".encode()),
        ("ce_time", action.delivery.created_at.encode()),
        ("ce_subject", action.user_id.encode()),
        ("ce_expirytime", action.delivery.expires_at.encode()),
        ("content-type", b"application/json"),
    )
