"""One measured stretch of work, and the median of several."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import redis

_MICROS = 1e6


@dataclass(frozen=True, slots=True)
class Stretch:
    """Wall seconds, CPU seconds of all workers and of Redis, and the records they took."""

    records: int
    seconds: float
    worker_cpu: float
    redis_cpu: float

    @property
    def micros(self) -> float:
        """Return µs of CPU per record, worker and Redis together."""
        return (self.worker_cpu + self.redis_cpu) / self.records * _MICROS

    def as_json(self) -> dict[str, float]:
        """Return rates and costs, rounded to what they are worth."""
        return {
            "records": self.records,
            "events_per_second": round(self.records / self.seconds),
            "events_per_cpu_second": round(self.records / (self.worker_cpu + self.redis_cpu)),
            "worker_us_per_event": round(self.worker_cpu / self.records * _MICROS, 1),
            "redis_us_per_event": round(self.redis_cpu / self.records * _MICROS, 1),
            "us_per_event": round(self.micros, 1),
        }


def together(stretches: Sequence[Stretch]) -> Stretch:
    """Return consecutive stretches as one."""
    return Stretch(
        sum(stretch.records for stretch in stretches),
        sum(stretch.seconds for stretch in stretches),
        sum(stretch.worker_cpu for stretch in stretches),
        sum(stretch.redis_cpu for stretch in stretches),
    )


def one_way(hops: Sequence[tuple[Stretch, int]], messages: int) -> Stretch:
    """Return all hops one after the other, as the way of ``messages`` raw messages.

    A hop is measured over the most of its records, not all; it is scaled to all it had to take.
    """
    scaled = [_scaled(stretch, records) for stretch, records in hops]
    return replace(together(scaled), records=messages)


def _scaled(stretch: Stretch, records: int) -> Stretch:
    factor = records / stretch.records
    return Stretch(
        records,
        stretch.seconds * factor,
        stretch.worker_cpu * factor,
        stretch.redis_cpu * factor,
    )


def middle(stretches: Sequence[Stretch]) -> dict[str, Any]:
    """Return the median of every figure, and the least and most CPU per event beside it.

    Nothing of nothing.
    """
    if not stretches:
        return {}
    figures = [stretch.as_json() for stretch in stretches]
    told: dict[str, Any] = {
        name: round(median(figure[name] for figure in figures), 1) for name in figures[0]
    }
    micros = [stretch.micros for stretch in stretches]
    told |= {"runs": len(figures), "us_least": round(min(micros), 1)}
    return told | {"us_most": round(max(micros), 1)}


def cpu_of(pid: int) -> float:
    """Return user and system seconds of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> int:
    """Return the resident bytes of a process (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_of_redis(client: "redis.Redis") -> float:
    """Return user and system seconds of the server."""
    used: Any = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


__all__ = ["Stretch", "cpu_of", "cpu_of_redis", "memory_of", "middle", "one_way", "together"]
