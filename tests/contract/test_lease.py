"""One owner at a time, on a real Redis of both builds; only the owner may write what is kept."""

from collections.abc import AsyncIterator

import pytest

from streams.state.connection import RedisConnection
from streams.state.lease import LENGTH, Lease

pytestmark = pytest.mark.redis


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    made = RedisConnection(redis_url)
    yield made
    await made.close()


async def test_the_first_has_it_and_the_second_waits(connection: RedisConnection) -> None:
    first, second = Lease(connection, "task", "first"), Lease(connection, "task", "second")
    assert await first.take()
    assert not await second.take()
    assert await first.take()  # renewed
    assert await second.owner() == "first"


async def test_one_that_gives_it_up_is_followed_at_once(connection: RedisConnection) -> None:
    first, second = Lease(connection, "task", "first"), Lease(connection, "task", "second")
    await first.take()
    await first.release()
    assert await second.take()


async def test_nobody_gives_up_what_is_anothers(connection: RedisConnection) -> None:
    first, second = Lease(connection, "task", "first"), Lease(connection, "task", "second")
    await first.take()
    await second.release()
    assert await first.owner() == "first"


async def test_only_the_owner_writes_what_is_kept(connection: RedisConnection) -> None:
    first, second = Lease(connection, "task", "first"), Lease(connection, "task", "second")
    await first.take()
    assert await first.keep(b"one")
    assert not await second.keep(b"two")
    assert await second.state() == b"one"


async def test_a_lease_that_nobody_renews_ends_by_itself(connection: RedisConnection) -> None:
    first, second = Lease(connection, "task", "first"), Lease(connection, "task", "second")
    await first.take()
    left = await connection.call("PTTL", b"rk:{task}:owner")
    assert 0 < left <= LENGTH
    await connection.call("PEXPIRE", b"rk:{task}:owner", 0)

    assert await second.take()
    # the one that slept through it finds out when it writes
    assert not await first.keep(b"late")
    assert await second.state() is None


async def test_keeping_renews_the_lease(connection: RedisConnection) -> None:
    first = Lease(connection, "task", "first")
    await first.take()
    await connection.call("PEXPIRE", b"rk:{task}:owner", 500)
    await first.keep(b"one")
    assert await connection.call("PTTL", b"rk:{task}:owner") > 500


async def test_tasks_do_not_know_each_other(connection: RedisConnection) -> None:
    assert await Lease(connection, "one", "first").take()
    assert await Lease(connection, "other", "second").take()
