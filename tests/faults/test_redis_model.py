"""The model of Redis that the simulation runs on passes the suites that real servers pass."""

import msgspec
import pytest

from engine.ports import Head, Outgoing, Store
from streams.state.claims import RedisClaims
from streams.state.store import RedisStore
from tests.contract.test_claims import ClaimsContract, Pass
from tests.contract.test_store import P, StoreContract
from tests.faults.simulation.redis_model import Database, ModelConnection


class TestModelOfRedis(StoreContract):
    @pytest.fixture
    def store(self) -> RedisStore:
        return RedisStore(ModelConnection(Database(lambda: 0)))

    async def append_behind_the_head(self, store: Store, entry: Outgoing) -> None:
        assert isinstance(store, RedisStore)
        fields = ("topic", entry.topic, "key", entry.key, "value", entry.value)
        await store._redis.call("XADD", f"rk:{{{P}}}:q", "{}-{}".format(*entry.id), *fields)

    async def put_head_back(self, store: Store, head: Head) -> None:
        assert isinstance(store, RedisStore)
        positions = msgspec.msgpack.encode(head.positions)
        fields = ("o", head.offset, "crc", head.crc, "now", head.now, "positions", positions)
        await store._redis.call("HSET", f"rk:{{{P}}}:m", *fields)


class TestModelOfClaims(ClaimsContract):
    @pytest.fixture
    def clock(self) -> list[int]:
        return [1_000]

    @pytest.fixture
    def claims(self, clock: list[int]) -> RedisClaims:
        return RedisClaims(ModelConnection(Database(lambda: clock[0])))

    @pytest.fixture
    def let(self, clock: list[int]) -> Pass:
        async def passed(ms: int) -> None:
            clock[0] += ms

        return passed
