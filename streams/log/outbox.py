"""Takes what left the engine into Kafka: decisions first, then actions, each acknowledged.

Named by the position of its cause, so that a new owner can tell from the tail of each topic what
is already there.
"""

from collections.abc import Iterable, Mapping, Sequence

from engine.actions import Action
from engine.actions import decode as decode_action
from engine.errors import Refused
from engine.pipeline import ACTIONS, DECISIONS
from engine.ports import OutboxId, Outgoing
from streams.log.producer import Headers, Producer, Record
from streams.log.reader import POSITION, Reader
from streams.tracing import Tracing

_VERSION = ("v", b"1")


class Outbox:
    """The way out of one partition; knows what each output topic held when we came."""

    def __init__(
        self,
        producer: Producer,
        prefix: str,
        partition: int,
        topics: Sequence[str],
        tracing: Tracing | None = None,
    ) -> None:
        """``topics``: all output topics, without ``prefix``; records go to their ``partition``.

        ``tracing`` says which actions carry the header of a trace.
        """
        self._tracing = tracing
        self._producer = producer
        self._prefix = prefix
        self._partition = partition
        self._topics = topics
        self._tails: dict[str, OutboxId | None] = {}

    @property
    def tails(self) -> Mapping[str, OutboxId | None]:
        """Return the last position each output topic held when we came, None = it held nothing."""
        return self._tails

    async def publish(self, entries: Sequence[Outgoing]) -> OutboxId | None:
        """Write what the log does not hold yet, decisions before actions.

        Returns the last id of all entries, None if there is none. After a fall-back of the store
        the same decisions are made again; those that left before do not leave twice. Raises
        Unavailable; then any prefix of any topic's entries may stand in the log.
        """
        by_topic: dict[str, list[Record]] = {}
        for entry in entries:
            tail = self._tails.get(entry.topic)
            if tail is None or entry.id > tail:
                run = by_topic.setdefault(entry.topic, [])
                run.append(record(entry, self._prefix, self._tracing))
        for topic in sorted(by_topic, key=lambda name: (name != DECISIONS, name)):
            await self._producer.run(self._prefix + topic, self._partition, by_topic[topic])
        return max((entry.id for entry in entries), default=None)

    async def drain(self, entries: Iterable[Outgoing], reader: Reader, end: int) -> OutboxId | None:
        """Read the tail of every output topic, then publish what the outbox still holds.

        ``end``: the end of the log of causes; raises Refused when an output topic names a cause
        beyond it, for then every new record would look like an old one to its readers.
        """
        names = [self._prefix + topic for topic in self._topics]
        tails = await reader.tails(names, self._partition)
        self._tails = {name.removeprefix(self._prefix): tail for name, tail in tails.items()}
        for name, tail in tails.items():
            if tail is not None and tail.offset >= end:
                message = (
                    f"{name}/{self._partition} holds what came of record {tail.offset}, but the "
                    f"log ends at {end}: it was re-created; create the topics of decisions and "
                    "actions anew as well."
                )
                raise Refused(message)
        return await self.publish(sorted(entries))


def record(entry: Outgoing, prefix: str, tracing: Tracing | None = None) -> Record:
    """Return the Kafka record of an entry, with its headers."""
    headers: Headers = (_VERSION, (POSITION, str(entry.id).encode()))
    if entry.topic.startswith(ACTIONS):
        action = decode_action(entry.value)
        headers = (*headers, *_cloud_event(action, prefix))
        link = tracing.of_action(action) if tracing is not None else None
        if link is not None:
            headers = (*headers, link.header)
    return Record(entry.key.encode(), entry.value, headers)


def _cloud_event(action: Action, prefix: str) -> Headers:
    """Return the CloudEvents 1.0 headers of an action (Kafka binding, binary mode)."""
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
