"""The live page of one worker, put together: who makes frames, who is shown them, who may act."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from secrets import token_hex

import faust
from aiohttp import web

from engine.ports import Artefacts
from streams.agents.decide import DecideLane
from streams.fleet import Publisher
from streams.live.alerts import Alertmanager
from streams.live.feed import Feed
from streams.live.hub import Hub
from streams.live.look_up import LookUp
from streams.live.operator import OperatorRoutes
from streams.live.own import OwnSummary
from streams.live.routes import PublicRoutes
from streams.live.token import Gate
from streams.log.producer import Producer
from streams.log.topics import EVENTS
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.store import RedisStore
from streams.watch import Watch


class LivePage:
    """Services to run, routes to serve, and :meth:`close` to await before the port closes."""

    def __init__(
        self,
        deployment: Deployment,
        redis: RedisConnection,
        producer: Producer,
        artefacts: Artefacts,
        watch: Watch,
        lanes: Callable[[], Iterable[DecideLane]],
        wall: Callable[[], int],
    ) -> None:
        """``lanes``: those of the decide agent that are this worker's now; ``wall``: ms."""
        own = OwnSummary(deployment, redis, watch, lanes, watch.last_decisions, wall)
        recorder = watch.recorder
        self._hub = Hub(recorder.clients, recorder.frame_dropped)
        alertmanager = Alertmanager(deployment.links.get("alertmanager"), wall)
        feed = Feed(redis, self._hub, lambda: own.last, wall, alertmanager.alerts)

        async def partitions() -> int:
            return await producer.partitions(deployment.topic_prefix + EVENTS)

        look_up = LookUp(deployment, RedisStore(redis), artefacts, partitions, wall)
        public = PublicRoutes(self._hub, feed, token_hex(4))
        gate = Gate(deployment.operator_token, wall)
        acts = OperatorRoutes(
            deployment, gate, look_up, feed.current, producer, lambda: own.key, wall
        )
        self.services: Sequence[faust.Service] = (Publisher(redis, own.told), feed)
        self.routes: Sequence[web.RouteDef] = (*public.routes(), *acts.routes())
        self.first_to_end: Sequence[Callable[[], Awaitable[None]]] = (self._hub.close,)


__all__ = ["LivePage"]
