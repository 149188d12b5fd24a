"""The comparison in miniature, on real parts: every engine sends what the rules alone send."""

from pathlib import Path

import pytest
import redis

from streams.bench.peers.side_by_side import ABSENT, PEERS, SideBySide
from streams.settings import Deployment
from tests.support.kafka import RunningKafka
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


def _here(kafka: RunningKafka, a_redis: RedisServer, prefix: str) -> Deployment:
    environ = {"KAFKA": kafka.bootstrap, "REDIS": a_redis.url, "TOPIC_PREFIX": prefix}
    return Deployment.from_env({f"REKINDLE_{name}": value for name, value in environ.items()})


def test_every_engine_sends_the_same_reminders_and_nothing_is_left_behind(
    kafka: RunningKafka, a_redis: RedisServer, topic_prefix: str
) -> None:
    found = SideBySide(_here(kafka, a_redis, topic_prefix), 2_000, 2_000).run(lambda _: None)

    compared = ["rekindle", "naive_faust", *(["quixstreams"] if PEERS.exists() else [])]
    for name in compared:
        assert found[name]["reminders"]["equal"], (name, found[name])
        assert found[name]["reminders"]["sent"] > 20
    assert found["ratio"]["naive_faust"]["cpu"] > 0
    assert found.get("note") == (None if PEERS.exists() else ABSENT)
    assert a_redis_is_empty(a_redis)
    assert not list(Path().glob(f"{topic_prefix}*"))


def test_without_quix_streams_its_ratio_is_null_and_a_sentence_says_why(
    kafka: RunningKafka, a_redis: RedisServer, topic_prefix: str, tmp_path: Path
) -> None:
    absent = tmp_path / "python"
    here = _here(kafka, a_redis, topic_prefix)

    found = SideBySide(here, 400, 400, peers=absent).run(lambda _: None)

    assert found["quixstreams"] is None
    assert found["ratio"]["quixstreams"] is None
    assert found["note"] == ABSENT


def a_redis_is_empty(server: RedisServer) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return int(client.dbsize()) == 0
