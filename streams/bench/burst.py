"""Everybody at once: wake-ups that all come due within one minute, and how late they are.

The people and their carts are there before the minute begins, on 8 partitions; what is told
is the append time of each action less the time it was due, and how long the work went on after
the last of them.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Any, Final

from engine.actions import decode as decode_action
from engine.errors import Refused
from engine.times import MINUTE, SECOND, from_iso
from streams.bench import workers
from streams.bench.ground import PARTITIONS, standing
from streams.bench.live import Shoppers, identified, shoppers, tracked
from streams.bench.peers.rules import campaigns
from streams.bench.spread import spread
from streams.bench.stretch import cpu_of
from streams.bench.telling import Table, figure
from streams.log.topics import ACTIONS
from streams.settings import Deployment

_DELAY: Final = 30 * MINUTE
# Long enough to fold everybody's address and cart before the first is due, ms.
_LEAD: Final = 20 * SECOND
_LEAD_EACH: Final = 0.4
_BATCH: Final = 5_000
_DEADLINE: Final = 300.0


def measure(deployment: Deployment, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``burst``: lateness in ms, seconds until the backlog was gone, CPU per action.

    And the same with two workers, ``burst_of_two``, unless it is to be quick.
    """
    if quick:
        return {"burst": Burst(deployment, 10_000).run(say)}
    people = 100_000
    return {
        "burst": Burst(deployment, people).run(say),
        "burst_of_two": Burst(deployment, people, count=2).run(say),
    }


def tables(found: dict[str, Any]) -> list[Table]:
    """Return what :func:`measure` found as a table."""
    rows = [_row(found[name]) for name in ("burst", "burst_of_two") if name in found]
    head = (
        "due within a minute", "workers", "p50 ms", "p99 ms", "max ms", "then done in",
        "CPU per action",
    )  # fmt: skip
    return [Table("A minute in which everybody is due", head, rows, f"{PARTITIONS} partitions.")]


def _row(told: dict[str, Any]) -> list[str]:
    late = told["lateness_ms"] or {}
    return [
        f"{told['due']:,}",
        str(told["workers"]),
        *[figure(late.get(name), digits=0) for name in ("p50", "p99", "max")],
        figure(told["seconds_after_the_minute"], "s"),
        figure(told["worker_us_per_action"], "µs"),
    ]


class Burst:
    """One run against one deployment."""

    def __init__(
        self, deployment: Deployment, people: int, lead: int | None = None, *, count: int = 1
    ) -> None:
        """``people`` are due within one minute, which begins after ``lead`` ms.

        ``count``: of workers.
        """
        self.deployment = deployment
        self.people = people
        self.count = count
        self.lead = _LEAD + round(people * _LEAD_EACH) if lead is None else lead

    def run(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Prepare, wait for the minute, and read what came."""
        file = campaigns(delay="30m", hard_limit="30m", settle="0s", cap="1m", limit=10)
        with (
            standing(self.deployment, file),
            workers.running(
                self.deployment, "intake,decide", clock="live", count=self.count
            ) as running,
        ):
            return asyncio.run(self._measure([each.pid for each in running], say))

    async def _measure(self, pids: Sequence[int], say: Callable[[str], None]) -> dict[str, Any]:
        async with shoppers(self.deployment) as shop:
            say(f"burst: {self.people:,} people fill their carts, {self.count} at work")
            began = int(time() * SECOND) + self.lead
            await self._fill(shop, began)
            if time() * SECOND > began:
                message = "This machine was too busy to fill the carts in time: try fewer people."
                raise Refused(message)
            await asyncio.sleep(began / SECOND - time())
            say("burst: the minute")
            before = sum(map(cpu_of, pids))
            await self._all_acted(shop)
            used = sum(map(cpu_of, pids)) - before
            late, last = [], 0
            name = f"{self.deployment.topic_prefix}{ACTIONS}email"
            async for record in shop.reader.together({name: PARTITIONS}):
                action = decode_action(record.value)
                late.append(float(record.timestamp - from_iso(action.trigger.due_at)))
                last = max(last, record.timestamp)
        return {
            "due": self.people,
            "workers": self.count,
            "acted": len(late),
            "partitions": PARTITIONS,
            "lateness_ms": spread(late),
            "seconds_after_the_minute": round((last - began - MINUTE) / SECOND, 2),
            "worker_us_per_action": round(used / len(late) * 1e6, 1),
        }

    async def _fill(self, shop: Shoppers, began: int) -> None:
        """Let everybody put something into a cart half an hour before her moment."""
        for first in range(0, self.people, _BATCH):
            batch = []
            for number in range(first, min(first + _BATCH, self.people)):
                due = began + number * MINUTE // self.people
                user = f"burst-{number}"
                batch.append(identified(user, due - _DELAY - SECOND))
                batch.append(tracked(number, user, "Product Added", due - _DELAY))
            await shop.produce(batch)

    async def _all_acted(self, shop: Shoppers) -> None:
        end = monotonic() + _DEADLINE
        while monotonic() < end:
            if await shop.acted() >= self.people:
                return
            await asyncio.sleep(0.5)
        message = f"Not all {self.people:,} actions came within {_DEADLINE:.0f} s."
        raise Refused(message)
