"""Products on real Kafka and Redis: what is sold out is not offered, and the page says what is."""

import asyncio
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from engine.profile import Send
from engine.profile import decode as decode_profile
from engine.times import HOUR, MINUTE, SECOND, iso
from monitoring.figures.told import Stock
from streams.log.topics import check
from tests.support import documents
from tests.support.agreement import assert_agrees, wait_folded
from tests.support.figures_told import figures_of
from tests.support.kafka import RunningKafka
from tests.support.oracle import stored
from tests.support.redis_server import RedisServer
from tests.support.running import Running, Shop, shipped, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

_TOKEN = "a token of the test"
_AT_ONCE = {
    "share = 0.05": "share = 0.0",
    "share = 0.10": "share = 0.0",
    'from = "21:00"': 'from = "00:00"',
    'to = "08:00"': 'to = "00:00"',
    'settle = "2m"': 'settle = "1s"',
}
_HELD = {
    "her-all-gone": ("gone",),
    "her-both-gone": ("gone", "none-left"),
}
_TOLD = {
    "her-one-left": ("gone", "there"),
    "her-untold": ("never-told",),
    "her-unknown": ("no-stock",),
    "her-unreadable": ("broken",),
    "her-removed": ("removed",),
    "her-back": ("back",),
}


def test_nothing_is_offered_that_is_sold_out_and_her_cap_is_given_back(live_shop: Shop) -> None:
    shop = live_shop
    shop.apply(shipped(replace=_AT_ONCE))
    shop.publish("products", [*_written("removed", stock=0), (b"broken", b'{"stock": 0')])
    with shop.worker(REKINDLE_OPERATOR_TOKEN=_TOKEN) as worker:
        wanted = [_product("gone", 0), _product("none-left", -2), _product("there", 5)]
        wanted += [_product("no-stock", None), _product("back", 0)]
        assert _ask(worker, "POST", "/v1/products", {"products": wanted})[0] == 200
        assert _ask(worker, "POST", "/v1/products", _product("back", 1))[0] == 200
        assert _ask(worker, "DELETE", "/v1/products/removed")[0] == 200
        wait_until(lambda: len(shop.read("products")) == 9, "all is in the topic")
        # Who asks before a worker has read what was acknowledged is answered by what was known.
        early = _settled(shop)
        everybody = _HELD | _TOLD
        shop.segment(*[m for user, cart in everybody.items() for m in _leaves(user, cart)])
        wait_until(lambda: len(_fates(shop)) == len(everybody), "all fates are told")
        told = len(everybody) + early + 1
        wait_until(lambda: _outcomes_told(shop) == told, "all fates are in the log")
        wait_folded(shop)
        counted = worker.get("/metrics")[1]

    fates = _fates(shop)
    assert {user for user, fate in fates.items() if fate == ("cancelled", "out_of_stock")} == {
        *_HELD
    }
    assert {user for user, fate in fates.items() if fate == ("accepted", "")} == {*_TOLD}
    sent = [action["user_id"] for action in shop.sent()]
    assert sorted(user for user in sent if user.startswith("her")) == sorted(_TOLD)
    # the two and the last canary
    assert 'rekindle_handovers_cancelled_total{reason="out_of_stock"} 3.0' in counted
    charged = {user: _send(shop, user).charged for user in everybody}
    assert charged == dict.fromkeys(_HELD, False) | dict.fromkeys(_TOLD, True)
    # The log alone, which knows nothing of products, comes to the same state and decisions.
    assert_agrees(shop)


def test_without_the_topic_all_goes_on_and_it_is_said_what_is_not_known(live_shop: Shop) -> None:
    shop = live_shop
    shop.apply(shipped(replace=_AT_ONCE))
    topic = f"{shop.prefix}products"
    asyncio.run(_deleted(shop.deployment.kafka, topic))
    wait_until(lambda: topic not in _names(shop), "the topic is gone")
    assert asyncio.run(check(shop.deployment)) == []
    observer = shop.start_observer("--since", "5m", REKINDLE_WORKER_ID="observer")
    try:
        with shop.worker(REKINDLE_OPERATOR_TOKEN=_TOKEN) as worker:
            refused = _ask(worker, "POST", "/v1/products", _product("gone", 0))
            shop.segment(*_leaves("her", ("gone",)))
            wait_until(lambda: _fates(shop) == {"her": ("accepted", "")}, "she is told")
        facts = wait_until(
            lambda: figures_of(shop, "observer"), "the observer has told its figures"
        )
        counted = observer.get("/metrics")[1]
    finally:
        observer.stop()
    _, doctor = shop.rekindle("doctor")

    assert topic not in _names(shop)
    assert refused[0] == 409
    assert refused[1]["message"] == f"The topic {topic} is missing: run rekindle topics create."
    assert facts.stock is None
    assert any(f"the topic {topic} is missing" in note for note in facts.notes)
    assert "rekindle_products{" not in counted
    assert f"{topic} is missing" in " ".join(doctor.split())


def test_what_the_page_for_developers_says_can_be_typed_as_it_stands(live_shop: Shop) -> None:
    page = documents.DOCS / "how-to/publish-products.md"
    (block,) = [one for one in documents.blocks(page) if "needs-broker" in one.marks]
    with live_shop.worker("deliver", REKINDLE_OPERATOR_TOKEN=_TOKEN) as worker:
        done = subprocess.run(
            [
                "/bin/sh",
                "-e",
                "-c",
                block.text.replace("localhost:6066", f"localhost:{worker.port}"),
            ],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "REKINDLE_OPERATOR_TOKEN": _TOKEN},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.count('"success": true') == 3
    last = {record.key: record.value for record in live_shop.read("products")}
    assert {key: value and json.loads(value)["stock"] for key, value in last.items()} == {
        b"p-7": 12,
        b"p-8": 0,
        b"p-9": None,
    }


@pytest.fixture
def selling_shop(kafka: RunningKafka, a_redis: RedisServer, topic_prefix: str) -> Iterator[Shop]:
    """A shop whose app wrote its own times: what was ordered a while ago is in closed minutes."""
    topic = f"{topic_prefix}app"

    async def own_times(admin: AIOKafkaAdminClient) -> None:
        config = {"message.timestamp.type": "CreateTime"}
        await admin.create_topics([NewTopic(topic, 4, 1, topic_configs=config)])

    kafka.administer(own_times)
    with Shop(kafka.bootstrap, a_redis.url, topic_prefix, REKINDLE_SOURCES=topic) as made:
        orders = [*[_order(number, "best", 20) for number in range(3)], _order(9, "other", 1)]
        asyncio.run(_ordered(kafka.bootstrap, topic, orders))
        yield made


async def _ordered(bootstrap: str, topic: str, orders: list[dict[str, Any]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for order in orders:
            key, value = order["userId"].encode(), json.dumps(order).encode()
            at = int(time.time() * SECOND) - 10 * MINUTE
            await producer.send_and_wait(topic, value, key, timestamp_ms=at)
    finally:
        await producer.stop()


def test_the_observer_tells_what_is_sold_out_also_after_a_kill(selling_shop: Shop) -> None:
    shop = selling_shop
    shop.publish("products", [*_written("best", stock=40), *_written("other", stock=7)])
    shop.publish("products", [*_written("sold-out", stock=0), *_written("untold", stock=None)])
    shop.publish("products", [(b"broken", b"{"), *_written("leaves", stock=3)])
    observer = shop.start_observer("--since", "1h", REKINDLE_WORKER_ID="first")
    first = wait_until(lambda: _stock(shop, "first", {"low": 1}), "what is low is told")
    observer.kill()
    shop.publish("products", [*_written("best", stock=0), (b"leaves", None)])
    again = shop.start_observer(REKINDLE_WORKER_ID="again")
    try:
        then = wait_until(lambda: _stock(shop, "again", {"sold_out": 2}), "it is told anew")
        facts = figures_of(shop, "again")
        counted = again.get("/metrics")[1]
    finally:
        again.stop()

    assert first.states == _states(in_stock=2, low=1, sold_out=1)
    assert [(row.product_id, row.stock, row.days) for row in first.rows] == [
        ("best", 40, pytest.approx(40 / 60, abs=0.01))
    ]
    assert then.states == _states(in_stock=1, low=0, sold_out=2)
    assert then.best_sold_out == ["The best"]
    assert facts is not None
    assert {row.product_id: row.stock for row in facts.sales.products} == {"best": 0, "other": 7}
    assert 'rekindle_products{seller="best",state="sold_out"} 1.0' in counted
    assert 'rekindle_products{seller="other",state="sold_out"} 1.0' in counted
    assert any("1 products are unknown" in note for note in facts.notes)


# --- what the shop tells -------------------------------------------------------------------------


def _product(product_id: str, stock: int | None) -> dict[str, Any]:
    name = f"The {product_id}"
    return {"product_id": product_id, "stock": stock, "price": 10.0, "currency": "CNY"} | {
        "name": name
    }


def _written(product_id: str, *, stock: int | None) -> Iterator[tuple[bytes, bytes]]:
    yield product_id.encode(), json.dumps(_product(product_id, stock)).encode()


def _ask(running: Running, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{running.port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(asked, timeout=20) as told:
            return told.status, json.load(told)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _leaves(user: str, cart: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield how she came two hours ago and left a cart."""
    at = int(time.time() * SECOND) - 2 * HOUR
    said: dict[str, Any] = {"userId": user, "context": {"device": {"token": f"t-{user}"}}}
    traits = {"push_opt_in": True, "timezone": "UTC"}
    yield said | {"type": "identify", "timestamp": iso(at), "traits": traits}
    for place, product in enumerate(cart, 1):
        line = {"product_id": product, "name": f"The {product}", "price": 399.0, "quantity": 1}
        yield said | {
            "type": "track",
            "event": "Product Added",
            "timestamp": iso(at + place * SECOND),
            "properties": {"cart_id": "c", "currency": "CNY", **line},
        }


def _order(number: int, product: str, quantity: int) -> dict[str, Any]:
    line = {"product_id": product, "name": f"The {product}", "price": 10.0, "quantity": quantity}
    order = {"order_id": f"o-{number}", "total": 10.0 * quantity, "currency": "CNY"}
    return {
        "type": "track",
        "userId": f"buyer-{number}",
        "event": "Order Completed",
        "timestamp": iso(int(time.time() * SECOND) - MINUTE),
        "properties": {**order, "products": [line]},
    }


# --- what came of it -----------------------------------------------------------------------------


def _settled(shop: Shop) -> int:
    """Wait until the worker has read the topic: until a reminder of what is sold out is refused.

    Returns how many people were told of it before.
    """
    for number in count():
        user = f"canary-{number}"
        shop.segment(*_leaves(user, ("gone",)))
        (fate,) = wait_until(partial(_of, shop, user), f"the fate of {user}")
        if fate == ("cancelled", "out_of_stock"):
            return number
    raise AssertionError


def _of(shop: Shop, user: str) -> list[tuple[str, str]]:
    return [
        (report["type"], report["reason"])
        for report in shop.values("feedback")
        if report["user_id"] == user
    ]


def _fates(shop: Shop) -> dict[str, tuple[str, str]]:
    return {
        report["user_id"]: (report["type"], report["reason"])
        for report in shop.values("feedback")
        if report["user_id"].startswith("her")
    }


def _outcomes_told(shop: Shop) -> int:
    return sum(b'"outcome"' in record.value for record in shop.read("events"))


def _send(shop: Shop, user: str) -> Send:
    profiles = stored(shop.deployment.redis, shop.partitions).profiles
    (kept,) = [decode_profile(p) for key, p in profiles.items() if user in str(key)]
    (send,) = kept.sends
    return send


def _states(**counts: int) -> dict[str, int]:
    return {"unknown": 1, "unreadable": 1} | counts


def _stock(shop: Shop, name: str, wanted: dict[str, int]) -> Stock | None:
    facts = figures_of(shop, name)
    if facts is None or facts.stock is None:
        return None
    return facts.stock if wanted.items() <= facts.stock.states.items() else None


async def _deleted(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()


def _names(shop: Shop) -> set[str]:
    async def names() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=shop.deployment.kafka)
        await admin.start()
        try:
            return set(await admin.list_topics())
        finally:
            await admin.close()

    return asyncio.run(names())
