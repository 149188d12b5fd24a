"""The connection on real Redis: who is cancelled while it speaks stops, at whatever step."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from streams.state.connection import RedisConnection

pytestmark = pytest.mark.redis

# Turns of the loop a command takes from being sent to its answer, and as many again.
_STEPS = 40
_PATIENCE = 2.0


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


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
