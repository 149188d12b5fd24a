"""The embedded broker and Redis do what the demo asks of them, and end with their parent."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from streams.demo.embedded import FETCH_WAIT, PARTITIONS, EmbeddedBroker, EmbeddedRedis


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


async def _batch(producer: AIOKafkaProducer, topic: str, partition: int, count: int) -> int:
    batch = producer.create_batch()
    for number in range(count):
        batch.append(
            key=b"k", value=b"%d" % number, timestamp=None, headers=[("x-pos", b"%d.1" % number)]
        )
    batch.close()
    written = await producer.send_batch(batch, topic, partition=partition)
    return int((await written).offset)


async def test_an_idempotent_batch_arrives_in_order_with_its_headers(bootstrap: str) -> None:
    topic = uuid4().hex
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    assert len(await producer.partitions_for(topic)) == PARTITIONS
    assert await _batch(producer, topic, 1, 300) == 0
    assert await _batch(producer, topic, 1, 200) == 300
    await producer.stop()

    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT
    )
    await consumer.start()
    at = TopicPartition(topic, 1)
    consumer.assign([at])
    assert (await consumer.end_offsets([at]))[at] == 500
    got: list[ConsumerRecord] = []
    async with asyncio.timeout(10):
        while len(got) < 500:
            got += [r for run in (await consumer.getmany(timeout_ms=100)).values() for r in run]
    await consumer.stop()
    assert [record.offset for record in got] == list(range(500))
    assert got[499].headers == (("x-pos", b"199.1"),)


async def test_a_group_member_with_a_fixed_id_takes_and_commits(bootstrap: str) -> None:
    topic = uuid4().hex
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    await producer.partitions_for(topic)
    await _batch(producer, topic, 0, 10)
    await producer.stop()
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=uuid4().hex,
        group_instance_id="worker-1",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT,
    )
    await consumer.start()
    got: list[int] = []
    async with asyncio.timeout(20):
        while not got:
            runs = await consumer.getmany(timeout_ms=100)
            got = [record.offset for run in runs.values() for record in run]
    await consumer.commit({TopicPartition(topic, 0): 10})
    committed = await consumer.committed(TopicPartition(topic, 0))
    await consumer.stop()
    assert got == list(range(10))
    assert committed == 10


def test_redis_is_real_empty_and_never_evicts() -> None:
    with EmbeddedRedis() as server, closing(redis.Redis.from_url(server.url)) as client:
        assert client.dbsize() == 0
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.eval("return redis.call('XADD', KEYS[1], '5-1', 'a', 'b')", 1, "q") == b"5-1"


STARTS_BOTH = """
import sys
from streams.demo.embedded import EmbeddedBroker, EmbeddedRedis
with EmbeddedBroker() as broker, EmbeddedRedis() as server:
    print(server.pid, broker.bootstrap, flush=True)
    sys.stdin.read()
"""


def test_both_end_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_BOTH],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )
    assert parent.stdout is not None
    pid, bootstrap = parent.stdout.readline().split()
    port = int(bootstrap.rpartition(":")[2])
    assert _runs(int(pid))
    assert _listens(port)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (_runs(int(pid)) or _listens(port)):
        time.sleep(0.02)
    assert not _runs(int(pid))
    assert not _listens(port)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as wire:
        return wire.connect_ex(("127.0.0.1", port)) == 0
