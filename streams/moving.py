"""Moves all that is known about people to topics with another partition count.

Nothing is edited in place: a new prefix, an empty Redis, new topics. The old ones stay as they are,
so that the way back is to start the workers with the old settings. Topics come last: without them
no worker starts on a copy that was interrupted, and a head below the log halts a partition.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from engine.errors import Refused, Unavailable
from engine.events import Position, SettingsRecord
from engine.pipeline import ACTIONS
from engine.policy import Settings
from engine.ports import Commit, Head, OutboxId
from streams.control import to_every_partition
from streams.log import codec, topics
from streams.log.producer import Producer, Record
from streams.log.reader import Reader
from streams.settings import Deployment
from streams.state import policy
from streams.state.claims import RedisClaims
from streams.state.connection import RedisConnection
from streams.state.keys import generation, keys_of
from streams.state.lanes import IntakeLanes
from streams.state.store import RedisStore

# As many users as a chunk has at most.
_AT_ONCE: Final = 500
# Heads of a copy that is not whole stand below 0, and such a partition refuses to start.
_FIRST: Final = -(2**40)
_OWNER: Final = "rekindle move"
# By it the audit knows that what people said before stands in another log.
_ORIGIN: Final = "move"


class Moved(msgspec.Struct, frozen=True):
    """What was moved."""

    partitions: int
    users: int
    wakes: int


async def move(here: Deployment, *, partitions: int, prefix: str, redis: str) -> Moved:
    """Copy people, wake-ups, settings and places in the sources; raises Refused, Unavailable.

    ``prefix`` and ``redis`` are what TOPIC_PREFIX and REDIS will be. The workers are stopped, and
    everything that was taken in is folded and handed over.
    """
    there = msgspec.structs.replace(here, topic_prefix=prefix, redis=redis)
    moving = _Move(here, there, partitions)
    try:
        return await moving.run()
    finally:
        await moving.close()


class _Move:
    def __init__(self, here: Deployment, there: Deployment, partitions: int) -> None:
        self.here, self.there, self.partitions = here, there, partitions
        self.old, self.new = RedisConnection(here.redis), RedisConnection(there.redis)
        self.source, self.target = RedisStore(self.old), RedisStore(self.new)
        self.reader = Reader(here.kafka, fetch_wait_ms=here.fetch_wait)
        self.offsets = [_FIRST] * partitions
        self.users: set[str] = set()
        self.wakes = 0

    async def run(self) -> Moved:
        counts = await self._topics()
        await self._empty_target(counts)
        before = await self._still(counts)
        head = _joined(before)
        for partition in range(self.partitions):
            await self.target.acquire(partition, _OWNER)
        for partition in range(len(before)):
            await self._people(partition, head)
        await self._places(counts)
        if await self._still(counts) != before:
            message = (
                "A worker went on while people were copied: stop all workers, empty the new Redis "
                "and move again."
            )
            raise Refused(message)
        for partition in range(self.partitions):
            await self._commit(partition, Commit(self.offsets[partition], head))
        await self._log(head.settings)
        return Moved(self.partitions, len(self.users), self.wakes)

    async def close(self) -> None:
        await self.reader.stop()
        await self.old.close()
        await self.new.close()

    # --- whether it can be done -----------------------------------------------------------------

    async def _topics(self) -> dict[str, int]:
        admin = await topics.connect(self.here)
        try:
            return await topics.counts(admin)
        finally:
            await admin.close()

    async def _empty_target(self, counts: dict[str, int]) -> None:
        """Refuse a prefix with topics of its own, and a Redis that holds anything of ours."""
        named = [self.there.topic_prefix + topic.name for topic in topics.expected()]
        if taken := sorted(set(named) & counts.keys()):
            message = f"{taken[0]} is there already: name a prefix that was never used."
            raise Refused(message)
        await policy.check(self.new)
        async for _ in self.new.scan(b"rk:*"):
            message = (
                "The Redis to move to holds keys of rekindle already: name an empty one, or "
                "another database."
            )
            raise Refused(message)

    async def _still(self, counts: dict[str, int]) -> list[Head | None]:
        """Return the heads; refuse while anything taken in is not folded and handed over."""
        count = counts.get(self.here.topic_prefix + topics.EVENTS, 0)
        heads = [await self.source.head(partition) for partition in range(count)]
        for partition, head in enumerate(heads):
            name = self.here.topic_prefix + topics.EVENTS
            bounds = await self.reader.bounds(name, partition)
            if bounds.end != (head.offset if head else bounds.begin):
                raise _not_still(f"{name}/{partition} is not folded to its end")
            await self._let_out(partition)
        await self._taken_in(counts)
        await self._handed_over(counts)
        return heads

    async def _let_out(self, partition: int) -> None:
        """Refuse while the outbox holds what its topic does not."""
        found = await self.old.call("XRANGE", keys_of(partition).outbox, "-", "+")
        waiting: dict[str, OutboxId] = {}
        for name, fields in found:
            offset, _, ordinal = name.partition(b"-")
            topic = self.here.topic_prefix + fields[b"topic"].decode()
            waiting[topic] = OutboxId(int(offset), int(ordinal))
        tails = await self.reader.tails(list(waiting), partition) if waiting else {}
        for topic, last in waiting.items():
            tail = tails[topic]
            if tail is None or tail < last:
                raise _not_still(f"partition {partition} has something to say to {topic}")

    async def _taken_in(self, counts: dict[str, int]) -> None:
        lanes = IntakeLanes(self.old)
        for topic in self._intake():
            for partition in range(counts.get(topic, 0)):
                bounds = await self.reader.bounds(topic, partition)
                state = await lanes.load(topic, partition)
                if bounds.end != (state.offset if state else bounds.begin):
                    raise _not_still(f"{topic}/{partition} is not taken in to its end")

    async def _handed_over(self, counts: dict[str, int]) -> None:
        prefix, claims = self.here.topic_prefix, RedisClaims(self.old)
        for channel in topics.CHANNELS:
            if self.here.gateway(channel).kind == "none":
                continue  # your own gateway reads the topic, and goes on reading it
            name = prefix + ACTIONS + channel
            offsets = await self._committed(name, counts.get(name, 0))
            for partition, offset in enumerate(offsets):
                bounds = await self.reader.bounds(name, partition)
                if bounds.end > bounds.begin and offset != bounds.end:
                    raise _not_still(f"{name}/{partition} is not handed over to its end")
                if await claims.begun(partition, channel):
                    raise _not_still(f"{name}/{partition} has a hand-over nobody answered")

    async def _committed(self, topic: str, count: int) -> list[int]:
        admin = await topics.connect(self.here)
        try:
            found = await admin.list_consumer_group_offsets(f"{self.here.topic_prefix}deliver")
        except KafkaError as error:
            message = f"Kafka did not tell what was handed over: {error!r}"
            raise Unavailable(message) from error
        finally:
            await admin.close()
        places = [TopicPartition(topic, partition) for partition in range(count)]
        return [found[at].offset if at in found else -1 for at in places]

    def _intake(self) -> list[str]:
        return [
            *[source.topic for source in self.here.sources],
            self.here.topic_prefix + topics.FEEDBACK,
        ]

    # --- copying --------------------------------------------------------------------------------

    async def _people(self, partition: int, head: Head) -> None:
        """Copy the users of one old partition to where the new count puts them."""
        wakes = await self._wakes(partition)
        users = sorted(await self._users(partition))
        self.users.update(users)
        for some in _runs(users):
            found = await self.source.load(partition, some, some)
            commits: dict[int, Commit] = {}
            for user, stored in found.items():
                if stored.profile is None:
                    continue
                to = topics.partition_of(user.encode(), self.partitions)
                commit = commits.setdefault(to, Commit(self.offsets[to], head))
                commit.profiles[user] = stored.profile
                if stored.addresses is not None:
                    commit.addresses[user] = stored.addresses
                if user in wakes:
                    commit.wakes[user] = wakes.pop(user)
                    self.wakes += 1
            for to, commit in commits.items():
                commit.head = replace(head, offset=self.offsets[to] + 1)
                await self._commit(to, commit)
        if wakes:
            message = (
                f"Partition {partition} holds wake-ups of people it does not know: rebuild it."
            )
            raise Refused(message)

    async def _commit(self, partition: int, commit: Commit) -> None:
        await self.target.commit(partition, _OWNER, commit)
        self.offsets[partition] = commit.head.offset

    async def _users(self, partition: int) -> set[str]:
        prefix = keys_of(partition).user("")
        return {key[len(prefix) :].decode() async for key in self.old.scan(prefix + b"*", prefix)}

    async def _wakes(self, partition: int) -> dict[str, int]:
        found = await self.old.call("ZRANGE", keys_of(partition).wakes, 0, -1, "WITHSCORES")
        return {user.decode(): int(at) for user, at in zip(found[::2], found[1::2], strict=True)}

    async def _places(self, counts: dict[str, int]) -> None:
        """Copy where intake stands in topics of the apps, which go on under their own names."""
        old, new = IntakeLanes(self.old), IntakeLanes(self.new)
        for topic in self._intake():
            await self.new.call("SET", generation(topic), await old.generation(topic))
            for partition in range(counts.get(topic, 0)):
                if (state := await old.load(topic, partition)) is not None:
                    await new.save(topic, partition, state)

    async def _log(self, settings: Settings) -> None:
        """Create the topics, with every artefact in them and what is in force named once more."""
        await topics.create(self.there, self.partitions)
        producer = Producer(self.there.kafka)
        try:
            async for record in self.reader.whole(self.here.topic_prefix + topics.ARTEFACTS):
                run = [Record(record.key, record.value)]
                await producer.run(self.there.topic_prefix + topics.ARTEFACTS, 0, run)
            begins = SettingsRecord(
                campaigns=settings.campaigns,
                templates=settings.templates,
                model=settings.model,
                origin=_ORIGIN,
            )
            await to_every_partition(producer, self.there, codec.write(begins))
        finally:
            await producer.stop()


def _joined(heads: Sequence[Head | None]) -> Head:
    """Return the head every new partition begins with: nothing taken in counts as new again."""
    used = [head for head in heads if head is not None]
    if not used:
        message = "There is nothing to move: no partition was ever worked on."
        raise Refused(message)
    if any(head.settings != used[0].settings for head in used) or len(used) < len(heads):
        message = (
            "Not every partition stands under the same settings: run rekindle apply again and let "
            "the workers take it, then stop them and move."
        )
        raise Refused(message)
    positions: dict[str, Position] = {}
    for head in used:
        for source, position in head.positions.items():
            known = positions.get(source)
            if known is None or _order(position) > _order(known):
                positions[source] = position
    return Head(0, 0, max(head.now for head in used), positions, used[0].settings)


def _order(position: Position) -> tuple[int, int, int]:
    return position.generation, position.offset, position.ordinal


def _not_still(what: str) -> Refused:
    return Refused(
        f"{what}: stop what publishes, let the workers finish, stop them, and move again."
    )


def _runs(users: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), _AT_ONCE):
        yield users[start : start + _AT_ONCE]


__all__ = ["Moved", "move"]
