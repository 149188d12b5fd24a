"""The shop as the clock: one simulated hour after the other, each wholly done before the next.

So a seed gives the same decisions at any speed of the machine, and the embedded broker, which keeps
5 MiB of a partition, never forgets what was not read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path
from time import monotonic
from typing import Any, Final

import orjson

from engine.actions import Action
from engine.actions import decode as decode_action
from engine.errors import Unavailable
from engine.events import Tick
from engine.times import from_iso, iso
from streams.demo.answers import Answers
from streams.demo.goods import Stock
from streams.demo.recorder import Place, Tape
from streams.demo.shelves import Shelves
from streams.demo.shop import Report, Shop
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.log.topics import ACTIONS, CHANNELS, DECISIONS, EVENTS, FEEDBACK, partition_of
from streams.settings import Deployment
from streams.sources.ticks import ORIGIN
from streams.state.connection import RedisConnection
from streams.state.keys import keys_of
from streams.state.lanes import IntakeLanes
from streams.state.store import RedisStore

# s between two looks; one question at a time, because each costs CPU that the worker needs.
_GLANCE: Final = 0.003
_HER_WORD: Final = frozenset({"unsubscribed", "complained", "bounced"})
# A worker killed with -9 is back in its groups when its former self's session of 10 s is over.
_PATIENCE: Final = 60.0


class Lockstep:
    """Plays a shop against a running worker, hour by hour."""

    def __init__(self, deployment: Deployment, shop: Shop, check: Callable[[], None]) -> None:
        """``check`` raises when the worker has ended by itself.

        ``handed_over`` counts messages; ``happened`` says in words what happened last.
        """
        self.shop = shop
        self.handed_over = 0
        self.happened = ""
        self._deployment = deployment
        self._prefix = deployment.topic_prefix
        self._raw = deployment.sources[0].topic
        self._check = check
        self._producer = Producer(deployment.kafka)
        self._shelves = Shelves(deployment, Stock(shop.chance), self._producer)
        self._redis = RedisConnection(deployment.redis)
        self._store = RedisStore(self._redis)
        self._lanes = IntakeLanes(self._redis)
        self._answers = Answers(deployment.kafka, self._prefix + FEEDBACK)
        self._partitions = 0
        self._later: list[tuple[int, str, Report]] = []
        self._recorded: list[bytes] = []
        self._taken: set[str] = set()

    async def start(self, tape: Tape) -> None:
        """Learn the partitions, and let ``tape`` record everything; it tells :meth:`watch`."""
        self._tape = tape
        self._partitions = await self._producer.partitions(self._prefix + EVENTS)
        await self._answers.start(await self._producer.partitions(self._answers.topic))
        await tape.start(self._producer)

    async def stop(self) -> None:
        """Close the connections."""
        await self._answers.stop()
        await self._producer.stop()
        await self._redis.close()

    def watch(self, topic: str, value: bytes) -> None:
        """Note what the tape has recorded."""
        if topic.startswith(ACTIONS):
            self._recorded.append(value)

    # --- one hour -------------------------------------------------------------------------------

    async def hour(self, now: int, after_tick: Callable[[], None] = lambda: None) -> None:
        """Play the hour up to ``now``; ``after_tick`` is called while its tick is being worked on.

        Raises Unavailable when the worker does not keep up. What shoppers did and what gateways
        report of the same hour may mix in the log as it happens; only reports that speak for a
        person go first, because an opt-out before or after a delivery ends another due time.
        """
        await self._shelves.tell(now)
        told = [(one.key, one.message) for one in self.shop.hour(now)]
        reports = self._reports_until(now)
        words = [one for one in reports if one[1]["type"] in _HER_WORD]
        if words:
            await self._forwarded(await self._publish(self._answers.topic, words))
        others = [one for one in reports if one[1]["type"] not in _HER_WORD]
        behaviour, outcomes = await asyncio.gather(
            self._publish(self._raw, told), self._publish(self._answers.topic, others)
        )
        await self._forwarded({**behaviour, **self._answers.ends, **outcomes})
        ticks = await self._tick(now)
        after_tick()
        await self._folded(ticks, f"the tick of {iso(now)} was not committed")
        self._react(now, await self._answered(await self._decided(ticks)))

    async def settle(self, now: int) -> None:
        """Wait until everything told until ``now`` is folded and all that left is recorded.

        Two ticks more: a lane takes no record before all that came of earlier ones has left.
        """
        await self._forwarded(self._answers.ends)
        for _ in range(2):
            ticks = await self._tick(now)
            await self._folded(ticks, "the last ticks were not committed")
            self._react(now, await self._answered(await self._decided(ticks)))
        await self._tape.catch_up(
            *[self._prefix + name for name in (EVENTS, DECISIONS, FEEDBACK)],
            *[self._prefix + ACTIONS + channel for channel in CHANNELS],
        )

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
        for place, end in ends.items():

            async def forwarded(place: Place = place, end: int = end) -> bool:
                state = await self._lanes.load(*place)
                return state is not None and state.offset >= end

            await self._until(forwarded, "intake did not forward what the shop told")

    def _reports_until(self, now: int) -> list[tuple[str, Report]]:
        due = []
        while self._later and self._later[0][0] <= now:
            report = heappop(self._later)[2]
            due.append((report["user_id"], report))
        return due

    async def _tick(self, now: int) -> list[int]:
        """Append one tick to every partition; returns their offsets."""
        record = Record(None, codec.write(Tick(now=now, origin=ORIGIN)))
        topic = self._prefix + EVENTS
        writing = [self._producer.run(topic, p, [record]) for p in range(self._partitions)]
        return list(await asyncio.gather(*writing))

    async def _folded(self, offsets: Sequence[int], otherwise: str) -> None:
        """Wait until these records, one per partition of ``events``, are committed."""
        for partition, offset in enumerate(offsets):

            async def folded(partition: int = partition, offset: int = offset) -> bool:
                head = await self._store.head(partition)
                return head is not None and head.offset > offset

            await self._until(folded, otherwise)

    async def _decided(self, ticks: Iterable[int]) -> list[Action]:
        """Return the actions of these ticks, each once.

        The commit of a tick leaves them in the outbox; they are trimmed by the next commit, and
        until then nothing is missing. Where an early answer has led to a next commit, they stand in
        their topics, and the tape is asked.
        """
        left: list[bytes] = []
        moved_on = False
        for partition, offset in enumerate(ticks):
            entries = await self._redis.call(
                "XRANGE", keys_of(partition).outbox, str(offset), str(offset)
            )
            told = [fields for _, fields in entries]
            left += [f[b"value"] for f in told if f[b"topic"].decode().startswith(ACTIONS)]
            head = await self._store.head(partition)  # after the entries, or it says nothing
            moved_on = moved_on or head is None or head.offset > offset + 1
        if moved_on:
            await self._tape.catch_up(*[self._prefix + ACTIONS + channel for channel in CHANNELS])
        actions = {one.action_id: one for one in map(decode_action, [*left, *self._recorded])}
        self._recorded.clear()
        fresh = [action for ident, action in actions.items() if ident not in self._taken]
        self._taken.update(action.action_id for action in fresh)
        return fresh

    async def _answered(self, actions: list[Action]) -> list[Action]:
        """Wait until the deliver agent has answered for each; returns those that reached her."""
        wanted = {action.action_id for action in actions}

        async def answered() -> bool:
            await self._answers.read()
            return wanted <= self._answers.first.keys()

        if wanted:
            await self._until(answered, "deliver did not answer for every action")
        return [one for one in actions if self._reached_her(one)]

    def _reached_her(self, action: Action) -> bool:
        """Return whether the gateway has it: what was in flight at a kill, only its file knows."""
        answer = self._answers.first[action.action_id]
        if answer != "unknown":
            return answer == "accepted"
        file = Path(self._deployment.gateway(action.channel).target)
        return action.action_id.encode() in file.read_bytes()

    def _react(self, now: int, handed_over: list[Action]) -> None:
        """Let shoppers take what was handed over, in an order that no speed changes."""
        for action in sorted(handed_over, key=lambda one: one.action_id):
            self.handed_over += 1
            self.happened = f"{self.handed_over:,} sent: {action.channel} to {action.user_id}"
            for report in self.shop.react(action, now):
                at = from_iso(report["occurred_at"])
                heappush(self._later, (at, report["feedback_id"], report))

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


__all__ = ["Lockstep"]
