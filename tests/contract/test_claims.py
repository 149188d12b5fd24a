"""The port Claims: one suite, held by the memory twin and by Redis on both builds."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from engine.errors import Unavailable
from engine.memory import MemoryClaims
from engine.ports import Claims, HandOver
from engine.times import HOUR
from streams.state.claims import RedisClaims
from streams.state.connection import RedisConnection
from tests.support.redis_server import RedisServer

P = 5
Pass = Callable[[int], Awaitable[None]]
FIRST, SECOND = HandOver("a-1", b"\x00one"), HandOver("a-2", "两".encode())


class ClaimsContract:
    async def test_an_action_is_claimed_once(self, claims: Claims) -> None:
        assert await claims.claim(P, "push", FIRST, HOUR)
        assert not await claims.claim(P, "push", FIRST, HOUR)
        assert not await claims.claim(P, "sms", FIRST, HOUR)
        assert await claims.claim(P, "push", SECOND, HOUR)
        assert await claims.claim(P + 1, "push", FIRST, HOUR)

    async def test_what_was_claimed_counts_as_begun_until_it_is_answered(
        self, claims: Claims
    ) -> None:
        await claims.claim(P, "push", SECOND, HOUR)
        await claims.claim(P, "push", FIRST, HOUR)
        assert await claims.begun(P, "push") == [FIRST, SECOND]

        await claims.answered(P, "push", FIRST.action_id)
        await claims.answered(P, "push", FIRST.action_id)

        assert await claims.begun(P, "push") == [SECOND]
        assert await claims.begun(P, "sms") == []
        assert await claims.begun(P + 1, "push") == []

    async def test_an_answer_does_not_free_the_claim(self, claims: Claims) -> None:
        await claims.claim(P, "push", FIRST, HOUR)
        await claims.answered(P, "push", FIRST.action_id)
        assert not await claims.claim(P, "push", FIRST, HOUR)
        assert await claims.claimed(P, FIRST.action_id)
        assert not await claims.claimed(P, SECOND.action_id)
        assert not await claims.claimed(P + 1, FIRST.action_id)

    async def test_a_refused_claim_begins_nothing(self, claims: Claims) -> None:
        await claims.claim(P, "push", FIRST, HOUR)
        await claims.answered(P, "push", FIRST.action_id)

        await claims.claim(P, "push", FIRST._replace(value=b"again"), HOUR)

        assert await claims.begun(P, "push") == []

    async def test_a_claim_is_kept_no_longer_than_asked(self, claims: Claims, let: Pass) -> None:
        await claims.claim(P, "push", FIRST, 30)
        await claims.claim(P, "push", SECOND, HOUR)
        await let(31)
        assert await claims.claim(P, "push", FIRST, HOUR)
        assert not await claims.claim(P, "push", SECOND, HOUR)

    async def test_of_many_at_once_one_gets_the_claim(self, claims: Claims) -> None:
        got = await asyncio.gather(*(claims.claim(P, "push", FIRST, HOUR) for _ in range(20)))
        assert sorted(got) == [False] * 19 + [True]


class TestMemoryClaims(ClaimsContract):
    @pytest.fixture
    def clock(self) -> list[int]:
        return [1_700_000_000_000]

    @pytest.fixture
    def claims(self, clock: list[int]) -> MemoryClaims:
        return MemoryClaims(lambda: clock[0])

    @pytest.fixture
    def let(self, clock: list[int]) -> Pass:
        async def let(ms: int) -> None:
            clock[0] += ms

        return let


@pytest.mark.redis
class TestRedisClaims(ClaimsContract):
    @pytest.fixture
    async def claims(self, redis_url: str) -> AsyncIterator[RedisClaims]:
        connection = RedisConnection(redis_url)
        yield RedisClaims(connection)
        await connection.close()

    @pytest.fixture
    def let(self, claims: RedisClaims) -> Pass:
        async def let(ms: int) -> None:
            deadline = time.monotonic() + 5
            claim = f"rk:{{{P}}}:c:{FIRST.action_id}"
            while await claims._redis.call("EXISTS", claim):
                assert time.monotonic() < deadline, "the claim never lapsed"
                await asyncio.sleep(0.005)

        return let

    async def test_a_claim_is_kept_for_the_time_asked(self, claims: RedisClaims) -> None:
        await claims.claim(P, "push", FIRST, HOUR)
        left = await claims._redis.call("PTTL", f"rk:{{{P}}}:c:{FIRST.action_id}")
        assert HOUR - 60_000 < left <= HOUR


async def test_claims_outlive_the_server(own_redis: RedisServer) -> None:
    connection = RedisConnection(own_redis.url)
    claims = RedisClaims(connection)
    await claims.claim(P, "push", FIRST, HOUR)
    own_redis.kill()
    with pytest.raises(Unavailable):
        await claims.claim(P, "push", SECOND, HOUR)
    own_redis.start()

    assert not await claims.claim(P, "push", FIRST, HOUR)
    assert await claims.begun(P, "push") == [FIRST]
    await connection.close()
