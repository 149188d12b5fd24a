"""Harm that an operator must mend: what it destroys, who must say so, and what is to be done then.

A harm strikes once, while all else goes on going wrong. Whoever looks after the shop reads what
``/readyz`` would say, and does what docs/operations.md says beside that sentence.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from aiokafka import ConsumerRecord

from engine.events import Position
from streams.log import codec
from streams.log.source import halted
from streams.state import keys
from streams.state.lanes import IntakeLanes
from tests.faults.simulation.redis_model import ModelConnection
from tests.faults.simulation.shop import EVENTS, OUTPUTS, RAW, Shop

# How long an operator waits for the last words of what he stopped, s: a request may be late by the
# patience of its sender, and more.
_SETTLED: Final = 4.5
_LOOK: Final = 0.3
_LITTLE: Final = 3
_LATEST: Final = 2.0
_OF_SOURCES: Final = ("source anew", "source cut", "reset forgotten")


@dataclass
class Destroyed:
    """What a harm took from a partition: from ``offset``, the first nobody had read, on.

    ``told``: whether anybody can know, and must say so.
    """

    topic: str
    partition: int
    told: bool = True
    records: list[ConsumerRecord] = field(default_factory=list)


class Harm:
    """Strikes once; ``name`` is one of :data:`HARMS`."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.shop = shop
        self.name = name
        self.random = Random(f"harm-{shop.plan.seed}")

    async def strike(self) -> None:
        """Wait for the moment, and do it."""
        lanes = range(self.shop.plan.raw_partitions) if self.name in _OF_SOURCES else ()
        # A Redis that falls back to before intake stood anywhere does not know the former topic.
        while not all(_stood(self.shop, RAW, partition) for partition in lanes):
            if self.shop.loop.time() > _LATEST:
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(2.6 + self.random.random() * 2.0)
        for _ in range(10):
            if all(self._known(partition) for partition in lanes):
                break
            await asyncio.sleep(2.6)
        else:  # a Redis that fell back hears nothing more of a lane that is idle
            self.shop.counts["harm that nobody could have noticed"] += 1
            return
        self.shop.counts[f"harm: {self.name}"] += 1
        await _STRIKES[self.name](self)

    def _known(self, partition: int) -> bool:
        """Return whether Redis knows all that was read of a source: else nobody misses it."""
        read = [at.offset for at in self._read() if (at.source, at.partition) == (RAW, partition)]
        return _stood(self.shop, RAW, partition) > max(read, default=-1)

    # --- Redis ----------------------------------------------------------------------------------

    async def redis_full(self) -> None:
        """Redis takes no writes for some seconds, or now and then; then it has memory again."""
        shop = self.shop
        for _ in range(self.random.choice((0, 20))):  # others come and go in the same memory
            shop.database.full = True
            await asyncio.sleep(self.random.random() * 0.2)
            shop.database.full = False
            await asyncio.sleep(self.random.random() * 0.4)
        began = len(shop.log(EVENTS))
        shop.database.full = True
        shop.full_from = {p: place.end for p, place in enumerate(shop.broker.topics[EVENTS])}
        await asyncio.sleep(3.0 + self.random.random() * 5.0)
        shop.database.full = False
        shop.full_to = {p: place.end for p, place in enumerate(shop.broker.topics[EVENTS])}
        shop.counts["written while Redis was full"] += len(shop.log(EVENTS)) - began

    async def reset_forgotten(self) -> None:
        """A source topic is made anew, reset or not; then Redis is lost.

        Not reset, it is known by being shorter than what was read of the former one: so nobody
        writes more than a little into it before somebody has acted.
        """
        shop, places = self.shop, self.shop.broker.topics[RAW]
        reset = self.random.random() < 0.5 or min(place.end for place in places) <= _LITTLE
        if not reset:
            shop.most = _LITTLE
        await self.source_anew()
        if reset:
            await self._reset_and_read()
        await asyncio.sleep(self.random.random() * 4.0)
        if shop.resets and not reset:  # somebody was quicker; the new topic may be long by now
            await self._reset_and_read()
        if not reset:  # where intake stood goes with Redis
            shop.must_say.clear()
            for each in shop.destroyed:
                each.told = False
        shop.redis.fall()
        shop.database.keys.clear()
        shop.database.undo.clear()
        shop.counts["Redis lost"] += 1
        await asyncio.sleep(self.random.random())
        shop.redis.rise()

    async def _reset_and_read(self) -> None:
        """Wait until the new generation is known to more than Redis: to the one log."""
        for _ in range(120):  # nobody says anything where nothing had been read
            if self.shop.resets and self._read_anew():
                break
            await asyncio.sleep(0.5)

    def _read_anew(self) -> bool:
        """Return whether anything of another generation reached the one log."""
        return any(position.generation for position in self._read())

    def _read(self) -> list[Position]:
        """Return the source positions of what is in the one log."""
        read: list[Any] = [codec.read(record.value or b"") for record in self.shop.log(EVENTS)]
        return [event.source for event in read if getattr(event, "source", None) is not None]

    # --- topics ---------------------------------------------------------------------------------

    async def source_anew(self) -> None:
        """The topic of the apps is deleted and made anew, under the workers or without them."""
        shop = self.shop
        async with _Down(shop, sometimes=self.random):
            for partition, place in enumerate(shop.broker.topics[RAW]):
                stood = _stood(shop, RAW, partition)
                unread = [record for record in place.whole if record.offset >= stood]
                shop.destroyed.append(Destroyed(RAW, partition, bool(stood), unread))
                if stood:
                    shop.must_say.add(f"{RAW}/")
            await self._anew(RAW)
            shop.life += 1

    async def source_cut(self) -> None:
        """Retention takes records of the apps before they were read."""
        shop = self.shop
        async with _Down(shop, sometimes=self.random):
            partition = self.random.randrange(shop.plan.raw_partitions)
            place, stood = shop.broker.at(RAW, partition), _stood(shop, RAW, partition)
            if not stood:
                return
            begin = max(place.begin, place.end - self.random.randrange(3))
            unread = [record for record in place.whole if stood <= record.offset < begin]
            shop.destroyed.append(Destroyed(RAW, partition, records=unread))
            shop.broker.cut(RAW, partition, begin)

    async def log_anew(self) -> None:
        """Somebody deletes the one log, and makes it anew.

        Two things nothing that is kept could tell (docs/operations.md says so): that of a partition
        of which nothing was committed yet, and that of a lane that was at work all the time and
        whose place the new log has outgrown before it read on.
        """
        shop = self.shop
        async with _Down(shop, sometimes=self.random):
            stood = [int(shop.meta(p).get(b"o", b"0")) for p in range(shop.plan.partitions)]
            if not all(stood):
                return
            shop.must_say.add("re-created")
            for partition, place in enumerate(shop.broker.topics[EVENTS]):
                shop.former[partition] = place.whole
                shop.formerly[partition] = shop.meta(partition).get(b"token", b"")
            await self._anew(EVENTS)

    async def log_cut(self) -> None:
        """Retention takes records of the one log before they were folded."""
        shop = self.shop
        partition = self.random.randrange(shop.plan.partitions)
        async with _Down(shop, sometimes=self.random):
            shop.settings()
            place = shop.broker.at(EVENTS, partition)
            if not shop.meta(partition).get(b"o"):
                return
            shop.broker.cut(EVENTS, partition, place.end)
            shop.must_say.add(f"{EVENTS}/{partition}")

    async def _anew(self, topic: str) -> None:
        shop = self.shop
        count = len(shop.broker.delete(topic))
        await asyncio.sleep(self.random.choice((0.05, 0.7, 2.0)))
        shop.broker.create(topic, count)


class _Down:
    """All workers are down meanwhile, every second time; people go on buying."""

    def __init__(self, shop: Shop, *, sometimes: Random) -> None:
        self.shop = shop
        self.down = sometimes.random() < 0.5
        self.before = sometimes.random() * 2.0

    async def __aenter__(self) -> None:
        if self.down:
            self.shop.close()
            await asyncio.sleep(self.before)

    async def __aexit__(self, *_: object) -> None:
        if self.down:
            await asyncio.sleep(0.2)
            self.shop.open()


def _stood(shop: Shop, topic: str, partition: int) -> int:
    """Return the offset at which an intake lane stands."""
    lane = shop.database.hash(keys.lane(topic, partition).encode())
    return int(lane.get(b"o", b"0"))


class Operator:
    """Reads what halted lanes say, and does what docs/operations.md says beside it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.random = Random(f"operator-{shop.plan.seed}")

    async def watch(self) -> None:
        """Look after the shop until it closes."""
        while True:
            await asyncio.sleep(_LOOK)
            if self.shop.shut:
                continue
            for sentence in self._said():
                self.shop.told.add(sentence)
                if await self._mended(sentence):
                    break

    def _said(self) -> Iterator[str]:
        for worker in self.shop.workers:
            if worker.running:
                yield from halted(worker.sources.values())

    async def _mended(self, sentence: str) -> bool:
        """Do what a sentence asks for; False = it asks for nothing yet."""
        for mark, mend in _MENDS:
            if mark in sentence:
                await asyncio.sleep(self.random.random())
                self.shop.counts[f"operator: {mend.__name__.strip('_')}"] += 1
                await mend(self, sentence)
                return True
        return False

    # --- docs/operations.md ---------------------------------------------------------------------

    async def _reset(self, sentence: str) -> None:
        """``rekindle sources reset``, and workers restarted."""
        shop = self.shop
        topic = sentence.partition("sources reset ")[2].split()[0].rstrip(",")
        newer = sentence.partition("until it says ")[2].partition(",")[0]
        while True:
            said = await IntakeLanes(ModelConnection(shop.database)).reset(topic)
            if not newer or said >= int(newer):
                break
        shop.resets += 1
        await self._restart()

    async def _go_on(self, sentence: str) -> None:
        """Take away where the lane of intake stood; it goes on by itself."""
        self.shop.database.do_del(sentence.rpartition(" ")[2])
        await asyncio.sleep(3.0)

    async def _rebuild(self, sentence: str) -> None:
        """Empty the keys of one partition and let it be built anew; settings applied again."""
        shop = self.shop
        partition = int(sentence.partition("/")[2].partition(":")[0])
        shop.close()
        await asyncio.sleep(_SETTLED)
        shop.reborn(partition)
        shop.database.unlink(b"rk:{%d}:" % partition)
        shop.settings()
        shop.open()

    async def _begin_anew(self, _: str) -> None:
        """Everything that came of the log goes with it."""
        shop = self.shop
        shop.close()
        await asyncio.sleep(_SETTLED)
        for topic in (EVENTS, *OUTPUTS):
            shop.broker.delete(topic)
        shop.database.unlink(b"rk:")
        for topic in (EVENTS, *OUTPUTS):
            shop.broker.create(topic, shop.plan.partitions)
        shop.begin_anew()
        shop.settings()
        shop.open()

    async def _another_log(self, sentence: str) -> None:
        """One sentence for both: retention took what lies before the first it holds."""
        words = sentence.split()
        stood = int(words[words.index("offset") + 1])
        begin = int(words[words.index("holds") + 1])
        await (self._rebuild if stood < begin else self._begin_anew)(sentence)

    async def _restart(self) -> None:
        self.shop.close()
        await asyncio.sleep(0.5)
        self.shop.open()


Mend = Callable[[Operator, str], Coroutine[Any, Any, None]]
# Words of a sentence, and what they ask for; the first that fits.
_MENDS: Final[tuple[tuple[str, Mend], ...]] = (
    ("run: redis-cli del ", Operator._go_on),
    ("rekindle sources reset ", Operator._reset),
    ("was never folded: retention removed", Operator._rebuild),
    ("was re-created or lost records to retention", Operator._another_log),
    ("the topic was re-created", Operator._begin_anew),
    ("it was re-created; create the topics of decisions", Operator._begin_anew),
)
_STRIKES: Final[dict[str, Callable[[Harm], Coroutine[Any, Any, None]]]] = {
    "redis full": Harm.redis_full,
    "reset forgotten": Harm.reset_forgotten,
    "source anew": Harm.source_anew,
    "source cut": Harm.source_cut,
    "log anew": Harm.log_anew,
    "log cut": Harm.log_cut,
}
HARMS: Final = tuple(_STRIKES)

__all__ = ["HARMS", "Destroyed", "Harm", "Operator"]
