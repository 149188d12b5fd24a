"""When ticks may be written: never while something that reached Kafka may be missing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from aiokafka import TopicPartition

from engine.ports import Head
from streams.log.producer import Producer, Record
from streams.log.ticks import Gate, Ticker
from tests.faults.simulation.loop import VirtualLoop

NOW = 1_767_258_000_000
LANES = [("raw", 0), ("raw", 1), ("feedback", 0)]


class Told:
    """Watermarks as intake lanes told them."""

    def __init__(self, *marks: int | None) -> None:
        self.marks = list(marks)

    async def watermarks(self, expected: Sequence[tuple[str, int]]) -> list[int | None]:
        return self.marks


@pytest.mark.parametrize(
    ("marks", "blocking"),
    [
        ((NOW, NOW - 4_999, NOW - 5_000), None),
        ((NOW, NOW - 5_001, NOW), "raw/1"),
        ((NOW, NOW, None), "feedback/0"),
        ((NOW - 9_000, NOW, None), "feedback/0"),
    ],
)
async def test_the_lane_that_is_behind_holds_time(
    marks: tuple[int | None, ...], blocking: str | None
) -> None:
    gate = Gate(Told(*marks), LANES)

    await gate.look(NOW)

    assert gate.blocking == blocking
    assert gate.open_at(NOW) == (blocking is None)


async def test_a_watermark_of_before_we_began_does_not_open_the_gate() -> None:
    """All workers were down for two seconds, and a purchase came in meanwhile."""
    told = Told(NOW - 2_000, NOW - 2_000, NOW - 2_000)
    gate = Gate(told, LANES, since=NOW)
    await gate.look(NOW + 500)
    assert not gate.open_at(NOW + 500)
    assert gate.blocking == "raw/0"

    told.marks = [NOW + 1, NOW + 2, NOW]
    await gate.look(NOW + 600)

    assert gate.open_at(NOW + 600)


async def test_a_look_that_is_too_old_closes_the_gate() -> None:
    gate = Gate(Told(NOW, NOW, NOW), LANES)
    await gate.look(NOW)

    assert gate.open_at(NOW + 5_000)
    assert not gate.open_at(NOW + 5_001)


async def test_a_shop_of_which_nothing_is_known_yet_does_not_tick() -> None:
    assert not Gate(Told(), LANES).open_at(NOW)


@dataclass
class Due:
    """An owned partition in which somebody is due."""

    at: TopicPartition
    offset: int = 0
    head: Head = field(default_factory=Head)
    next_wake: int | None = NOW
    taken_at: int = NOW
    halted: str | None = None


class Slow(Producer):
    """Acknowledges nothing before ``wanted`` partitions have been written to."""

    def __init__(self, wanted: int) -> None:
        super().__init__("nowhere:1")
        self._all = asyncio.Barrier(wanted)

    async def run(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        await self._all.wait()
        return 0


async def test_no_partition_waits_for_the_tick_of_another_to_be_acknowledged() -> None:
    due = [Due(TopicPartition("events", partition)) for partition in range(64)]
    gate = Gate(Told(NOW, NOW, NOW), LANES)
    ticker = Ticker(
        lambda: due, lambda _: 0, gate, Slow(64), lambda: NOW, spacing=200, origin="test"
    )

    await asyncio.wait_for(ticker.write(NOW), 30)

    assert ticker.written == 64


async def test_a_lane_that_stopped_gets_no_tick_that_it_would_take_before_what_mends_it() -> None:
    stopped = Due(TopicPartition("events", 0), halted="the source topic was re-created")
    due = [stopped, Due(TopicPartition("events", 1))]
    ticker = Ticker(
        lambda: due,
        lambda _: 0,
        Gate(Told(NOW, NOW, NOW), LANES),
        Slow(1),
        lambda: NOW,
        spacing=200,
        origin="test",
    )
    await asyncio.wait_for(ticker.write(NOW), 30)
    assert ticker.written == 1

    stopped.halted = None
    await asyncio.wait_for(ticker.write(NOW), 30)

    assert ticker.written == 2


class Acknowledged(Producer):
    """Takes 80 ms for each record, and notes when it was given one; the lane folds it at once."""

    def __init__(self, due: Sequence[Due]) -> None:
        super().__init__("nowhere:1")
        self.began: dict[int, list[float]] = {lane.at.partition: [] for lane in due}
        self._due = due

    async def run(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        self.began[partition].append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.08)
        self._due[partition].offset += 1
        return self._due[partition].offset - 1


@pytest.mark.parametrize(("partitions", "apart"), [(1, 0.1), (20, 0.1), (64, 0.32)])
def test_ticks_begin_a_spacing_apart_whatever_they_take_and_200_a_second_at_most(
    partitions: int, apart: float
) -> None:
    due = [Due(TopicPartition("events", partition)) for partition in range(partitions)]
    loop = VirtualLoop(Random(1))

    def clock() -> int:
        return NOW + round(loop.time() * 1000)

    class Current(Told):
        async def watermarks(self, expected: Sequence[tuple[str, int]]) -> list[int | None]:
            return [clock()] * len(expected)

    producer = Acknowledged(due)

    async def live() -> None:
        gate = Gate(Current(), LANES)
        ticker = Ticker(
            lambda: due, lambda _: None, gate, producer, clock, spacing=100, origin="test"
        )
        await ticker.start()
        await asyncio.sleep(5)
        await ticker.stop()

    loop.run(live())

    for began in producer.began.values():
        assert len(began) > 4.5 / apart
        gaps = [after - before for before, after in pairwise(began)]
        assert max(gaps) == pytest.approx(apart)
        assert min(gaps) == pytest.approx(apart)
