"""Intake on real Kafka: every raw record becomes what its parser says, once or again, never less.

What it may do is repeat: the owner of ``events`` skips by source position.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
import redis
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from engine.errors import InvalidEvent
from engine.events import Event, Outcome, Position
from streams.applying import reset_source
from streams.log import codec
from streams.log.topics import partition_of
from streams.sources import feedback, segment
from streams.state import keys
from tests.support.agreement import assert_agrees, wait_folded
from tests.support.kafka import KafkaBroker
from tests.support.messages import POISON, messages
from tests.support.oracle import expected
from tests.support.running import Running, Shop, shipped, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

RAW = "events.raw"


def test_what_arrives_is_what_the_parser_says_of_each_record(live_shop: Shop) -> None:
    live_shop.publish(RAW, messages(500))
    live_shop.publish("feedback", _reports(40))

    with live_shop.worker("intake") as worker:
        wait_until(lambda: _forwarded(live_shop), "everything is forwarded")
        metrics = wait_until(lambda: _counted(worker, live_shop, 540), "everything is counted")

    raw, reports = live_shop.read(RAW), live_shop.read("feedback")
    told, refused = _parsed(live_shop, RAW, raw)
    outcomes, bad = _parsed(live_shop, "feedback", reports)
    arrived = live_shop.read("events")
    assert _by_user_and_source(map(_read, arrived)) == _by_user_and_source(told + outcomes)
    assert len(outcomes) == 39
    assert all(isinstance(event, Outcome) for event in outcomes)
    for record in arrived:
        user = _read(record).user_id.encode()
        assert (record.key, record.partition) == (user, partition_of(user, live_shop.partitions))
    assert {reason for _, reason in refused} == set(POISON.values())
    assert _letters(live_shop) == Counter(refused + bad)
    assert 'rekindle_dead_letters_total{reason="not_json"' in metrics
    assert _sample(metrics, "rekindle_intake_mended_total") > 0


def test_killed_in_mid_stream_it_loses_nothing_and_repeats_only_positions(shop: Shop) -> None:
    shop.apply(shipped())
    for kill in range(4):
        shop.publish(RAW, messages(800, first=kill * 800))
        worker = shop.start("intake", ready=False)
        before = shop.ends("events")
        wait_until(lambda: shop.ends("events") > before, "some progress")  # noqa: B023
        worker.kill()
    # As after a crash between the write and the note of it, in every partition.
    client = redis.Redis.from_url(shop.deployment.redis)
    for partition in range(shop.partitions):
        lane = keys.lane(shop.prefix + RAW, partition)
        taken = int(client.hget(lane, "o") or 0)
        client.hset(lane, mapping={"o": max(0, taken - 100), "crc": 0})

    with shop.worker("intake", "decide"):
        wait_until(lambda: _forwarded(shop), "everything is forwarded")
        wait_folded(shop)

    told, _ = _parsed(shop, RAW, shop.read(RAW), clock="source")
    log = shop.read("events")
    first: dict[Position, Event] = {}
    repeated = set()
    for record in log:
        event = _event(record)
        if event is None:
            continue
        if _source(event) in first:
            repeated.add((record.partition, record.offset))
            assert event == first[_source(event)]
        first.setdefault(_source(event), event)
    assert repeated
    assert _by_user_and_source(first.values()) == _by_user_and_source(told)
    oracle = assert_agrees(shop)
    once = [record for record in log if (record.partition, record.offset) not in repeated]
    without = expected(once, shop.read("artefacts"))
    assert without.profiles == oracle.profiles
    assert without.wakes == oracle.wakes


def test_a_lost_place_costs_repetitions_and_nothing_else(shop: Shop) -> None:
    shop.apply(shipped())
    shop.publish(RAW, messages(300))
    with shop.worker("intake"):
        wait_until(lambda: _forwarded(shop), "everything is forwarded")
    once = sum(shop.ends("events"))
    client = redis.Redis.from_url(shop.deployment.redis)
    client.delete(*[keys.lane(shop.prefix + RAW, p) for p in range(shop.partitions)])

    with shop.worker("intake", "decide"):
        wait_until(lambda: sum(shop.ends("events")) > once, "it reads again")
        wait_until(lambda: _forwarded(shop), "everything is forwarded")
        wait_folded(shop)

    told, _ = _parsed(shop, RAW, shop.read(RAW), clock="source")
    assert sum(shop.ends("events")) == once + len(told)
    assert assert_agrees(shop).events == len(told) - _repeated_ids(told)


def test_a_source_topic_created_anew_stops_until_it_is_reset(
    live_shop: Shop, kafka: KafkaBroker
) -> None:
    """Its old offsets mean other records now: going on would skip them as read."""
    topic = live_shop.prefix + RAW
    live_shop.publish(RAW, messages(200))
    with live_shop.worker("intake"):
        wait_until(lambda: _forwarded(live_shop), "everything is forwarded")
    old = sum(live_shop.ends("events"))
    kafka.delete_topics(topic)
    kafka.create_topics({topic: live_shop.partitions}, {})
    live_shop.publish(RAW, messages(120, first=1_000))

    with live_shop.worker("intake") as worker:
        told = wait_until(lambda: _halted(worker), "the worker says so")
        assert f"if the topic was re-created, run: rekindle sources reset {topic}" in told
        assert sum(live_shop.ends("events")) == old

        assert asyncio.run(reset_source(live_shop.deployment, topic)) == 1
        wait_until(lambda: worker.get("/readyz")[0] == 200, "it goes on by itself")
        wait_until(lambda: _forwarded(live_shop, generation=1), "everything is forwarded")

    new = [_read(record) for record in live_shop.read("events")]
    renewed = [event for event in new if _source(event).generation == 1]
    told_anew, _ = _parsed(live_shop, RAW, live_shop.read(RAW), generation=1)
    assert _by_user_and_source(renewed) == _by_user_and_source(told_anew)
    assert len(new) == old + len(renewed)


def test_retention_that_passes_a_worker_at_work_is_said_though_nothing_more_comes(
    live_shop: Shop, kafka: KafkaBroker
) -> None:
    """Kafka's client goes on at the beginning of the log, and says nothing."""
    live_shop.publish(RAW, messages(200))
    with live_shop.worker("intake") as worker:
        wait_until(lambda: _forwarded(live_shop), "everything is forwarded")
        worker.server.pause()
        live_shop.publish(RAW, messages(4, first=1_000))  # a fetch on its way brings some of these
        live_shop.publish(RAW, messages(60, first=1_004))
        _empty(live_shop, kafka)
        worker.server.resume()

        gone = "retention removed records before they were read"
        told = wait_until(
            lambda: gone in (said := worker.get("/readyz")[1]) and said, "the worker says so"
        )

    assert f"redis-cli del rk:intake:{{{live_shop.prefix}{RAW}}}:" in told


# --- looking ------------------------------------------------------------------------------------


def _empty(shop: Shop, kafka: KafkaBroker) -> None:
    """Take all records of the apps, as a retention does that is shorter than an outage."""
    upto = {
        TopicPartition(shop.prefix + RAW, partition): RecordsToDelete(before_offset=end)
        for partition, end in enumerate(shop.ends(RAW))
    }

    async def delete(admin: AIOKafkaAdminClient) -> None:
        await admin.delete_records(upto)

    kafka.administer(delete)


def _reports(count: int) -> list[tuple[bytes, bytes]]:
    good = [
        b'{"v":1,"feedback_id":"f%d","action_id":"a%d","user_id":"u%d","channel":"push",'
        b'"provider":"x","type":"delivered","occurred_at":"2026-01-05T10:00:00Z"}' % (n, n, n % 7)
        for n in range(count - 1)
    ]
    bad = b'{"v":1,"user_id":"u1","action_id":"a","channel":"push","type":"exploded"}'
    return [(b"u", value) for value in [*good, bad]]


def _parsed(
    shop: Shop,
    topic: str,
    records: Iterable[ConsumerRecord],
    *,
    generation: int = 0,
    clock: Any = "live",
) -> tuple[list[Event], list[tuple[bytes, str]]]:
    """Return the events the parser makes of raw records, and (bytes, reason) of the others."""
    parse = feedback.parse if topic == "feedback" else segment.parse
    told: list[Event] = []
    refused = []
    for record in records:
        at = Position(shop.prefix + topic, generation, record.partition, record.offset)
        try:
            told += parse(record.value, at, record.timestamp, clock=clock)
        except InvalidEvent as error:
            refused.append((record.value, error.reason))
    return told, refused


def _read(record: ConsumerRecord) -> Event:
    event = _event(record)
    assert event is not None
    return event


def _event(record: ConsumerRecord) -> Event | None:
    found = codec.read(record.value)
    return found if isinstance(found, Event) else None


def _source(event: Event) -> Position:
    assert event.source is not None
    return event.source


def _by_user_and_source(events: Iterable[Event]) -> dict[tuple[str, str, int], list[Event]]:
    """Group in order: that of one user within one source partition is what intake keeps."""
    found: dict[tuple[str, str, int], list[Event]] = defaultdict(list)
    for event in events:
        at = _source(event)
        found[event.user_id, at.source, at.partition].append(event)
    return dict(found)


def _letters(shop: Shop) -> Counter[tuple[bytes, str]]:
    letters = shop.read("dead-letters")
    for letter in letters:
        assert {name for name, _ in letter.headers} >= {"reason", "topic", "partition", "offset"}
    return Counter((letter.value, dict(letter.headers)["reason"].decode()) for letter in letters)


def _repeated_ids(events: list[Event]) -> int:
    """Count events whose id the user's profile still knew; messages() repeats none on purpose."""
    return len(events) - len({(event.user_id, event.event_id) for event in events})


def _forwarded(shop: Shop, generation: int = 0) -> bool:
    """Return whether intake has taken all that its topics hold."""
    client = redis.Redis.from_url(shop.deployment.redis)
    for topic in (RAW, "feedback"):
        for partition, end in enumerate(shop.ends(topic)):
            where: Any = client.hgetall(keys.lane(shop.prefix + topic, partition))
            here = topic == "feedback" or int(where.get(b"g", -1)) == generation
            if end and (not here or int(where.get(b"o", 0)) < end):
                return False
    return True


def _counted(worker: Running, shop: Shop, count: int) -> str | None:
    metrics = worker.get("/metrics")[1]
    taken = sum(
        _sample(metrics, f'rekindle_intake_records_total{{topic="{shop.prefix}{topic}"}}')
        for topic in (RAW, "feedback")
    )
    return metrics if taken == count and "mended_total 0.0" not in metrics else None


def _sample(metrics: str, name: str) -> float:
    for line in metrics.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0


def _halted(worker: Running) -> str | None:
    status, body = worker.get("/readyz")
    return body if status == 503 and "sources reset" in body else None
