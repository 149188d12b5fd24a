"""Law: whatever is done to them, the memory store and Redis answer alike, step by step."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

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
TOO_LATE = 41
_REFUSED = {Fenced, Stale}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    if not available_binaries():
        pytest.skip("no redis-server: apt-get install redis-server")
    with RedisServer(aof=False) as server:
        yield server


def test_memory_and_redis_agree_step_by_step(server: RedisServer) -> None:
    class Agreement(StoresAgree):
        url = server.url

    run_state_machine_as_test(Agreement, settings=settings(max_examples=40, stateful_step_count=25))


@st.composite
def commits(draw: st.DrawFn) -> Commit:
    """A commit from offset 0; `_moved` brings it to where it is made."""
    length = draw(st.integers(1, 4))
    paused = draw(st.lists(st.sampled_from(["channel:sms", "campaign:cart"]), unique=True))
    ids = st.builds(OutboxId, st.integers(0, length - 1), st.integers(1, 3))
    trims = st.builds(OutboxId, st.integers(-6, length), st.integers(1, 3))
    return Commit(
        0,
        Head(length, length, length, settings=Settings(model="m", paused=tuple(paused))),
        draw(st.dictionaries(USERS, VALUES)),
        draw(st.dictionaries(USERS, st.none() | VALUES)),
        draw(st.dictionaries(USERS, st.just(0) | TIMES)),
        [
            Outgoing(at, "decisions", "用户", b"\x00v")
            for at in sorted(draw(st.sets(ids, max_size=5)))
        ],
        draw(st.none() | trims),
    )


def _moved(commit: Commit, first: int) -> Commit:
    """Return the same commit, made at another offset."""
    head = commit.head
    positions = {"shop|0": Position("shop", 0, 0, first, head.crc)}
    return replace(
        commit,
        offset=first,
        head=replace(head, offset=first + head.offset, now=first * 11, positions=positions),
        outbox=[entry._replace(id=_later(entry.id, first)) for entry in commit.outbox],
        trim=None if commit.trim is None else _later(commit.trim, first),
    )


def _later(at: OutboxId, by: int) -> OutboxId:
    return at._replace(offset=max(0, at.offset + by))


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
        self.token = ""
        self.offset = 0

    def teardown(self) -> None:
        self.loop.run_until_complete(self.connection.close())
        self.loop.close()

    def both(self, ask: Any) -> Any:
        answers = [self.loop.run_until_complete(_answer(ask(store))) for store in self.stores]
        assert answers[0] == answers[1]
        return answers[0]

    @initialize()
    def begin(self) -> None:
        self.acquire("one", None)

    @rule(token=TOKENS, expected=st.none() | TOKENS)
    def acquire(self, token: str, expected: str | None) -> None:
        if self.both(lambda store: store.acquire(P, token, expected)) is not Fenced:
            self.token = token

    @rule(commit=commits())
    def go_on(self, commit: Commit) -> None:
        commit = _moved(commit, self.offset)
        assert self.both(lambda store: store.commit(P, self.token, commit)) not in _REFUSED
        self.offset = commit.head.offset

    @rule(commit=commits(), token=TOKENS, shift=st.integers(-3, 3))
    def try_it(self, commit: Commit, token: str, shift: int) -> None:
        commit = _moved(commit, max(0, self.offset + shift))
        if self.both(lambda store: store.commit(P, token, commit)) not in _REFUSED:
            self.offset = commit.head.offset

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
        self.both(lambda store: store.due(P, TOO_LATE, 0))


async def _answer(asked: Awaitable[Any]) -> Any:
    """Return the answer, or the kind of refusal."""
    try:
        return await asked
    except (Fenced, Stale) as refusal:
        return type(refusal)
