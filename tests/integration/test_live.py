"""A live shop on real Kafka and Redis: the wall clock ticks, and somebody watches with curl."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from engine import events as ev
from tests.support.agreement import assert_agrees, wait_folded, wait_for_progress
from tests.support.kafka import RunningKafka
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer
from tests.support.running import Running, Shop, shipped, wait_until
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

# Seconds instead of hours; no night, no chance.
SOON = {
    'settle = "2m"': 'settle = "1s"',
    'delay = "1h"': 'delay = "2s"',
    "share = 0.05": "share = 0.0",
    "share = 0.10": "share = 0.0",
    'from = "21:00"': 'from = "00:00"',
    'to = "08:00"': 'to = "00:00"',
}
# Long enough to stop a worker before it is due, on a busy machine too.
LATER = SOON | {'delay = "1h"': 'delay = "6s"'}


def test_from_curl_to_a_reminder_and_back_in_seconds(live_shop: Shop) -> None:
    live_shop.apply(shipped(replace=SOON))
    with live_shop.worker() as worker:
        wait_until(lambda: worker.get("/readyz")[0] == 200, "the worker is ready")
        posted = time.monotonic()

        answer = worker.post("/v1/batch", {"batch": [*_reachable("u-1"), _added("u-1", "cart-1")]})
        sent = wait_until(live_shop.sent, "the reminder is handed over")
        took = time.monotonic() - posted

        assert answer == (200, '{"success":true}')
        assert [(a["user_id"], a["channel"]) for a in sent] == [("u-1", "push")]
        # 2 s after the cart, and what ticks, hand-over and a busy machine add
        assert 2 <= took < 15, took
        wait_until(lambda: _outcomes(live_shop), "the outcome comes back as an event")
        assert _outcomes(live_shop)[0]["outcome"] == "accepted"

        worker.post("/v1/track", _added("u-1", "cart-2"))
        second = wait_until(lambda: _of(live_shop, "cart-2"), "the second cart is decided")
        metrics = worker.get("/metrics")[1]

    caps = {cap["name"]: cap["used"] for cap in (dict(c) for c in map(_cap, second[0]["caps"]))}
    assert caps["any-24h"] == 1
    assert second[0]["outcome"] == "suppress"
    assert len(live_shop.sent()) == 1
    assert _sample(metrics, 'decisions_total{campaign="cart",reason="sent"}') == 1
    assert _sample(metrics, 'handovers_total{channel="push",result="accepted"}') == 1
    assert _sample(metrics, 'event_to_action_seconds_count{channel="push"}') == 1
    assert _sample(metrics, 'http_messages_total{result="accepted"}') == 4
    assert 'rekindle_settings_info{mode="live"' in metrics
    assert "holdout 0.0% of users" in worker.log
    assert "in force: 3 campaigns" in worker.log
    assert "worker one: intake of" in worker.log


def test_a_purchase_beats_its_reminder_though_all_workers_were_down(live_shop: Shop) -> None:
    live_shop.apply(shipped(replace=LATER))
    with live_shop.worker() as worker:
        worker.post("/v1/batch", {"batch": [*_reachable("u-1"), _added("u-1", "cart-1")]})
        posted = time.monotonic()
        wait_until(lambda: "product_added" in _kinds(live_shop), "the cart is in the log")
        wait_folded(live_shop)
    assert not live_shop.read("decisions"), "the worker was stopped too late to prove anything"

    wait_until(lambda: time.monotonic() - posted > 6.5, "the reminder is due and nobody is there")
    live_shop.segment(_track("u-1", "Order Completed", order_id="o-1", cart_id="cart-1"))
    with live_shop.worker():
        decided = wait_until(lambda: _of(live_shop, "cart-1"), "the cart is closed")

    assert [(d["outcome"], d["reason"]) for d in decided] == [("disarm", "converted")]
    assert not live_shop.sent()
    assert not live_shop.read("actions.push")


def test_time_stands_still_while_intake_is_not_there(live_shop: Shop) -> None:
    live_shop.apply(shipped(replace=SOON))
    live_shop.load(list(_history("u-1")))
    with live_shop.worker("decide", "deliver", REKINDLE_WORKER_ID="decides") as worker:
        wait_folded(live_shop)
        folded = time.monotonic()
        wait_until(lambda: "Time stands still" in worker.get("/readyz")[1], "the gate is closed")
        wait_until(lambda: time.monotonic() - folded > 4, "the reminder is due, and more")

        status, body = worker.get("/readyz")
        assert status == 503
        lane = re.escape(f"{live_shop.prefix}events.raw/")
        assert re.search(f"Time stands still: intake lane {lane}[0-3] has not reported", body)
        assert not live_shop.read("decisions")
        assert _sample(worker.get("/metrics")[1], "tick_gate_open") == 0

        with live_shop.worker("intake", REKINDLE_WORKER_ID="takes in"):
            wait_until(live_shop.sent, "time goes on, and the reminder out")
            assert worker.get("/readyz")[0] == 200


def test_a_busy_worker_ends_at_once_when_told_and_loses_nothing(shop: Shop) -> None:
    shop.apply(shipped())
    shop.load(list(traffic(20_000)))
    worker = shop.start(ready=False)
    wait_for_progress(shop)

    told = time.monotonic()
    ended_with = worker.stop()

    assert time.monotonic() - told < 10
    assert ended_with == 0
    assert shop.folded() < sum(shop.ends("events")), "it was told too late to prove anything"
    assert "Traceback" not in worker.log
    with shop.worker("decide"):
        wait_folded(shop)
    assert_agrees(shop)


def test_two_workers_share_the_partitions_and_both_are_ready(live_shop: Shop) -> None:
    live_shop.apply(shipped(replace=SOON))
    with (
        live_shop.worker(REKINDLE_WORKER_ID="first") as first,
        live_shop.worker(REKINDLE_WORKER_ID="second") as second,
    ):
        both = (first, second)
        wait_until(lambda: all(w.get("/readyz")[0] == 200 for w in both), "both are ready")
        wait_until(lambda: all(_owned(w) == [2, 4, 6] for w in both), "each owns half of it")
        second.post("/v1/batch", {"batch": [*_reachable("u-1"), _added("u-1", "cart-1")]})
        wait_until(live_shop.sent, "the reminder is handed over")
        second.stop()
        wait_until(lambda: _owned(first) == [4, 8, 12], "the first owns all of it")
        wait_until(lambda: first.get("/readyz")[0] == 200, "and is ready")


def test_it_refuses_to_start_with_one_sentence(
    kafka: RunningKafka, a_redis: RedisServer, live_shop: Shop, topic_prefix: str
) -> None:
    other = f"{topic_prefix}other."
    uneven = {f"{other}{name}": 4 for name in ("events", "decisions", "feedback", "events.raw")}
    uneven |= {f"{other}actions.{channel}": 4 for channel in ("sms", "email")}
    uneven |= {f"{other}actions.push": 2, f"{other}artefacts": 1, f"{other}dead-letters": 1}
    kafka.create_topics(uneven)
    with (
        RedisServer(tcp=True, maxmemory_policy="allkeys-lru") as evicting,
        socket.create_server(("127.0.0.1", free_port())) as taken,
    ):
        port = taken.getsockname()[1]
        wrong = {
            "Kafka does not answer at 127.0.0.1:1: start it": {"KAFKA": "127.0.0.1:1"},
            "Redis cannot be used": {"REDIS": "redis://127.0.0.1:1/0"},
            "Redis evicts keys when memory is short": {"REDIS": evicting.url},
            "Create them with: rekindle topics create": {"TOPIC_PREFIX": "nobody.made."},
            "actions.push has 2 partitions and must have 4": {"TOPIC_PREFIX": other},
            "REKINDLE_WEBHOOK_SECRET_SMS": {"GATEWAY_SMS": "webhook:http://127.0.0.1:1/x"},
            f"127.0.0.1:{port} cannot be listened on": {"HTTP": f"127.0.0.1:{port}"},
            "REKINDLE_CLOCK": {"CLOCK": "sun"},
        }
        with ExitStack() as stack:
            started = {
                sentence: stack.enter_context(_start(live_shop, settings))
                for sentence, settings in wrong.items()
            }
            for sentence, process in started.items():
                said, told = process.communicate(timeout=60)
                assert process.returncode == 1, told
                assert sentence in told
                assert told.count("\n") == 1, told
                assert not said


# --- making -------------------------------------------------------------------------------------


def _start(shop: Shop, settings: dict[str, str]) -> "subprocess.Popen[str]":
    given = {name: value for name, value in os.environ.items() if "REKINDLE" not in name}
    given |= shop.environ | {"REKINDLE_HTTP": f"127.0.0.1:{free_port()}"}
    given |= {f"REKINDLE_{name}": value for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "worker"],
        env=given,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _track(user: str, event: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": event, "properties": properties}


def _reachable(user: str) -> list[dict[str, Any]]:
    told = {"type": "identify", "userId": user, "traits": {"push_opt_in": True}}
    device = {"device": {"token": f"token-{user}"}, "timezone": "Asia/Shanghai"}
    consent = _track(user, "Consent Changed", channel="push", granted=True, source="app")
    return [told | {"context": device}, consent]


def _added(user: str, cart: str) -> dict[str, Any]:
    shoe = {"product_id": "p1", "name": "Shoe", "price": 300, "currency": "CNY"}
    return _track(user, "Product Added", **shoe, cart_id=cart)


def _history(user: str) -> Iterator[ev.Event]:
    """Yield a reachable user with a cart, of just now, as intake writes them."""
    now = int(time.time() * 1000)

    def common(number: int) -> dict[str, Any]:
        at = {"occurred_at": now, "received_at": now}
        source = ev.Position("test", 0, 0, number)
        return {"event_id": f"{user}-{number}", "user_id": user, **at, "source": source}

    yield ev.Identified(**common(0), addresses={"push": "token"}, zones=["Asia/Shanghai"])
    yield ev.ConsentChanged(**common(1), channel="push", granted=True)
    yield ev.ProductAdded(**common(2), line=ev.Line("p1", 1, 300.0, "Shoe", "CNY"))


# --- looking ------------------------------------------------------------------------------------


def _of(shop: Shop, cart: str) -> list[Any]:
    return [value for value in shop.values("decisions") if value["trigger"]["key"] == cart]


def _cap(cap: Any) -> dict[str, Any]:
    return dict(zip(("name", "used", "limit"), cap, strict=True)) if isinstance(cap, list) else cap


def _kinds(shop: Shop) -> set[str]:
    return {value["type"] for value in shop.values("events")}


def _outcomes(shop: Shop) -> list[Any]:
    return [value for value in shop.values("events") if value.get("type") == "outcome"]


def _sample(metrics: str, name: str) -> float | None:
    for line in metrics.splitlines():
        if line.startswith(f"rekindle_{name} "):
            return float(line.rpartition(" ")[2])
    return None


def _owned(worker: Running) -> list[float | None]:
    """Return how many partitions decide, intake and deliver own, from the fewest."""
    metrics = worker.get("/metrics")[1]
    agents = ("decide", "intake", "deliver")
    return [_sample(metrics, f'partitions_owned{{agent="{agent}"}}') for agent in agents]
