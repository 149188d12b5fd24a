"""Faults that only figures show, and faults of those who watch them."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from engine import events as ev
from engine.times import HOUR, MINUTE, iso
from tests.faults.alerts.platform import well
from tests.faults.alerts.trial import Fault
from tests.support.running import wait_until
from tests.support.set_up import SetUp

_KPIS: Final = Path(__file__).with_name("kpis.toml")


# --- money --------------------------------------------------------------------------------------


@contextmanager
def _money_burnt(world: SetUp) -> Iterator[None]:
    """Put a price on messages nobody orders after, and pay for visitors who buy nothing."""
    world.shop.apply(world.campaigns({"cost = 0.002": "cost = 0.02"}))
    world.shop.segment(*(_click(number) for number in range(10_000)))
    yield


def _click(number: int) -> dict[str, Any]:
    user, now = f"click-{number}", int(time.time() * 1000)
    return {
        "type": "track",
        "event": "Product Viewed",
        "messageId": f"{user}-{now}",
        "userId": user,
        "timestamp": iso(now),
        "context": {"campaign": {"source": "google", "medium": "cpc"}},
        "properties": {"product_id": "p1"},
    }


def _busy(world: SetUp) -> bool:
    """Return whether there is enough to judge by: orders from paid search, and messages."""
    ordered = 'rekindle_orders_total{source="paid_search"}'
    accepted = 'rekindle_handovers_total{channel="email", result="accepted"}'
    return bool(world.prometheus.query(f"sum({ordered}) > 220 and sum({accepted}) > 220"))


# --- people who are better off without messages ---------------------------------------------------

_CARTS: Final = 2_800


@contextmanager
def _annoyed(world: SetUp) -> Iterator[None]:
    """Let people leave carts; of those who hear of it few buy, of those who do not, many."""
    # two minutes from now their window is over for an hour, and who ordered is counted
    told_at = int(time.time() * 1000) - HOUR
    world.shop.load(list(_left_carts(told_at)))
    wait_until(lambda: sum(world.shop.ends("decisions")) >= _CARTS, "carts are decided", 120)
    decided = world.shop.values("decisions")
    world.shop.segment(*(_order(one["user_id"], told_at + MINUTE) for one in decided if _buys(one)))
    yield


def _left_carts(told_at: int) -> Iterator[ev.Event | ev.Tick]:
    """Yield who they are, that they agreed to e-mail, and carts whose reminder is due."""
    left_at = told_at - HOUR - MINUTE
    for number in range(_CARTS):
        user = f"visitor-{number}"
        told: dict[str, Any] = {"user_id": user, "occurred_at": left_at, "received_at": left_at}
        line = ev.Line(f"p{number % 40}", 1, 399.0, "Trail running shoe", "CNY")
        address = {"email": f"{user}@example.com"}
        yield ev.Identified(event_id=f"i-{user}", addresses=address, **told)
        yield ev.ConsentChanged(
            event_id=f"c-{user}", channel="email", granted=True, basis="app", **told
        )
        yield ev.ProductAdded(event_id=f"a-{user}", line=line, **told)
    yield ev.Tick(now=left_at, origin="loader")
    yield ev.Tick(now=told_at, origin="loader")


def _buys(decision: dict[str, Any]) -> bool:
    number = int(decision["user_id"].rpartition("-")[2])
    return number % (50 if decision["outcome"] == "send" else 3) == 0


def _order(user: str, at: int) -> dict[str, Any]:
    product = {"product_id": "p1", "price": 399.0, "currency": "CNY", "quantity": 1}
    order = {"order_id": f"o-{user}", "total": 399.0, "currency": "CNY", "products": [product]}
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": f"{user}-{at}",
        "userId": user,
        "timestamp": iso(at),
        "properties": order,
    }


# --- a source that dries up -----------------------------------------------------------------------

# Messages a minute. The silence of one becomes rare within a minute, that of the other at once.
_RATES: Final = {"app": 12, "web": 40}
_PAST: Final = 75 * MINUTE


class _Apps:
    """Topics of the apps' own making, which bear their own times: an hour and more lies in them."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def begin(self, world: SetUp) -> None:
        """Write what was, and go on with it."""
        own = {"message.timestamp.type": "CreateTime"}
        world.kafka.create_topics(dict.fromkeys(_RATES, 4), own)
        self._over.clear()
        written = threading.Event()
        feed = threading.Thread(target=lambda: asyncio.run(self._feed(world, written)), daemon=True)
        feed.start()
        world.stack.callback(feed.join, 30)
        world.stack.callback(self._over.set)
        assert written.wait(60), "the past is not written"

    async def _feed(self, world: SetUp, written: threading.Event) -> None:
        told = int(time.time() * 1000) - _PAST
        async with AIOKafkaProducer(bootstrap_servers=world.kafka.bootstrap) as producer:
            while not self._over.is_set():
                now = int(time.time() * 1000)
                for topic, at in _due(told, now):
                    await producer.send(topic, _looked(at), b"visitor", timestamp_ms=at)
                await producer.flush()
                told = now
                written.set()
                await asyncio.sleep(0.25)  # the pace of a source; nobody waits for it

    @contextmanager
    def dry_up(self, _: SetUp) -> Iterator[None]:
        """Send nothing more."""
        self._over.set()
        yield


def _due(told: int, now: int) -> Iterator[tuple[str, int]]:
    """Yield topic and time of what is sent after ``told`` and up to ``now``, ms."""
    for topic, rate in _RATES.items():
        step = MINUTE // rate
        for number in range(told // step + 1, now // step + 1):
            yield topic, number * step


def _looked(at: int) -> bytes:
    message = {
        "type": "track",
        "event": "Product Viewed",
        "messageId": f"looked-{at}",
        "userId": "visitor",
        "timestamp": iso(at),
        "properties": {"product_id": "p1"},
    }
    return json.dumps(message).encode()


_APPS: Final = _Apps()


# --- a best seller that runs out ------------------------------------------------------------------

# Every fourth shopper orders; of the products that they order this is one.
_BEST: Final = "p4"


def _sells(world: SetUp) -> object:
    """Tell what is left, and return whether it is known that there is enough of what sells best."""
    if not world.prometheus.query("rekindle_products"):
        world.catalogue()
    enough = 'rekindle_products{seller="best", state="in_stock"} > 0'
    others = 'rekindle_products{seller="other", state="sold_out"} > 0'
    return well(["BestSellersSoldOut"], f"sum({enough}) and sum({others})")(world)


@contextmanager
def _sold_out(world: SetUp) -> Iterator[None]:
    told = {"product_id": _BEST, "stock": 0}
    world.shop.publish("products", [(_BEST.encode(), json.dumps(told).encode())])
    yield


# --- nobody counts --------------------------------------------------------------------------------


@contextmanager
def _kafka_silent(world: SetUp) -> Iterator[None]:
    world.kafka.pause()
    try:
        yield
    finally:
        world.kafka.resume()


FAULTS: tuple[Fault, ...] = (
    Fault(
        "money-burnt",
        "messages got a price and no order followed them, and paid search sent ten thousand "
        "visits that bought nothing",
        ("RoiNegative", "AcquisitionCostHigh"),
        _money_burnt,
        within=180.0,
        environ={"REKINDLE_KPIS": str(_KPIS)},
        replace={"cost = 0.002": "cost = 0.0"},
        shortened={"AcquisitionCostHigh": (("[6h]", "[1m]"),)},
        given=_busy,
    ),
    Fault(
        "annoying-messages",
        "people who got a message bought less often than those who were left alone",
        ("LiftNegative",),
        _annoyed,
        within=300.0,
        shoppers=False,
        of_worker={"REKINDLE_CLOCK": "source"},
        replace={
            'conversion_window = "24h"': 'conversion_window = "2m"',
            "share = 0.05": "share = 0.5",
        },
    ),
    Fault(
        "sources-dried-up",
        "two sources of events sent nothing more",
        ("KpiAnomaly", "KpiAnomalyCritical"),
        _APPS.dry_up,
        within=210.0,
        shoppers=False,
        environ={"REKINDLE_SOURCES": "rekindle.events.raw," + ",".join(_RATES)},
        prepares=_APPS.begin,
        observe=("--since", "75m"),
    ),
    Fault(
        "best-seller-sold-out",
        "the shop told of a product that sold well that no piece of it was left",
        ("BestSellersSoldOut",),
        _sold_out,
        given=_sells,
        # the figures of the next minute that closes tell it
        within=150,
    ),
    Fault(
        "kafka-silent",
        "Kafka no longer answered those who watch",
        ("AuditStale", "AuditSilent", "AnomalyDetectorStale", "ObserverBehind"),
        _kafka_silent,
        within=180.0,
        shoppers=False,
        shortened={
            "AuditStale": (("> 600", "> 20"),),
            "AuditSilent": (("> 3600", "> 30"),),
            "AnomalyDetectorStale": (("> 180", "> 75"),),
            "ObserverBehind": (("> 300", "> 90"),),
        },
    ),
)
