"""The world of faults itself: what it draws, what it wraps, what it cuts off."""

import inspect
import time
from pathlib import Path

import pytest
import redis

from engine.policy import Policy
from engine.ports import Commit, Head
from rules import campaigns
from streams.state.connection import RedisConnection
from streams.state.server import Sends
from streams.state.store import RedisStore
from tests.faults.world import launcher, settings
from tests.faults.world.faults import schedule
from tests.faults.world.plan import KINDS, Plan
from tests.faults.world.servers import FallingRedis
from tests.faults.world.shoppers import Shoppers
from tests.support.running import wait_until

PLAN = Plan(
    seed=3,
    seconds=100,
    rate=10,
    users=10,
    partitions=2,
    workers=2,
    faults=dict.fromkeys(KINDS, 3),
)


def test_the_same_seed_harms_at_the_same_moments() -> None:
    assert schedule(PLAN) == schedule(PLAN)
    assert len(schedule(PLAN)) == 3 * len(KINDS)
    assert all(0 < due.at < PLAN.seconds for due in schedule(PLAN))


def test_every_labelled_point_is_a_coroutine_method_that_is_there() -> None:
    for point in launcher.POINTS:
        assert inspect.iscoroutinefunction(getattr(point.owner, point.method)), point.label
    assert len(set(launcher.LABELS)) == len(launcher.LABELS)


class Seen(launcher.Crash):
    """Kills nobody, and keeps what was passed."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"))
        self.passed: list[str] = []

    def passes(self, label: str) -> None:
        self.passed.append(label)


@pytest.mark.redis
async def test_the_point_between_a_commit_and_its_answer_is_passed(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood on a method that our own connections replaced: of 455 kills none was there."""
    for owner, name in ((RedisStore, "commit"), (Sends, "send_packed_command")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    seen = Seen()
    launcher._wrap_commit_sent(seen)
    connection = RedisConnection(redis_url)
    store = RedisStore(connection)

    await store.acquire(0, "ours")
    assert seen.passed == []
    woken = await store.commit(0, "ours", Commit(0, Head(offset=1), wakes={"u": 5}))
    await connection.close()

    assert woken == 5
    assert set(seen.passed) == {launcher.COMMIT_SENT}


def test_the_hurried_file_is_a_campaigns_file_that_speaks() -> None:
    policy = campaigns.load(settings.hurried().encode(), "hurried.toml")

    assert isinstance(policy, Policy)
    assert policy.mode == "live"


def test_shoppers_do_the_same_with_the_same_seed_and_buy_before_they_are_reminded() -> None:
    first, second = Shoppers(5, 50), Shoppers(5, 50)

    told = [message for now in range(0, 60_000, 20) for message in first.next(now)]

    assert told == [message for now in range(0, 60_000, 20) for message in second.next(now)]
    assert sum(b"Order Completed" in message.value for message in told) > len(told) * 0.04


@pytest.mark.redis
def test_a_redis_that_falls_back_knows_what_it_knew_then() -> None:
    with FallingRedis() as server, redis.Redis.from_url(server.url) as client:
        server.watch()
        client.set("early", 1)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1.5, "a second and a half")
        client.set("late", 1)

        lost = server.fall_back(1.0)

        assert lost["bytes_lost"] > 0
        assert client.get("early") == b"1"
        assert client.get("late") is None
