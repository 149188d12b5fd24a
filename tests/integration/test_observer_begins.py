"""Where the observer begins to read, how far it knows, and what it does again: on real Kafka."""

import asyncio
import json
import time
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer

from engine.errors import Unavailable
from engine.times import MINUTE
from monitoring.figures.seen import Message, Ruled, Seen
from monitoring.figures.told import TailRow
from streams.observing import kpi_file
from streams.observing.following import Following
from streams.observing.kept import Kept, pack
from streams.observing.observing import Observing
from streams.state.connection import RedisConnection
from streams.state.lease import Lease
from tests.support.running import Shop, shipped

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

_SECONDS: Final = 20
_VIEW: Final = {
    "type": "track",
    "userId": "u1",
    "messageId": "m1",
    "event": "Product Viewed",
    "properties": {"product_id": "p1"},
}


async def _first_minutes(shop: Shop, until: int, minutes: int, folded: int | None) -> list[Seen]:
    """Return the facts of the first minutes after ``until``; the clock stands beyond them."""
    table = kpi_file.load(shop.deployment.kpis)
    following = Following(shop.deployment, table, lambda: until + (minutes + 2) * MINUTE)
    await following.start(until, {}, folded=folded)
    facts: list[Seen] = []
    try:
        async with asyncio.timeout(_SECONDS):
            while following.until < until + minutes * MINUTE:
                await following.look(0.1)
                for closed in following.closed():
                    facts += closed.facts
    finally:
        await following.stop()
    return facts


def _soon() -> int:
    """Return a minute that has not begun: what is in the topics now lies before it."""
    return int(time.time() * 1000) // MINUTE * MINUTE + 2 * MINUTE


@pytest.mark.parametrize(("folded", "currencies"), [(0, ["CNY"]), (1, []), (None, [])])
def test_settings_that_no_worker_has_folded_yet_are_read_though_they_are_older_than_the_figures(
    live_shop: Shop, folded: int | None, currencies: list[str]
) -> None:
    live_shop.apply(shipped())

    facts = asyncio.run(_first_minutes(live_shop, _soon(), 1, folded))

    told = [one.terms for one in facts if isinstance(one, Ruled)]
    assert [terms.currency for terms in told if terms is not None] == currencies


def test_a_minute_closes_though_an_app_writes_in_transactions(live_shop: Shop) -> None:
    """A transaction ends with a record nobody reads: the last one read is never the end."""
    begun = int(time.time() * 1000) // MINUTE * MINUTE - MINUTE
    asyncio.run(_in_a_transaction(live_shop))

    facts = asyncio.run(_first_minutes(live_shop, begun, 3, None))

    assert [one.views for one in facts if isinstance(one, Message)] == [1]


async def _in_a_transaction(shop: Shop) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=shop.deployment.kafka, transactional_id=f"{shop.prefix}app"
    )
    await producer.start()
    async with producer.transaction():
        await producer.send(shop.deployment.sources[0][0], json.dumps(_VIEW).encode(), b"u1")
    await producer.stop()


def test_what_could_not_be_kept_is_folded_again_and_neither_counted_nor_shown_twice(
    live_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis goes away between the figures and their keeping."""
    keep = Lease.keep
    refused: list[bytes] = []

    async def away_once(lease: Lease, state: bytes) -> bool:
        if not refused:
            refused.append(state)
            message = "Redis is away"
            raise Unavailable(message)
        return await keep(lease, state)

    until = int(time.time() * 1000) // MINUTE * MINUTE
    rows = [_row(until - 1), _row(until)]
    asyncio.run(_kept(live_shop, Kept(prefix=live_shop.prefix, until=until, tail=rows)))
    live_shop.segment(_VIEW)
    monkeypatch.setattr(Lease, "keep", away_once)

    observing = asyncio.run(_observed(live_shop, until))

    assert refused
    assert observing.facts.tail == rows[:1]  # the other lies after what is kept: it is read again
    counted = 'rekindle_source_events_total{source="direct"} 1.0'
    assert counted in observing.recorder.render().decode()


def _row(at: int) -> TailRow:
    return TailRow(
        at=at, user="u-1", campaign="cart", channel="", outcome="end", reason="bought", text="."
    )


async def _kept(shop: Shop, kept: Kept) -> None:
    redis = RedisConnection(shop.deployment.redis)
    lease = Lease(redis, "observe", "before")
    assert await lease.take()
    assert await lease.keep(pack(kept))
    await lease.release()
    await redis.close()


async def _observed(shop: Shop, until: int) -> Observing:
    """Return an observer that closed three minutes after ``until``."""
    redis = RedisConnection(shop.deployment.redis)
    table = kpi_file.load(shop.deployment.kpis)

    async def act(control: object) -> None:
        message = f"no brake has a reason: {control}"
        raise AssertionError(message)

    observing = Observing(shop.deployment, table, redis, act=act, now=lambda: until + 4 * MINUTE)
    await observing.start()
    async with asyncio.timeout(_SECONDS):
        while observing.facts.until < until + 3 * MINUTE:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.05)
    await observing.stop()
    await redis.close()
    return observing
