"""The whole job hop by hop: raw messages to events, events to decisions and actions.

Each hop is given its whole back-log and then measured alone, workers and Redis together, from the
moment all workers have their partitions. Kafka's own CPU is not counted: it may stand elsewhere.
"""

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any, Final

import redis
from aiokafka import AIOKafkaConsumer, TopicPartition

from engine.events import Tick
from engine.times import HOUR, MINUTE
from streams import control
from streams.bench import stretch, workers
from streams.bench.mix import messages
from streams.bench.past import NOW
from streams.bench.stretch import Stretch
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.log.topics import DECISIONS, EVENTS, partition_of
from streams.settings import Deployment
from streams.state.keys import keys_of, lane

# The back-log of one hour, whatever its size: all shop time lies in these.
BACKLOG: Final = HOUR
# After the last event carts come due. A tick every three minutes finds about twenty due of 50,000
# messages on 8 partitions, as one in 0.2 s does where 10,000 messages arrive in a second.
_TICK: Final = 3 * MINUTE
_DUE_WITHIN: Final = 90 * MINUTE
_SEED: Final = "bench"
_RUN: Final = 20_000
_PARTS_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """What is varied: how many events and users, partitions and workers."""

    events: int
    users: int
    partitions: int = 8
    workers: int = 1

    def __str__(self) -> str:
        """Name it as a row of a table."""
        return (
            f"{self.users:,} users, {self.partitions} partitions, {self.workers} "
            f"worker{'s' * (self.workers > 1)}"
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """One hop: the measured stretch and its quarters; ``records`` is all the hop had to take.

    ``samples``: by part, of the first worker; ``sampling``: their share of its CPU. ``due``: what
    came after the events, ticks that find people due; its records are the decisions made.
    """

    whole: Stretch
    quarters: Sequence[Stretch]
    samples: dict[str, int]
    sampling: float
    records: int
    due: Stretch | None = None


async def load(deployment: Deployment, topic: str, case: Case) -> None:
    """Write the raw messages of a case."""
    producer = Producer(deployment.kafka)
    runs: dict[int, list[Record]] = {}
    gap = BACKLOG / case.events
    try:
        told = messages(case.events, case.users, start=NOW, gap=gap, seed=_SEED)
        for number, message in enumerate(told, 1):
            record = Record(message.key, message.value)
            runs.setdefault(partition_of(message.key, case.partitions), []).append(record)
            if number % _RUN == 0 or number == case.events:
                await asyncio.gather(*[producer.run(topic, p, run) for p, run in runs.items()])
                runs.clear()
    finally:
        await producer.stop()


async def ticks(deployment: Deployment) -> None:
    """Let time pass after the last event, so that carts come due."""
    producer = Producer(deployment.kafka)
    try:
        for at in range(NOW + BACKLOG, NOW + BACKLOG + _DUE_WITHIN, _TICK):
            value = codec.write(Tick(now=at, origin="bench"))
            await control.to_every_partition(producer, deployment, value)
    finally:
        await producer.stop()


async def end_of(deployment: Deployment, topic: str, partitions: int) -> int:
    """Return how many records a topic of the bench has ever been given."""
    consumer = AIOKafkaConsumer(bootstrap_servers=deployment.kafka)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
    finally:
        await consumer.stop()
    return sum(ends.values())


class Hop:
    """Runs one agent over what waits for it."""

    def __init__(self, deployment: Deployment, case: Case) -> None:
        """Nothing is touched before it is run."""
        self.deployment = deployment
        self.case = case
        self.redis = redis.Redis.from_url(deployment.redis)

    def intake(self) -> Measured:
        """Measure raw messages to events."""
        return self._run("intake", self.case.events, self.forwarded)

    def decide(self) -> Measured:
        """Measure events to decisions and actions; once all are folded, time passes."""
        return self._run("decide", self._end(EVENTS), self.folded, due=True)

    def _end(self, topic: str) -> int:
        name = self.deployment.topic_prefix + topic
        return asyncio.run(end_of(self.deployment, name, self.case.partitions))

    def forwarded(self) -> int:
        """Return how many raw messages intake has forwarded."""
        topic = self.deployment.sources[0].topic
        return self._sum([lane(topic, p) for p in range(self.case.partitions)])

    def folded(self) -> int:
        """Return how many records of ``events`` are committed."""
        return self._sum([keys_of(p).meta for p in range(self.case.partitions)])

    def _sum(self, keys: Sequence[str | bytes]) -> int:
        pipeline = self.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hget(key, "o")
        return sum(int(offset or 0) for offset in pipeline.execute())

    def _run(
        self, only: str, records: int, done: Callable[[], int], *, due: bool = False
    ) -> Measured:
        with TemporaryDirectory(prefix="rekindle-bench-") as folder:
            file = Path(folder) / "parts.json"
            module = f"streams.bench.sampled {file}"
            with workers.running(
                self.deployment, only, clock="source", count=self.case.workers, module=module
            ) as processes:
                first = workers.wait(done, 1, processes)
                processes[0].send_signal(signal.SIGUSR1)
                meter = _Meter(processes, self.redis)
                quarters = []
                for quarter in range(1, 5):
                    wanted = first + (records - first) * quarter // 4
                    quarters.append(meter.until(workers.wait(done, wanted, processes), first))
                decisions = self._due(meter, processes) if due else None
                processes[0].send_signal(signal.SIGUSR2)
                told = _read(file)
        whole = stretch.together(quarters)
        sampling = told["spent"] / max(told["cpu"], 0.01)
        return Measured(whole, quarters, told["samples"], sampling, records, decisions)

    def _due(self, meter: "_Meter", processes: Sequence[workers.Process]) -> Stretch:
        """Let time pass, and return what the decisions cost that are made for it."""
        before = self._end(DECISIONS)
        asyncio.run(ticks(self.deployment))
        wanted = self._end(EVENTS)
        spent = meter.until(workers.wait(self.folded, wanted, processes), 0)
        return replace(spent, records=max(1, self._end(DECISIONS) - before))


class _Meter:
    """Reads all clocks at once and returns what passed since it was last read."""

    def __init__(self, processes: Sequence[workers.Process], client: "redis.Redis") -> None:
        self._processes = processes
        self._redis = client
        self._reached: int | None = None
        self._last = self._now()

    def until(self, reached: int, first: int) -> Stretch:
        """Return the stretch that ended with record ``reached``."""
        now, last = self._now(), self._last
        before = first if self._reached is None else self._reached
        self._last, self._reached = now, reached
        seconds, worker, server = (now[i] - last[i] for i in range(3))
        return Stretch(max(reached - before, 1), seconds, worker, server)

    def _now(self) -> tuple[float, float, float]:
        cpu = sum(stretch.cpu_of(process.pid) for process in self._processes)
        return monotonic(), cpu, stretch.cpu_of_redis(self._redis)


def _read(file: Path) -> dict[str, Any]:
    deadline = monotonic() + _PARTS_WITHIN
    while monotonic() < deadline:
        if file.exists():
            found: dict[str, Any] = json.loads(file.read_text())
            return found
        sleep(0.02)
    return {"samples": {}, "spent": 0.0, "cpu": 0.0}


__all__ = ["BACKLOG", "Case", "Hop", "Measured", "end_of", "load", "ticks"]
