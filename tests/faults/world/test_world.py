"""The world of faults itself: what it draws, what it wraps, what it cuts off."""

import inspect
import time

import pytest
import redis

from engine.policy import Policy
from rules import campaigns
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
