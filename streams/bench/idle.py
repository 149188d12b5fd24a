"""The cost of a shop in which nothing happens: 64 partitions, one worker, everything live."""

import asyncio
from time import sleep
from typing import Any, Final

import redis

from engine.events import Tick
from engine.times import SECOND
from streams.bench import calm, ground, past
from streams.bench.calm import Say
from streams.bench.hop import end_of
from streams.bench.plan import Plan
from streams.bench.telling import Table, figure
from streams.log import codec
from streams.log.ticks import HEARTBEAT
from streams.log.topics import EVENTS, PARTITIONS
from streams.settings import Deployment

_HOUR: Final = 3_600
# A batch of Kafka's format 2 with one record: 61 bytes of its own, and at least 7 of the record.
_BATCH: Final = 68


def measure(deployment: Deployment, plan: Plan, say: Say) -> dict[str, Any]:
    """Return shares of a core, commits and bytes of log per hour, over the plan's seconds."""
    say(f"an idle shop for {plan.idle} s")
    topic = deployment.topic_prefix + EVENTS
    with (
        ground.standing(deployment, past.campaigns_file(), PARTITIONS),
        redis.Redis.from_url(deployment.redis) as client,
        calm.shop(deployment) as worker,
    ):
        sleep(min(5, plan.idle))  # the first second of a worker is not idle
        ticks = asyncio.run(end_of(deployment, topic, PARTITIONS))
        before, commits = calm.clocks(worker, client), calm.commits(client)
        sleep(plan.idle)
        after, committed = calm.clocks(worker, client), calm.commits(client) - commits
        written = asyncio.run(end_of(deployment, topic, PARTITIONS)) - ticks
    seconds, cpu, server = (after[i] - before[i] for i in range(3))
    beats = HEARTBEAT // SECOND
    size = _BATCH + len(codec.write(Tick(now=past.NOW, limit=500, origin="bench-0")))
    hourly = PARTITIONS * _HOUR // beats
    return {
        "idle": {
            "seconds": round(seconds, 1),
            "worker_share_of_core": round(cpu / seconds, 4),
            "redis_share_of_core": round(server / seconds, 4),
            "commits_measured": committed,
            "records_measured": written,
            "commits_per_hour": hourly,
            "log_bytes_per_hour": hourly * size,
        }
    }


def tables(found: dict[str, Any]) -> list[Table]:
    """Return what an idle shop costs."""
    idle = found["idle"]
    rows = [
        ("worker", f"{idle['worker_share_of_core']:.2%} of a core"),
        ("Redis", f"{idle['redis_share_of_core']:.2%} of a core"),
        ("commits per hour", figure(idle["commits_per_hour"], digits=0)),
        ("bytes of log per hour", figure(idle["log_bytes_per_hour"], digits=0)),
    ]
    return [
        Table(
            f"An idle shop, {PARTITIONS} partitions",
            ("what", "cost"),
            rows,
            f"CPU over {idle['seconds']:.0f} s, in which {idle['commits_measured']} commits were "
            "made. Commits and bytes follow from one tick a minute and partition, each a batch of "
            "its own.",
        )
    ]


__all__ = ["measure", "tables"]
