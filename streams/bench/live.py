"""A calm stream in real time: how long a record takes to its decision, how late a reminder is."""

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from time import monotonic, time
from typing import Any

from aiokafka import ConsumerRecord

from engine.decisions import Decision
from engine.decisions import decode as decode_decision
from engine.times import SECOND, from_iso, iso
from rules import campaigns
from streams.bench.whole_job import PARTITIONS, clean, prepare, start
from streams.log.producer import Producer, Record
from streams.log.reader import Reader
from streams.log.topics import DECISIONS, RAW, partition_of
from streams.settings import Deployment

# A cart every 20 ms; every second shopper buys half a second later, which ends her trigger at once.
_STEP = 0.02
_BUYS_AFTER = 0.5
_SETTLE = 3.0


class Live:
    """One run against one deployment, ``seconds`` long."""

    def __init__(self, deployment: Deployment, seconds: int) -> None:
        """Nothing is touched before :meth:`run`."""
        self.deployment = deployment
        self.seconds = seconds

    def run(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Return ``latency_ms`` (raw record to its closing decision) and ``lateness_ms``."""
        say("live: latency and lateness")
        asyncio.run(prepare(self.deployment, _file()))
        worker = start(self.deployment, "intake,decide", clock="live")
        try:
            return asyncio.run(self._measure())
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait()
            asyncio.run(clean(self.deployment))

    async def _measure(self) -> dict[str, Any]:
        producer, reader = Producer(self.deployment.kafka), Reader(self.deployment.kafka)
        await self._wait_for_ticks(producer, reader)
        await self._shop(producer)
        await asyncio.sleep(_SETTLE)
        raw = await self._read(reader, RAW)
        decided = await self._read(reader, DECISIONS)
        await producer.stop()
        await reader.stop()
        latency, lateness = _times(raw, decided)
        return {"latency_ms": _spread(latency), "lateness_ms": _spread(lateness)}

    async def _wait_for_ticks(self, producer: Producer, reader: Reader) -> None:
        """Begin once the first reminder was decided: workers and ticks are running then."""
        await self._publish(producer, "warm", "Product Added")
        deadline = monotonic() + 60
        while monotonic() < deadline:
            if await self._read(reader, DECISIONS):
                return
            await asyncio.sleep(0.2)

    async def _shop(self, producer: Producer) -> None:
        buying: list[tuple[float, str]] = []
        began = monotonic()
        number = 0
        while monotonic() - began < self.seconds:
            user = f"live-{number}"
            await self._publish(producer, user, "Product Added")
            if number % 2:
                buying.append((monotonic() + _BUYS_AFTER, user))
            while buying and buying[0][0] <= monotonic():
                await self._publish(producer, buying.pop(0)[1], "Order Completed")
            number += 1
            await asyncio.sleep(_STEP)

    async def _publish(self, producer: Producer, user: str, name: str) -> None:
        product = {"product_id": "p1", "price": 99, "currency": "CNY", "quantity": 1}
        message = {
            "messageId": f"{user}-{name}",
            "type": "track",
            "userId": user,
            "event": name,
            "timestamp": iso(int(time() * SECOND)),
            "properties": {**product, "order_id": f"o-{user}", "products": [product]},
        }
        key = user.encode()
        record = Record(key, json.dumps(message).encode())
        await producer.run(
            self.deployment.topic_prefix + RAW, partition_of(key, PARTITIONS), [record]
        )

    async def _read(self, reader: Reader, topic: str) -> list[ConsumerRecord]:
        name = self.deployment.topic_prefix + topic
        return [
            record
            for partition in range(PARTITIONS)
            async for record in reader.whole(name, partition)
        ]


def _file() -> bytes:
    """Return the shipped file with a reminder after two seconds and no quiet hours."""
    text = campaigns.shipped().decode().replace('settle = "2m"', 'settle = "1s"')
    text = text.replace('from = "21:00"', 'from = "00:00"').replace('to = "08:00"', 'to = "00:00"')
    return text.replace('delay = "1h"', 'delay = "2s"', 1).encode()


def _times(
    raw: list[ConsumerRecord], decided: list[ConsumerRecord]
) -> tuple[list[float], list[float]]:
    """Return (raw record to its closing decision, decision after due), both in ms."""
    bought = {record.key: record.timestamp for record in raw if b"Order Completed" in record.value}
    latency, lateness = [], []
    for record in decided:
        decision: Decision = decode_decision(record.value)
        if decision.reason == "converted" and record.key in bought:
            latency.append(float(record.timestamp - bought[record.key]))
        elif decision.outcome != "disarm" and record.key != b"warm":
            lateness.append(float(record.timestamp - from_iso(decision.trigger.due_at)))
    return latency, lateness


def _spread(values: list[float]) -> Mapping[str, float] | None:
    if not values:
        return None
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[int(len(ordered) * 0.99)],
        "max": ordered[-1],
    }
