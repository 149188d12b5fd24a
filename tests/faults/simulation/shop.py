"""A whole shop in one thread: the real agents as processes over modelled Kafka, Redis, gateways."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition

from engine.actions import Action
from engine.errors import Unavailable
from engine.events import SettingsRecord
from engine.memory import MemoryArtefacts
from engine.policy import Cap, Policy, QuietHours, Settings
from engine.ports import InForce
from engine.times import DAY, HOUR, MINUTE, SECOND
from streams import sources
from streams.agents import decide, deliver, intake
from streams.delivery.clocks import WallClock
from streams.delivery.gateways import Accepted, Answer, Failed, Rejected, Unknown
from streams.delivery.handover import HandOvers
from streams.delivery.kill import KillSwitch
from streams.log import codec, ticks
from streams.log.dead_letters import DeadLetters
from streams.log.reader import POSITION
from streams.log.source import Group, Lane, Source, end_of, halted
from streams.log.ticks import Gate, Ticker
from streams.log.topics import partition_of
from streams.state.claims import RedisClaims
from streams.state.lanes import IntakeLanes
from streams.state.store import RedisStore
from tests.faults.simulation.kafka_model import (
    Append,
    Broker,
    ModelConsumer,
    ModelProducer,
    ModelReader,
)
from tests.faults.simulation.loop import Process, VirtualLoop
from tests.faults.simulation.network import Lost, Server
from tests.faults.simulation.redis_model import Database, ModelConnection
from tests.support import world
from tests.support.builders import CHANNELS, START, a_cart_campaign, a_policy
from tests.support.mutants import replaced

RAW: Final = "events.raw"
FEEDBACK: Final = "feedback"
EVENTS: Final = "events"
CARRIED: Final = ("push", "email")
OUTPUTS: Final = ("decisions", "actions.push", "actions.email", "actions.sms")
_FILE: Final = "c" * 64
_OTHER: Final = "d" * 64


class Sent(NamedTuple):
    """A message an app was told is written."""

    at: int
    partition: int
    offset: int
    user: str
    message: str


@dataclass
class Rebirth:
    """A partition of ``events`` whose keys were emptied; what was to come of the log before.

    ``stood``: the offset in the store, ``furthest``: the furthest it ever had. ``forgotten``: what
    waited in the outbox, topic and position.
    """

    at: int
    begin: int
    stood: int
    furthest: int
    forgotten: set[tuple[str, bytes]] = field(default_factory=set)


class Carried(NamedTuple):
    """A message that reached a person."""

    action_id: str
    channel: str
    user_id: str
    created_at: str


@dataclass
class Plan:
    """What one seed comes to; times in seconds of the shop."""

    seed: int
    partitions: int = 2
    raw_partitions: int = 2
    workers: int = 2
    users: int = 10
    seconds: float = 10.0
    rate: float = 12.0
    faults: float = 0.8  # chances of a fault per second
    chunk: int = 500
    batch: int = 100
    fetch: int = 500
    misplaced: float = 0.0
    bad: float = 0.02  # chance of each mishap per request, at most
    idempotent: bool = False
    stamped: bool = True
    session: int = 4_000  # ms until the group misses a member
    deadline: float = 150.0
    # One fault and no other, at the end of so many turns of the first worker.
    crash_at: int = 0
    crash: str = "kill"
    harm: str = ""  # one of harms.HARMS; '' = nothing that an operator must mend


def plan_of(seed: int) -> Plan:
    """Draw the shape of a shop."""
    random = Random(f"plan-{seed}")
    return Plan(
        seed,
        partitions=random.choice((1, 2, 3)),
        raw_partitions=random.choice((1, 2)),
        workers=random.choice((2, 2, 3)),
        users=random.choice((4, 8, 16)),
        seconds=random.choice((4.0, 6.0, 9.0)),
        rate=random.choice((8.0, 15.0, 25.0)),
        faults=random.choice((0.4, 0.8, 1.6)),
        chunk=random.choice((1, 3, 500)),
        batch=random.choice((1, 2, 5, 100)),
        fetch=random.choice((3, 10, 500)),
        misplaced=random.choice((0.0, 0.0, 0.02)),
        bad=random.choice((0.0, 0.01, 0.05)),
        idempotent=random.random() < 0.5,
        stamped=random.random() < 0.7,
        session=random.choice((4_000, 9_000)),
    )


def harmed(seed: int, harm: str) -> Plan:
    """Draw the shape of a shop that suffers harm."""
    plan = plan_of(seed)
    return replace(plan, harm=harm, seconds=max(plan.seconds, 6.0))


def policy(*, patient: bool = False) -> Policy:
    """Two campaigns that compete for one message in ten seconds, within seconds of a cart."""
    delay = 3 * SECOND if patient else 2 * SECOND
    common: dict[str, Any] = {"hard_limit": 6 * SECOND, "cooldown": 0, "channels": CARRIED}
    first = a_cart_campaign(delay=delay, stale_after=HOUR, **common)
    second = a_cart_campaign(id="cart-again", delay=delay + 300, stale_after=HOUR, **common)
    found = a_policy(
        first,
        second,
        caps=(
            Cap(name="any-10s", kind="rolling", window=10 * SECOND, limit=1),
            Cap(name="any-1d", kind="rolling", window=DAY, limit=4),
        ),
        quiet=QuietHours(0, 0),
        settle=0,
        arbitration_window=SECOND,
    )
    for name, channel in CHANNELS.items():
        within = (20 if name == "push" else 60) * SECOND
        found.channels[name] = type(channel)(
            name=name, cost=channel.cost, patience=channel.patience, deliver_within=within
        )
    return found


POLICIES: Final = {_FILE: policy(), _OTHER: policy(patient=True)}


def build(settings: Settings, _: Mapping[str, bytes]) -> InForce:
    """Return what is in force; without a model the prior speaks."""
    chosen = POLICIES[settings.campaigns] if settings.campaigns else None
    return world.in_force(chosen, settings)


class _Watch:
    """Counts what the lanes tell of themselves."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts

    def step(self, report: Any, stages: Any, force: Any) -> None:
        self.counts["steps"] += 1

    def decided(self, values: Any) -> None:
        self.counts["decided"] += len(values)

    def acted(self, channel: str, due_at: int) -> None:
        self.counts["acted"] += 1

    def doubt(self, kind: str) -> None:
        self.counts[f"doubt: {kind}"] += 1


class _InVirtualTime:
    """Timers of a service follow the loop, not the processor's clock, and start in one order."""

    # Mixed into a Faust service; typed alone, its parent is object: hence the ignores.

    def _get_tasks(self) -> Any:
        tasks = super()._get_tasks()  # type: ignore[misc]
        return sorted(tasks, key=lambda task: task.fun.__qualname__)

    def itertimer(self, interval: Any, **more: Any) -> Any:
        clock = asyncio.get_running_loop().time
        return super().itertimer(interval, clock=clock, **more)  # type: ignore[misc]


class _Source(_InVirtualTime, Source):
    pass


class _Watermarks(_InVirtualTime, intake.Watermarks):
    pass


class _Ticker(_InVirtualTime, Ticker):
    pass


class ModelGateway:
    """A provider: carries, refuses, breaks off; ``idempotent`` as those with keys are."""

    def __init__(self, shop: "Shop", channel: str, *, idempotent: bool) -> None:
        self.name = f"model-{channel}"
        self.idempotent = idempotent
        self._shop = shop
        self._seen: set[str] = set()

    async def send(self, action: Action, now: int) -> Answer:
        shop, lot = self._shop, self._shop.random.random()
        if self._shop.gateway.down:
            await asyncio.sleep(0.05)
            raise Unavailable("the gateway is away")

        def carry() -> Answer:
            if self.idempotent and action.action_id in self._seen:
                return Accepted("again")
            if shop.unwell and lot < 0.05:
                return Failed("busy")
            if lot < 0.08:
                return Rejected("bad address", permanent=False)
            self._seen.add(action.action_id)
            shop.carried.append(
                Carried(
                    action.action_id, action.channel, action.user_id, action.delivery.created_at
                )
            )
            return Accepted()

        try:
            return await shop.gateway.ask(carry)
        except Lost as lost:
            raise Unknown(str(lost)) from lost

    async def close(self) -> None:
        """Nothing is open."""


class Worker:
    """One process at a time under one name; the wiring of streams.worker, over the models."""

    def __init__(self, shop: "Shop", name: str) -> None:
        self.shop = shop
        self.name = name
        self.process: Process | None = None
        self.sources: dict[str, Source] = {}
        self.services: list[Any] = []
        self.countdown = 0

    @property
    def running(self) -> bool:
        return self.process is not None and not self.process.dead

    def start(self) -> None:
        """Start a process, whatever became of the one before; not while the shop is shut."""
        if self.shop.shut:
            return
        self.process = Process(self.name)
        self.sources, self.services = {}, []
        self.shop.owners[self.process] = self
        self.shop.loop.spawn(self.process, self._main())

    def again(self) -> None:
        """Start a process unless there is one."""
        if not self.running:
            self.start()

    def kill(self) -> None:
        """Do what ``kill -9`` does."""
        if self.process is not None:
            self.shop.loop.kill(self.process)

    async def _main(self) -> None:
        process = self.process
        assert process is not None
        try:
            self._wire()
            services = self.services  # of this process; the next one has its own
            await asyncio.gather(*[service.start() for service in services])
            while not any(service.crashed for service in services):  # noqa: ASYNC110 - as a supervisor looks
                await asyncio.sleep(0.5)
            reasons = [each.crash_reason for each in services if each.crash_reason]
            self._ended(process, f"ended: {type(reasons[0]).__name__}" if reasons else "ended")
        except Exception as error:  # noqa: BLE001 - a process that ends is a finding
            self.shop.crashed(self.name, error)
            self._ended(process, "crashed")

    def _ended(self, process: Process, how: str) -> None:
        """A process that ends by itself is started again by its supervisor."""
        shop = self.shop
        shop.counts[f"processes {how}"] += 1
        if self.process is process and not shop.over:
            shop.loop.call_outside(1.0, self.again)
        shop.loop.kill(process)

    async def stop(self) -> None:
        """SIGTERM, from within the process."""
        for service in reversed(self.services):
            await service.stop()

    # --- wiring ---------------------------------------------------------------------------------

    def _wire(self) -> None:
        shop, own = self.shop, self.sources
        redis = ModelConnection(shop.database, shop.redis)
        self.store = RedisStore(redis)
        self.lanes = IntakeLanes(redis)
        self.producer = ModelProducer(shop.broker)
        self.reader = ModelReader(shop.broker)
        self.dead_letters = DeadLetters(self.producer, "")
        watch = _Watch(shop.counts)
        parsers = {RAW: sources.parser("segment"), FEEDBACK: sources.parser(sources.FEEDBACK)}
        taking = intake.Parts(
            lanes=self.lanes,
            producer=self.producer,
            reader=self.reader,
            dead_letters=self.dead_letters,
            prefix="",
            parsers=parsers,
            clock=shop.clock,
            count=lambda topic, count, reasons: None,
        )
        source = self._source("intake", [RAW, FEEDBACK], lambda at: intake.IntakeLane(at, taking))
        self.services.append(_Watermarks(source, self.lanes))
        deciding = decide.Parts(
            store=self.store,
            artefacts=shop.artefacts,
            producer=self.producer,
            reader=self.reader,
            dead_letters=self.dead_letters,
            prefix="",
            watch=watch,
            chunk=shop.plan.chunk,
            sources=frozenset(parsers),
            generation=self.lanes.generation,
        )
        deciders = self._source("decide", [EVENTS], lambda at: decide.DecideLane(at, deciding))
        self.services.append(self._ticker(deciders))
        switch = KillSwitch(redis, lambda: shop.clock() / 1000)
        handing = deliver.Parts(
            hand_overs=HandOvers(self.store, shop.artefacts, WallClock(shop.clock), switch),
            claims=RedisClaims(redis),
            gateways=shop.gateways,
            producer=self.producer,
            reader=self.reader,
            dead_letters=self.dead_letters,
            prefix="",
            committed=lambda at: own["deliver"].committed(at),  # noqa: PLW0108 - made later
            commit=lambda at, offset: own["deliver"].commit_now(at, offset),  # noqa: PLW0108
            watch=lambda channel, what: None,
        )
        names = ["actions." + channel for channel in CARRIED]
        self._source("deliver", names, lambda at: deliver.DeliverLane(at, handing))

    def _source(
        self, name: str, topics: list[str], make_lane: Callable[[TopicPartition], Lane]
    ) -> Source:
        shop, channel = self.shop, asyncio.Queue[Any]()
        app: Any = SimpleNamespace(
            channel=lambda maxsize: channel,
            flow_control=SimpleNamespace(resume=lambda: None),
            crashed=False,
        )
        group = Group(
            name,
            "model",
            self.name,
            session_timeout=shop.plan.session,
            heartbeat=1_000,
            rebalance_timeout=10_000,
        )
        source = _Source(
            app,
            group,
            topics,
            make_lane,
            make_consumer=lambda group: ModelConsumer(shop.broker, group),
        )

        async def agent() -> None:
            while True:
                own, records = await channel.get()
                try:
                    await source.work(own, records)
                except Exception as error:  # noqa: BLE001 - as the supervisor of the agents does
                    shop.crashed(f"{self.name} {name}", error)
                    await source.crash(error)

        for _ in range(4):
            source.add_future(agent())
        self.sources[name] = source
        self.services.append(source)
        return source

    def _ticker(self, source: Source) -> Ticker:
        shop = self.shop
        expected = [(RAW, number) for number in range(shop.plan.raw_partitions)]
        expected += [(FEEDBACK, 0)]
        return _Ticker(
            lambda: decide.lanes(source),
            lambda at: end_of(source, at),
            Gate(self.lanes, expected, since=shop.clock()),
            self.producer,
            shop.clock,
            spacing=400,
            origin=self.name,
        )


@dataclass
class Shop:
    """A plan come to life; what it leaves behind is what the checks read."""

    plan: Plan
    counts: Counter[str] = field(default_factory=Counter)
    sent: list[Sent] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    too_soon: list[str] = field(default_factory=list)
    stuck: str = ""
    over: bool = False
    unwell: bool = False
    turns: int = 0
    # Of harm, see harms.py. ``shut``: nobody starts a worker. ``life``: how often the source topic
    # was made anew. ``told``: what halted lanes said; ``must_say``: words that must be in it.
    shut: bool = False
    life: int = 0
    resets: int = 0
    most: int = 0  # so many records are written into a source made anew before it is reset
    told: set[str] = field(default_factory=set)
    must_say: set[str] = field(default_factory=set)
    destroyed: list[Any] = field(default_factory=list)
    # The log that was deleted, and the tokens of those who worked on it then.
    former: dict[int, list[ConsumerRecord]] = field(default_factory=dict)
    formerly: dict[int, bytes] = field(default_factory=dict)
    unseen: bool = False  # one of them reads on in the new log; see _went_on
    elsewhere: list[str] = field(default_factory=list)
    rebirths: dict[int, Rebirth] = field(default_factory=dict)
    anew_from: int = 0  # so many messages were carried before the log was begun anew
    full_from: dict[int, int] = field(default_factory=dict)
    full_to: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = self.plan
        self.random = Random(f"shop-{plan.seed}")
        self.loop = VirtualLoop(Random(f"loop-{plan.seed}"))
        self.broker = Broker(self.loop, Random(f"kafka-{plan.seed}"), self.counts, self.clock)
        self.redis = Server(self.loop, Random(f"redis-{plan.seed}"), self.counts, "redis")
        self.gateway = Server(self.loop, Random(f"gateway-{plan.seed}"), self.counts, "gateway")
        self.gateway.weather.longest = 0.1
        self.database = Database(self.clock)
        self.artefacts = MemoryArtefacts(build)
        for name in POLICIES:
            self.artefacts.put(name, b"")
        self.gateways: dict[str, Any] = {
            channel: ModelGateway(self, channel, idempotent=plan.idempotent and channel == "push")
            for channel in CARRIED
        }
        self.owners: dict[Process, Worker] = {}
        self.workers = [Worker(self, f"w{number}") for number in range(plan.workers)]
        self.zombies: list[Process] = []
        self.struck: asyncio.Task[None] | None = None
        self.on_crash_point: Callable[[Worker], None] | None = None
        self.broker.batch, self.broker.most = plan.batch, plan.fetch
        self._topics()
        self.broker.on_append = self._left
        if plan.harm == "log anew":
            self.database.on_commit = self._went_on

    def _left(self, topic: str, partition: int, record: Append) -> None:
        """Note what leaves before any commit has consumed its cause."""
        at = dict(record[2]).get(POSITION)
        if at is None:
            return
        cause = int(at.partition(b".")[0])
        if self.database.furthest.get(b"rk:{%d}:m" % partition, 0) <= cause:
            self.too_soon.append(f"{topic}/{partition} was given {at.decode()}")

    def _went_on(self, meta: bytes, before: dict[bytes, bytes], after: dict[bytes, bytes]) -> None:
        """Note a commit that goes on in a log that is not the one its head was folded from.

        What was read before the log was deleted may still be committed; and a lane that was at work
        all the time cannot know, if the new log reaches beyond its place when it reads on.
        """
        partition = int(meta.split(b"{")[1].split(b"}")[0])
        place = self.broker.topics.get(EVENTS, [])[partition:][:1]
        offset, crc = int(before.get(b"o", b"0")), before.get(b"crc", b"0")
        if not place or not offset or crc == b"0":
            return
        if _crc_at(place[0].whole, offset) == crc:
            return
        former, now = self.former.get(partition, []), int(after[b"o"])
        if _crc_at(former, now) == after[b"crc"]:
            return
        if before.get(b"token") == self.formerly.get(partition):
            self.unseen = True
        else:
            self.elsewhere.append(f"{EVENTS}/{partition} went on at {offset} to {now}")

    def close(self) -> None:
        """Stop every worker there is; none is started before :meth:`open`."""
        self.shut = True
        for worker in self.workers:
            worker.kill()
        for zombie in self.zombies:
            self.loop.kill(zombie)

    def open(self) -> None:
        """Start the workers again."""
        self.shut = False
        for worker in self.workers:
            worker.again()

    def reborn(self, partition: int) -> None:
        """Note what is forgotten with the keys of a partition, before they are emptied."""
        at, meta = self.broker.at(EVENTS, partition), b"rk:{%d}:m" % partition
        stood = int(self.meta(partition).get(b"o", b"0"))
        known = self.rebirths.setdefault(
            partition,
            Rebirth(self.clock(), at.begin, stood, self.database.furthest.get(meta, 0)),
        )
        stream = self.database.keys.get(b"rk:{%d}:q" % partition)
        for name, fields in stream.entries if stream is not None else ():
            known.forgotten.add((fields[1].decode(), name))

    def begin_anew(self) -> None:
        """Forget what came of the former log."""
        self.anew_from = len(self.carried)
        self.too_soon.clear()

    def _topics(self) -> None:
        plan, broker = self.plan, self.broker
        broker.create(RAW, plan.raw_partitions)
        broker.create(FEEDBACK, 1)
        broker.create("dead-letters", 1)
        for name in (EVENTS, "decisions", "actions.push", "actions.email", "actions.sms"):
            broker.create(name, plan.partitions)
        if plan.stamped:
            broker.stamped.update((RAW, FEEDBACK))
        self.settings(_FILE)

    def clock(self) -> int:
        """Return the time of the shop, ms."""
        return START + int(self.loop.time() * 1000)

    def settings(self, campaigns: str = _FILE) -> None:
        """Put a campaigns file in force, in every partition."""
        if EVENTS not in self.broker.topics:
            return
        record = codec.write(SettingsRecord(campaigns=campaigns, origin="test"))
        for partition in range(self.plan.partitions):
            self.broker.append(EVENTS, partition, [(None, record, ())])

    def crashed(self, who: str, error: Exception) -> None:
        """Note what no process may end of; when all is over, pieces fall where they may."""
        if not self.over:
            self.crashes.append(f"{who}: {error!r}")

    # --- shoppers -------------------------------------------------------------------------------

    def say(self, user: str, number: int) -> None:
        """Let somebody do something; what she does was acknowledged by Kafka."""
        random = self.random
        lot = random.random()
        product = {"product_id": f"p{random.randrange(4)}", "price": 120.5, "name": "Shoe"}
        body: dict[str, Any]
        if lot < 0.45:
            body = _track("Product Added", {**product, "currency": "CNY"})
        elif lot < 0.75:
            body = _track("Product Viewed", product)
        elif lot < 0.85:
            body = _track("Product Removed", product)
        else:
            properties = {"order_id": f"o{number}", "total": 241.0, "currency": "CNY"}
            body = _track("Order Completed", {**properties, "products": [product]})
        self._publish(user, body | {"messageId": f"m-{number}"})

    def know(self, user: str) -> None:
        """Let her sign in and say yes."""
        traits = {"email": f"{user}@example.com", "push_opt_in": True, "email_opt_in": True}
        context = {"device": {"token": f"t-{user}"}, "locale": "zh-CN"}
        self._publish(
            user,
            {"type": "identify", "traits": traits, "context": context, "messageId": f"id-{user}"},
        )

    def _publish(self, user: str, body: dict[str, Any]) -> None:
        partition = partition_of(user.encode(), self.plan.raw_partitions)
        if RAW not in self.broker.topics:
            return  # not acknowledged
        waits = self.most and self.life and not self.resets
        if waits and self.broker.at(RAW, partition).end >= self.most:
            return  # nor said
        value = json.dumps(body | {"userId": user}).encode()
        offset = self.broker.append(RAW, partition, [(user.encode(), value, ())])
        self.sent.append(Sent(self.clock(), partition, offset, user, body["messageId"]))

    async def _shoppers(self) -> None:
        plan, random = self.plan, self.random
        names = [f"u{number}" for number in range(plan.users)]
        for name in names:
            self.know(name)
        number, end = 0, self.loop.time() + plan.seconds
        while self.loop.time() < end:
            await asyncio.sleep(random.expovariate(plan.rate))
            for _ in range(random.choice((1, 1, 1, 6))):
                # One of them does half of everything.
                self.say(names[0] if random.random() < 0.5 else random.choice(names), number)
                number += 1
            if random.random() < 0.01:
                self.settings(random.choice((_FILE, _OTHER)))

    # --- life -----------------------------------------------------------------------------------

    def run(self) -> "Shop":
        """Live through the plan, heal, and drain."""
        logging.disable(logging.CRITICAL)
        try:
            self.loop.hook = self._turned
            with replaced(ticks, "HEARTBEAT", 5 * SECOND):  # what fell back in peace is found
                self.loop.run(self._live())
        finally:
            logging.disable(logging.NOTSET)
        self.turns = self.loop.turns
        return self

    def _turned(self, owner: Process | None) -> None:
        """Kill who is to die after so many turns."""
        worker = self.owners.get(owner) if owner is not None else None
        if worker is not None and worker.countdown and worker.process is owner:
            worker.countdown -= 1
            if not worker.countdown:
                self.counts["crash points"] += 1
                (self.on_crash_point or Worker.kill)(worker)

    async def _live(self) -> None:
        from tests.faults.simulation.chaos import Chaos  # noqa: PLC0415 - it knows the shop

        for worker in self.workers:
            worker.start()
        chaos = Chaos(self)
        if self.plan.crash_at:
            self.workers[0].countdown = self.plan.crash_at
            self.on_crash_point = chaos.crash
        shopping = asyncio.ensure_future(self._shoppers())
        looked_after = self._harm()
        await asyncio.sleep(self.random.random())
        await chaos.rage(shopping)
        await shopping
        chaos.heal()
        await self._drain()
        self.over = True
        if self.struck is not None and self.struck.done():
            self.struck.result()
        for each in looked_after:
            each.cancel()

    def _harm(self) -> "list[asyncio.Task[None]]":
        """Let the plan's harm strike, and somebody look after the shop."""
        from tests.faults.simulation.harms import Harm, Operator  # noqa: PLC0415 - they know the shop

        if not self.plan.harm:
            return []
        self.struck = asyncio.ensure_future(Harm(self, self.plan.harm).strike())
        return [self.struck, asyncio.ensure_future(Operator(self).watch())]

    async def _drain(self) -> None:
        """Wait until everything that was said has been worked off."""
        end = self.loop.time() + self.plan.deadline
        while True:
            await asyncio.sleep(0.7)
            missing = self.missing()
            if not missing:
                return
            if self.loop.time() > end or self.loop.turns > 400_000:
                self.stuck = missing
                return

    def missing(self) -> str:
        """Return what is not worked off yet; '' = nothing."""
        if self.struck is not None and not self.struck.done():
            return f"the harm is not over: {self.plan.harm}"
        if told := [h for w in self.workers for h in halted(w.sources.values())]:
            return f"halted: {told[0]}"
        if at := self._not_at_the_end("intake", [RAW, FEEDBACK]):
            return f"{at} is not forwarded"
        horizon = self.clock() + MINUTE
        for number, place in enumerate(self.broker.topics[EVENTS]):
            if int(self.meta(number).get(b"o", b"0")) != place.end:
                return f"events/{number} is not folded"
            wakes = self.database.keys.get(b"rk:{%d}:w" % number, {})
            if wakes and min(wakes.values()) < horizon:
                return f"somebody of events/{number} will wake"
        if at := self._not_at_the_end("decide", [EVENTS]):
            return f"{at} is not let out"
        if at := self._not_at_the_end("deliver", ["actions." + channel for channel in CARRIED]):
            return f"{at} is not handed over"
        return ""

    def _not_at_the_end(self, source: str, topics: Sequence[str]) -> str:
        """Return the first partition whose lane is not at its end; '' = all are."""
        lanes = {
            own.lane.at: own.lane
            for worker in self.workers
            if worker.running and source in worker.sources
            for own in worker.sources[source].owned.values()
            if own.entered and not own.busy
        }
        for topic in topics:
            for number, place in enumerate(self.broker.topics[topic]):
                lane = lanes.get(TopicPartition(topic, number))
                if lane is None or lane.offset != place.end:
                    return f"{topic}/{number}"
        return ""

    def meta(self, partition: int) -> dict[bytes, bytes]:
        return self.database.hash(b"rk:{%d}:m" % partition)

    def log(self, topic: str) -> list[ConsumerRecord]:
        """Return all that a topic holds, partition by partition."""
        return [record for place in self.broker.topics[topic] for record in place.records]


def _crc_at(records: Sequence[ConsumerRecord], offset: int) -> bytes:
    """Return the crc of the record before an offset, as a head keeps it; nothing where none is."""
    if not 0 < offset <= len(records):
        return b""
    before = records[offset - 1]
    return b"%d" % codec.crc(before.key, before.value, before.timestamp)


def _track(event: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "track", "event": event, "properties": properties}


__all__ = [
    "CARRIED",
    "EVENTS",
    "FEEDBACK",
    "OUTPUTS",
    "RAW",
    "Carried",
    "Plan",
    "Rebirth",
    "Sent",
    "Shop",
    "harmed",
    "plan_of",
]
