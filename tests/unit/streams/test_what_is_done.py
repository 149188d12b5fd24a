"""A source remembers of each partition how far it is done, and since when: lag is told by it."""

from collections.abc import Sequence

import faust
import pytest
from aiokafka import ConsumerRecord, TopicPartition

from engine.errors import Stale
from streams.log.source import Group, Owned, Source

AT = TopicPartition("rekindle.events", 3)


class Lane:
    """Does what a test says with a chunk; stands again at ``stands`` when it enters."""

    def __init__(self) -> None:
        self.at = AT
        self.offset = 0
        self.stands = 0
        self.halted: str | None = None
        self.doubt: Stale | None = None
        self.takes = True

    async def enter(self) -> None:
        self.offset = self.stands

    async def step(self, records: Sequence[ConsumerRecord]) -> bool:
        if self.doubt is not None:
            raise self.doubt
        if self.takes:
            self.offset = records[-1].offset + 1
        return self.takes

    async def leave(self) -> None:
        pass


@pytest.fixture
def source() -> Source:
    app = faust.App("rekindle-test", broker="kafka://unused", web_enabled=False)
    return Source(
        app, Group("rekindle.decide", "nowhere:1", None), ["rekindle.events"], lambda _: Lane()
    )


def records(first: int, count: int, at: int) -> list[ConsumerRecord]:
    return [
        ConsumerRecord(AT.topic, AT.partition, n, at + n, 1, None, b"", None, 0, 0, ())
        for n in range(first, first + count)
    ]


@pytest.fixture
def own() -> Owned:
    made = Owned(Lane())
    made.entered = True
    return made


async def test_what_is_done_is_remembered_with_its_append_time(source: Source, own: Owned) -> None:
    await source.work(own, records(0, 5, at=1_000))
    assert (own.done, own.done_at) == (5, 1_004)


async def test_what_a_lane_sends_back_is_not_done(source: Source, own: Owned) -> None:
    await source.work(own, records(0, 5, at=1_000))
    assert isinstance(own.lane, Lane)
    own.lane.takes = False
    await source.work(own, records(7, 5, at=9_000))
    assert own.done_at == 1_004


async def test_after_a_doubt_it_still_holds_unless_the_store_fell_back(
    source: Source, own: Owned
) -> None:
    await source.work(own, records(0, 5, at=1_000))
    lane = own.lane
    assert isinstance(lane, Lane)
    lane.doubt, lane.stands = Stale("another offset"), 5
    await source.work(own, records(5, 5, at=9_000))
    assert own.done_at == 1_004
    lane.stands = 2
    await source.work(own, records(5, 5, at=9_000))
    assert own.done_at is None


async def test_assignments_are_counted(source: Source) -> None:
    for _ in range(2):
        await source.on_partitions_assigned([])
    assert source.assignments == 2
