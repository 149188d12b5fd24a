"""Law: whatever is done to them, the memory store and Redis answer alike, step by step."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from engine.errors import Fenced, Stale
from engine.events import Position
from engine.memory import MemoryStore
from engine.policy import Settings
from engine.ports import Commit, Head, OutboxId, Outgoing, Store
from streams.state.connection import RedisConnection
from streams.state.store import RedisStore
from tests.support.redis_server import RedisServer, available_binaries

pytestmark = pytest.mark.redis

P = 0
TOKENS = st.sampled_from(["one", "two", "three"])
USERS = st.sampled_from(["a", "b", "B", "é", "用户", "\U0001f6d2", "anon:x"])
VALUES = st.binary(max_size=20)
TIMES = st.integers(1, 40)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    if not available_binaries():
        pytest.skip("no redis-server: apt-get install redis-server")
    with RedisServer(aof=False) as server:
        yield server


def test_memory_and_redis_agree_step_by_step(server: RedisServer) -> None:
    class Agreement(StoresAgree):
        url = server.url

    run_state_machine_as_test(  # type: ignore[no-untyped-call] # hypothesis leaves it unannotated
        Agreement, settings=settings(stateful_step_count=40)
    )


class StoresAgree(RuleBasedStateMachine):
    """Two stores side by side; a rule does one thing to both and compares the answers."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self.loop = asyncio.new_event_loop()
        self.connection = RedisConnection(self.url)
        self.stores: tuple[Store, Store] = MemoryStore(), RedisStore(self.connection)
        self.offset = 0
        self.last = OutboxId(0, 0)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.connection.close())
        self.loop.close()

    def both(self, ask: Any) -> Any:
        answers = [self.loop.run_until_complete(_answer(ask(store))) for store in self.stores]
        assert answers[0] == answers[1]
        return answers[0]

    @rule(token=TOKENS, expected=st.none() | TOKENS)
    def acquire(self, token: str, expected: str | None) -> None:
        self.both(lambda store: store.acquire(P, token, expected))

    @rule(
        token=TOKENS,
        shift=st.sampled_from([0, 0, 0, 0, 0, -1, 1]),
        length=st.integers(1, 4),
        profiles=st.dictionaries(USERS, VALUES),
        addresses=st.dictionaries(USERS, st.none() | VALUES),
        wakes=st.dictionaries(USERS, st.just(0) | TIMES),
        ordinals=st.lists(st.integers(1, 4), unique=True).map(sorted),
        trim=st.none() | st.tuples(st.integers(-4, 2), st.integers(1, 4)),
        paused=st.lists(st.sampled_from(["channel:sms", "campaign:cart"]), unique=True),
    )
    def commit(
        self,
        token: str,
        shift: int,
        length: int,
        profiles: dict[str, bytes],
        addresses: dict[str, bytes | None],
        wakes: dict[str, int],
        ordinals: list[int],
        trim: tuple[int, int] | None,
        paused: list[str],
    ) -> None:
        first = max(0, self.offset + shift)
        head = Head(
            first + length,
            first * 7,
            first * 11,
            {"shop|0": Position("shop", 0, 0, first, length)},
            Settings(model="m", paused=tuple(paused)),
        )
        commit = Commit(first, head, profiles, addresses, wakes)
        commit.outbox = [
            Outgoing(OutboxId(first + length - 1, ordinal), "decisions", "用户", b"\x00v")
            for ordinal in ordinals
        ]
        if trim is not None:
            commit.trim = OutboxId(max(0, first + trim[0]), trim[1])
        if self.both(lambda store: store.commit(P, token, commit)) is None:
            self.offset = head.offset

    @rule(now=TIMES, limit=st.integers(0, 4))
    def look_who_is_due(self, now: int, limit: int) -> None:
        self.both(lambda store: store.due(P, now, limit))

    @rule(users=st.lists(USERS, unique=True), told=st.sets(USERS))
    def load(self, users: list[str], told: set[str]) -> None:
        self.both(lambda store: store.load(P, users, told))

    @invariant()
    def the_heads_agree(self) -> None:
        self.both(lambda store: store.head(P))
        self.both(lambda store: store.earliest(P))


async def _answer(asked: Awaitable[Any]) -> Any:
    """Return the answer, or the kind of refusal."""
    try:
        return await asked
    except (Fenced, Stale) as refusal:
        return type(refusal)
