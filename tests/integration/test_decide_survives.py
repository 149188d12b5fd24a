"""The decide agent on real Kafka and Redis: whatever happens, the log decides what comes out."""

import asyncio
import time
from typing import Any

import pytest
import redis
from aiokafka import TopicPartition

from engine.errors import Refused
from engine.memory import MemoryArtefacts
from engine.ports import Head, Outgoing
from streams import in_force
from streams.agents.decide import DecideLane, Parts
from streams.log.dead_letters import DeadLetters
from streams.log.producer import Producer
from streams.log.reader import POSITION, Reader
from streams.state.connection import RedisConnection
from streams.state.keys import keys_of
from streams.state.store import RedisStore
from streams.watch import Watch
from tests.support.agreement import (
    assert_agrees,
    doubled_in_log,
    wait_folded,
    wait_for_progress,
)
from tests.support.kafka import KafkaBroker
from tests.support.redis_server import RedisServer
from tests.support.running import Shop, shipped, wait_until
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


def _fold(shop: Shop, events: int) -> None:
    """Put the shipped campaigns in force and let a worker come and fold some traffic."""
    shop.apply(shipped())
    shop.load(list(traffic(events)))
    with shop.worker("decide"):
        wait_folded(shop)


def _make_anew(shop: Shop, kafka: KafkaBroker) -> None:
    """Delete ``events`` and create it again."""
    name = shop.prefix + "events"
    kafka.delete_topics(name)
    kafka.create_topics({name: shop.partitions}, {})


def test_what_comes_out_is_what_the_log_comes_to(shop: Shop) -> None:
    shop.apply(shipped())
    shop.load(list(traffic(3_000)))

    with shop.worker("decide"):
        wait_folded(shop)

    oracle = assert_agrees(shop)
    assert oracle.events == 3_000
    assert any(topic.startswith("actions.") for topic, _ in oracle.written)
    assert doubled_in_log(shop) == 0


def test_a_worker_restarted_in_mid_stream_goes_on_where_it_stood(shop: Shop) -> None:
    shop.apply(shipped())
    records = list(traffic(3_000))
    shop.load(records[:1_000])
    with shop.worker("decide"):
        wait_folded(shop)
    shop.load(records[1_000:])

    with shop.worker("decide"):
        wait_folded(shop)

    assert_agrees(shop)
    assert doubled_in_log(shop) == 0


def test_a_second_worker_takes_partitions_over_and_gives_them_back(shop: Shop) -> None:
    shop.apply(shipped())
    records = list(traffic(4_000))
    shop.load(records[:1_500])

    first = shop.start("decide", REKINDLE_WORKER_ID="first")
    with shop.worker("decide", REKINDLE_WORKER_ID="second"):
        wait_until(lambda: '"ok": true' in first.get("/readyz")[1], "the first is ready")
        shop.load(records[1_500:3_000])
        wait_folded(shop)
    shop.load(records[3_000:])
    wait_folded(shop)
    first.stop()

    assert_agrees(shop)


def test_a_dozen_kills_lose_nothing_and_double_nothing(shop: Shop) -> None:
    shop.apply(shipped())
    records = list(traffic(6_000))
    shop.load(records[:500])

    for kill in range(12):
        worker = shop.start("decide", ready=False)
        at = 500 + kill * 400
        shop.load(records[at : at + 400])
        wait_for_progress(shop)
        worker.kill()
    shop.load(records[500 + 12 * 400 :])
    with shop.worker("decide"):
        wait_folded(shop)

    assert_agrees(shop)


def test_what_was_committed_but_not_produced_leaves_with_the_next_owner(shop: Shop) -> None:
    """As after a crash between commit and produce: the outbox is full, the topics lack its end."""
    _fold(shop, 2_000)
    client: Any = redis.Redis.from_url(shop.deployment.redis)
    decided = shop.read("decisions")
    partition = max(range(shop.partitions), key=lambda p: sum(r.partition == p for r in decided))
    mine = [record for record in decided if record.partition == partition]
    headers = dict(mine[-1].headers)
    offset, ordinal = headers[POSITION].decode().split(".")
    # One entry the log holds already, and one it does not.
    keys = keys_of(partition)
    client.delete(keys.outbox)
    held = {"topic": "decisions", "key": mine[-1].key, "value": mine[-1].value}
    client.xadd(keys.outbox, held, id=f"{offset}-{ordinal}")
    missing = {"topic": "decisions", "key": b"u0", "value": b'{"missing":true}'}
    client.xadd(keys.outbox, missing, id=f"{offset}-{int(ordinal) + 1}")

    with shop.worker("decide"):
        wait_until(lambda: len(shop.read("decisions")) > len(decided), "the missing one is there")

    now = [record for record in shop.read("decisions") if record.partition == partition]
    assert [record.value for record in now[len(mine) :]] == [b'{"missing":true}']


def test_an_unreadable_record_goes_to_the_dead_letters_and_the_partition_goes_on(
    shop: Shop,
) -> None:
    shop.apply(shipped())
    records = list(traffic(600))
    shop.load(records[:300])
    shop.publish("events", [(b"u1", b"\xff not json"), (b"u2", b'{"type":"no_such"}')])
    shop.load(records[300:])

    with shop.worker("decide"):
        wait_folded(shop)
        letters = wait_until(lambda: shop.read("dead-letters"), "dead letters")

    assert {dict(letter.headers)["reason"] for letter in letters} == {b"undecodable"}
    assert {letter.value for letter in letters} == {b"\xff not json", b'{"type":"no_such"}'}


def test_a_worker_whose_token_was_taken_joins_again_and_goes_on(shop: Shop) -> None:
    shop.apply(shipped())
    records = list(traffic(2_000))
    shop.load(records[:700])
    client = redis.Redis.from_url(shop.deployment.redis)

    with shop.worker("decide"):
        wait_folded(shop)
        for partition in range(shop.partitions):
            client.hset(keys_of(partition).meta.decode(), "token", "somebody else")
        shop.load(records[700:])
        wait_folded(shop)

    assert_agrees(shop)


def test_a_worker_that_was_told_of_another_shops_redis_throws_nobody_out(
    shop: Shop, topic_prefix: str
) -> None:
    """It is refused at the door of every partition, before it has taken one from its owner."""
    shop.apply(shipped())
    shop.load(list(traffic(700)))
    client = redis.Redis.from_url(shop.deployment.redis)
    names = [keys_of(partition).meta.decode() for partition in range(shop.partitions)]

    with (
        Shop(shop.deployment.kafka, shop.deployment.redis, f"{topic_prefix}staging.") as staging,
        shop.worker("decide"),
    ):
        wait_folded(shop)
        owners = [client.hget(name, "token") for name in names]
        with staging.worker("decide", REKINDLE_WORKER_ID="staging") as stranger:
            wait_until(
                lambda: stranger.get("/readyz")[1].count("but the log holds") == shop.partitions,
                "the other shop's worker is refused in every partition",
            )
            assert [client.hget(name, "token") for name in names] == owners
        assert None not in owners


def test_a_log_that_is_made_anew_while_a_lane_takes_its_partition_is_refused(
    shop: Shop, kafka: KafkaBroker
) -> None:
    """A lane that had looked waited four seconds for Redis; it looks once more when it owns."""
    _fold(shop, 500)
    name = shop.prefix + "events"

    def made_anew() -> None:
        _make_anew(shop, kafka)
        shop.load(list(traffic(900)))  # more than there was: the offset lies within the log

    class WhileItAcquires(RedisStore):
        acquired = 0

        async def acquire(
            self, partition: int, token: str, expected: str | None = None
        ) -> tuple[Head | None, list[Outgoing]]:
            await asyncio.to_thread(made_anew)
            self.acquired += 1
            return await super().acquire(partition, token, expected)

    async def entered() -> int:
        connection = RedisConnection(shop.deployment.redis)
        store = WhileItAcquires(connection)
        producer, reader = Producer(shop.deployment.kafka), Reader(shop.deployment.kafka)
        artefacts = MemoryArtefacts(in_force.build)
        parts = Parts(
            store=store,
            artefacts=artefacts,
            producer=producer,
            reader=reader,
            dead_letters=DeadLetters(producer, shop.prefix),
            prefix=shop.prefix,
            watch=Watch([], (), lambda: 0, artefacts),
        )
        try:
            with pytest.raises(Refused, match="is not the one that was folded"):
                await DecideLane(TopicPartition(name, 0), parts).enter()
        finally:
            await reader.stop()
            await producer.stop()
            await connection.close()
        return store.acquired

    assert asyncio.run(entered()) == 1


def test_a_store_that_fell_back_is_filled_again_from_the_log(
    shop: Shop, a_redis: RedisServer
) -> None:
    """Redis may lose its last two seconds: they are read again, and nothing leaves twice."""
    shop.apply(shipped())
    records = list(traffic(2_500))
    shop.load(records[:1_000])
    client = redis.Redis.from_url(a_redis.url)

    with shop.worker("decide"):
        wait_folded(shop)
        older: dict[bytes, Any] = {key: client.dump(key) for key in client.scan_iter("rk:*")}
        shop.load(records[1_000:2_000])
        wait_folded(shop)
        client.flushall()
        for key, packed in older.items():
            client.restore(key, 0, packed)
        shop.load(records[2_000:])
        wait_folded(shop)

    assert_agrees(shop)
    assert doubled_in_log(shop) == 0


def test_a_topic_that_was_created_anew_stops_with_one_sentence(
    shop: Shop, kafka: KafkaBroker
) -> None:
    _fold(shop, 500)
    _make_anew(shop, kafka)
    shop.apply(shipped())

    with shop.worker("decide") as worker:
        status, body = wait_until(
            lambda: (
                (found := worker.get("/readyz"))[0] == 503 and "re-created" in found[1] and found
            ),
            "the worker says that the topic was re-created",
        )

    assert status == 503
    assert "restore it, or empty this partition's keys in Redis and replay" in body


def test_output_topics_of_another_log_stop_the_partition(shop: Shop, kafka: KafkaBroker) -> None:
    """Positions begin anew with the log: readers would take every new record for an old one."""
    _fold(shop, 1_500)
    _make_anew(shop, kafka)
    redis.Redis.from_url(shop.deployment.redis).flushall()
    shop.apply(shipped())

    with shop.worker("decide") as worker:
        status, body = wait_until(
            lambda: (told := worker.get("/readyz"))[0] == 503 and "anew" in told[1] and told,
            "the worker says what else must be created anew",
        )

    assert status == 503
    assert "create the topics of decisions and actions anew as well" in body


def test_redis_away_for_half_a_minute_costs_time_and_nothing_else(
    shop: Shop, a_redis: RedisServer
) -> None:
    shop.apply(shipped())
    records = list(traffic(2_000))
    shop.load(records[:500])

    with shop.worker("decide"):
        wait_folded(shop)
        a_redis.stop()
        gone = time.monotonic()
        shop.load(records[500:])
        wait_until(lambda: time.monotonic() - gone > 30, "30 s without Redis")
        a_redis.start()
        wait_folded(shop)

    assert_agrees(shop)


def test_kafka_away_for_half_a_minute_costs_time_and_nothing_else(
    own_kafka: KafkaBroker, a_redis: RedisServer, topic_prefix: str
) -> None:
    with Shop(own_kafka.bootstrap, a_redis.url, topic_prefix, REKINDLE_CLOCK="source") as shop:
        shop.apply(shipped())
        records = list(traffic(2_000))
        shop.load(records[:500])
        with shop.worker("decide"):
            wait_folded(shop)
            own_kafka.stop()
            gone = time.monotonic()
            wait_until(lambda: time.monotonic() - gone > 30, "30 s without Kafka")
            own_kafka.start()
            shop.load(records[500:])
            wait_folded(shop)

        assert_agrees(shop)
