"""The audit on real Kafka and Redis, beside a real worker: it finds, it stops, and it goes on."""

import json
from typing import Any

import pytest

from monitoring.audit.lane import Lane
from monitoring.audit.reading import Event
from monitoring.audit.verdicts import Finding
from streams.auditing.checkpoint import Checkpoint
from streams.auditing.pausing import Episode
from streams.auditing.process import Auditor
from streams.state.connection import RedisConnection
from streams.wall import now_ms
from tests.support.agreement import wait_folded
from tests.support.over_cap import over_cap
from tests.support.redis_server import RedisServer
from tests.support.running import Running, Shop, shipped, wait_until
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

_EVENTS = 4_000


def test_an_injected_message_over_the_cap_pauses_its_channel_and_a_restart_goes_on(
    shop: Shop,
) -> None:
    shop.apply(shipped())
    shop.load(list(traffic(_EVENTS)))
    with shop.worker():
        wait_folded(shop)
        audit = shop.start_audit()
        wait_until(lambda: _ready(audit), "the audit knows everything", 60)
        right = _samples(audit, 'verdict="ok"')
        assert sum(right.values()) == len(shop.read("actions.push")) + len(
            shop.read("actions.email")
        )
        assert _violations(audit) == {}

        over_cap(shop)
        wait_until(lambda: _paused_in_log(shop), "the channel is paused in the log")
        assert _violations(audit) == {"over_cap": 1.0, "undecided": 1.0}
        assert _control(shop)["evidence"]["verdict"] in {"over_cap", "undecided"}

        assert audit.stop() == 0, audit.log
        again = shop.start_audit()
        wait_until(lambda: _ready(again), "the audit has gone on", 60)
        # what was judged before is not judged again, and the channel not paused again
        assert sum(_samples(again, 'verdict="ok"').values()) == 0
        assert _violations(again) == {}
        assert len(_controls(shop)) == shop.partitions
        assert again.stop() == 0, again.log
        assert "user u" not in audit.log + again.log


def _handed_over(shop: Shop) -> bool:
    """Return whether something was carried, and all that was decided has come to an end."""
    told = {value["action_id"] for value in shop.values("feedback")}
    carried = [value for value in shop.values("feedback") if value["type"] == "accepted"]
    written = [*shop.values("actions.push"), *shop.values("actions.email")]
    return bool(carried) and told >= {value["action_id"] for value in written}


def _controls(shop: Shop) -> list[dict[str, Any]]:
    return [value["control"] for value in shop.values("events") if value.get("control")]


def _control(shop: Shop) -> dict[str, Any]:
    return _controls(shop)[0]


def _paused_in_log(shop: Shop) -> bool:
    return [control["target"] for control in _controls(shop)] == ["channel:push"] * shop.partitions


def _ready(audit: Running) -> bool:
    try:
        status, _ = audit.get("/readyz")
    except OSError:
        return False
    return status == 200


def _samples(audit: Running, part: str) -> dict[str, float]:
    _, text = audit.get("/metrics")
    found = {}
    for row in text.splitlines():
        if row.startswith("rekindle_audit_actions_total") and part in row:
            name, _, value = row.rpartition(" ")
            found[name] = float(value)
    return found


def _violations(audit: Running) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in _samples(audit, "verdict=").items():
        verdict = name.partition('verdict="')[2].partition('"')[0]
        if verdict != "ok" and value:
            found[verdict] = found.get(verdict, 0.0) + value
    return found


def test_what_a_killed_worker_left_is_right_and_what_somebody_added_is_not(shop: Shop) -> None:
    shop.apply(shipped())
    records = list(traffic(1_500))
    shop.load(records[:900])
    worker = shop.start(REKINDLE_CLOCK="source")
    wait_folded(shop)
    shop.load(records[900:])
    worker.kill()
    with shop.worker(REKINDLE_CLOCK="source"):
        wait_folded(shop)
        wait_until(lambda: _handed_over(shop), "all was handed over")

    code, text = shop.rekindle("audit", "--once", "--json")
    clean = json.loads(text)
    assert (code, clean["violations"], clean["unbalanced"]) == (0, [], [])
    assert clean["whole"]
    assert clean["unjudged"] == 0
    assert clean["triggers"]["cart"]["armed"] > 100

    over_cap(shop)
    code, text = shop.rekindle("audit", "--once", "--json")
    assert code == 1
    assert {found["verdict"] for found in json.loads(text)["violations"]} == {
        "over_cap",
        "undecided",
    }


async def test_a_checkpoint_of_other_topics_is_none(a_redis: RedisServer) -> None:
    redis = RedisConnection(a_redis.url)
    try:
        lane = Lane(0, ("push",), lambda _: None)
        ours = Checkpoint(redis, "ours.")
        await ours.save([lane], {0: 7}, {"push": Episode(since=5)})

        assert await ours.state(0) == lane.state
        assert (await ours.shared()).episodes == {"push": Episode(since=5)}
        theirs = Checkpoint(redis, "theirs.")
        assert await theirs.state(0) is None
        assert (await theirs.shared()).feedback == {}
    finally:
        await redis.close()


async def test_nothing_is_written_down_while_a_violation_waits_to_pause(shop: Shop) -> None:
    auditor = Auditor(shop.deployment)
    redis = RedisConnection(shop.deployment.redis)
    found = Finding(
        verdict="over_cap", channel="push", action_id="a", user_id="u", partition=0, at=now_ms()
    )
    try:
        auditor._pausing.ask([found])
        await auditor._save()
        assert await redis.call("GET", "rk:audit") is None

        auditor._pausing.heard(_resumed(), now_ms() + 1)
        assert await auditor._pausing.act(lambda _: 0) == []
        await auditor._save()
        assert await redis.call("GET", "rk:audit") is not None
    finally:
        await redis.close()
        await auditor.on_shutdown()


def _resumed() -> Event:
    return Event(type="settings", pause={"channel:push": False})
