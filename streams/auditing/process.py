"""The process `rekindle audit`: follows, counts, tells, pauses, and remembers where it stood."""

import asyncio
import gc
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable
from importlib.metadata import version
from time import monotonic
from typing import Any, Final

import faust

from engine.errors import Unavailable
from engine.events import Control
from engine.times import MINUTE, iso
from monitoring.audit.balance import totals
from monitoring.audit.verdicts import Finding
from monitoring.audit_recorder import AuditRecorder
from monitoring.health import Health
from monitoring.summary import Summary, samples_of
from streams import control, logs, process
from streams.auditing.checkpoint import Checkpoint
from streams.auditing.following import Following, Look
from streams.auditing.pausing import Pausing
from streams.auditing.telling import fault_line, line, plain
from streams.fleet import Publisher
from streams.http.server import HttpServer, reserve
from streams.log.topics import CHANNELS
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.wall import now_ms

log = logging.getLogger(__name__)

# Seconds: the longest wait for records, between two checkpoints, and after Kafka was away.
_WAIT: Final = 0.2
_SAVE_EVERY: Final = 30.0
_AGAIN: Final = 1.0
# A horizon older than this says that nothing is audited.
_STALE: Final = 2 * MINUTE
# Violations told in full: the rest is in the log.
_SHOWN: Final = 20
# A fault that is everywhere would fill the disk; the counters go on.
_MOST_LINES: Final = 20


class Auditor(faust.Service):
    """Audits until it is stopped."""

    def __init__(self, deployment: Deployment, now: Callable[[], int] = now_ms) -> None:
        """Nothing is connected before the start; ``now``: wall ms."""
        super().__init__()
        self._now = now
        self._started_at = now()
        self._deployment = deployment
        self._redis = RedisConnection(deployment.redis)
        self._checkpoint = Checkpoint(self._redis, deployment.topic_prefix)
        self._following = Following(deployment, now)
        self._pausing = Pausing(self._act, now, self._shop_now)
        self.recorder = AuditRecorder(CHANNELS, self._following.names)
        self._last: deque[Finding] = deque(maxlen=_SHOWN)
        self._violations = 0
        self._away = ""
        self._saved = monotonic()

    def _shop_now(self) -> int:
        """Return the time of the shop, ms: of its data, where that carries its own."""
        if self._deployment.clock == "live":
            return self._now()
        return max((lane.state.now for lane in self._following.lanes.values()), default=0)

    async def _act(self, wanted: Control) -> object:
        return await control.act(self._deployment, wanted)

    # --- the work -------------------------------------------------------------------------------

    @faust.Service.task
    async def _audit(self) -> None:
        while not self.should_stop:
            try:
                await self._start()
                while not self.should_stop:
                    await self._once()
            except Unavailable as away:
                if str(away) != self._away:
                    log.warning("the audit waits: %s", away)
                self._away = str(away)
                await self._following.stop()
                await self.sleep(_AGAIN)

    async def _start(self) -> None:
        if not self._following.lanes:
            self._pausing.episodes = (await self._checkpoint.shared()).episodes
        await self._following.start(self._checkpoint, self._pausing.heard)
        self._away = ""
        whole = all(lane.state.whole for lane in self._following.lanes.values())
        log.info(
            "audits %d partitions of %s, %s",
            len(self._following.lanes),
            self._deployment.topic_prefix,
            "from the log's beginning" if whole else "whose log has lost its beginning",
        )

    async def _once(self) -> None:
        look = await self._following.look(_WAIT)
        self._tell(look)
        self._pausing.ask(look.findings)
        for channel in await self._pausing.act(self._following.known):
            self.recorder.paused(channel)
            await self._save()
        if monotonic() - self._saved > _SAVE_EVERY:
            await self._save()

    def _tell(self, look: Look) -> None:
        self.recorder.passed(look.passed)
        for finding in look.findings:
            self.recorder.found(finding)
        self._last.extend(look.findings)
        self._violations += len(look.findings)
        _say(line(finding) for finding in look.findings)
        _say(fault_line(fault) for fault in look.faults)
        self.recorder.horizon(self._following.horizon())

    async def _save(self) -> None:
        following = self._following
        if self._pausing.waits:
            return  # what was judged by then would never pause after a crash: find it again
        try:
            await self._checkpoint.save(
                following.lanes.values(), dict(following.feedback), self._pausing.episodes
            )
        except Unavailable as away:
            log.warning("where the audit stands is not written down: %s", away)
        self._saved = monotonic()

    async def on_shutdown(self) -> None:
        """Write down where we stand, and let go; the work has ended by now."""
        if self._following.lanes:
            await self._save()
        await self._following.stop()
        await self._redis.close()

    # --- what is asked --------------------------------------------------------------------------

    def render(self) -> bytes:
        """Return the metrics; may run in a thread."""
        return self.recorder.render()

    @property
    def _horizon(self) -> int:
        known = self._following.horizon() if self._following.lanes else {}
        return min(known.values(), default=0)

    def health(self) -> Health:
        """Return whether it lives and audits."""
        findings = []
        behind = self._now() - self._horizon
        if self._away:
            findings.append(self._away)
        if behind > _STALE:
            known = iso(self._horizon) if self._horizon else "nothing yet"
            findings.append(f"the audit is behind: it knows {known}")
        for partition, lane in self._following.lanes.items():
            if lane.waits_for is not None:
                name = lane.waits_for[:8]
                findings.append(f"partition {partition} waits for the campaigns file {name}")
        return Health(live=True, ready=behind <= _STALE, findings=tuple(findings))

    async def summary(self) -> Summary:
        """Return what the page shows of this process."""
        triggers = totals(lane.state.balance for lane in self._following.lanes.values())
        self.recorder.triggers(triggers.values())
        facts: dict[str, Any] = {
            "horizon": self._horizon,
            "horizons": self._following.horizon() if self._following.lanes else {},
            "violations": self._violations,
            "last": [plain(finding) for finding in self._last],
            "triggers": triggers,
            "unjudged": sum(lane.unjudged for lane in self._following.lanes.values()),
            "paused": sorted(
                channel for channel, episode in self._pausing.episodes.items() if episode.since
            ),
        }
        return Summary(
            kind="audit",
            name=self._deployment.worker_id,
            at=self._now(),
            started_at=self._started_at,
            version=version("rekindle"),
            http=self._deployment.http,
            samples=await asyncio.to_thread(samples_of, self.recorder.registry),
            findings=list(self.health().findings),
            facts=facts,
        )


def _say(lines: Iterable[str]) -> None:
    for number, text in enumerate(lines):
        if number == _MOST_LINES:
            log.error("audit: and more of it; the counters go on")
            return
        log.error("%s", text)


class _Process(faust.Service):
    """The auditor, its port and its summary, as one thing to run."""

    def __init__(self, deployment: Deployment, address: socket.socket) -> None:
        super().__init__()
        self.auditor = Auditor(deployment)
        self._redis = RedisConnection(deployment.redis)
        self._server = HttpServer(address, render=self.auditor.render, health=self.auditor.health)
        self._publisher = Publisher(self._redis, self.auditor.summary)

    def on_init_dependencies(self) -> list[faust.Service]:
        return [self.auditor, self._server, self._publisher]

    async def on_shutdown(self) -> None:
        await self._redis.close()


def run(deployment: Deployment) -> None:
    """Audit until a signal ends it; raises Refused when it cannot start or must not go on."""
    logs.set_up()
    gc.collect()
    gc.freeze()
    asyncio.run(_live(deployment))


async def _live(deployment: Deployment) -> None:
    with reserve(deployment.http_host, deployment.http_port) as address:
        log.info(
            "rekindle %s audits %s; http://%s",
            version("rekindle"),
            deployment.topic_prefix,
            deployment.http,
        )
        await process.live(_Process(deployment, address))
    log.info("the audit has ended")


__all__ = ["Auditor", "run"]
