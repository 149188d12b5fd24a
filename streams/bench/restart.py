"""How long nobody works: after SIGTERM, after kill -9, and when another takes the partitions over.

The clock runs from the signal until every partition has committed a record that was written after
it. A worker that comes back is started at once, as a supervisor would.
"""

import asyncio
from collections.abc import Callable
from statistics import median
from time import monotonic
from typing import Any, Final

from engine.events import Tick
from streams import control
from streams.bench import ground, hop, past, workers
from streams.bench.hop import Case, Hop
from streams.bench.plan import Plan
from streams.bench.telling import Table, figure
from streams.log import codec
from streams.log.producer import Producer
from streams.log.source import Group
from streams.log.topics import EVENTS
from streams.settings import Deployment

_WORDS: Final = {
    "after_sigterm": "SIGTERM, started again at once",
    "after_kill": "kill -9, started again at once under its name",
    "taken_over": "kill -9, taken over by another worker",
}


class _Restart:
    """One deployment on which workers come and go."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._hop = Hop(deployment, Case(0, 0, ground.PARTITIONS))
        self._now = past.NOW

    def again(self, end: Callable[[workers.Process], None]) -> float:
        """Return the seconds from the signal to the work of the same worker, started again."""
        first = self._start("bench-0")
        began = monotonic()
        end(first)
        second = self._start_only("bench-0")
        try:
            self._worked([second])
            return monotonic() - began
        finally:
            workers.stop(second)

    def taken_over(self) -> float:
        """Return the seconds from kill -9 of one of two workers until all partitions work."""
        first = self._start("bench-0")
        second = self._start_only("bench-1")
        try:
            workers.wait(lambda: workers.owns(second), 1, [second])
            began = monotonic()
            workers.kill(first)
            self._worked([second])
            return monotonic() - began
        finally:
            workers.stop(second)

    def _start(self, name: str) -> workers.Process:
        """Start a worker and wait until it has worked on every partition."""
        process = self._start_only(name)
        self._worked([process])
        return process

    def _start_only(self, name: str) -> workers.Process:
        return workers.start(self._deployment, "decide", clock="source", name=name)

    def _worked(self, processes: list[workers.Process]) -> None:
        wanted = asyncio.run(self._tick())
        workers.wait(self._hop.folded, wanted, processes)

    async def _tick(self) -> int:
        """Give every partition a record; return where they stand when all have taken it."""
        self._now += 1
        producer = Producer(self._deployment.kafka)
        try:
            tick = codec.write(Tick(now=self._now, origin="bench"))
            await control.to_every_partition(producer, self._deployment, tick)
        finally:
            await producer.stop()
        topic = self._deployment.topic_prefix + EVENTS
        return await hop.end_of(self._deployment, topic, ground.PARTITIONS)


def measure(deployment: Deployment, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Return seconds, medians of all runs; taking over is waiting, so it is run once."""
    found: dict[str, list[float]] = {name: [] for name in _WORDS}
    with ground.standing(deployment, past.campaigns_file()):
        restart = _Restart(deployment)
        for number in range(plan.runs):
            say(f"restart: run {number + 1} of {plan.runs}")
            found["after_sigterm"].append(restart.again(workers.stop))
            found["after_kill"].append(restart.again(workers.kill))
        say("restart: another worker takes over")
        found["taken_over"].append(restart.taken_over())
    seconds = {name: round(median(times), 2) for name, times in found.items()}
    timeout = Group("", "", None).session_timeout / 1000
    return {"restart_seconds": {**seconds, "session_timeout": timeout}}


def tables(found: dict[str, Any]) -> list[Table]:
    """Return the three times."""
    told = found["restart_seconds"]
    rows = [(words, figure(told[name], digits=2)) for name, words in _WORDS.items()]
    return [
        Table(
            "Restart to processing",
            ("after", "seconds"),
            rows,
            f"From the signal until all {ground.PARTITIONS} partitions work again. A worker that "
            f"does not come back is missed after the session time-out, "
            f"{told['session_timeout']:.0f} s.",
        )
    ]


__all__ = ["measure", "tables"]
