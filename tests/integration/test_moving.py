"""Another partition count: people are copied into new topics, and nothing begins anew."""

import asyncio
import json
from collections import defaultdict
from typing import Any

import pytest

from engine.errors import Refused
from streams.auditing.once import once
from streams.moving import Moved, move
from tests.support.agreement import assert_agrees, wait_folded
from tests.support.kafka import RunningKafka
from tests.support.oracle import stored
from tests.support.redis_server import RedisServer
from tests.support.running import Shop, shipped, wait_until
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

SIX = 6


def _move(shop: Shop, prefix: str, redis: str) -> Moved:
    return asyncio.run(move(shop.deployment, partitions=SIX, prefix=prefix, redis=redis))


def test_a_shop_moved_in_mid_life_knows_and_does_what_it_would_have(
    shop: Shop, kafka: RunningKafka, a_redis: RedisServer, topic_prefix: str
) -> None:
    records = list(traffic(3_000))
    prefix, redis = f"{topic_prefix}new.", a_redis.url.replace("/0", "/1")
    shop.apply(shipped())
    shop.load(records[:1_500])
    with shop.worker():
        wait_folded(shop)
        wait_until(lambda: _moves(shop, prefix, redis), "all is handed over and copied")

    with Shop(kafka.bootstrap, redis, prefix, partitions=SIX, REKINDLE_CLOCK="source") as moved:
        moved.environ["REKINDLE_SOURCES"] = f"{topic_prefix}events.raw:segment"
        moved.load(records[1_500:])
        with moved.worker("decide"):
            wait_folded(moved)
        after = stored(redis, SIX)
        decided = _by_user(moved)
        audited = asyncio.run(once(moved.deployment))

    # Most people said yes before the move: not known to the new log, and no accusation.
    assert (audited["whole"], audited["violations"], audited["unbalanced"]) == (False, [], [])
    assert audited["unjudged"] > 0

    # The same shop, never moved, on the old topics.
    before = _by_user(shop)
    shop.load(records[1_500:])
    with shop.worker("decide"):
        wait_folded(shop)
    oracle = assert_agrees(shop)
    assert {user: p for (_, user), p in after.profiles.items()} == {
        user: p for (_, user), p in oracle.profiles.items()
    }
    assert {user: a for (_, user), a in after.addresses.items()} == {
        user: a for (_, user), a in oracle.addresses.items()
    }
    assert {user: w for (_, user), w in after.wakes.items()} == {
        user: w for (_, user), w in oracle.wakes.items()
    }
    never_moved = _by_user(shop)
    assert sum(map(len, decided.values())) > 0
    for user in never_moved:
        assert before[user] + decided[user] == never_moved[user]


def test_what_is_not_worked_off_is_not_moved(
    shop: Shop, a_redis: RedisServer, topic_prefix: str
) -> None:
    redis = a_redis.url.replace("/0", "/1")
    shop.apply(shipped())
    shop.load(list(traffic(200)))

    with pytest.raises(Refused, match="is not folded to its end: stop what publishes"):
        _move(shop, f"{topic_prefix}new.", redis)
    with pytest.raises(Refused, match="is there already: name a prefix that was never used"):
        _move(shop, topic_prefix, redis)
    with shop.worker("decide"):
        wait_folded(shop)
    with pytest.raises(Refused, match="holds keys of rekindle already: name an empty one"):
        _move(shop, f"{topic_prefix}new.", a_redis.url)
    with pytest.raises(Refused, match="is not handed over to its end"):
        _move(shop, f"{topic_prefix}new.", redis)


def _moves(shop: Shop, prefix: str, redis: str) -> bool:
    try:
        return _move(shop, prefix, redis).users == 200
    except Refused as refused:
        if "move again" not in str(refused):
            raise
        return False


def _by_user(shop: Shop) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for record in shop.read("decisions"):
        told = json.loads(record.value)
        del told["pos"]  # where its cause stands in the log: the one thing that is another's
        found[record.key.decode()].append(told)
    return found
