"""What this worker says of itself: its samples, its health, and what only it knows."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from secrets import token_bytes
from typing import Any, Final

from engine.errors import Unavailable
from engine.times import MINUTE, SECOND
from monitoring import metrics
from monitoring.page.history import buckets, quantile
from monitoring.summary import Summary, samples_of, taken_apart
from streams.agents.decide import DecideLane
from streams.last_decisions import LastDecisions
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.keys import keys_of
from streams.watch import Watch

# ms between two counts of the people who wait for something: one command a partition.
_COUNTED_EVERY: Final = 5 * SECOND
# The key of pseudonyms: shared by all workers, so that one person has one name on every page,
# and forgotten after a day, so that nobody is followed for longer.
_KEY: Final = "rk:{fleet}:key"
_KEY_LIVES: Final = 24 * 60 * 60
_VERSION: Final = version("rekindle")  # reads a file, and is asked once a second
_CPU: Final = "process_cpu_seconds_total"


class OwnSummary:
    """Gathers the summary of one worker; asked once a second."""

    def __init__(
        self,
        deployment: Deployment,
        redis: RedisConnection,
        watch: Watch,
        lanes: Callable[[], Iterable[DecideLane]],
        decisions: LastDecisions,
        wall: Callable[[], int],
    ) -> None:
        """``lanes``: those of the decide agent that are ours now; ``wall``: ms."""
        self._deployment = deployment
        self._redis = redis
        self._watch = watch
        self._lanes = lanes
        self._decisions = decisions
        self._wall = wall
        self._began = wall()
        self._recent = _LastMinute()
        self._pending: int | None = None
        self._counted_at = 0
        # Until Redis has told the one that all share.
        self.key = token_bytes(32)
        self._key_at = 0
        self.last: Summary | None = None

    async def told(self) -> Summary:
        """Return how this worker stands now; never raises because of Redis."""
        await self._ask_redis(self._wall())
        now = self._wall()  # after Redis, which may take its time: what is told is of now
        samples = await asyncio.to_thread(samples_of, self._watch.recorder.registry)
        self._recent.add(now, samples)
        self.last = Summary(
            kind="worker",
            name=self._deployment.worker_id,
            at=now,
            started_at=self._began,
            version=_VERSION,
            http=self._deployment.reached_at,
            samples=samples,
            findings=list(self._watch.health().findings),
            facts=self._facts(),
        )
        return self.last

    def _facts(self) -> dict[str, Any]:
        lanes = list(self._lanes())
        policy = self._watch.policy
        due = [lane.next_wake for lane in lanes if lane.next_wake is not None]
        return {
            "clock": self._deployment.clock,
            "environment": self._deployment.topic_prefix.strip("."),
            "links": self._deployment.links,
            "controls": self._deployment.operator_token is not None,
            "now": max((lane.head.now for lane in lanes), default=0),
            "ticks": self._watch.ticker is not None,
            "next_due": min(due, default=None),
            "pending": self._pending,
            "sources": [source.topic for source in self._deployment.sources],
            "campaigns": [] if policy is None else list(policy.campaigns),
            "loop_gap_p99": self._recent.p99(metrics.LOOP_GAP),
            "redis_p99": self._recent.p99(metrics.REDIS_SECONDS),
            "cpu": self._recent.cpu(),
            "pauses": self._pauses(lanes),
            "tail": self._decisions.told(policy, self.key),
        }

    def _pauses(self, lanes: Iterable[DecideLane]) -> list[dict[str, Any]]:
        """Return what settings hold back; once, when partitions agree."""
        live, found = self._deployment.clock == "live", {}
        for lane in lanes:
            standing = lane.head.settings.standing(self._wall() if live else lane.head.now)
            for held in (*standing.paused.values(), *standing.throttled.values()):
                found[held.target, held.by, held.share] = {
                    "name": held.target,
                    "by": held.by or "operator",
                    "share": held.share,
                    "reason": held.reason or None,
                    "since": held.since or None,
                    "until": held.until,
                }
        return list(found.values())

    # --- what Redis knows -----------------------------------------------------------------------

    async def _ask_redis(self, now: int) -> None:
        try:
            if now - self._key_at > MINUTE:
                await self._share_key()
                self._key_at = now
            if now - self._counted_at > _COUNTED_EVERY:
                self._counted_at = now
                self._pending = await self._waiting()
        except Unavailable:
            self._pending = None

    async def _share_key(self) -> None:
        await self._redis.call("SET", _KEY, self.key, "NX", "EX", _KEY_LIVES)
        found = await self._redis.call("GET", _KEY)
        if found:
            self.key = found

    async def _waiting(self) -> int:
        """Return how many people of our partitions have a wake-up."""
        counts = [
            await self._redis.call("ZCARD", keys_of(lane.at.partition).wakes)
            for lane in self._lanes()
        ]
        return sum(counts)


class _LastMinute:
    """Percentiles of one process over its last minute, from what its histograms counted."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Mapping[str, float]]] = deque(maxlen=MINUTE // SECOND)

    def add(self, now: int, samples: Mapping[str, float]) -> None:
        """Keep what is needed of the samples of ``now`` (ms)."""
        wanted = {
            series: value for series, value in samples.items() if taken_apart(series)[0] in _WANTED
        }
        self._kept.append((now, wanted))

    def p99(self, metric: metrics.Metric) -> float | None:
        """Return the 99th percentile; None when nothing was observed."""
        name, first, last = f"{metric.exposed}_bucket", self._kept[0][1], self._kept[-1][1]
        news = {
            series: value - first.get(series, 0.0)
            for series, value in last.items()
            if taken_apart(series)[0] == name
        }
        return quantile(buckets(news, metric.buckets), 0.99)

    def cpu(self) -> float | None:
        """Return how much of one processor the process used; None before a second look."""
        (begin, first), (end, last) = self._kept[0], self._kept[-1]
        if end <= begin:
            return None
        return (last.get(_CPU, 0.0) - first.get(_CPU, 0.0)) * SECOND / (end - begin)


_WANTED: Final = {
    f"{metrics.LOOP_GAP.exposed}_bucket",
    f"{metrics.REDIS_SECONDS.exposed}_bucket",
    _CPU,
}
