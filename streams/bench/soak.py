"""The memory of a worker while the reference mix streams through all of its agents."""

from typing import Any, Final

import redis

from streams.bench import calm, ground, past, stretch
from streams.bench.calm import Say
from streams.bench.plan import Plan
from streams.bench.telling import Table, figure
from streams.settings import Deployment

_PER_SECOND: Final = 500
_USERS: Final = 10_000
_READINGS: Final = 10
_MINUTE: Final = 60
_MIB: Final = 1024 * 1024


def measure(deployment: Deployment, plan: Plan, say: Say) -> dict[str, Any]:
    """Return resident bytes, once a minute or ten times where that is more often."""
    say(f"memory of a worker for {plan.soak} s at {_PER_SECOND} messages a second")
    every = min(_MINUTE, plan.soak / _READINGS)
    readings: list[tuple[float, int]] = []
    with (
        ground.standing(deployment, past.campaigns_file()),
        redis.Redis.from_url(deployment.redis) as client,
        calm.shop(deployment) as worker,
    ):
        began, *_ = calm.clocks(worker, client)
        pace = calm.stream(deployment, _PER_SECOND, _USERS, ground.PARTITIONS, plan.soak)
        for _ in pace:
            passed = calm.clocks(worker, client)[0] - began
            if passed >= len(readings) * every:
                readings.append((round(passed, 1), stretch.memory_of(worker.pid)))
        readings.append((float(plan.soak), stretch.memory_of(worker.pid)))
    half = readings[len(readings) // 2]
    sent = (plan.soak - half[0]) * _PER_SECOND
    return {
        "soak": {
            "seconds": plan.soak,
            "events_per_second": _PER_SECOND,
            "rss_bytes": [{"second": at, "bytes": size} for at, size in readings],
            "grown_in_second_half": readings[-1][1] - half[1],
            "bytes_per_event_in_second_half": round((readings[-1][1] - half[1]) / sent, 2),
        }
    }


def tables(found: dict[str, Any]) -> list[Table]:
    """Return the readings."""
    soak = found["soak"]
    rows = [
        (f"{reading['second']:.0f} s", figure(reading["bytes"] / _MIB, "MiB"))
        for reading in soak["rss_bytes"]
    ]
    return [
        Table(
            f"Memory of a worker at {soak['events_per_second']} messages a second",
            ("after", "resident"),
            rows,
            f"In the second half it grew by {soak['grown_in_second_half'] / _MIB:.1f} MiB, "
            f"{soak['bytes_per_event_in_second_half']:.1f} bytes per message. The first minutes "
            "fill caches of fixed size.",
        )
    ]


__all__ = ["measure", "tables"]
