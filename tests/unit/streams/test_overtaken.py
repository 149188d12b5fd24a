"""A lane that retention has passed while it stood at work, and to which no record comes."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from engine.errors import Refused
from streams.log.source import Group, Owned, Source

AT = TopicPartition("events.raw", 0)
STANDS = 174


class Log:
    """A consumer whose log holds ``begin`` to ``end``, and that brings nothing."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end = begin, end
        self.asked: list[list[TopicPartition]] = []
        self.away = False

    def assignment(self) -> set[TopicPartition]:
        return {AT}

    def highwater(self, _: TopicPartition) -> int:
        return self.end

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[Any, int]:
        self.asked.append(list(places))
        if self.away:
            raise KafkaTimeoutError if len(self.asked) < 2 else ConnectionError
        return dict.fromkeys(places, self.begin)


class Lane:
    """Stands at an offset, and says at the door that records are gone."""

    def __init__(self) -> None:
        self.at, self.offset, self.halted = AT, STANDS, None
        self.told = asyncio.Event()

    async def enter(self) -> None:
        self.told.set()
        message = "retention removed records before they were read"
        raise Refused(message)


def lane_of(own: Owned) -> Lane:
    lane: Any = own.lane
    assert isinstance(lane, Lane)
    return lane


def a_source(log: Log) -> tuple[Source, Owned, list[str]]:
    app: Any = SimpleNamespace(channel=asyncio.Queue)
    doubts: list[str] = []
    lane: Any = Lane()
    source = Source(
        app,
        Group("intake", "nowhere:1", None),
        ["events.raw"],
        lambda _: lane,
        on_doubt=doubts.append,
    )
    source.consumer = log
    source.owned[AT] = own = Owned(lane)
    own.entered = True
    return source, own, doubts


async def test_a_lane_that_waits_before_the_beginning_of_its_log_enters_again_and_says_so() -> None:
    log = Log(begin=175, end=175)
    source, own, doubts = a_source(log)

    await source._look_whether_overtaken()
    assert (log.asked, doubts) == ([], [])  # what has just come may be on its way

    await source._look_whether_overtaken()
    assert not own.entered
    assert doubts == ["stale"]
    async with asyncio.timeout(5):
        await lane_of(own).told.wait()

    await source._look_whether_overtaken()
    await source._look_whether_overtaken()
    assert len(log.asked) == 1


async def test_what_a_transaction_leaves_at_the_end_of_a_log_is_no_doubt() -> None:
    log = Log(begin=0, end=175)
    source, own, doubts = a_source(log)

    for _ in range(3):
        await source._look_whether_overtaken()

    assert own.entered
    assert doubts == []
    assert log.asked == [[AT], [AT]]


async def test_of_a_lane_that_moves_or_stands_at_the_end_nobody_asks() -> None:
    log = Log(begin=0, end=500)
    source, own, _ = a_source(log)
    for offset in (174, 175, 176, 500, 500, 500):
        own.lane.offset = offset
        await source._look_whether_overtaken()

    assert log.asked == []


async def test_a_kafka_that_does_not_tell_is_asked_again() -> None:
    log = Log(begin=175, end=175)
    log.away = True
    source, own, doubts = a_source(log)
    for _ in range(3):
        await source._look_whether_overtaken()
    assert own.entered

    log.away = False
    await source._look_whether_overtaken()

    assert doubts == ["stale"]
