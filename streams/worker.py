"""One worker: a Faust app with three agents, each with a source and a group; all workers equal."""

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from time import time_ns
from typing import Any, Protocol, assert_never

import faust
import mode
from aiokafka import TopicPartition
from faust.app.base import BootStrategy

from engine.errors import Refused, Unavailable
from streams import in_force, logs, process, sources
from streams.agents import decide, deliver, intake
from streams.artefacts import KafkaArtefacts
from streams.delivery.clocks import Clock, TickClock, WallClock
from streams.delivery.gateways import ConsoleGateway, Gateway, JsonlGateway, WebhookGateway
from streams.delivery.handover import NOTHING_SOLD_OUT, HandOvers
from streams.delivery.kill import KillSwitch
from streams.http.app import NAMED, routes
from streams.http.server import HttpServer, reserve
from streams.live.page import LivePage
from streams.live.token import Gate as TokenGate
from streams.log import topics
from streams.log.dead_letters import DeadLetters
from streams.log.producer import Producer, Record
from streams.log.reader import Reader
from streams.log.source import Group, Lane, Source, end_of
from streams.log.ticks import Gate, Ticker
from streams.products.door import ProductRoutes
from streams.products.sold_out import SoldOut
from streams.settings import Deployment
from streams.standing import held_back
from streams.state.claims import RedisClaims
from streams.state.connection import RedisConnection
from streams.state.lanes import IntakeLanes
from streams.state.policy import check as check_redis
from streams.state.store import RedisStore
from streams.tracing import Span, Tracing
from streams.wall import now_ms
from streams.watch import Watch

log = logging.getLogger(__name__)

AGENTS = ("intake", "decide", "deliver")


def gateways(deployment: Deployment) -> dict[str, Gateway]:
    """Return who carries which channel; a channel of your own gateway is not among them."""
    found: dict[str, Gateway] = {}
    for channel in topics.CHANNELS:
        wanted = deployment.gateway(channel)
        match wanted.kind:
            case "console":
                found[channel] = ConsoleGateway(sys.stdout)
            case "jsonl":
                found[channel] = JsonlGateway(Path(wanted.target))
            case "webhook":
                found[channel] = WebhookGateway(wanted.target, _secret(deployment, channel))
            case "none":
                pass
            case _:
                assert_never(wanted.kind)
    return found


def _secret(deployment: Deployment, channel: str) -> str:
    secret = deployment.webhook_secret(channel)
    if secret is None:
        name = f"REKINDLE_WEBHOOK_SECRET_{channel.upper()}"
        message = f"{name} is not set: hand-overs to a webhook are signed, so it needs one."
        raise Refused(message)
    return secret


class Spans(Protocol):
    """Where spans go; see :class:`streams.spans.Sender`."""

    def send(self, span: Span) -> None:
        """Queue one span."""
        ...

    def close(self) -> None:
        """Send what is queued, for a moment."""
        ...


def tracing_of(deployment: Deployment) -> tuple[Spans | None, Tracing | None]:
    """Return where spans go and who makes them; nothing where nothing is traced.

    Raises Refused where OpenTelemetry is not installed.
    """
    if deployment.trace is None:
        return None, None
    try:
        from streams.spans import to_collector  # noqa: PLC0415 - only here the library comes in
    except ImportError:
        message = "REKINDLE_TRACE needs OpenTelemetry: pip install 'rekindle[tracing]'."
        raise Refused(message) from None
    spans = to_collector(deployment.trace, deployment.worker_id, version("rekindle"))
    made = Tracing(spans.send, deployment.trace_share, deployment.topic_prefix, time_ns)
    return spans, made


async def _check(deployment: Deployment) -> None:
    """Refuse to start where state or log could not be kept; raises Refused, a sentence each."""
    redis = RedisConnection(deployment.redis)
    try:
        await check_redis(redis)
    finally:
        await redis.close()
    if deployment.embedded:
        return  # the mock cluster has no admin API; its topics come into being by first use
    try:
        problems = await topics.check(deployment)
    except Unavailable as error:
        raise Refused(str(error)) from error
    if problems:
        raise Refused("\n".join(problems))
    for told in await held_back(deployment):
        log.warning("%s", told)


class _NoKafka(BootStrategy):
    """Faust opens no Kafka connection of its own and makes no topic: the sources own consumers."""

    enable_kafka = False


class _App(faust.App):
    """A Faust app whose agents iterate channels."""

    BootStrategy = _NoKafka


class Worker:
    """The wiring of one process; ``only`` names the agents it runs."""

    def __init__(
        self, deployment: Deployment, address: socket.socket, only: Sequence[str] = AGENTS
    ) -> None:
        """Wire everything; nothing is connected before the app starts.

        ``address``: what the HTTP port listens on. Raises Refused.
        """
        self.deployment = deployment
        self.only = tuple(only)
        self.redis = RedisConnection(deployment.redis)
        self.store = RedisStore(self.redis)
        self.lanes = IntakeLanes(self.redis)
        self.producer = Producer(deployment.kafka)
        self.reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
        self.dead_letters = DeadLetters(self.producer, deployment.topic_prefix)
        self.artefacts = KafkaArtefacts(
            deployment.kafka,
            deployment.topic_prefix,
            lambda settings, files: self.watch.listened_to(in_force.build(settings, files)),
            fetch_wait=deployment.fetch_wait,
        )
        self.app = _App(
            "rekindle",
            broker="kafka://unused",
            agent_supervisor=mode.CrashingSupervisor,
            web_enabled=False,
            worker_redirect_stdouts=False,
            autodiscover=False,
            topic_disable_leader=True,
        )
        self.sources: dict[str, Source] = {}
        self.gateways = gateways(deployment)
        # What is left is told of now: data that carries its own time is of another.
        self.sold_out = SoldOut(deployment) if deployment.clock == "live" else None
        self.watch = Watch(
            [*[source.topic for source in deployment.sources], self._topic(topics.FEEDBACK)],
            topics.CHANNELS,
            now_ms,
            self.artefacts,
            prefix=deployment.topic_prefix,
            live=deployment.clock == "live",
        )
        self.watch.sources = self.sources
        self.spans, self.tracing = tracing_of(deployment)
        self.redis.watch = self.producer.watch = self.watch.recorder.timings
        self._wire(self._parsers(), address)

    # --- wiring ---------------------------------------------------------------------------------

    def _wire(self, parsers: dict[str, intake.Parse], address: socket.socket) -> None:
        """Services start in this order and stop in reverse; the agents outlive all of them.

        So what sources need while they drain is there, and the port answers from first to last.
        """
        self.serve(_Shared(self))
        page = self._page()
        products = ProductRoutes(
            self.deployment, self.producer, TokenGate(self.deployment.operator_token, now_ms)
        )
        for service in (self.artefacts, self.watch, *page.services):
            self.serve(service)
        self.serve(
            HttpServer(
                address,
                [
                    *routes(self.publish, now_ms, notes=self.watch.door),
                    *products.routes(),
                    *page.routes,
                ],
                render=self.watch.recorder.render,
                health=self.watch.health,
                elsewhere=f"POST to {', '.join(NAMED)}; look at /live; ",
                first_to_end=page.first_to_end,
            )
        )
        if "intake" in self.only:
            source = self._source("intake", list(parsers), self._intake_lane(parsers))
            intake.agent(self.app, source)
            self.serve(intake.Watermarks(source, self.lanes))
        if "decide" in self.only:
            source = self._source("decide", [self._topic(topics.EVENTS)], self._decide_lane())
            decide.agent(self.app, source)
            if self.deployment.clock == "live":
                self.serve(_TickerLater(self, source, list(parsers)))
        if "deliver" in self.only:
            if self.sold_out is not None:
                self.serve(self.sold_out)
            names = [self._topic(topics.ACTIONS + channel) for channel in self.gateways]
            source = self._source("deliver", names, self._deliver_lane())
            deliver.agent(self.app, source)

    def _page(self) -> LivePage:
        return LivePage(
            self.deployment,
            self.redis,
            self.producer,
            self.artefacts,
            self.watch,
            lambda: decide.lanes(self.sources["decide"]) if "decide" in self.sources else (),
            now_ms,
        )

    def serve(self, service: Any) -> None:
        """Run a service with the app; Faust types only the class, and takes an instance as well."""
        self.app.service(service)

    def _source(
        self, name: str, names: Sequence[str], make_lane: Callable[[TopicPartition], Lane]
    ) -> Source:
        deployment = self.deployment
        group = Group(
            f"{deployment.topic_prefix}{name}",
            deployment.kafka,
            deployment.worker_id,
            fetch_wait=deployment.fetch_wait,
            fetch_linger=deployment.fetch_linger,
        )
        source = Source(self.app, group, names, make_lane, self.watch.unavailable, self.watch.doubt)
        self.serve(source)
        self.sources[name] = source
        return source

    def _parsers(self) -> dict[str, intake.Parse]:
        deployment = self.deployment
        follow, notes = deployment.clock == "source", self.watch.notes
        parsers: dict[str, intake.Parse] = {
            topic: sources.parser(dialect, source_clock=follow, notes=notes)
            for topic, dialect in deployment.sources
        }
        feedback = sources.parser(sources.FEEDBACK, source_clock=follow, notes=notes)
        return parsers | {self._topic(topics.FEEDBACK): feedback}

    def _topic(self, name: str) -> str:
        return self.deployment.topic_prefix + name

    def _intake_lane(self, parsers: dict[str, intake.Parse]) -> Callable[[TopicPartition], Lane]:
        parts = intake.Parts(
            lanes=self.lanes,
            producer=self.producer,
            reader=self.reader,
            dead_letters=self.dead_letters,
            prefix=self.deployment.topic_prefix,
            parsers=parsers,
            clock=now_ms,
            count=self.watch.took_in,
            arrived=self.watch.arrived,
            tracing=self.tracing,
        )
        return lambda at: intake.IntakeLane(at, parts)

    def _decide_lane(self) -> Callable[[TopicPartition], Lane]:
        parts = decide.Parts(
            store=self.store,
            artefacts=self.artefacts,
            producer=self.producer,
            reader=self.reader,
            dead_letters=self.dead_letters,
            prefix=self.deployment.topic_prefix,
            watch=self.watch,
            tracing=self.tracing,
            sources=frozenset(self._parsers()),
            generation=self.lanes.generation,
        )
        return lambda at: decide.DecideLane(at, parts)

    def _deliver_lane(self) -> Callable[[TopicPartition], Lane]:
        live = self.deployment.clock == "live"
        clock: Clock = WallClock(now_ms) if live else TickClock(self.store)
        parts = deliver.Parts(
            hand_overs=HandOvers(
                self.store,
                self.artefacts,
                clock,
                KillSwitch(self.redis),
                called=self.watch.recorder.timings.called,
                sold_out=self.sold_out or NOTHING_SOLD_OUT,
            ),
            claims=RedisClaims(self.redis),
            gateways=self.gateways,
            producer=self.producer,
            reader=self.reader,
            dead_letters=self.dead_letters,
            prefix=self.deployment.topic_prefix,
            committed=lambda at: self.sources["deliver"].committed(at),  # noqa: PLW0108 - made later
            commit=lambda at, offset: self.sources["deliver"].commit_now(at, offset),  # noqa: PLW0108
            watch=self.watch.handed_over,
            tracing=self.tracing,
            cancelled=self.watch.cancelled,
        )
        return lambda at: deliver.DeliverLane(at, parts)

    # --- what the HTTP port asks ----------------------------------------------------------------

    async def publish(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Append raw messages to the first source topic, acknowledged; raises Unavailable."""
        topic = self.deployment.sources[0].topic
        count = await self.producer.partitions(topic)
        runs: dict[int, list[Record]] = {}
        for key, value in records:
            runs.setdefault(topics.partition_of(key, count), []).append(Record(key, value))
        await asyncio.gather(*[self.producer.run(topic, p, run) for p, run in runs.items()])

    # --- what the log says ----------------------------------------------------------------------

    def __str__(self) -> str:
        """Say who this is and what it does, in one line."""
        deployment = self.deployment
        told = [f"{name} of {', '.join(source.topics)}" for name, source in self.sources.items()]
        carried = [f"{channel} by {deployment.gateway(channel).kind}" for channel in self.gateways]
        if "deliver" in self.sources:
            told.append(f"gateways: {', '.join(carried) or 'none'}")
        return (
            f"rekindle {version('rekindle')}, worker {deployment.worker_id}: {'; '.join(told)}; "
            f"clock {deployment.clock}; http://{deployment.http}"
        )


class _Shared(faust.Service):
    """Closes what all share, last of all: it is started first."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    async def on_shutdown(self) -> None:
        for gateway in self._worker.gateways.values():
            await gateway.close()
        if self._worker.spans is not None:
            await asyncio.to_thread(self._worker.spans.close)
        await self._worker.producer.stop()
        await self._worker.reader.stop()
        await self._worker.redis.close()


class _TickerLater(faust.Service):
    """Starts the ticker once the partition counts of the sources are known."""

    def __init__(self, worker: Worker, source: Source, names: Sequence[str]) -> None:
        super().__init__()
        self._worker = worker
        self._source = source
        self._names = list(names)

    @faust.Service.task
    async def _begin(self) -> None:
        worker = self._worker
        while not self.should_stop:
            try:
                counts = [await worker.producer.partitions(name) for name in self._names]
            except Unavailable:
                await self.sleep(1.0)
                continue
            expected = [
                (name, partition)
                for name, count in zip(self._names, counts, strict=True)
                for partition in range(count)
            ]
            worker.watch.ticker = Ticker(
                lambda: decide.lanes(self._source),
                lambda at: end_of(self._source, at),
                Gate(worker.lanes, expected, since=now_ms()),
                worker.producer,
                now_ms,
                spacing=worker.deployment.tick_spacing,
                origin=worker.deployment.worker_id,
            )
            await self.add_runtime_dependency(worker.watch.ticker)
            return


def run(
    deployment: Deployment, only: Sequence[str] = AGENTS, beside: Sequence[faust.Service] = ()
) -> None:
    """Run a worker until a signal ends it, and services ``beside`` it.

    Raises Refused when it cannot start or must not go on.
    """
    logs.set_up(form=deployment.log, worker=deployment.worker_id)
    with logs.silent("aiokafka"):  # what it would say of an absent Kafka we say in one sentence
        asyncio.run(_check(deployment))
    # +32 % events/s: the imports are never garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    asyncio.run(_live(deployment, only, beside))


async def _live(
    deployment: Deployment, only: Sequence[str], beside: Sequence[faust.Service]
) -> None:
    with reserve(deployment.http_host, deployment.http_port) as address:
        worker = Worker(deployment, address, only)
        for service in beside:
            worker.serve(service)
        log.info("%s", worker)
        await process.live(worker.app, list(worker.sources.values()))
    log.info("worker %s has ended", deployment.worker_id)
