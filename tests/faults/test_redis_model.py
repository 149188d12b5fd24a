"""The model of Redis that the simulation runs on passes the suites that real servers pass."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest
import redis

from engine.errors import Unavailable
from engine.ports import Commit, HandOver, Head, OutboxId, Outgoing, Store
from streams.state.claims import RedisClaims
from streams.state.connection import RedisConnection
from streams.state.lanes import IntakeLanes, LaneState
from streams.state.store import RedisStore
from tests.contract.test_claims import ClaimsContract, Pass
from tests.contract.test_store import P, StoreContract
from tests.faults.simulation.redis_model import Database, ModelConnection
from tests.support.redis_server import RedisServer


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


async def test_a_full_model_refuses_and_does_what_a_full_server_refuses_and_does(
    own_redis: RedisServer,
) -> None:
    database, real = Database(lambda: 0), RedisConnection(own_redis.url)
    model = ModelConnection(database)
    with redis.Redis.from_url(own_redis.url) as client:

        def full(*, is_full: bool) -> None:
            database.full = is_full
            client.config_set("maxmemory", "1" if is_full else "0")

        of_the_model = await _told(model, full)
        of_the_server = await _told(real, full)
    await real.close()

    assert of_the_model == of_the_server
    assert set(of_the_model.values()) == {"done", "refused"}


async def _told(connection: RedisConnection, full: Callable[..., None]) -> dict[str, str]:
    """Return what a server does and what it refuses while it is full."""
    store, claims, lanes = RedisStore(connection), RedisClaims(connection), IntakeLanes(connection)
    full(is_full=False)
    await store.acquire(P, "mine")
    entry = Outgoing(OutboxId(0, 1), "decisions", "u", b"d")
    await store.commit(P, "mine", Commit(0, Head(offset=1, crc=1), {"u": b"1"}, outbox=[entry]))
    await claims.claim(P, "push", HandOver("a", b"action"), 60_000)
    state = LaneState(0, 1, 1)
    full(is_full=True)
    later = Outgoing(OutboxId(1, 1), "decisions", "u", b"d")
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "acquire": lambda: store.acquire(P, "other", "mine"),
        "commit": lambda: store.commit(P, "mine", Commit(1, Head(offset=2), {"u": b"2"})),
        "commit with outbox": lambda: store.commit(
            P, "mine", Commit(1, Head(offset=2), outbox=[later], trim=entry.id)
        ),
        "load": lambda: store.load(P, ["u"], ()),
        "due": lambda: store.due(P, 5, 10),
        "claim": lambda: claims.claim(P, "push", HandOver("b", b"action"), 60_000),
        "claim again": lambda: claims.claim(P, "push", HandOver("a", b"action"), 60_000),
        "begun": lambda: claims.begun(P, "push"),
        "answered": lambda: claims.answered(P, "push", "a"),
        "stand": lambda: lanes.save("raw", 0, state),
        "watermark": lambda: lanes.tell("raw", {0: 5}),
        "reset": lambda: lanes.reset("raw"),
        "generation": lambda: lanes.generation("raw"),
        # XTRIM needs no memory, and what a script has begun it may finish.
        "commit with trim": lambda: store.commit(
            P, "mine", Commit(1, Head(offset=2), {"u": b"2"}, trim=entry.id)
        ),
    }
    told = {}
    for name, ask in asked.items():
        try:
            await ask()
        except Unavailable:
            told[name] = "refused"
        else:
            told[name] = "done"
    full(is_full=False)
    held = await store.load(P, ["u"], ())
    return told | {"profile": "done" if held["u"].profile == b"2" else "refused"}
