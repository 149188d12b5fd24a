"""Summaries through a real Redis: everybody finds everybody, and the dead are forgotten."""

import asyncio
from typing import Any

import pytest

from engine.errors import Unavailable
from monitoring.summary import Summary
from streams import fleet
from streams.fleet import Publisher
from streams.state.connection import RedisConnection
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


def a_summary(kind: Any = "worker", name: str = "a", at: int = 1) -> Summary:
    return Summary(kind=kind, name=name, at=at, started_at=0, samples={"x_total": 3.0})


async def test_what_one_publishes_all_read(redis_url: str) -> None:
    redis, other = RedisConnection(redis_url), RedisConnection(redis_url)
    summaries = [a_summary("audit"), a_summary("worker", "a"), a_summary("worker", "b")]
    for summary in reversed(summaries):
        await fleet.publish(redis, summary)

    assert await fleet.read(other) == summaries
    await fleet.publish(redis, a_summary("worker", "b", at=2))
    assert [each.at for each in await fleet.read(other)] == [1, 1, 2]
    await redis.close()
    await other.close()


async def test_who_says_nothing_more_is_forgotten_and_leaves_nothing_behind(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "TTL", 1)
    redis = RedisConnection(redis_url)
    await fleet.publish(redis, a_summary())

    await _until(lambda: _empty(redis))
    assert await redis.call("DBSIZE") == 0
    await redis.close()


async def test_a_summary_nobody_can_read_costs_nobody_the_others(redis_url: str) -> None:
    redis = RedisConnection(redis_url)
    await fleet.publish(redis, a_summary("worker", "a"))
    await fleet.publish(redis, a_summary("worker", "b"))
    await redis.call("SET", "rk:{fleet}:s:worker:a", b'{"kind": "of another time"}')

    assert [each.name for each in await fleet.read(redis)] == ["b"]
    await redis.close()


async def test_a_fleet_is_read_from_one_node_of_a_cluster() -> None:
    with RedisCluster(primaries=3) as cluster:
        redis = RedisConnection(cluster.url)
        for name in ("a", "b", "c"):
            await fleet.publish(redis, a_summary("worker", name))
        await fleet.withdraw(redis, a_summary("worker", "b"))

        assert [each.name for each in await fleet.read(redis)] == ["a", "c"]
        await redis.close()


async def test_a_publisher_outlives_a_redis_that_is_away_and_leaves_when_it_ends(
    own_redis: RedisServer,
) -> None:
    redis = RedisConnection(own_redis.url)
    asked = 0

    async def told() -> Summary:
        nonlocal asked
        asked += 1
        return a_summary(at=asked)

    publisher = Publisher(redis, told)
    await publisher.start()
    await _until(lambda: fleet.read(redis))
    own_redis.kill()
    before = asked
    await _until(lambda: _is(asked > before + 1))
    with pytest.raises(Unavailable):
        await fleet.read(redis)
    own_redis.start()
    await _until(lambda: _newer(redis, before))
    await publisher.stop()

    assert publisher.crash_reason is None
    assert await fleet.read(redis) == []
    await redis.close()


async def _empty(redis: RedisConnection) -> bool:
    return not await fleet.read(redis) and not await redis.call("DBSIZE")


async def _newer(redis: RedisConnection, at: int) -> bool:
    return any(each.at > at for each in await fleet.read(redis))


async def _is(true: bool) -> bool:
    return true


async def _until(true: Any) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if await true():
                    return
            except Unavailable:
                pass
            await asyncio.sleep(0.05)
