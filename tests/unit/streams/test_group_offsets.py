"""What a group is told: the lanes that moved, and a sign of life when none did."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.log.source import Group, Owned, Source

PLACES = [TopicPartition("events", number) for number in range(3)]


class Told:
    """A consumer that keeps what it is asked to commit; ``away``: Kafka takes nothing."""

    def __init__(self) -> None:
        self.commits: list[dict[TopicPartition, int]] = []
        self.away = False

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.away:
            raise KafkaError
        self.commits.append(dict(offsets))


def _no_lane(at: TopicPartition) -> Any:
    """Nobody assigns a partition here: the lanes are put in by hand."""
    raise AssertionError(at)


def a_source() -> tuple[Source, Told]:
    app: Any = SimpleNamespace(channel=asyncio.Queue)
    group = Group("decide", "nowhere:1", None)
    source, told = Source(app, group, ["events"], _no_lane), Told()
    source.consumer = told
    for at in PLACES:
        lane: Any = SimpleNamespace(at=at, offset=5)
        source.owned[at] = Owned(lane)
        source.owned[at].entered = True
    return source, told


async def test_the_group_hears_of_all_that_was_entered_and_then_of_what_moved() -> None:
    source, told = a_source()
    await source._commit()
    source.owned[PLACES[1]].lane.offset = 9
    await source._commit()

    assert told.commits == [dict.fromkeys(PLACES, 5), {PLACES[1]: 9}]


async def test_when_nothing_moved_one_is_told_so_that_a_worker_hears_of_its_twin() -> None:
    source, told = a_source()
    await source._commit()
    await source._commit()
    assert told.commits[1:] == []

    source._committed_at -= 2.0
    await source._commit()
    await source._commit()

    assert told.commits[1:] == [{PLACES[0]: 5}]


async def test_what_kafka_did_not_take_is_told_again() -> None:
    source, told = a_source()
    told.away = True
    await source._commit()
    told.away = False
    await source._commit()

    assert told.commits == [dict.fromkeys(PLACES, 5)]


async def test_nothing_is_said_of_a_lane_that_has_not_entered() -> None:
    source, told = a_source()
    for own in source.owned.values():
        own.entered = False
    await source._commit()

    assert told.commits == []
