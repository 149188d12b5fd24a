"""The connection on real Redis: side by side, cut off, cancelled at whatever step, closed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from redis.asyncio.connection import AbstractConnection

from streams.state.connection import RedisConnection
from tests.support.running import wait_until

pytestmark = pytest.mark.redis

# Turns of the loop a command takes from being sent to its answer, and as many again.
_STEPS = 40
_PATIENCE = 2.0


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


async def test_each_of_many_side_by_side_hears_its_own_answer(connection: RedisConnection) -> None:
    asked = [f"{number}" for number in range(150)]

    answers = await asyncio.gather(*[connection.call("ECHO", text) for text in asked])

    assert answers == [text.encode() for text in asked]


async def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew(
    connection: RedisConnection, redis_url: str
) -> None:
    await asyncio.gather(*[connection.call("PING") for _ in range(5)])
    with redis.Redis.from_url(redis_url) as client:
        client.client_kill_filter(skipme=True, _type="normal")
    for idle in _idle(connection):
        await _until_it_is_known(idle)

    answers = await asyncio.gather(*[connection.call("ECHO", "still there") for _ in range(5)])

    assert answers == [b"still there"] * 5


async def test_what_is_closed_leaves_no_connection_at_the_server(
    connection: RedisConnection, redis_url: str
) -> None:
    await asyncio.gather(*[connection.call("PING") for _ in range(5)])
    with redis.Redis.from_url(redis_url) as client:
        assert len(client.client_list(_type="normal")) == 6

        await connection.close()

        wait_until(lambda: len(client.client_list(_type="normal")) == 1, "all are gone")


async def _until_it_is_known(closed: AbstractConnection) -> None:
    """Wait until the loop has heard that the other end closed a connection."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            if await closed.can_read():
                return
            await asyncio.sleep(0.001)


def _idle(connection: RedisConnection) -> list[AbstractConnection]:
    server = connection._server
    assert server is not None
    return server._idle


@pytest.mark.parametrize("steps", range(1, _STEPS + 1))
async def test_a_task_that_is_cancelled_while_it_speaks_to_redis_ends(
    connection: RedisConnection, steps: int
) -> None:
    await connection.call("PING")
    asked = 0

    async def for_ever() -> None:
        nonlocal asked
        while True:
            await connection.call("PING")
            asked += 1

    speaking = asyncio.create_task(for_ever())
    for _ in range(steps):
        await asyncio.sleep(0)
    before = asked
    speaking.cancel()
    await asyncio.wait({speaking}, timeout=_PATIENCE)

    went_on = not speaking.done()
    while not speaking.done():  # asked until it hears, so that the test ends
        speaking.cancel()
        await asyncio.sleep(0)
    assert not went_on
    assert asked <= before + 1


async def test_after_a_cancellation_the_connection_answers_what_is_asked_and_nothing_older(
    connection: RedisConnection,
) -> None:
    for number in range(_STEPS):
        asking = asyncio.create_task(connection.call("ECHO", f"old {number}"))
        for _ in range(number):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        assert await connection.call("ECHO", f"new {number}") == f"new {number}".encode()
