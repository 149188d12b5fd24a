"""What a live worker costs while little or nothing happens: an idle shop, and memory over time."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep, time
from typing import Any, Final

import redis

from engine.times import SECOND
from streams.bench import stretch, workers
from streams.bench.mix import Message, messages
from streams.log.producer import Producer, Record
from streams.log.topics import partition_of
from streams.settings import Deployment

_AGENTS: Final = "intake,decide,deliver"
_PACE: Final = 0.1


@contextmanager
def shop(deployment: Deployment) -> Iterator[workers.Process]:
    """Run one live worker with all agents, ready when the block begins."""
    with workers.running(deployment, _AGENTS, clock="live") as (process,):
        workers.wait(lambda: workers.ready(process), 1, [process])
        yield process


def clocks(process: workers.Process, client: "redis.Redis") -> tuple[float, float, float]:
    """Return wall time, CPU of the worker and CPU of Redis, in seconds."""
    return monotonic(), stretch.cpu_of(process.pid), stretch.cpu_of_redis(client)


def commits(client: "redis.Redis") -> int:
    """Return how many scripts the server has run: a commit is one."""
    told: Any = client.info("commandstats")
    return int(told.get("cmdstat_evalsha", {}).get("calls", 0))


def stream(
    deployment: Deployment, per_second: int, users: int, partitions: int, seconds: float
) -> Iterator[int]:
    """Send the reference mix at a steady pace, yielding the count sent, ten times a second."""
    with asyncio.Runner() as loop:
        sender = _Sender(deployment, partitions)
        gap = SECOND / per_second
        start = int(time() * SECOND)
        lot = messages(int(per_second * seconds), users, start=start, gap=gap, seed=f"soak-{start}")
        began, sent = monotonic(), 0
        try:
            while (passed := monotonic() - began) < seconds:
                due = min(int(passed * per_second), int(per_second * seconds))
                loop.run(sender.send([next(lot) for _ in range(due - sent)]))
                sent = due
                yield sent
                sleep(max(0.0, _PACE - (monotonic() - began - passed)))
        finally:
            loop.run(sender.stop())


class _Sender:
    def __init__(self, deployment: Deployment, partitions: int) -> None:
        self._producer = Producer(deployment.kafka)
        self._topic = deployment.sources[0].topic
        self._partitions = partitions

    async def send(self, told: Sequence[Message]) -> None:
        runs: dict[int, list[Record]] = {}
        for message in told:
            at = partition_of(message.key, self._partitions)
            runs.setdefault(at, []).append(Record(message.key, message.value))
        await asyncio.gather(*[self._producer.run(self._topic, p, run) for p, run in runs.items()])

    async def stop(self) -> None:
        await self._producer.stop()


Say = Callable[[str], None]

__all__ = ["Say", "clocks", "commits", "shop", "stream"]
