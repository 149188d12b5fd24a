"""Deliver on real Kafka and Redis: an action reaches its gateway once, and its fate is told."""

import asyncio
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
import redis
from aiokafka.admin import AIOKafkaAdminClient

from engine import events as ev
from engine.times import HOUR, MINUTE, SECOND
from streams import control
from tests.support.agreement import wait_folded
from tests.support.kafka import RunningKafka
from tests.support.processes import free_port
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.running import Shop, shipped, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

START = 1_767_258_000_000  # 2026-01-01 09:00 UTC
SECRET = "a secret of the test"
CERTAIN = {
    "share = 0.05": "share = 0.0",
    "share = 0.10": "share = 0.0",
    'from = "21:00"': 'from = "00:00"',
    'to = "08:00"': 'to = "00:00"',
    # An SMS that waits for ten minutes is too late; a push is not.
    'patience = 0.30\ndeliver_within = "4h"': 'patience = 0.30\ndeliver_within = "5m"',
}


def test_killed_again_and_again_it_hands_nothing_over_twice(shop: Shop) -> None:
    """The file is no gateway that could be asked again: what is in doubt is told as unknown."""
    _decide(shop, {"push": _users("u", 150)})
    actions = _actions(shop)
    assert len(actions) == 150

    for _ in range(4):
        before = len(shop.sent())
        worker = shop.start("deliver", ready=False)
        wait_until(lambda: len(shop.sent()) > before, "some are handed over")  # noqa: B023
        worker.kill()
        assert len(shop.sent()) < len(actions), "it was killed too late to prove anything"
    with shop.worker("deliver"):
        fates = wait_until(lambda: _all_told(shop, actions), "all fates are told")

    sent = [action["action_id"] for action in shop.sent()]
    assert len(sent) == len(set(sent))
    told = Counter(_fate(fates[action]) for action in actions)
    assert told["accepted"] + told["unknown"] == len(actions)
    accepted = {action for action in actions if "accepted" in fates[action]}
    unknown = {action for action in actions if _fate(fates[action]) == "unknown"}
    assert accepted <= set(sent) <= accepted | unknown


def test_a_webhook_hears_each_action_once_whatever_happens_on_the_way(shop: Shop) -> None:
    _decide(shop, {"push": _users("u", 60)})
    actions = _actions(shop)
    port = free_port()
    environ: Any = {
        "REKINDLE_GATEWAY_PUSH": f"webhook:http://127.0.0.1:{port}/hook",
        "REKINDLE_WEBHOOK_SECRET_PUSH": SECRET,
    }

    worker = shop.start("deliver", **environ)
    wait_until(lambda: "is not there" in worker.log, "the gateway is missed")
    assert not _fates(shop)
    with Receiver(port, SECRET, _moody) as receiver:
        wait_until(lambda: len(receiver.messages) > 10, "some are handed over")
        worker.kill()
        with shop.worker("deliver", **environ):
            fates = wait_until(lambda: _all_told(shop, actions), "all fates are told")

    assert {_fate(fates[action]) for action in actions} == {"accepted"}
    assert receiver.messages.keys() == set(actions)
    assert not receiver.unsigned
    assert {m["action_id"]: m for m in receiver.messages.values()} == actions
    assert max(receiver.requests.values()) > 1, "nothing was ever asked again"


def test_the_offset_of_a_hand_over_in_flight_is_not_taken_back(
    shop: Shop, kafka: RunningKafka
) -> None:
    """A Redis that lost its last second knows no claim: then only the offset says it was begun."""
    _decide(shop, {"push": _users("u", 1)})
    port = free_port()
    environ: Any = {
        "REKINDLE_GATEWAY_PUSH": f"webhook:http://127.0.0.1:{port}/hook",
        "REKINDLE_WEBHOOK_SECRET_PUSH": SECRET,
    }
    asked, answer = threading.Event(), threading.Event()

    def slowly(_: int) -> int:
        asked.set()
        answer.wait(20)
        return 202

    with Receiver(port, SECRET, slowly) as receiver, shop.worker("deliver", **environ):
        assert asked.wait(30)
        began = time.monotonic()
        # Workers commit where they stand twice a second.
        wait_until(lambda: time.monotonic() - began > 1.5, "workers have committed by themselves")
        begun = _offsets(shop, kafka)
        answer.set()
        wait_until(lambda: _fates(shop), "its fate is told")

    assert begun == 1
    assert len(receiver.messages) == 1


def test_a_hand_over_that_redis_forgot_in_mid_call_is_told_as_unknown(
    shop: Shop, a_redis: RedisServer
) -> None:
    """The worker died in mid-call, and Redis lost the claim: only the offset says it was begun."""
    _decide(shop, {"sms": _users("u", 1)})
    (action,) = _actions(shop)
    port = free_port()
    environ: Any = {
        "REKINDLE_GATEWAY_SMS": f"webhook:http://127.0.0.1:{port}/hook",
        "REKINDLE_WEBHOOK_SECRET_SMS": SECRET,
    }
    client = redis.Redis.from_url(a_redis.url)
    before: dict[bytes, Any] = {key: client.dump(key) for key in client.scan_iter("rk:*")}
    asked, answer = threading.Event(), threading.Event()

    def never(_: int) -> int:
        asked.set()
        answer.wait(20)
        return 202

    with Receiver(port, SECRET, never):
        worker = shop.start("deliver", **environ)
        assert asked.wait(30)
        worker.kill()
        answer.set()
    client.flushall()
    for key, packed in before.items():
        client.restore(key, 0, packed)

    with shop.worker("deliver"):  # a file, which cannot be asked again
        fates = wait_until(lambda: _fates(shop), "its fate is told")

    assert fates == {action: {"unknown"}}
    assert not shop.sent()


def test_what_changed_since_the_decision_is_judged_once_more(shop: Shop) -> None:
    """Bought, forgotten, paused, too late: none of them hears of it, and the charge goes back."""
    groups: dict[str, Sequence[str]] = {
        "push": ["bought", "erased", *_users("calm", 3)],
        "email": _users("paused", 3),
        "sms": _users("late", 3),
    }
    _decide(shop, groups)
    actions = _actions(shop)
    assert Counter(action["channel"] for action in actions.values()) == {
        "push": 5,
        "email": 3,
        "sms": 3,
    }
    now = START + HOUR + 20 * MINUTE
    shop.load(
        [
            ev.OrderCompleted(**_common("bought", "order", now), order_id="o", lines=[_line()]),
            ev.Erased(**_common("erased", "erased", now)),
            ev.Tick(now=now, origin="loader"),
        ]
    )
    asyncio.run(control.apply(shop.deployment, pause={"channel:email": True}))
    with shop.worker("decide"):
        wait_folded(shop)

    with shop.worker("intake", "decide", "deliver"):
        fates = wait_until(lambda: _all_told(shop, actions), "all fates are told")
        wait_until(lambda: len(shop.read("events")) > 0 and _outcomes(shop) >= 11, "told back")
        wait_folded(shop)

    told = {
        action["user_id"]: (_fate(fates[name]), _reason(shop, name))
        for name, action in actions.items()
    }
    assert told == {
        "bought": ("cancelled", "converted"),
        "erased": ("cancelled", "erased"),
        **dict.fromkeys(groups["email"], ("cancelled", "channel_paused")),
        **dict.fromkeys(groups["sms"], ("expired", "expired")),
        **dict.fromkeys(_users("calm", 3), ("accepted", "")),
    }
    assert {action["user_id"] for action in shop.sent()} == set(_users("calm", 3))


# --- making -------------------------------------------------------------------------------------


def _users(name: str, count: int) -> list[str]:
    return [f"{name}-{number}" for number in range(count)]


def _decide(shop: Shop, groups: dict[str, Sequence[str]]) -> None:
    """Let each user of a channel's group be decided about: an action each."""
    shop.apply(shipped(replace=CERTAIN))
    events = [event for channel, users in groups.items() for event in _history(channel, users)]
    at = START + HOUR + 10 * MINUTE
    shop.load([*events, ev.Tick(now=at, origin="loader")])
    with shop.worker("decide"):
        wait_folded(shop)


def _history(channel: str, users: Iterable[str]) -> Iterator[ev.Event]:
    """Yield what makes a user reachable on one channel, and her cart."""
    for user in users:
        yield ev.Identified(
            **_common(user, "identified"),
            addresses={channel: f"{user}@example.com" if channel == "email" else f"+86-{user}"},
            zones=["Asia/Shanghai"],
            locale="en",
        )
        yield ev.ConsentChanged(**_common(user, "consent"), channel=channel, granted=True)
        yield ev.ProductAdded(**_common(user, "added"), line=_line())


def _line() -> ev.Line:
    return ev.Line("p1", 1, 300.0, "Shoe", "CNY")


_KINDS = ("identified", "consent", "added", "order", "erased")


def _common(user: str, kind: str, at: int = START) -> dict[str, Any]:
    when = at + _KINDS.index(kind) * SECOND
    source = ev.Position(f"test-{user}", 0, 0, _KINDS.index(kind))
    event_id = f"{user}-{kind}"
    shared = {"event_id": event_id, "user_id": user, "occurred_at": when, "received_at": when}
    return {**shared, "source": source}


def _moody(request: int) -> int | str:
    """Answer as gateways do: mostly well, at times too busy, at times not at all."""
    answers: dict[int, int | str] = {1: 503, 3: "hang up", 5: 429, 8: "hang up", 13: 500}
    return answers.get(request, 202)


# --- looking ------------------------------------------------------------------------------------


def _actions(shop: Shop) -> dict[str, Any]:
    found = [
        value for channel in ("push", "email", "sms") for value in shop.values(f"actions.{channel}")
    ]
    return {action["action_id"]: action for action in found}


def _fates(shop: Shop) -> dict[str, set[str]]:
    """Return what was told of each action."""
    found: dict[str, set[str]] = defaultdict(set)
    for report in shop.values("feedback"):
        found[report["action_id"]].add(report["type"])
    return dict(found)


def _fate(told: set[str]) -> str:
    """Return what it came to: accepted wins, as an answer after a doubt."""
    for kind in ("accepted", "unknown", "cancelled", "expired"):
        if kind in told:
            return kind
    return "/".join(sorted(told))


def _all_told(shop: Shop, actions: dict[str, Any]) -> dict[str, set[str]] | None:
    fates = _fates(shop)
    return fates if fates.keys() >= actions.keys() else None


def _offsets(shop: Shop, kafka: RunningKafka) -> int:
    """Return the sum of what the group has committed on the channel push."""
    found: list[int] = []

    async def ask(admin: AIOKafkaAdminClient) -> None:
        committed = await admin.list_consumer_group_offsets(f"{shop.prefix}deliver")
        found.extend(
            told.offset for at, told in committed.items() if at.topic.endswith("actions.push")
        )

    kafka.administer(ask)
    return sum(offset for offset in found if offset > 0)


def _reason(shop: Shop, action: str) -> str:
    reasons = {r["reason"] for r in shop.values("feedback") if r["action_id"] == action}
    assert len(reasons) == 1, reasons
    return str(reasons.pop())


def _outcomes(shop: Shop) -> int:
    return sum(value.get("type") == "outcome" for value in shop.values("events"))
