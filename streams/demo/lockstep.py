"""The shop as the clock: one simulated hour after the other, each wholly done before the next.

So a seed gives the same decisions at any speed of the machine, and the embedded broker, which keeps
5 MiB of a partition, never forgets what was not read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from heapq import heappop, heappush
from time import monotonic
from typing import Any, Final

import orjson
from aiokafka import ConsumerRecord

from engine.actions import Action
from engine.actions import decode as decode_action
from engine.errors import Unavailable
from engine.events import Tick
from engine.ports import OutboxId
from engine.times import from_iso, iso
from streams.demo.recorder import Place, Tape
from streams.demo.shop import Report, Shop
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.log.reader import POSITION
from streams.log.topics import ACTIONS, CHANNELS, DECISIONS, EVENTS, FEEDBACK, partition_of
from streams.settings import Deployment
from streams.sources.ticks import ORIGIN
from streams.state.connection import RedisConnection
from streams.state.keys import keys_of
from streams.state.lanes import IntakeLanes
from streams.state.store import RedisStore

_GLANCE: Final = 0.004
# A worker killed with -9 is back in its groups when its former self's session of 10 s is over.
_PATIENCE: Final = 60.0


class Lockstep:
    """Plays a shop against a running worker, hour by hour."""

    def __init__(self, deployment: Deployment, shop: Shop, check: Callable[[], None]) -> None:
        """``check`` raises when the worker has ended by itself."""
        self.shop = shop
        self.handed_over = 0
        self._deployment = deployment
        self._prefix = deployment.topic_prefix
        self._raw = deployment.sources[0].topic
        self._check = check
        self._producer = Producer(deployment.kafka)
        self._redis = RedisConnection(deployment.redis)
        self._store = RedisStore(self._redis)
        self._lanes = IntakeLanes(self._redis)
        self._partitions = 0
        self._later: list[tuple[int, str, Report]] = []
        self._waiting: dict[str, Action] = {}
        self._answers: dict[str, str] = {}
        self._taken: set[str] = set()
        self._seen: dict[Place, OutboxId] = {}

    async def start(self, tape: Tape) -> None:
        """Learn the partitions; ``tape`` must call :meth:`watch` with each record."""
        self._tape = tape
        self._partitions = await self._producer.partitions(self._prefix + EVENTS)
        await tape.start(self._producer)

    async def stop(self) -> None:
        """Close the connections."""
        await self._producer.stop()
        await self._redis.close()

    def watch(self, topic: str, record: ConsumerRecord) -> None:
        """Note what leaves the engine and what gateways answer."""
        if topic == FEEDBACK:
            told = orjson.loads(record.value)
            self._answers.setdefault(told["action_id"], told["type"])
        elif topic.startswith(ACTIONS):
            action = decode_action(record.value)
            if action.action_id not in self._taken:  # a repetition in the log is the same message
                self._waiting[action.action_id] = action
        if topic == DECISIONS or topic.startswith(ACTIONS):
            offset, _, ordinal = dict(record.headers)[POSITION].decode().partition(".")
            place = topic, record.partition
            at = OutboxId(int(offset), int(ordinal))
            self._seen[place] = max(at, self._seen.get(place, at))

    # --- one hour -------------------------------------------------------------------------------

    async def hour(self, now: int, after_tick: Callable[[], None] = lambda: None) -> None:
        """Play the hour up to ``now``; ``after_tick`` is called while its tick is being worked on.

        Raises Unavailable when the worker does not keep up.
        """
        told = [(one.key, one.message) for one in self.shop.hour(now)]
        await self._forwarded(await self._publish(self._raw, told))
        # outcomes go second: two topics would else be mixed as it happens
        await self._publish(self._prefix + FEEDBACK, self._reports_until(now))
        await self._feedback_forwarded()
        ticks = await self._tick(now)
        after_tick()
        await self._until(lambda: self._ticked(now), f"the tick of {iso(now)} was not committed")
        await self._left_the_outbox(ticks)
        await self._answered()
        self._react(now)

    async def settle(self) -> None:
        """Wait until everything that was told is folded and all that left is recorded."""
        await self._feedback_forwarded()
        topic = self._prefix + EVENTS
        await self._tape.catch_up(topic)

        async def folded() -> bool:
            heads = [await self._store.head(p) for p in range(self._partitions)]
            return all(
                head is not None and head.offset >= self._tape.place(topic, p)
                for p, head in enumerate(heads)
            )

        await self._until(folded, "the last events were not folded")
        await self._left_the_outbox([_LAST] * self._partitions)
        await self._tape.catch_up(self._prefix + DECISIONS)

    async def _publish(self, topic: str, told: Iterable[tuple[str, Any]]) -> dict[Place, int]:
        """Append messages, each to the partition of its key; returns the ends."""
        runs: dict[int, list[Record]] = {}
        for key, message in told:
            record = Record(key.encode(), orjson.dumps(message))
            runs.setdefault(partition_of(record.key or b"", self._partitions), []).append(record)
        ends = await asyncio.gather(
            *[self._producer.run(topic, partition, run) for partition, run in runs.items()]
        )
        return {(topic, p): end + 1 for p, end in zip(runs, ends, strict=True)}

    async def _forwarded(self, ends: Mapping[Place, int]) -> None:
        """Wait until intake has forwarded everything before these offsets."""

        async def all_there() -> bool:
            states = [await self._lanes.load(*place) for place in ends]
            return all(
                state is not None and state.offset >= end
                for state, end in zip(states, ends.values(), strict=True)
            )

        await self._until(all_there, "intake did not forward what the shop told")

    def _reports_until(self, now: int) -> list[tuple[str, Report]]:
        due = []
        while self._later and self._later[0][0] <= now:
            report = heappop(self._later)[2]
            due.append((report["user_id"], report))
        return due

    async def _feedback_forwarded(self) -> None:
        """Wait for our reports and for those of the deliver agent, which answered the last hour."""
        topic = self._prefix + FEEDBACK
        await self._tape.catch_up(topic)
        ends = {(topic, p): self._tape.place(topic, p) for p in range(self._partitions)}
        await self._forwarded({place: end for place, end in ends.items() if end})

    async def _tick(self, now: int) -> list[int]:
        """Append one tick to every partition; returns their offsets."""
        record = Record(None, codec.write(Tick(now=now, origin=ORIGIN)))
        topic = self._prefix + EVENTS
        writing = [self._producer.run(topic, p, [record]) for p in range(self._partitions)]
        return list(await asyncio.gather(*writing))

    async def _ticked(self, now: int) -> bool:
        for partition in range(self._partitions):
            head = await self._store.head(partition)
            if head is None or head.now < now:
                return False
        return True

    async def _left_the_outbox(self, ticks: Iterable[int]) -> None:
        """Wait until everything committed up to the ticks stands in its topic and was recorded.

        An entry that has left the stream was acknowledged; one still in it must be seen.
        """
        wanted: dict[Place, OutboxId] = {}
        for partition, offset in enumerate(ticks):
            entries = await self._redis.call(
                "XRANGE", keys_of(partition).outbox, "-", f"{offset}-18446744073709551615"
            )
            for name, fields in entries:
                ident = OutboxId(*map(int, name.split(b"-")))
                wanted[fields[b"topic"].decode(), partition] = ident

        async def written() -> bool:
            return all(self._seen.get(place, _NOTHING) >= at for place, at in wanted.items())

        await self._until(written, "what was committed did not reach its topic")
        await self._tape.catch_up(*[self._prefix + ACTIONS + channel for channel in CHANNELS])

    async def _answered(self) -> None:
        """Wait until the deliver agent has said of each action what became of it."""

        async def answered() -> bool:
            return self._waiting.keys() <= self._answers.keys()

        await self._until(answered, "deliver did not answer for every action")

    def _react(self, now: int) -> None:
        """Let shoppers take what was handed over, in an order that no speed changes."""
        for action_id, action in sorted(self._waiting.items()):
            if self._answers[action_id] == "accepted":
                self.handed_over += 1
                for report in self.shop.react(action, now):
                    at = from_iso(report["occurred_at"])
                    heappush(self._later, (at, report["feedback_id"], report))
        self._taken |= self._waiting.keys()
        self._waiting.clear()

    async def _until(self, reached: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        deadline = monotonic() + _PATIENCE
        while True:
            with suppress(Unavailable):
                if await reached():
                    return
            self._check()
            if monotonic() > deadline:
                message = f"After {_PATIENCE:.0f} s {otherwise}."
                raise Unavailable(message)
            await asyncio.sleep(_GLANCE)


_NOTHING: Final = OutboxId(-1, 0)
# The highest offset a stream id can carry.
_LAST: Final = 2**63 - 1

__all__ = ["Lockstep"]
