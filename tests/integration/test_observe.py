"""The observer on real Kafka and Redis: it finds what fell silent, once, however often it dies."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.log.topics import check, connect, counts
from streams.observing.kept import pack, unpack
from streams.observing.minutes import Standing
from streams.state.connection import RedisConnection
from tests.support.figures_told import figures_of
from tests.support.kafka import RunningKafka
from tests.support.redis_server import RedisServer
from tests.support.running import Running, Shop, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

_MINUTE = 60_000
# A detector wants 150 windows before it speaks; the app was silent for the last ones.
_HEALTHY = 230
_SILENT = 6
_A_MINUTE = 30
_STATE = "rk:{observe}:state"


@pytest.fixture
def quiet_shop(kafka: RunningKafka, a_redis: RedisServer, topic_prefix: str) -> Iterator[Shop]:
    """A shop whose app wrote its own times into its topic, and then fell silent."""
    topic = f"{topic_prefix}app"
    asyncio.run(_own_times(kafka.bootstrap, topic))
    with Shop(kafka.bootstrap, a_redis.url, topic_prefix, REKINDLE_SOURCES=topic) as made:
        end = int(time.time() * 1000) // _MINUTE * _MINUTE - _SILENT * _MINUTE
        asyncio.run(_visits(kafka.bootstrap, topic, end))
        yield made


async def _own_times(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    config = {"message.timestamp.type": "CreateTime"}
    await admin.create_topics([NewTopic(topic, 4, 1, topic_configs=config)])
    await admin.close()


async def _visits(bootstrap: str, topic: str, end: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    await producer.start()
    begin = end - _HEALTHY * _MINUTE
    for number in range(_HEALTHY * _A_MINUTE):
        at = begin + number * _MINUTE // _A_MINUTE
        user = f"u{number % 977}"
        event = {
            "type": "track",
            "userId": user,
            "messageId": f"m{number}",
            "event": "Order Completed" if number % 50 == 0 else "Product Viewed",
            "properties": {"product_id": "p1", "order_id": f"o{number}", "total": 20.0},
            "context": {"campaign": {"source": "google", "medium": "cpc"}},
        }
        value = json.dumps(event).encode()
        await producer.send(topic, value, user.encode(), timestamp_ms=at)
    await producer.stop()


def test_a_silent_source_is_told_once_though_observers_are_killed(quiet_shop: Shop) -> None:
    shop = quiet_shop
    first = shop.start_observer("--since", "4h", REKINDLE_WORKER_ID="first")
    wait_until(lambda: _kept(shop), "the first has kept something")
    second = shop.start_observer(REKINDLE_WORKER_ID="second")
    wait_until(lambda: "Observer first is at work" in _answer(second, "/readyz"), "it waits")
    first.kill()
    wait_until(lambda: '"ok": true' in _answer(second, "/readyz"), "the second has taken over")
    facts = wait_until(lambda: figures_of(shop, "second"), "the second has told its figures")
    metrics = _answer(second, "/metrics")
    second.stop()
    told = _told(shop)

    # As if it had been killed between keeping and telling: one arrived, one did not.
    opened = next(one for one in told if one["kpi"] == "source_silent")
    lost = opened | {"message_id": "lost-1", "anomaly_id": "lost", "kpi": "event_rate"}
    _to_be_told(shop, opened, lost)
    third = shop.start_observer(REKINDLE_WORKER_ID="third")
    try:
        wait_until(lambda: len(_told(shop)) > len(told), "what was lost is told")
        listed = json.loads(shop.rekindle("anomalies", "list", "--json")[1])
        code, said = shop.rekindle(
            *("anomalies", "verdict", opened["anomaly_id"][:10], "true", "--by", "anna")
        )
    finally:
        third.stop()
        print(third.log)  # shown where this fails: it did once in ten runs, and nobody knows why

    assert [one["state"] for one in told if one["kpi"] == "source_silent"] == ["opened"]
    assert opened["dimension"] == {"source": f"{shop.prefix}app"}
    assert opened["value"] == 0.0
    active = f'rekindle_anomaly_active{{dimension="{shop.prefix}app",kpi="source_silent"}} 2.0'
    assert active in metrics
    after = _told(shop)
    ids = [one["message_id"] for one in after]
    assert len(ids) == len(set(ids))
    assert "lost-1" in ids
    assert opened["anomaly_id"] in {row["anomaly_id"] for row in listed}
    assert (code, after[-1]["type"], after[-1]["verdict"]) == (0, "verdict", "true")
    assert "true by anna" in said
    # The figures are those of everything that was written, whoever was killed on the way.
    orders = _HEALTHY * _A_MINUTE // 50
    assert facts.sources[0].period == _HEALTHY * _A_MINUTE
    assert facts.behaviour is not None
    assert facts.behaviour.orders == orders
    assert facts.acquisition[0].source == "paid_search"
    assert facts.acquisition[0].order_value == pytest.approx(20.0 * orders)


def test_a_shop_of_an_older_release_runs_on_and_its_observer_says_what_is_missing(
    live_shop: Shop,
) -> None:
    topic = f"{live_shop.prefix}anomalies"
    asyncio.run(_deleted(live_shop.deployment.kafka, topic))
    wait_until(lambda: topic not in asyncio.run(_names(live_shop)), "the topic is gone")
    assert asyncio.run(check(live_shop.deployment)) == []

    observer = live_shop.start_observer()
    wait_until(lambda: observer.server.returncode is not None, "it has ended", seconds=20)

    assert observer.server.returncode == 1
    assert f"Missing topics: {topic}. Create them with: rekindle topics create" in observer.log


async def _deleted(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()


async def _names(shop: Shop) -> list[str]:
    admin = await connect(shop.deployment)
    try:
        return list(await counts(admin))
    finally:
        await admin.close()


def _told(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in shop.read("anomalies")]


def _to_be_told(shop: Shop, *told: dict[str, Any]) -> None:
    """Put messages among those that the observer still has to tell."""

    async def put() -> None:
        redis = RedisConnection(shop.deployment.redis)
        try:
            found = unpack(await redis.call("GET", _STATE), shop.prefix)
            assert found is not None
            # Where the topic stood when that minute was kept: before what was told of it.
            found.standings[f"{shop.prefix}anomalies", 0] = Standing(0)
            found.outbox = {one["message_id"]: (b"key", json.dumps(one).encode()) for one in told}
            await redis.call("SET", _STATE, pack(found))
        finally:
            await redis.close()

    asyncio.run(put())


def _answer(running: Running, path: str) -> str:
    try:
        return running.get(path)[1]
    except OSError:
        return ""


def _kept(shop: Shop) -> bool:
    async def kept() -> bool:
        redis = RedisConnection(shop.deployment.redis)
        try:
            return bool(await redis.call("EXISTS", _STATE))
        finally:
            await redis.close()

    return asyncio.run(kept())
