"""The process `rekindle observe`: the observer, its port and its summary, as one thing to run."""

import asyncio
import gc
import logging
import socket
from importlib.metadata import version
from typing import Final

import faust

from engine.events import Control
from monitoring.figures.told import as_facts
from monitoring.health import Health
from monitoring.summary import Summary, samples_of
from streams import control, logs, process
from streams.fleet import Publisher
from streams.http.server import HttpServer, reserve
from streams.observing import kpi_file
from streams.observing.observing import Observing
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.wall import now_ms

log = logging.getLogger(__name__)

_KIND: Final = "observe"


class Process(faust.Service):
    """Wires one observer; nothing is connected before it starts."""

    def __init__(self, deployment: Deployment, address: socket.socket, since: int) -> None:
        """``address``: what the HTTP port listens on. Raises Refused for a wrong KPI file."""
        super().__init__()
        self._deployment = deployment
        self._started_at = now_ms()
        table = kpi_file.load(deployment.kpis)
        self._redis = RedisConnection(deployment.redis)
        self.observing = Observing(
            deployment, table, self._redis, act=self._act, now=now_ms, since=since
        )
        self.recorder = self.observing.recorder
        self._server = HttpServer(address, render=self.recorder.render, health=self.health)
        self._publisher = Publisher(self._redis, self._summary)
        log.info(
            "rekindle %s observes %s: %d KPIs; http://%s",
            version("rekindle"),
            ", ".join(topic for topic, _ in deployment.sources),
            len(table.watched),
            deployment.http,
        )

    def on_init_dependencies(self) -> list[faust.Service]:
        """Return what runs: first started, last stopped is the port."""
        return [self._server, self.observing, self._publisher]

    async def on_shutdown(self) -> None:
        """Close what they share."""
        await self._redis.close()

    async def _act(self, wanted: Control) -> object:
        return await control.act(self._deployment, wanted)

    def health(self) -> Health:
        """Return whether it lives and observes."""
        findings = self.observing.findings()
        return Health(live=True, ready=not findings, findings=tuple(findings))

    async def _summary(self) -> Summary:
        observing = self.observing
        return Summary(
            kind=_KIND,
            name=self._deployment.worker_id,
            at=now_ms(),
            started_at=self._started_at,
            version=version("rekindle"),
            http=self._deployment.reached_at,
            samples=await asyncio.to_thread(samples_of, self.recorder.registry),
            findings=observing.findings(),
            facts=as_facts(observing.facts) if observing.ours else {},
        )


def run(deployment: Deployment, since: int = 0) -> None:
    """Observe until a signal ends it; raises Refused when it cannot start or must not go on.

    ``since``: how far back a first start begins, ms.
    """
    logs.set_up(form=deployment.log, worker=deployment.worker_id)
    gc.collect()
    gc.freeze()
    with logs.silent("aiokafka"):
        asyncio.run(_live(deployment, since))


async def _live(deployment: Deployment, since: int) -> None:
    with reserve(deployment.http_host, deployment.http_port) as address:
        await process.live(Process(deployment, address, since))
    log.info("the observer has ended")


__all__ = ["Process", "run"]
