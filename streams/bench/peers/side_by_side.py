"""The reduced job side by side in one run: rekindle, Quix Streams and naive Faust on one input.

Every engine reads the same raw messages and must send the reminders of
:func:`streams.bench.peers.job.replay`, which knows none of them; who does not gets no ratio. CPU is
that of the engine's process and of Redis, from the first event to the last.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import monotonic, time
from typing import Any, Final

import redis
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import NewTopic
from msgspec.structs import replace

from engine.actions import decode as decode_action
from engine.decisions import decode as decode_decision
from engine.errors import Refused
from engine.events import SettingsRecord, Tick
from engine.ports import OutboxId
from engine.times import HOUR, SECOND, from_iso
from streams import control
from streams.bench import workers
from streams.bench.ground import PARTITIONS, clean, prepare
from streams.bench.peers import job, naive, traffic
from streams.bench.peers.job import Reminder
from streams.bench.peers.rules import WORDS, campaigns
from streams.bench.stretch import Stretch, cpu_of, cpu_of_redis, one_way
from streams.bench.telling import Table, figure
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.log.reader import Reader, position_of
from streams.log.topics import ACTIONS, DECISIONS, EVENTS, RAW, connect, create, partition_of
from streams.settings import Deployment
from streams.state.keys import keys_of, lane

PEERS: Final = Path("build/peers/bin/python")
ABSENT: Final = "Quix Streams is not installed: run `make peers`, or name a Python that has it."
DIFFERENT: Final = "Its reminders differ from those of the rules alone, so that no ratio is drawn."

CAMPAIGNS: Final = campaigns(delay="3m", hard_limit="9m", settle="1s", cap="7d", limit=job.LIMIT)
_DEADLINE = 300.0


@dataclass(frozen=True, slots=True)
class Done:
    """What one engine made of the input: its cost, and what it sent."""

    cost: Stretch
    sent: list[Reminder]
    parts: Mapping[str, Stretch]

    def as_json(self, expected: Sequence[Reminder]) -> dict[str, Any]:
        """Return costs, and how what it sent stands to what should have been sent."""
        told: dict[str, Any] = dict(self.cost.as_json())
        told |= {name: cost.as_json() for name, cost in self.parts.items()}
        right, mine = set(expected), set(self.sent)
        told["reminders"] = {
            "sent": len(self.sent),
            "equal": sorted(self.sent) == sorted(expected),
            "missing": len(right - mine),
            "surplus": len(self.sent) - len(mine & right),
        }
        return told


class SideBySide:
    """One run against one deployment."""

    def __init__(
        self, deployment: Deployment, events: int, naive_events: int, peers: Path = PEERS
    ) -> None:
        """``events`` for rekindle and Quix Streams, their first ``naive_events`` for naive Faust.

        ``peers``: a Python that has quixstreams and rekindle; absent = not compared.
        """
        self.deployment = deployment
        self.events = events
        self.naive_events = naive_events
        self.peers = peers
        self.prefix = deployment.topic_prefix
        self.redis = redis.Redis.from_url(deployment.redis)
        self.start = job.minute_of(int(time() * SECOND) - 24 * HOUR)

    def run(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Return the costs of every engine and the ratios to rekindle's."""
        all_of, some = self._messages(self.events), self._messages(self.naive_events)
        expected, few = _expected(all_of), _expected(some)
        asyncio.run(prepare(self.deployment, CAMPAIGNS))
        try:
            asyncio.run(self._load(RAW, all_of))
            say("side by side: rekindle")
            ours = Rekindle(self.deployment, self.redis, len(all_of)).run()
            say("side by side: naive Faust")
            asyncio.run(self._load("naive.raw", some))
            faust = self._naive(len(some))
            say("side by side: Quix Streams")
            quix = self._quix(len(all_of)) if self.peers.exists() else None
        finally:
            asyncio.run(self._clean())
        return {
            "rekindle": ours.as_json(expected),
            "naive_faust": faust.as_json(few),
            "quixstreams": quix.as_json(expected) if quix else None,
            "ratio": {
                "naive_faust": _ratio(ours, expected, faust, few),
                "quixstreams": _ratio(ours, expected, quix, expected) if quix else None,
            },
        } | ({} if quix else {"note": ABSENT})

    def _messages(self, count: int) -> list[dict[str, Any]]:
        """Return ``count`` messages of a tenth as many users, and the end of the shop's day."""
        made = list(traffic.messages(count, max(10, self.events // 10), self.start))
        return made + list(traffic.closing(PARTITIONS, self.start + count * traffic.GAP))

    async def _load(self, name: str, messages: Iterable[dict[str, Any]]) -> None:
        await self._create(name)
        producer = Producer(self.deployment.kafka)
        runs: dict[int, list[Record]] = {partition: [] for partition in range(PARTITIONS)}
        for message in messages:
            key = message["userId"].encode()
            value = json.dumps(message).encode()
            runs[partition_of(key, PARTITIONS)].append(Record(key, value))
        writing = [producer.run(self.prefix + name, p, run) for p, run in runs.items()]
        await asyncio.gather(*writing)
        await producer.stop()

    async def _create(self, name: str) -> None:
        admin = await connect(self.deployment)
        if self.prefix + name not in await admin.list_topics():
            await admin.create_topics([NewTopic(self.prefix + name, PARTITIONS, 1)])
        await admin.close()

    async def _clean(self) -> None:
        await clean(self.deployment)
        for key in self.redis.scan_iter(f"{naive.PREFIX}*", count=1000):
            self.redis.delete(key)
        admin = await connect(self.deployment)
        # What the peers made for themselves: changelogs, outputs, inputs.
        mine = [name for name in await admin.list_topics() if self.prefix in name]
        if mine:
            await admin.delete_topics(mine)
        await admin.close()

    # --- the others -----------------------------------------------------------------------------

    def _naive(self, count: int) -> Done:
        target = "naive.actions"
        asyncio.run(self._create(target))
        source = self.prefix + "naive.raw"
        with tempfile.TemporaryDirectory() as folder:
            cost = self._child(
                [
                    *(sys.executable, "-m", "streams.bench.peers.naive", self.deployment.kafka),
                    *(self.deployment.redis, source, self.prefix + target, str(count), folder),
                ],
                count,
            )
        return Done(cost, self._sent(target), {})

    def _quix(self, count: int) -> Done:
        target = "quix.actions"
        asyncio.run(self._create(target))
        with tempfile.TemporaryDirectory() as folder:
            cost = self._child(
                [
                    *(str(self.peers), "-m", "streams.bench.peers.quix", self.deployment.kafka),
                    *(self.prefix + RAW, self.prefix + target, str(count), folder),
                ],
                count,
            )
        return Done(cost, self._sent(target), {})

    def _child(self, command: Sequence[str], count: int) -> Stretch:
        """Run an engine until it says that it is done."""
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - ours
            # Faust starts a crashed agent again for ever, without a word on stdout.
            end = Timer(_DEADLINE, child.kill)
            end.start()
            try:
                _hear(child, "begun")
                meter = Meter(child.pid, self.redis)
                _hear(child, "done")
                return meter.read(count)
            finally:
                end.cancel()
                child.kill()

    def _sent(self, topic: str) -> list[Reminder]:
        records = asyncio.run(_committed(self.deployment.kafka, self.prefix + topic))
        return [job.reminder(json.loads(record.value)) for record in records]


class Rekindle:
    """rekindle's own worker on the input: intake, then decide, which has the clock between.

    The loader writes the shop's minutes as ticks between the events of a partition, as a running
    worker does with the wall clock; that is its only part in the job.
    """

    def __init__(self, deployment: Deployment, client: "redis.Redis", count: int) -> None:
        """``count`` raw messages stand in the raw topic."""
        self.deployment = deployment
        self.redis = client
        self.count = count
        self.ticked = replace(deployment, topic_prefix=f"{deployment.topic_prefix}ticked.")

    def run(self) -> Done:
        """Run both agents one after the other; the cost is the sum over the same events."""
        asyncio.run(self._prepare())
        intake = self._stretch(self.deployment, "intake", self._forwarded, self.count)
        wanted = asyncio.run(self._tick())
        decide = self._stretch(self.ticked, "decide", self._folded, wanted)
        # Each hop took ticks or settings beside the events: they are part of what events cost.
        whole = one_way([(intake, self.count), (decide, wanted)], self.count)
        sent = asyncio.run(self._sent())
        return Done(whole, sent, {"intake": intake, "decide": decide})

    async def _prepare(self) -> None:
        await create(self.ticked, PARTITIONS, 1)
        await control.apply(self.ticked, campaigns=CAMPAIGNS, templates=WORDS)

    def _stretch(
        self, deployment: Deployment, only: str, done: Callable[[], int], wanted: int
    ) -> Stretch:
        """Measure one agent from the first records it has done to the last."""
        worker = workers.start(deployment, only, clock="source")
        try:
            whole = Meter(worker.pid, self.redis)
            first = workers.wait(done, 1, [worker])
            if first >= wanted:  # a miniature: the start of the process is part of its cost
                return whole.read(wanted)
            meter = Meter(worker.pid, self.redis)
            workers.wait(done, wanted, [worker])
            # What was done before we looked costs nothing here and counts for nothing.
            return meter.read(wanted - first)
        finally:
            workers.stop(worker)

    def _forwarded(self) -> int:
        name = self.deployment.sources[0].topic
        return self._offsets(lane(name, partition) for partition in range(PARTITIONS))

    def _folded(self) -> int:
        return self._offsets(keys_of(partition).meta for partition in range(PARTITIONS))

    def _offsets(self, keys: Iterable[str | bytes]) -> int:
        pipeline = self.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hget(key, "o")
        return sum(int(offset or 0) for offset in pipeline.execute())

    async def _tick(self) -> int:
        """Copy what intake wrote, a tick before the first event of each minute; return the end."""
        kafka, written = self.deployment.kafka, 0
        reader, producer = Reader(kafka), Producer(kafka)
        source, target = (d.topic_prefix + EVENTS for d in (self.deployment, self.ticked))
        for partition in range(PARTITIONS):
            run: list[Record] = []
            now = 0
            async for record in reader.whole(source, partition):
                event = codec.read(record.value)
                if isinstance(event, Tick | SettingsRecord):
                    continue
                if job.minute_of(event.occurred_at) > now:
                    now = job.minute_of(event.occurred_at)
                    run.append(Record(None, codec.write(Tick(now=now, origin="bench"))))
                run.append(Record(record.key, record.value))
            written = written + await producer.run(target, partition, run) + 1
        await producer.stop()
        await reader.stop()
        return written

    async def _sent(self) -> list[Reminder]:
        """Return what was sent, repetitions removed as every reader does it."""
        kafka, prefix = self.deployment.kafka, self.ticked.topic_prefix
        worth = {}
        for record in _first_of_each(await _committed(kafka, prefix + DECISIONS)):
            decision = decode_decision(record.value)
            worth[decision.action_id] = decision.basket or 0.0
        return [
            Reminder(
                action.user_id,
                action.trigger.episode,
                from_iso(action.trigger.due_at),
                round(worth[action.action_id], 2),
            )
            for record in _first_of_each(await _committed(kafka, f"{prefix}{ACTIONS}email"))
            for action in [decode_action(record.value)]
        ]


class Meter:
    """Reads the clocks of a process and of Redis at the beginning and at the end."""

    def __init__(self, pid: int, client: "redis.Redis") -> None:
        """Begin now."""
        self._pid, self._client = pid, client
        self._engine, self._redis = cpu_of(pid), cpu_of_redis(client)
        self._began = monotonic()

    def read(self, events: int) -> Stretch:
        """Return what ``events`` cost since the beginning."""
        return Stretch(
            events,
            monotonic() - self._began,
            cpu_of(self._pid) - self._engine,
            cpu_of_redis(self._client) - self._redis,
        )


# --- what all of them need --------------------------------------------------------------------


def _expected(messages: Iterable[dict[str, Any]]) -> list[Reminder]:
    """Return what the rules alone make of it, partition by partition."""
    partitions: dict[int, list[dict[str, Any]]] = {p: [] for p in range(PARTITIONS)}
    for message in messages:
        partitions[partition_of(message["userId"].encode(), PARTITIONS)].append(message)
    return [found for each in partitions.values() for found in job.replay(each)]


def _ratio(
    ours: Done, mine: Sequence[Reminder], other: Done, its: Sequence[Reminder]
) -> dict[str, float] | str:
    """Return how many times the CPU and the time of rekindle an engine needs for one event."""
    if sorted(ours.sent) != sorted(mine) or sorted(other.sent) != sorted(its):
        return DIFFERENT
    return {
        "cpu": round(other.cost.micros / ours.cost.micros, 1),
        "wall": round(_wall(other.cost) / _wall(ours.cost), 1),
    }


def _wall(stretch: Stretch) -> float:
    return stretch.seconds / stretch.records


def _hear(child: "subprocess.Popen[str]", word: str) -> None:
    """Wait for a line of an engine; raises Refused when it ends without."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == word:
            return
    message = f"An engine of the comparison ended before it said {word}: its words stand above."
    raise Refused(message)


async def _committed(kafka: str, topic: str) -> list[ConsumerRecord]:
    """Return what a topic holds for readers of committed records."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(at) < ends[at] for at in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


def _first_of_each(records: Iterable[ConsumerRecord]) -> list[ConsumerRecord]:
    """Return the records whose position is above all before them in their partition."""
    highest: dict[int, OutboxId] = {}
    kept = []
    for record in records:
        position = position_of(record)
        if position is None or position > highest.get(record.partition, OutboxId(-1, 0)):
            kept.append(record)
        if position is not None:
            highest[record.partition] = max(highest.get(record.partition, position), position)
    return kept


def measure(deployment: Deployment, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``peers``, costs by engine, and ``ratio``, how many times rekindle's they are."""
    events, few = (20_000, 4_000) if quick else (200_000, 20_000)
    found = SideBySide(deployment, events, few).run(say)
    return {"ratio": found.pop("ratio"), "peers": found}


def tables(found: dict[str, Any]) -> list[Table]:
    """Return what :func:`measure` found as a table."""
    rows = []
    for name in ("rekindle", "quixstreams", "naive_faust"):
        told, ratio = found["peers"][name], found["ratio"].get(name)
        cpu, wall = (ratio["cpu"], ratio["wall"]) if isinstance(ratio, dict) else (None, None)
        if name == "rekindle":
            cpu, wall = 1.0, 1.0
        figures = (told["worker_us_per_event"], told["redis_us_per_event"]) if told else (None,) * 2
        equal = "not measured" if told is None else ("yes" if told["reminders"]["equal"] else "NO")
        rows.append([name, *map(figure, figures), equal, figure(cpu), figure(wall)])
    head = ("", "engine, µs", "Redis, µs", "right", "CPU, times ours", "wall, times ours")
    return [Table("The reduced job side by side", head, rows, found["peers"].get("note", ""))]
