"""Shops on real Kafka and real Redis, one per test."""

from collections.abc import Iterator

import pytest

from tests.support.kafka import RunningKafka
from tests.support.redis_server import RedisServer
from tests.support.running import Shop


@pytest.fixture
def a_redis() -> Iterator[RedisServer]:
    with RedisServer(tcp=True) as server:
        yield server


@pytest.fixture
def shop(kafka: RunningKafka, a_redis: RedisServer, topic_prefix: str) -> Iterator[Shop]:
    with Shop(kafka.bootstrap, a_redis.url, topic_prefix, REKINDLE_CLOCK="source") as made:
        yield made


@pytest.fixture
def live_shop(kafka: RunningKafka, a_redis: RedisServer, topic_prefix: str) -> Iterator[Shop]:
    with Shop(kafka.bootstrap, a_redis.url, topic_prefix) as made:
        yield made
