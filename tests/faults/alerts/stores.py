"""Faults of the stores under the pipeline: away, put back to an older copy, shared, or empty."""

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from secrets import token_hex
from threading import Event

from redis import Redis

from streams.log.topics import connect, counts, create
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.store import RedisStore
from tests.faults.alerts.trial import Fault
from tests.faults.alerts.workers import FEW, replaced, scraped
from tests.support import another_engine
from tests.support.running import Shop, wait_until
from tests.support.set_up import SetUp

_LOG = "appendonlydir"


@contextmanager
def _redis_away(world: SetUp) -> Iterator[None]:
    world.redis.stop()
    yield
    world.redis.start()


@contextmanager
def _kafka_hangs(world: SetUp) -> Iterator[None]:
    world.kafka.pause()
    yield
    world.kafka.resume()


@contextmanager
def _fell_back(world: SetUp) -> Iterator[None]:
    _copy(world)
    _decided(world)
    _put_back(world)
    yield


@contextmanager
def _another_release(world: SetUp) -> Iterator[None]:
    _copy(world)
    _decided(world)
    world.worker.stop()
    _put_back(world)
    replaced(world, program=another_engine.__name__)
    yield


def _copy(world: SetUp) -> None:
    """Copy what Redis has written: any beginning of that file is a state it was in."""
    shutil.copytree(world.redis.directory / _LOG, world.redis.directory / "copy")


def _decided(world: SetUp) -> None:
    """Let people be decided about in every partition, beyond the copy."""
    before = world.shop.ends("decisions")
    wait_until(
        lambda: all(
            now > then for now, then in zip(world.shop.ends("decisions"), before, strict=True)
        ),
        "something was decided in every partition since the copy",
        every=1.0,
    )


def _put_back(world: SetUp) -> None:
    world.redis.kill()
    shutil.rmtree(world.redis.directory / _LOG)
    (world.redis.directory / "copy").rename(world.redis.directory / _LOG)
    world.redis.start()


@contextmanager
def _shared(world: SetUp) -> Iterator[None]:
    """Start a second deployment beside the first one that was told of the same Redis."""
    with (
        Shop(world.kafka.bootstrap, world.redis.url, "staging.") as staging,
        staging.worker(ready=False, REKINDLE_WORKER_ID="staging"),
    ):
        yield


@contextmanager
def _taken(world: SetUp) -> Iterator[None]:
    """Take every partition from its owner each second, as a twin that reads the same log would."""
    ended = Event()

    async def take() -> None:
        redis = RedisConnection(world.redis.url)
        store = RedisStore(redis)
        while not ended.is_set():
            for partition in range(world.shop.partitions):
                await store.acquire(partition, token_hex(16), None)
            await asyncio.to_thread(ended.wait, 1.0)
        await redis.close()

    with ThreadPoolExecutor(1) as thread:
        taking = thread.submit(asyncio.run, take())
        yield
        ended.set()
        taking.result()


@contextmanager
def _anew(world: SetUp) -> Iterator[None]:
    """Begin with empty topics and an empty Redis, and forget ``rekindle apply``."""
    world.worker.stop()
    deployment = world.shop.deployment
    asyncio.run(_topics(deployment, delete=True))
    wait_until(lambda: not asyncio.run(_topics(deployment)), "the topics are gone")
    asyncio.run(create(deployment, world.shop.partitions, 1))
    with Redis.from_url(world.redis.url) as client:
        client.flushall()
    replaced(world).wait_ready()
    owned = 'sum(rekindle_partitions_owned{agent="decide"}) > 0'
    scraped(world, owned, "its partitions are seen")
    yield


async def _topics(deployment: Deployment, *, delete: bool = False) -> list[str]:
    admin = await connect(deployment)
    try:
        there = [name for name in await counts(admin) if name.startswith(deployment.topic_prefix)]
        if delete:
            await admin.delete_topics(there)
        return there
    finally:
        await admin.close()


FAULTS = (
    Fault(
        "redis-stopped", "Redis was stopped", ("ServiceAway",), _redis_away, people=FEW, within=120
    ),
    Fault(
        "kafka-hangs",
        "the broker was stopped in its work",
        ("ServiceAway",),
        _kafka_hangs,
        people=FEW,
        within=120,
    ),
    Fault(
        "redis-put-back",
        "Redis was put back to an older copy under a running worker",
        ("StoreFellBack",),
        _fell_back,
        people=FEW,
        within=120,
    ),
    Fault(
        "redis-put-back-before-a-release",
        "Redis was put back to an older copy, and a release that decides otherwise was started",
        ("RecordedDecisionsDiffer",),
        _another_release,
        people=FEW,
        within=120,
    ),
    Fault(
        "redis-shared",
        "a second deployment was started on the same Redis database",
        ("LanesHalted",),
        _shared,
        people=FEW,
        within=120,
    ),
    Fault(
        "partitions-taken",
        "somebody else took every partition from its owner each second",
        ("LaneDoubtStorm",),
        _taken,
        within=120,
    ),
    Fault(
        "begun-anew",
        "topics and Redis were created anew and no campaigns file was applied",
        ("NoCampaignsInForce",),
        _anew,
        within=120,
        shoppers=False,
    ),
)
