"""The whole job under a back-log: events per second, CPU per event, bytes per user, restart.

Everything is measured in one run on one machine, against the Kafka and Redis of the settings, in
topics and under keys that are removed afterwards. Figures of two machines do not compare.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import monotonic, sleep, time
from typing import Any

import redis
from aiokafka import AIOKafkaConsumer, TopicPartition

from engine.errors import Refused
from engine.events import Tick
from engine.times import HOUR, MINUTE, SECOND, iso
from rules import campaigns, templates
from streams import control
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.log.topics import EVENTS, RAW, connect, create, expected, partition_of
from streams.settings import Deployment
from streams.state.keys import keys_of

PARTITIONS = 8
_GAP = 5  # ms of shop time between two events
_DEADLINE = 600.0
_PORT = 6967
_SAMPLE = 2_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """One measured stretch of work: wall seconds, CPU seconds of the worker and of Redis."""

    records: int
    seconds: float
    worker_cpu: float
    redis_cpu: float

    def as_json(self) -> dict[str, float]:
        """Return rates and costs, rounded to what they are worth."""
        return {
            "records": self.records,
            "events_per_second": round(self.records / self.seconds),
            "events_per_cpu_second": round(self.records / (self.worker_cpu + self.redis_cpu)),
            "worker_us_per_event": round(self.worker_cpu / self.records * 1e6, 1),
            "redis_us_per_event": round(self.redis_cpu / self.records * 1e6, 1),
        }


def messages(count: int, users: int, start: int, seed: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (time, Segment message): 72 % views, 18 % adds, 5 % orders, 5 % identifies."""
    at = start
    for number in range(count):
        at += _GAP
        lot = sha256(b"%d.%d" % (seed, number)).digest()
        who, what, kind = (int.from_bytes(lot[i : i + 4], "big") / 2**32 for i in (0, 4, 8))
        # Half of the events come from a tenth of the users, as in shops.
        user = f"u{int(who * 2 * users / 10 if who < 0.5 else who * users)}"
        product = {
            "product_id": f"p{int(what * 5000)}",
            "name": "Trail running shoe, men, blue",
            "price": round(20 + what * 300, 2),
            "currency": "CNY",
            "quantity": 1,
            "category": "shoes/running",
        }
        yield at, _message(kind, number, user, at, product)


def _message(
    kind: float, number: int, user: str, at: int, product: dict[str, Any]
) -> dict[str, Any]:
    common = {
        "messageId": f"bench-{number}",
        "userId": user,
        "timestamp": iso(at),
        "context": {"library": {"name": "analytics-node", "version": "3.1.0"}, "locale": "zh-CN"},
    }
    if kind >= 0.95:
        traits = {"email": f"{user}@example.com", "email_opt_in": True, "timezone": "Asia/Shanghai"}
        return common | {"type": "identify", "traits": traits}
    if kind >= 0.9:
        order = {"order_id": f"o{number}", "total": product["price"], "products": [product]}
        return common | {"type": "track", "event": "Order Completed", "properties": order}
    name = "Product Viewed" if kind < 0.72 else "Product Added"
    return common | {"type": "track", "event": name, "properties": product}


class WholeJob:
    """One run against one deployment."""

    def __init__(self, deployment: Deployment, events: int, users: int) -> None:
        """``events`` raw messages of ``users`` users."""
        self.deployment = deployment
        self.events = events
        self.users = users
        self.redis = redis.Redis.from_url(deployment.redis)
        self.start = int(time() * SECOND) - 2 * HOUR

    def run(self, say: Any) -> dict[str, Any]:
        """Measure everything and return it as JSON."""
        asyncio.run(self._prepare())
        try:
            say("loading")
            asyncio.run(self._load())
            say("intake: raw messages to events")
            intake = self._stretch("intake", self.events, self._forwarded)
            say("decide: events to decisions and actions")
            asyncio.run(self._ticks())
            decide = self._stretch("decide", asyncio.run(self._end(EVENTS)), self._folded)
            say("restart after kill -9")
            restart = self._restart()
            sizes = self._sizes()
        finally:
            asyncio.run(clean(self.deployment))
        both = Stretch(
            self.events,
            intake.seconds + decide.seconds,
            intake.worker_cpu + decide.worker_cpu,
            intake.redis_cpu + decide.redis_cpu,
        )
        return {
            "whole_job": both.as_json(),
            "intake": intake.as_json(),
            "decide": decide.as_json(),
            "bytes_per_user": sizes,
            "restart_seconds": restart,
        }

    # --- preparing ------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        text = campaigns.shipped().replace(b'mode = "dry_run"', b'mode = "live"')
        await prepare(self.deployment, text)

    async def _load(self) -> None:
        producer, runs = Producer(self.deployment.kafka), _runs()
        for _, message in messages(self.events, self.users, self.start, 7):
            key = str(message["userId"]).encode()
            value = json.dumps(message).encode()
            runs[partition_of(key, PARTITIONS)].append(Record(key, value))
        topic = self.deployment.topic_prefix + RAW
        await asyncio.gather(*[producer.run(topic, p, run) for p, run in runs.items()])
        await producer.stop()

    async def _ticks(self) -> None:
        """Let two hours of shop time pass, so that carts come due: loader ticks at the end."""
        producer = Producer(self.deployment.kafka)
        end = self.start + self.events * _GAP
        for at in range(end, end + 2 * HOUR, 10 * MINUTE):
            value = codec.write(Tick(now=at, origin="bench"))
            await control.to_every_partition(producer, self.deployment, value)
        await producer.stop()

    # --- measuring ------------------------------------------------------------------------------

    def _stretch(self, only: str, records: int, done: Any) -> Stretch:
        """Run one agent until ``done`` reaches ``records``; the clock starts with the first."""
        worker = start(self.deployment, only, clock="source")
        try:
            first = _wait(done, 1, worker)
            began, cpu, before = monotonic(), _cpu(worker.pid), self._redis_cpu()
            _wait(done, records, worker)
            return Stretch(
                records - first,
                monotonic() - began,
                _cpu(worker.pid) - cpu,
                self._redis_cpu() - before,
            )
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait()

    def _forwarded(self) -> int:
        return asyncio.run(self._end(EVENTS)) - PARTITIONS

    def _folded(self) -> int:
        found = [self.redis.hget(keys_of(p).meta, "o") for p in range(PARTITIONS)]
        return sum(int(offset or 0) for offset in found)

    async def _end(self, topic: str) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.deployment.kafka)
        await consumer.start()
        name = self.deployment.topic_prefix + topic
        ends = await consumer.end_offsets([TopicPartition(name, p) for p in range(PARTITIONS)])
        await consumer.stop()
        return sum(ends.values())

    def _redis_cpu(self) -> float:
        used: Mapping[str, Any] = self.redis.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

    def _restart(self) -> float:
        """Kill the decide agent with -9, append ticks; time from its start until all are folded."""
        worker = start(self.deployment, "decide", clock="source")
        sleep(3)
        worker.kill()
        worker.wait()
        asyncio.run(self._ticks())
        wanted = asyncio.run(self._end(EVENTS))
        began = monotonic()
        worker = start(self.deployment, "decide", clock="source")
        try:
            _wait(self._folded, wanted, worker)
            return round(monotonic() - began, 2)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait()

    def _sizes(self) -> dict[str, float]:
        """Return packed bytes and Redis bytes per profile over a sample of users."""
        packed, used = [], []
        for key in _sample(self.redis.scan_iter("rk:*:u:*", count=1000)):
            packed.append(int(self.redis.strlen(key)))
            used.append(int(self.redis.memory_usage(key) or 0))
        packed.sort()
        return {
            "median": median(packed),
            "p99": packed[int(len(packed) * 0.99)],
            "in_redis_median": median(used),
        }


def _sample(keys: Iterable[bytes]) -> Iterator[bytes]:
    for number, key in enumerate(keys):
        if number >= _SAMPLE:
            return
        yield key


def _runs() -> dict[int, list[Record]]:
    return {partition: [] for partition in range(PARTITIONS)}


def _wait(done: Any, wanted: int, worker: "subprocess.Popen[bytes]") -> int:
    deadline = monotonic() + _DEADLINE
    while monotonic() < deadline:
        reached: int = done()
        if reached >= wanted:
            return reached
        if worker.poll() is not None:
            message = "The worker of the bench ended: its own messages stand above."
            raise Refused(message)
        sleep(0.05)
    message = f"The bench waited {_DEADLINE:.0f} s for {wanted} records."
    raise Refused(message)


def _cpu(pid: int) -> float:
    """Return user + system seconds of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def prepare(deployment: Deployment, file: bytes) -> None:
    """Create topics and put a campaigns file in force; refuses a Redis that is in use."""
    client = redis.Redis.from_url(deployment.redis)
    if client.exists(*[keys_of(partition).meta for partition in range(PARTITIONS)]):
        message = (
            "This Redis already holds rekindle's partitions: name an empty one in "
            "REKINDLE_REDIS for the bench (a database of its own: redis://host/9)."
        )
        raise Refused(message)
    await create(deployment, PARTITIONS, 1)
    await control.apply(deployment, campaigns=file, templates=templates.artefact())


async def clean(deployment: Deployment) -> None:
    """Take the topics and all keys of the bench away."""
    admin = await connect(deployment)
    prefix = deployment.topic_prefix
    await admin.delete_topics([prefix + topic.name for topic in expected()] + [prefix + RAW])
    await admin.close()
    client = redis.Redis.from_url(deployment.redis)
    for key in client.scan_iter("rk:*", count=1000):
        client.delete(key)


def start(deployment: Deployment, only: str, *, clock: str) -> "subprocess.Popen[bytes]":
    """Start a worker process of the bench."""
    environ = Deployment.of_child(
        TOPIC_PREFIX=deployment.topic_prefix,
        CLOCK=clock,
        HTTP=f"127.0.0.1:{_PORT}",
        WORKER_ID="bench",
        GATEWAY_EMAIL=f"jsonl:{os.devnull}",
    )
    command = [sys.executable, "-m", "streams.cli", "worker", "--only", only]
    return subprocess.Popen(command, env=environ)  # noqa: S603 - our own program
