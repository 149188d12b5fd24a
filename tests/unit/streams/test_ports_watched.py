"""What Redis and the producer tell of themselves: what was answered, and what failed and how."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest

from engine.errors import Unavailable
from streams.log.producer import Producer, Record
from streams.state.connection import RedisConnection, Script
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.redis]


class Heard:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.answered: list[str] = []
        self.seconds: list[float] = []
        self.failed: list[str] = []

    def redis_answered(self, op: str, seconds: float) -> None:
        self.answered.append(op)
        self.seconds.append(seconds)

    def redis_failed(self, kind: str) -> None:
        self.failed.append(kind)

    def produced(self, topic: str, seconds: float) -> None:
        self.answered.append(topic)
        self.seconds.append(seconds)

    def not_produced(self, topic: str) -> None:
        self.failed.append(topic)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


async def test_a_command_is_told_by_its_name_and_a_script_by_its_own(server: RedisServer) -> None:
    redis, heard = RedisConnection(server.url), Heard()
    redis.watch = heard
    await redis.call("SET", "a", 1)
    script = Script("adds", "return 1 + 1 --" + str(free_port()), "0" * 40)
    with suppress(Unavailable):  # the sha is a wrong one: it is loaded and forgotten for ever
        await redis.run(script, [b"a"], [])
    await redis.run(Script.read("acquire"), [b"{1}m", b"{1}o"], ("token", 1))
    await redis.close()
    assert heard.answered[0] == "set"
    assert heard.answered[-1] == "acquire"
    assert heard.answered.count("script load") == 2
    assert heard.failed == []
    assert all(0 < seconds < 5 for seconds in heard.seconds)


async def test_a_refused_command_a_stalled_and_an_absent_server_are_told_apart() -> None:
    heard = Heard()
    with RedisServer() as server:
        redis = RedisConnection(server.url, timeout=0.2)
        redis.watch = heard
        await redis.call("SET", "a", "text")
        with pytest.raises(Exception, match="not an integer"):
            await redis.call("INCR", "a")
        assert heard.failed == ["refused"]
        server.pause()
        with pytest.raises(Unavailable):
            await redis.call("GET", "a")
        server.resume()
        assert heard.failed == ["refused", "timeout"]
        await redis.call("CONFIG SET", "maxmemory", 1)
        with pytest.raises(Unavailable):
            await redis.call("SET", "b", "text")
        assert heard.failed == ["refused", "timeout", "busy"]
    with pytest.raises(Unavailable):
        await redis.call("GET", "a")
    await redis.close()
    assert heard.failed == ["refused", "timeout", "busy", "away"]


async def test_nobody_needs_to_listen(server: RedisServer) -> None:
    redis = RedisConnection(server.url)
    await redis.call("SET", "a", 1)
    assert await redis.call("GET", "a") == b"1"
    await redis.close()


async def test_a_run_that_kafka_did_not_take_is_told() -> None:
    producer, heard = Producer(f"127.0.0.1:{free_port()}"), Heard()
    producer.watch = heard
    with pytest.raises(Unavailable):
        async with asyncio.timeout(30):
            await producer.run("rekindle.events", 0, [Record(None, b"x")])
    assert await producer.run("rekindle.events", 0, []) == -1
    await producer.stop()
    assert heard.failed == ["rekindle.events"]
    assert heard.answered == []
