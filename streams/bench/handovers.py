"""How many actions a worker hands over: a back-log in `actions.email`, and a gateway of no cost.

Intake and decide make the back-log and end; then a worker with deliver alone works it off. Each
action is judged, claimed, its offset committed, called and reported, so the time is round trips to
Redis and Kafka; CPU is told beside it.
"""

import asyncio
from collections.abc import Callable
from time import monotonic, time
from typing import Any, Final

from engine.errors import Refused
from engine.times import MINUTE, SECOND
from streams.bench import workers
from streams.bench.ground import PARTITIONS, standing
from streams.bench.live import Shoppers, identified, shoppers, tracked
from streams.bench.peers.rules import campaigns
from streams.bench.stretch import cpu_of
from streams.bench.telling import Table, figure
from streams.log.topics import FEEDBACK
from streams.settings import Deployment

_DELAY: Final = MINUTE
_DEADLINE: Final = 300.0
# The first come while the consumer still joins its group; the rate is taken between the two.
_FROM: Final = 0.1


def measure(deployment: Deployment, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``handovers``: actions handed over per second, and CPU per action."""
    return {"handovers": HandedOver(deployment, 2_000 if quick else 10_000).run(say)}


def tables(found: dict[str, Any]) -> list[Table]:
    """Return what :func:`measure` found as a table."""
    told = found["handovers"]
    row = [
        f"{told['actions']:,}",
        figure(told["per_second"], digits=0),
        figure(told["worker_us_per_action"], "µs"),
    ]
    head = ("actions", "per second", "CPU per action")
    return [Table("Handing over a back-log", head, [row], f"{PARTITIONS} partitions, one worker.")]


class HandedOver:
    """One run against one deployment."""

    def __init__(self, deployment: Deployment, people: int) -> None:
        """``people`` get one action each."""
        self.deployment = deployment
        self.people = people

    def run(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Make the back-log and work it off; raises Refused when it takes too long."""
        file = campaigns(delay="1m", hard_limit="1m", settle="0s", cap="1m", limit=10)
        with standing(self.deployment, file):
            say(f"handovers: {self.people:,} actions come about")
            with workers.running(self.deployment, "intake,decide", clock="live"):
                asyncio.run(self._make())
            say("handovers: they are handed over")
            with workers.running(self.deployment, "deliver", clock="live") as (worker,):
                return asyncio.run(self._work_off(worker))

    async def _make(self) -> None:
        """Let everybody leave a cart behind that is due already."""
        at = int(time() * SECOND) - _DELAY
        async with shoppers(self.deployment) as shop:
            batch = []
            for number in range(self.people):
                batch.append(identified(f"late-{number}", at - SECOND))
                batch.append(tracked(number, f"late-{number}", "Product Added", at))
            await shop.produce(batch)
            await _reached(shop.acted, self.people)

    async def _work_off(self, worker: workers.Process) -> dict[str, Any]:
        async with shoppers(self.deployment) as shop:
            first = await _reached(lambda: _told(shop), round(self.people * _FROM))
            began, before = monotonic(), cpu_of(worker.pid)
            last = await _reached(lambda: _told(shop), self.people)
            seconds, used = monotonic() - began, cpu_of(worker.pid) - before
        return {
            "actions": self.people,
            "partitions": PARTITIONS,
            "per_second": round((last - first) / seconds, 1),
            "worker_us_per_action": round(used / (last - first) * 1e6, 1),
        }


async def _told(shop: Shoppers) -> int:
    """Return how many reports there are."""
    name = f"{shop.deployment.topic_prefix}{FEEDBACK}"
    return sum([(await shop.reader.bounds(name, p)).end for p in range(PARTITIONS)])


async def _reached(count: Callable[[], Any], wanted: int) -> int:
    end = monotonic() + _DEADLINE
    while monotonic() < end:
        if (found := await count()) >= wanted:
            return int(found)
        await asyncio.sleep(0.05)
    message = f"The bench waited {_DEADLINE:.0f} s in vain for {wanted:,} records."
    raise Refused(message)
