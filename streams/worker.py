"""One worker: a Faust app with three agents, each with a source and a group; all workers equal."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time
from typing import Any, assert_never

import faust
import mode
from aiokafka import TopicPartition
from faust.app.base import BootStrategy

from engine.errors import Refused, Unavailable
from streams import in_force, sources
from streams.agents import decide, deliver, intake
from streams.artefacts import KafkaArtefacts
from streams.delivery.clocks import Clock, TickClock, WallClock
from streams.delivery.gateways import ConsoleGateway, Gateway, JsonlGateway, WebhookGateway
from streams.delivery.handover import HandOvers
from streams.http.app import routes
from streams.http.server import HttpServer
from streams.log import topics
from streams.log.dead_letters import DeadLetters
from streams.log.producer import Producer, Record
from streams.log.reader import Reader
from streams.log.source import Group, Lane, Source, end_of
from streams.log.ticks import Gate, Ticker
from streams.settings import Deployment
from streams.state.claims import RedisClaims
from streams.state.connection import RedisConnection
from streams.state.lanes import IntakeLanes
from streams.state.policy import check as check_redis
from streams.state.store import RedisStore
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


def now_ms() -> int:
    """Return the wall clock in ms."""
    return int(time() * 1000)


async def check(deployment: Deployment) -> None:
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


class _NoKafka(BootStrategy):
    """Faust opens no Kafka connection of its own and makes no topic: the sources own consumers."""

    enable_kafka = False


class _App(faust.App):
    """A Faust app whose agents iterate channels."""

    BootStrategy = _NoKafka


class Worker:
    """The wiring of one process; ``only`` names the agents it runs."""

    def __init__(self, deployment: Deployment, only: Sequence[str] = AGENTS) -> None:
        """Wire everything; nothing is connected before :meth:`app` starts."""
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
            in_force.build,
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
        parsers = self._parsers()
        self.watch = Watch(list(parsers), topics.CHANNELS, now_ms)
        self.watch.sources = self.sources
        self._wire(parsers)

    # --- wiring ---------------------------------------------------------------------------------

    def _wire(self, parsers: dict[str, intake.Parse]) -> None:
        """Services start last and stop first, so the agents still work while sources drain."""
        if "intake" in self.only:
            source = self._source("intake", list(parsers), self._intake_lane(parsers))
            intake.agent(self.app, source)
            self.serve(intake.Watermarks(source, self.lanes))
        if "decide" in self.only:
            events = self.deployment.topic_prefix + topics.EVENTS
            source = self._source("decide", [events], self._decide_lane())
            decide.agent(self.app, source)
            if self.deployment.clock == "live":
                self.serve(_TickerLater(self, source, list(parsers)))
        if "deliver" in self.only:
            names = [self.deployment.topic_prefix + topics.ACTIONS + c for c in self.gateways]
            source = self._source("deliver", names, self._deliver_lane())
            deliver.agent(self.app, source)
        for service in (self.artefacts, self.watch):
            self.serve(service)
        host, port = self.deployment.http_host, self.deployment.http_port
        self.serve(HttpServer(host, port, routes(self.publish, now_ms), self.watch))
        self.serve(_Shared(self))

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
        source = Source(self.app, group, names, make_lane, self.watch.unavailable)
        self.serve(source)
        self.sources[name] = source
        return source

    def _parsers(self) -> dict[str, intake.Parse]:
        deployment = self.deployment
        follow = deployment.clock == "source"
        parsers: dict[str, intake.Parse] = {
            topic: sources.parser(dialect, source_clock=follow)
            for topic, dialect in deployment.sources
        }
        name = deployment.topic_prefix + topics.FEEDBACK
        parsers[name] = sources.parser(sources.FEEDBACK, source_clock=follow)
        return parsers

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
            watch=self.watch.step,
        )
        return lambda at: decide.DecideLane(at, parts)

    def _deliver_lane(self) -> Callable[[TopicPartition], Lane]:
        live = self.deployment.clock == "live"
        clock: Clock = WallClock(now_ms) if live else TickClock(self.store)
        parts = deliver.Parts(
            hand_overs=HandOvers(self.store, self.artefacts, clock),
            claims=RedisClaims(self.redis),
            gateways=self.gateways,
            producer=self.producer,
            reader=self.reader,
            dead_letters=self.dead_letters,
            prefix=self.deployment.topic_prefix,
            committed=lambda at: self.sources["deliver"].committed(at),  # noqa: PLW0108 - made later
            commit=lambda at, offset: self.sources["deliver"].commit_now(at, offset),  # noqa: PLW0108
            watch=self.watch.handed_over,
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


class _Shared(faust.Service):
    """Closes what all agents share, after them: services stop in reverse order of their start."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    async def on_shutdown(self) -> None:
        for gateway in self._worker.gateways.values():
            await gateway.close()
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
                Gate(worker.lanes, expected),
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

    Raises Refused when it cannot start.
    """
    asyncio.run(check(deployment))
    # aiokafka builds a log record per send and per network frame below WARNING.
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(deployment, only)
    for service in beside:
        worker.serve(service)
    # +32 % events/s: the imports are never garbage (prototype.md section 2).
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    # mode's own worker, not Faust's: that one draws a spinner on stdout.
    process = mode.Worker(
        worker.app, loop=loop, daemon=True, loglevel="WARN", redirect_stdouts=False
    )
    process.execute_from_commandline()
    sys.exit(0)
