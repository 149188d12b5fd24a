"""What being watched costs the decide step: `python -m tests.benchmarks.bench_watching`.

A real lane on a real Redis works a log off, from records to acknowledged decisions; Kafka alone is
not there: its producer's `run` is ours, and what it would send is dropped. Once nobody watches, and
once everything does that a worker has: the recorder, the timings of Redis, Kafka and the model.
The two take each chunk in turn, so that a busy machine is equally busy for both; figures are CPU
seconds of this process. The floor of a side is the sum of the least CPU each chunk took in any
round: what others do to the machine can only add. Prints figures, asserts nothing.
"""

import argparse
import asyncio
import gc
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from time import process_time

from aiokafka import ConsumerRecord, TopicPartition

from engine.events import Record as Told
from engine.events import SettingsRecord, Tick
from engine.memory import MemoryArtefacts
from engine.policy import Settings
from engine.ports import InForce, OutboxId
from engine.report import Report
from rules import campaigns, templates
from streams import in_force
from streams.agents.decide import DecideLane, Parts
from streams.log import codec
from streams.log.dead_letters import DeadLetters
from streams.log.producer import Producer, Record
from streams.log.reader import Bounds, Reader
from streams.state.connection import RedisConnection
from streams.state.store import RedisStore
from streams.watch import Watch
from tests.support.redis_server import RedisServer
from tests.support.traffic import traffic
from tests.unit.models.world import trained, world

CHUNK = 500
TOPIC = "rekindle.events"


class Dropping(Producer):
    """Takes what it is given and drops it; what times a run is the producer's own."""

    def __init__(self) -> None:
        super().__init__("nowhere:1")
        self.count = 0

    async def _run(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        self.count += len(records)
        return self.count


class Still(Reader):
    """A log that holds nothing but what the lane is handed."""

    def __init__(self, end: int) -> None:
        super().__init__("nowhere:1")
        self._end = end

    async def bounds(self, topic: str, partition: int) -> Bounds:
        return Bounds(0, self._end)

    async def tails(self, topics: Iterable[str], partition: int) -> dict[str, OutboxId | None]:
        return dict.fromkeys(topics)


class Nobody:
    """Watches nothing."""

    def step(self, report: Report, stages: Mapping[str, float], force: InForce) -> None:
        pass

    def decided(self, values: Sequence[bytes]) -> None:
        pass

    def acted(self, channel: str, due_at: int) -> None:
        pass

    def doubt(self, kind: str) -> None:
        pass


class Log:
    """The records to work off, and the files that settings name."""

    def __init__(self, events: int, users: int) -> None:
        text = campaigns.shipped().replace(b'mode = "dry_run"', b'mode = "live"')
        text = text.replace(b"allow_simulated_model = false", b"allow_simulated_model = true")
        made = [text, templates.artefact(), trained(world(2_000, seed=3))]
        self.files = {sha256(each).hexdigest(): each for each in made}
        first, second, third = self.files
        settings = SettingsRecord(campaigns=first, templates=second, model=third)
        self.records = [
            _consumed(offset, record)
            for offset, record in enumerate([settings, *traffic(events, users=users)])
        ]


def _consumed(offset: int, record: Told) -> ConsumerRecord:
    user = None if isinstance(record, Tick | SettingsRecord) else record.user_id.encode()
    value = codec.write(record)
    return ConsumerRecord(
        TOPIC, 0, offset, 1_800_000_000_000, 1, user, value, None, 0, len(value), ()
    )


class Desk:
    """One lane on a partition of its own, and the CPU it has used."""

    def __init__(self, log: Log, url: str, partition: int, *, watched: bool) -> None:
        def build(settings: Settings, files: Mapping[str, bytes]) -> InForce:
            made = in_force.build(settings, files)
            return watch.listened_to(made) if watched else made

        self._redis, producer = RedisConnection(url), Dropping()
        artefacts = MemoryArtefacts(build)
        artefacts.files |= log.files
        watch = Watch(["rekindle.events.raw"], ("push", "sms", "email"), lambda: 0, artefacts)
        if watched:
            self._redis.watch = producer.watch = watch.recorder.timings
        parts = Parts(
            store=RedisStore(self._redis),
            artefacts=artefacts,
            producer=producer,
            reader=Still(len(log.records)),
            dead_letters=DeadLetters(producer, "rekindle."),
            prefix="rekindle.",
            watch=watch if watched else Nobody(),
        )
        self.lane = DecideLane(TopicPartition(TOPIC, partition), parts)
        self.took: list[float] = []

    async def step(self, records: Sequence[ConsumerRecord]) -> None:
        started = process_time()
        assert await self.lane.step(records)
        self.took.append(process_time() - started)

    async def close(self) -> None:
        await self._redis.close()


async def _pair(log: Log, url: str, *, swapped: bool) -> tuple[list[float], list[float]]:
    """Work the log off on two lanes in turn; return CPU seconds of both, chunk by chunk.

    ``swapped``: the other one is made first; two that are alike differ by 4 % through that alone.
    """
    clearing = RedisConnection(url)
    await clearing.call("FLUSHALL")
    await clearing.close()
    made = [Desk(log, url, n, watched=bool(n) != swapped) for n in range(2)]
    unwatched, watched = reversed(made) if swapped else made
    for desk in (unwatched, watched):
        await desk.lane.enter()
    gc.collect()
    for number, first in enumerate(range(0, len(log.records), CHUNK)):
        # Whoever comes second finds warm caches.
        desks = (unwatched, watched) if number % 2 else (watched, unwatched)
        for desk in desks:
            await desk.step(log.records[first : first + CHUNK])
    for desk in desks:
        await desk.close()
    return unwatched.took, watched.took


def main() -> None:
    """Print every round, and the median and spread of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    log = Log(asked.events, asked.users)
    load = os.getloadavg()[0]
    rounds = []
    with RedisServer() as server:
        asyncio.run(
            _pair(log, server.url, swapped=False)
        )  # fills caches that a worker fills once in its life
        for number in range(asked.rounds):
            unwatched, watched = asyncio.run(_pair(log, server.url, swapped=bool(number % 2)))
            rounds.append((unwatched, watched))
            bare, full = sum(unwatched), sum(watched)
            print(
                f"round {number}: unwatched {bare:.3f} s, watched {full:.3f} s of CPU, "
                f"ratio {full / bare:.3f}",
                flush=True,
            )
    ratios = [sum(watched) / sum(unwatched) for unwatched, watched in rounds]
    floors = [sum(map(min, zip(*side, strict=True))) for side in zip(*rounds, strict=True)]
    print(
        f"\n{len(log.records)} records, {len(rounds)} rounds, load of the machine {load:.1f}\n"
        f"rounds: watched costs {100 * (statistics.median(ratios) - 1):+.1f} % CPU (median; "
        f"{100 * (min(ratios) - 1):+.1f} to {100 * (max(ratios) - 1):+.1f})\n"
        f"floors: watched costs {100 * (floors[1] / floors[0] - 1):+.1f} % CPU "
        f"({floors[0]:.3f} and {floors[1]:.3f} s)"
    )


if __name__ == "__main__":
    main()
