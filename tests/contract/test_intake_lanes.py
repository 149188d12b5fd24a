"""Watermarks and places of intake lanes, on a real Redis of both builds."""

from collections.abc import AsyncIterator

import pytest

from streams.state.connection import RedisConnection
from streams.state.lanes import IntakeLanes, LaneState

TOPIC = "rekindle.events.raw"
pytestmark = pytest.mark.redis


@pytest.fixture
async def lanes(redis_url: str) -> AsyncIterator[IntakeLanes]:
    connection = RedisConnection(redis_url)
    yield IntakeLanes(connection)
    await connection.close()


async def test_a_watermark_is_what_was_told_last(lanes: IntakeLanes) -> None:
    await lanes.tell(TOPIC, {0: 1_700_000_000_000})
    await lanes.tell(TOPIC, {0: 1_700_000_001_000})
    await lanes.tell("rekindle.feedback", {3: 5})

    expected = [("rekindle.feedback", 3), (TOPIC, 0), (TOPIC, 1)]
    assert await lanes.watermarks(expected) == [5, 1_700_000_001_000, None]
    assert await lanes.watermarks([]) == []


async def test_a_lane_finds_its_place_again(lanes: IntakeLanes) -> None:
    assert await lanes.load(TOPIC, 0) is None
    await lanes.save(TOPIC, 0, LaneState(0, 2**53 + 1, 0xDEADBEEF))
    assert await lanes.load(TOPIC, 0) == LaneState(0, 2**53 + 1, 0xDEADBEEF)
    assert await lanes.load(TOPIC, 1) is None


async def test_a_reset_topic_begins_anew_in_the_next_generation(lanes: IntakeLanes) -> None:
    await lanes.save(TOPIC, 0, LaneState(0, 100, 1))
    await lanes.save("other", 0, LaneState(0, 7, 2))

    assert await lanes.generation(TOPIC) == 0
    assert await lanes.reset(TOPIC) == 1
    assert await lanes.generation(TOPIC) == 1

    assert await lanes.load(TOPIC, 0) is None
    assert await lanes.load("other", 0) == LaneState(0, 7, 2)
    await lanes.save(TOPIC, 0, LaneState(1, 3, 9))
    assert await lanes.load(TOPIC, 0) == LaneState(1, 3, 9)
