"""Redis falls back, and the worker that comes back is of another mind: the record stands."""

import re
from collections import Counter, defaultdict
from typing import Any

import pytest
import redis

from engine import profile as profiles
from engine.decisions import Decision
from engine.decisions import decode as decode_decision
from engine.times import from_iso
from rules import campaigns
from streams.log.reader import position_of
from streams.state.keys import keys_of
from tests.support import another_engine
from tests.support.agreement import assert_agrees, doubled_in_log, wait_folded
from tests.support.oracle import stored
from tests.support.redis_server import RedisServer
from tests.support.running import Shop, shipped
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

ANOTHER = another_engine.__name__
TOPICS = ("decisions", "actions.push", "actions.sms", "actions.email")


def test_another_engine_takes_what_was_decided_before_redis_fell_back(
    shop: Shop, a_redis: RedisServer
) -> None:
    shop.apply(shipped())
    records = list(traffic(4_000))
    client = redis.Redis.from_url(a_redis.url)
    shop.load(records[:2_000])
    with shop.worker("decide"):
        wait_folded(shop)
        older = kept(client)
        heads = [int(client.hget(keys_of(p).meta.decode(), "o") or 0) for p in range(4)]
        shop.load(records[2_000:3_200])
        wait_folded(shop)
    before = {topic: written(shop, topic) for topic in TOPICS}
    lost = sum(
        position_of(record).offset >= heads[record.partition]  # type: ignore[union-attr]
        for record in shop.read("decisions")
    )
    put_back(client, older)

    with shop.worker("decide", program=ANOTHER) as worker:
        shop.load(records[3_200:])
        wait_folded(shop)
        metrics = worker.get("/metrics")[1]
        log = worker.log

    counted = results(metrics)
    assert lost > 20, "there was something to decide otherwise"
    assert counted["same"] + counted["different"] + counted["missing"] == lost
    assert counted["different"] > 0
    assert "recorded decisions were taken as they stand" in log
    for topic, there in before.items():
        now = written(shop, topic)
        assert all(now[at][: len(values)] == values for at, values in there.items()), topic
    assert doubled_in_log(shop) == 0
    decided = [decode_decision(record.value) for record in shop.read("decisions")]
    assert any(each.schema_hash == "other" for each in decided), "the other engine decided, too"
    assert_said_once(shop, decided)
    assert_caps(decided)
    assert_state_is_what_was_said(shop, decided)


def test_the_same_engine_finds_nothing_to_differ_about(shop: Shop, a_redis: RedisServer) -> None:
    shop.apply(shipped())
    records = list(traffic(4_000))
    client = redis.Redis.from_url(a_redis.url)
    shop.load(records[:2_000])
    with shop.worker("decide"):
        wait_folded(shop)
        older = kept(client)
        shop.load(records[2_000:3_200])
        wait_folded(shop)
    put_back(client, older)

    with shop.worker("decide") as worker:
        shop.load(records[3_200:])
        wait_folded(shop)
        counted = results(worker.get("/metrics")[1])

    assert counted["same"] > 20
    assert sum(counted.values()) == counted["same"]
    assert_agrees(shop)
    assert doubled_in_log(shop) == 0


# --- helpers ------------------------------------------------------------------------------------


def kept(client: Any) -> dict[bytes, bytes]:
    return {key: client.dump(key) for key in client.scan_iter("rk:*")}


def put_back(client: Any, older: dict[bytes, bytes]) -> None:
    client.flushall()
    for key, packed in older.items():
        client.restore(key, 0, packed)


def written(shop: Shop, topic: str) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = defaultdict(list)
    for record in shop.read(topic):
        found[record.partition].append(record.value)
    return found


def results(metrics: str) -> Counter[str]:
    line = r'^rekindle_recorded_decisions_total\{result="(\w+)"\} (\S+)'
    found = re.findall(line, metrics, re.MULTILINE)
    return Counter({name: int(float(count)) for name, count in found})


def assert_said_once(shop: Shop, decided: list[Decision]) -> None:
    """Each decision, each end of an episode and each message once; a message for each send."""
    ends = [(d.user_id, d.campaign, d.trigger) for d in decided if d.outcome != "defer"]
    acted = [value["action_id"] for topic in TOPICS[1:] for value in shop.values(topic)]
    for names in ([d.decision_id for d in decided], [repr(end) for end in ends], acted):
        assert max(Counter(names).values()) == 1
    assert set(acted) == {d.action_id for d in decided if d.outcome == "send"}


def assert_caps(decided: list[Decision]) -> None:
    """Counted again over all windows: traffic tells of no outcome, so that every send counts."""
    policy = campaigns.load(shipped().encode(), "the shipped file")
    checked = 0
    for decision in decided:
        at = from_iso(decision.at)
        hers = [
            (from_iso(other.at), other.channel)
            for other in decided
            if other.action_id and other.user_id == decision.user_id and other is not decision
        ]
        for cap in policy.caps if decision.action_id else ():
            if cap.kind == "rolling" and cap.channel in (None, decision.channel):
                used = [
                    t for t, c in hers if at - cap.window < t <= at and cap.channel in (None, c)
                ]
                assert len(used) < cap.limit, f"{cap.name}: {decision}"
                checked += 1
    assert checked > 20


def assert_state_is_what_was_said(shop: Shop, decided: list[Decision]) -> None:
    """Send logs hold what was sent or withheld; what is closed is not armed any more."""
    said = {(d.user_id, d.action_id) for d in decided if d.action_id}
    closed = {(d.user_id, d.campaign, d.trigger.episode) for d in decided if d.outcome != "defer"}
    logged, armed = set(), set()
    for (_, user), packed in stored(shop.deployment.redis, shop.partitions).profiles.items():
        profile = profiles.decode(packed)
        logged |= {(user, send.action_id) for send in profile.sends}
        armed |= {(user, each.campaign, each.episode) for each in profile.triggers}
    assert logged == said
    assert not armed & closed
