"""Faults that keep events from becoming decisions."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from engine.times import HOUR, SECOND, iso
from tests.faults.alerts import stores, workers
from tests.faults.alerts.trial import Fault
from tests.faults.alerts.workers import FEW, at_work, replaced, scraped
from tests.faults.world.relay import Relays
from tests.support.processes import free_port
from tests.support.set_up import SetUp

_RAW = "events.raw"
# People of whom each says five things and more: beyond the thousand records that a share needs.
_ENOUGH = 250


@contextmanager
def _created_anew(world: SetUp) -> Iterator[None]:
    """Delete the apps' topic and create it anew, with the worker running."""
    at_work(world)
    topic = world.shop.prefix + _RAW
    world.kafka.delete_topics(topic)
    world.kafka.create_topics(
        {topic: world.shop.partitions}, {"message.timestamp.type": "LogAppendTime"}
    )
    yield


@contextmanager
def _silent(world: SetUp) -> Iterator[None]:
    world.traffic(20)
    yield


@contextmanager
def _broken_app(world: SetUp) -> Iterator[None]:
    """Let an app forget who its users are in one of twenty messages."""
    nobody = json.dumps({"type": "track", "event": "Product Viewed"}).encode()
    while world.came < _ENOUGH:
        world.traffic(0.1)
        world.shop.publish(_RAW, [(b"", nobody)] * 8)
    yield


@contextmanager
def _foreign_writer(world: SetUp) -> Iterator[None]:
    """Let somebody else write into the product's own log, to every partition."""
    at_work(world)
    world.shop.publish("events", [(f"k{n}".encode(), b"hello") for n in range(2_000)])
    yield


@contextmanager
def _slow(world: SetUp) -> Iterator[None]:
    """Move the worker far away from its Redis."""
    port = free_port()
    with ExitStack() as stack:
        relays = Relays({"redis": (port, world.redis.port)}, world.redis.directory / "relay.log")
        stack.callback(relays.close)
        world.worker.stop()
        worker = replaced(world, REKINDLE_REDIS=f"redis://127.0.0.1:{port}/0")
        worker.wait_ready()
        # what came while it moved is not what is tried here
        scraped(world, "max(rekindle_lag_seconds) < 10", "the worker has caught up", 120)
        relays.tell("redis", delay=0.8)
        yield
        worker.kill()


@contextmanager
def _shared_account(world: SetUp) -> Iterator[None]:
    """Let a newsletter tell of seventy messages to one user id in an hour."""
    began = int(time.time() * 1000) - HOUR
    told = [
        {
            "type": "track",
            "event": "Email Delivered",
            "messageId": f"newsletter-{number}",
            "userId": "front-desk",
            "timestamp": iso(began + number * 30 * SECOND),
        }
        for number in range(70)
    ]
    world.shop.segment(*told)
    yield


_RECORDS = (
    Fault(
        "source-created-anew",
        "the topic of the apps was deleted and created anew",
        ("LanesHalted", "TimeStandsStill", "ConsumerLag", "ConsumerStalled"),
        _created_anew,
        people=FEW,
        shortened={"ConsumerStalled": [("[5m]", "[20s]"), ("> 60", "> 20")]},
        within=120,
    ),
    Fault(
        "log-poisoned",
        "somebody else wrote into `rekindle.events`",
        ("LanesHalted", "TicksMissing", "ConsumerLag", "ConsumerStalled"),
        _foreign_writer,
        people=FEW,
        shortened={
            "TicksMissing": [("> 180", "> 30")],
            "ConsumerStalled": [("[5m]", "[20s]"), ("> 60", "> 20")],
        },
        within=120,
    ),
    Fault(
        "app-silent",
        "the apps fell silent",
        ("SourceSilent",),
        _silent,
        people=FEW,
        shoppers=False,
        shortened={"SourceSilent": [("[1h] offset 23h", "[20s] offset 15s"), ("> 300", "> 15")]},
        within=120,
    ),
    Fault(
        "app-broken",
        "an app sent messages without a user",
        ("DeadLetters", "RejectShareHigh"),
        _broken_app,
        shoppers=False,
    ),
    Fault(
        "redis-far",
        "every answer of Redis took 1.6 s",
        ("ConsumerLagGrowing", "ConsumerLag"),
        _slow,
        shortened={"ConsumerLagGrowing": [("[15m]", "[20s]")]},
        within=180,
    ),
    Fault(
        "account-shared",
        "seventy messages of another system went to one user id",
        ("CapsLoseMemory",),
        _shared_account,
        shoppers=False,
    ),
)

FAULTS = (*workers.FAULTS, *_RECORDS, *stores.FAULTS)
