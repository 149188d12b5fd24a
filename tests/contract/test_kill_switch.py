"""The kill switch on real Redis: what is flipped is seen by others, and only while it holds."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine import controls
from engine.errors import Unavailable
from streams.delivery import kill
from streams.delivery.kill import KEY, KillSwitch
from streams.state.connection import RedisConnection
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis

SMS, CART = "channel:sms", "campaign:cart"
ANNA = controls.operator("anna")


class Seconds:
    """A clock a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


async def test_what_one_process_pauses_another_sees(connection: RedisConnection) -> None:
    await kill.flip(connection, controls.pause(SMS, actor=ANNA, at=5, reason="price"))
    await kill.flip(connection, controls.pause(CART, actor="audit", at=6, expires_at=60))

    switch = KillSwitch(connection)
    standing = await switch.standing(59)
    assert standing.paused.keys() == {SMS, CART}
    assert standing.paused[SMS].reason == "price"
    assert (await switch.standing(60)).paused.keys() == {SMS}


async def test_it_is_read_once_a_second_by_however_many_ask(connection: RedisConnection) -> None:
    clock = Seconds()
    switch = KillSwitch(connection, clock)
    assert not (await switch.standing(1)).paused
    await kill.flip(connection, controls.pause(SMS, actor=ANNA, at=5))

    clock.now += 0.999
    assert not (await switch.standing(6)).paused
    clock.now += 0.001
    asked_before = await _reads(connection)
    told = await asyncio.gather(*[switch.standing(6) for _ in range(50)])
    assert [one.paused.keys() for one in told] == [{SMS}] * 50
    assert await _reads(connection) == asked_before + 1


async def _reads(connection: RedisConnection) -> int:
    told = await connection.call("INFO", "commandstats")
    return int(told.get("cmdstat_hgetall", {}).get("calls", 0))


async def test_a_resume_leaves_nothing_behind(connection: RedisConnection) -> None:
    await kill.flip(connection, controls.pause(SMS, actor=ANNA, at=5))
    assert await kill.flip(connection, controls.resume(SMS, actor=ANNA, at=6))
    assert not await kill.flip(connection, controls.resume(SMS, actor=ANNA, at=7))
    assert not await connection.call("EXISTS", KEY)


async def test_what_ended_leaves_with_the_next_hand_on_the_switch(
    connection: RedisConnection,
) -> None:
    await kill.flip(connection, controls.pause(SMS, actor=ANNA, at=5, expires_at=8))
    await kill.flip(connection, controls.pause(CART, actor=ANNA, at=8))
    assert [held.target for held in await kill.paused(connection)] == [CART]


async def test_only_a_person_lets_go(connection: RedisConnection) -> None:
    await kill.flip(connection, controls.pause(SMS, actor=ANNA, at=5))
    before = await kill.paused(connection)
    assert not await kill.flip(connection, controls.resume(SMS, actor="brake", at=6))
    shorter = controls.pause(SMS, actor="audit", at=6, expires_at=7)
    assert not await kill.flip(connection, shorter)
    assert await kill.paused(connection) == before


async def test_a_throttle_is_not_its_business(connection: RedisConnection) -> None:
    assert not await kill.flip(connection, controls.throttle(SMS, 0.5, actor=ANNA, at=5))
    assert await kill.paused(connection) == ()


async def test_a_redis_that_is_away_lets_nothing_through(own_redis: RedisServer) -> None:
    connection, clock = RedisConnection(own_redis.url), Seconds()
    switch = KillSwitch(connection, clock)
    await switch.standing(1)
    own_redis.kill()
    clock.now += 2
    with pytest.raises(Unavailable):
        await switch.standing(1)
    await connection.close()
