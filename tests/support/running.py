"""A shop on real parts: topics of its own, settings in force, workers as real processes."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from engine.events import Event, SettingsRecord, Tick
from rules import campaigns, templates
from streams import control
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.log.topics import create, partition_of
from streams.settings import Deployment
from streams.state.keys import keys_of
from tests.support.processes import Server, free_port
from tests.support.redis_cluster import open_redis

# Fast enough to test with, slow enough for two busy cores.
_DEADLINE = 60.0


class Shop:
    """One deployment with topics of its own; every test has one to itself."""

    def __init__(
        self, bootstrap: str, redis: str, prefix: str, *, partitions: int = 4, **environ: str
    ) -> None:
        self._stack = ExitStack()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory("rk-shop")))
        self.partitions = partitions
        self.prefix = prefix
        self.environ = {
            "REKINDLE_KAFKA": bootstrap,
            "REKINDLE_REDIS": redis,
            "REKINDLE_TOPIC_PREFIX": prefix,
            "REKINDLE_MODELS": str(self.directory / "models"),
            # Or a start, on another port, would wait for the session of a killed one to end.
            "REKINDLE_WORKER_ID": "one",
            **{f"REKINDLE_GATEWAY_{c}": f"jsonl:{self.directory}/sent.jsonl" for c in _CHANNELS},
            **environ,
        }
        self.deployment = Deployment.from_env({**self.environ, "REKINDLE_WORKER_ID": "test"})
        asyncio.run(create(self.deployment, partitions, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- putting in -----------------------------------------------------------------------------

    def apply(self, file: str, *, words: bool = True, model: bytes | None = None) -> None:
        """Put a campaigns file in force, and a model where one is given."""
        asyncio.run(
            control.apply(
                self.deployment,
                campaigns=file.encode(),
                templates=templates.artefact() if words else None,
                model=model,
            )
        )

    def publish(self, topic: str, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Append raw records, keyed as every producer does; None takes back what a key said."""

        async def write() -> None:
            producer = Producer(self.deployment.kafka)
            runs = _empty(await producer.partitions(self.prefix + topic))
            for key, value in records:
                runs[partition_of(key, len(runs))].append(Record(key, value))
            await asyncio.gather(
                *[producer.run(self.prefix + topic, at, run) for at, run in runs.items()]
            )
            await producer.stop()

        asyncio.run(write())

    def segment(self, *messages: Mapping[str, Any]) -> None:
        """Publish Segment messages to the raw topic."""
        self.publish(
            "events.raw",
            [(str(m.get("userId", "?")).encode(), json.dumps(m).encode()) for m in messages],
        )

    def load(self, records: Sequence[Event | Tick | SettingsRecord]) -> None:
        """Append engine records; what has no user goes to every partition."""

        async def write() -> None:
            producer, runs = Producer(self.deployment.kafka), _empty(self.partitions)
            for record in records:
                value = codec.write(record)
                if isinstance(record, Tick | SettingsRecord):
                    for run in runs.values():
                        run.append(Record(None, value))
                else:
                    key = record.user_id.encode()
                    runs[partition_of(key, self.partitions)].append(Record(key, value))
            topic = self.prefix + "events"
            await asyncio.gather(*[producer.run(topic, p, run) for p, run in runs.items()])
            await producer.stop()

        asyncio.run(write())

    # --- looking --------------------------------------------------------------------------------

    def read(self, topic: str) -> list[ConsumerRecord]:
        """Return all that a topic holds now, partition by partition in order."""
        count = 1 if topic in _ONE else self.partitions
        return asyncio.run(_read(self.deployment.kafka, self.prefix + topic, count))

    def ends(self, topic: str) -> list[int]:
        """Return the next offset of each partition; cheaper than reading."""
        return asyncio.run(_ends(self.deployment.kafka, self.prefix + topic, self.partitions))

    def values(self, topic: str) -> list[Any]:
        """Return the JSON values of a topic."""
        return [json.loads(record.value) for record in self.read(topic)]

    def folded(self) -> int:
        """Return the sum of the next offsets of all partitions, as Redis has it."""
        client = open_redis(self.deployment.redis)
        found = [client.hget(keys_of(p).meta.decode(), "o") for p in range(self.partitions)]
        return sum(int(offset or 0) for offset in found)

    def sent(self) -> list[Any]:
        """Return what the gateway was handed, in order."""
        path = self.directory / "sent.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    # --- running --------------------------------------------------------------------------------

    @contextmanager
    def worker(
        self, *only: str, ready: bool = True, program: str = "streams.cli", **environ: str
    ) -> Iterator["Running"]:
        """Run a worker process until the block ends."""
        running = self.start(*only, ready=ready, program=program, **environ)
        try:
            yield running
        finally:
            running.stop()

    def start(
        self, *only: str, ready: bool = True, program: str = "streams.cli", **environ: str
    ) -> "Running":
        """Start a worker process; ``program``: a module in the place of the product's own."""
        running = Running(self, only, environ, program)
        if ready:
            running.wait_ready()
        return running

    def start_audit(self, **environ: str) -> "Running":
        """Start an audit process, which is ready once it knows everything."""
        return Running(self, (), environ, command="audit")

    def start_observer(self, *arguments: str, **environ: str) -> "Running":
        """Start an observer process, which is ready once it has read everything."""
        return Running(self, (), environ, command="observe", arguments=arguments)

    def start_targets(self, file: Path) -> "Running":
        """Start what tells Prometheus of all processes of this shop, in a file."""
        follow = ("--file", str(file), "--follow")
        return Running(self, (), {}, command="targets", arguments=follow)

    def rekindle(self, *arguments: str) -> tuple[int, str]:
        """Run a command to its end; returns its exit code and what it printed."""
        command = [sys.executable, "-m", "streams.cli", *arguments]
        ended = subprocess.run(
            command, env=_given(self), stdout=subprocess.PIPE, timeout=120, check=False
        )
        return ended.returncode, ended.stdout.decode()


def _given(shop: Shop) -> dict[str, str]:
    """Return the environment of a process of this shop."""
    given = {name: value for name, value in os.environ.items() if "REKINDLE" not in name}
    return given | shop.environ


class Running:
    """One worker process."""

    def __init__(
        self,
        shop: Shop,
        only: Sequence[str],
        environ: Mapping[str, str],
        program: str = "streams.cli",
        command: str = "worker",
        arguments: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        log = shop.directory / f"{command}-{self.port}.log"
        arguments = [sys.executable, "-m", program, command, *arguments]
        arguments += ["--only", ",".join(only)] if only else []
        given = _given(shop) | {"REKINDLE_HTTP": f"127.0.0.1:{self.port}"} | dict(environ)
        self.server = Server(arguments, log, given)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of one request to the worker's port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as told:
                return told.status, told.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def post(self, path: str, body: Any) -> tuple[int, str]:
        """Post JSON to the worker's port."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), method="POST"
        )
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as told:
            return told.status, told.read().decode()

    def wait_ready(self, seconds: float = _DEADLINE) -> None:
        """Wait until it owns partitions and answers."""
        self.server.wait_until(self._joined, seconds=seconds, name="the worker")

    def _joined(self) -> bool:
        try:
            status, body = self.get("/readyz")
        except OSError:
            return False
        return status == 200 or "waits to join" not in body

    def kill(self) -> None:
        """End it with -9."""
        self.server.kill()

    def stop(self) -> int | None:
        """End it with SIGTERM, and return what it ended with."""
        self.server.stop()
        return self.server.returncode

    @property
    def log(self) -> str:
        """Return what it wrote last."""
        return self.server.last_lines(200)


def wait_until(
    true: Callable[[], Any], what: str, seconds: float = _DEADLINE, *, every: float = 0.1
) -> Any:
    """Wait for a condition on real parts, with a deadline; returns what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(every)
    message = f"after {seconds:g} s still not: {what}"
    raise AssertionError(message)


def shipped(*, live: bool = True, replace: Mapping[str, str] | None = None) -> str:
    """Return the shipped campaigns file, live unless told otherwise, with texts replaced."""
    text = campaigns.shipped().decode()
    if live:
        text = text.replace('mode = "dry_run"', 'mode = "live"')
    for old, new in (replace or {}).items():
        assert old in text, f"{old!r} is not in the shipped file"
        text = text.replace(old, new)
    return text


_CHANNELS = ("PUSH", "SMS", "EMAIL")
# Topics of one partition.
_ONE = ("dead-letters", "artefacts", "anomalies", "products")


def _empty(partitions: int) -> dict[int, list[Record]]:
    return {partition: [] for partition in range(partitions)}


async def _ends(bootstrap: str, topic: str, count: int) -> list[int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, partition) for partition in range(count)]
        ends = await consumer.end_offsets(partitions)
        return [ends[at] for at in partitions]
    finally:
        await consumer.stop()


async def _read(bootstrap: str, topic: str, count: int) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found: list[ConsumerRecord] = []
        partitions = [TopicPartition(topic, partition) for partition in range(count)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for at in partitions:
            while await consumer.position(at) < ends[at]:
                found += (await consumer.getmany(at, timeout_ms=500)).get(at, [])
        return found
    finally:
        await consumer.stop()


__all__ = ["Running", "Shop", "shipped", "wait_until"]
