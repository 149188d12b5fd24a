"""A stream in real time: from an event to its action, and how late a wake-up is.

Times are those of one machine: from the call that produces the causing event to the broker's
append time of the action (``actions.email`` is LogAppendTime). An event that is due at once is one
of a phone that was offline: it happened longer ago than the campaign's delay.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any, Final

from engine.actions import Action
from engine.actions import decode as decode_action
from engine.errors import Refused
from engine.times import SECOND, from_iso, iso
from streams.bench import workers
from streams.bench.ground import PARTITIONS, standing
from streams.bench.peers.rules import campaigns
from streams.bench.spread import spread
from streams.bench.stretch import cpu_of
from streams.bench.telling import Table, figure
from streams.log.producer import Producer, Record
from streams.log.reader import Reader
from streams.log.topics import ACTIONS, partition_of
from streams.settings import Deployment

RATES: Final = (100, 1_000, 5_000)
# A client library flushes about so often, seconds.
_STEP: Final = 0.01
_USERS: Final = 20_000
_DELAY: Final = "1s"
# How long ago what is due at once has happened, ms.
_OFFLINE: Final = 2 * SECOND
_SETTLES: Final = 3.0
_WARM: Final = 60.0
_ADDS: Final = 7  # one message in seven puts something into a cart


def measure(deployment: Deployment, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``latency_ms`` by events per second, ``lateness_ms`` and ``live_cores`` by rate."""
    return Live(deployment, 5 if quick else 15).run(say)


def tables(found: dict[str, Any]) -> list[Table]:
    """Return what :func:`measure` found as a table."""
    rows = [
        [f"event to action at {rate}/s", *_cells(told), figure(found["live_cores"][rate], digits=2)]
        for rate, told in (found["latency_ms"] or {}).items()
    ]
    rows.append(["lateness of wake-ups", *_cells(found["lateness_ms"]), ""])
    note = (
        "From the produce call of the event to the broker's append time of the action. cores: what "
        "the worker used meanwhile."
    )
    return [Table("Latency, ms", ("", "p50", "p99", "p99.9", "max", "cores"), rows, note)]


def _cells(told: dict[str, float] | None) -> list[str]:
    return [
        figure(told[name] if told else None, digits=0) for name in ("p50", "p99", "p999", "max")
    ]


class Live:
    """One run against one deployment, ``seconds`` at every rate."""

    def __init__(self, deployment: Deployment, seconds: int) -> None:
        """Nothing is touched before :meth:`run`."""
        self.deployment = deployment
        self.seconds = seconds

    def run(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Measure wake-ups at the calmest rate, then every rate with what is due at once."""
        file = campaigns(delay=_DELAY, hard_limit=_DELAY, settle="0s", cap="1s", limit=10)
        with (
            standing(self.deployment, file),
            workers.running(self.deployment, "intake,decide", clock="live") as (worker,),
        ):
            return asyncio.run(self._measure(worker, say))

    async def _measure(self, worker: workers.Process, say: Callable[[str], None]) -> dict[str, Any]:
        latency, cores = {}, {}
        async with shoppers(self.deployment) as shop:
            await shop.warm()
            say("live: wake-ups")
            caused = await shop.shop(RATES[0], self.seconds, offline=0)
            late = [at - due async for at, episode, due in shop.actions() if episode in caused]
            for rate in RATES:
                say(f"live: {rate:,} events a second")
                before, began = cpu_of(worker.pid), monotonic()
                caused = await shop.stream(rate, self.seconds, offline=_OFFLINE)
                cores[str(rate)] = round((cpu_of(worker.pid) - before) / (monotonic() - began), 2)
                await shop.settled()
                actions = [(at, caused[e]) async for at, e, _ in shop.actions() if e in caused]
                latency[str(rate)] = spread([at - produced for at, produced in actions])
        return {"latency_ms": latency, "lateness_ms": spread(late), "live_cores": cores}


@dataclass(slots=True)
class Shoppers:
    """People who all said yes to e-mail, and what came of what they did."""

    deployment: Deployment
    producer: Producer
    reader: Reader
    number: int = 0
    writing: set[asyncio.Task[None]] = field(default_factory=set)

    async def warm(self) -> None:
        """Make everybody known, and begin once the first action has come: ticks run then."""
        people = [identified(f"u{number}", int(time() * SECOND)) for number in range(_USERS)]
        await self.produce(people)
        end = monotonic() + _WARM
        while monotonic() < end:
            await self.shop(RATES[0], 1, offline=_OFFLINE)
            async for _ in self.actions():
                return
        message = f"No action came within {_WARM:.0f} s of the first event."
        raise Refused(message)

    async def shop(self, rate: int, seconds: int, *, offline: int) -> dict[str, float]:
        """Send ``rate`` events a second and wait for what comes of them; see :meth:`stream`."""
        caused = await self.stream(rate, seconds, offline=offline)
        await self.settled()
        return caused

    async def stream(self, rate: int, seconds: int, *, offline: int) -> dict[str, float]:
        """Send ``rate`` events a second; return when those that cause something were produced."""
        caused: dict[str, float] = {}
        began = monotonic()
        steps = round(seconds / _STEP)
        for step in range(steps):
            await asyncio.sleep(max(0.0, began + step * _STEP - monotonic()))
            count = round((step + 1) * rate * _STEP) - round(step * rate * _STEP)
            now = time() * SECOND
            batch = list(self._messages(count, int(now) - offline))
            caused |= {m["messageId"]: now for m in batch if m["event"] == "Product Added"}
            task = asyncio.create_task(self.produce(batch))
            self.writing.add(task)
            task.add_done_callback(self.writing.discard)
        await asyncio.gather(*self.writing)
        return caused

    async def settled(self) -> None:
        """Wait until no action has come for a while: a busy machine may be behind."""
        end = monotonic() + _WARM
        while monotonic() < end:
            before = await self.acted()
            await asyncio.sleep(_SETTLES)
            if await self.acted() == before:
                return

    async def acted(self) -> int:
        """Return how many actions there are."""
        name = f"{self.deployment.topic_prefix}{ACTIONS}email"
        return sum([(await self.reader.bounds(name, p)).end for p in range(PARTITIONS)])

    def _messages(self, count: int, at: int) -> Iterator[dict[str, Any]]:
        for _ in range(count):
            self.number += 1
            name = "Product Viewed" if self.number % _ADDS else "Product Added"
            # A step that shares no factor with their number: everybody has a turn.
            yield tracked(self.number, f"u{self.number * 7_919 % _USERS}", name, at)

    async def produce(self, messages: list[dict[str, Any]]) -> None:
        """Append messages, acknowledged; of one user in their order."""
        runs: dict[int, list[Record]] = {}
        for message in messages:
            key = message["userId"].encode()
            record = Record(key, json.dumps(message).encode())
            runs.setdefault(partition_of(key, PARTITIONS), []).append(record)
        topic = self.deployment.sources[0].topic
        await asyncio.gather(*[self.producer.run(topic, p, run) for p, run in runs.items()])

    async def actions(self) -> AsyncIterator[tuple[float, str, int]]:
        """Yield (append time, causing event, due time) of every action there is, ms."""
        name = f"{self.deployment.topic_prefix}{ACTIONS}email"
        async for record in self.reader.together({name: PARTITIONS}):
            action: Action = decode_action(record.value)
            yield record.timestamp, action.trigger.episode, from_iso(action.trigger.due_at)


@asynccontextmanager
async def shoppers(deployment: Deployment) -> AsyncIterator[Shoppers]:
    producer, reader = Producer(deployment.kafka), Reader(deployment.kafka)
    try:
        yield Shoppers(deployment, producer, reader)
    finally:
        await producer.stop()
        await reader.stop()


def identified(user: str, at: int) -> dict[str, Any]:
    """Return the message of somebody who gives her address and says yes."""
    return {
        "messageId": f"yes-{user}",
        "type": "identify",
        "userId": user,
        "timestamp": iso(at),
        "traits": {"email": f"{user}@example.com", "email_opt_in": True},
    }


def tracked(number: int, user: str, name: str, at: int) -> dict[str, Any]:
    """Return a message about one product."""
    product = {"product_id": f"p{number % 500}", "price": 99.0, "currency": "CNY", "quantity": 1}
    return {
        "messageId": f"live-{number}",
        "type": "track",
        "userId": user,
        "event": name,
        "timestamp": iso(at),
        "properties": {**product, "name": "Trail running shoe, men, blue", "category": "shoes"},
    }
