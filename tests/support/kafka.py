"""A real single-node Kafka (KRaft) for the tests, fetched by Maven and started on loopback ports.

`python -m tests.support.kafka` fetches it ahead of a test run.
"""

import asyncio
import base64
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from tests.support.processes import Restartable, Server, ServerFailedError, free_port

POM = Path(__file__).parents[1] / "kafka" / "pom.xml"

TimestampType = Literal["LogAppendTime", "CreateTime"]


class KafkaUnavailable(Exception):
    """No real Kafka can be had here; the message says in one sentence what is missing."""


def jar_directory() -> Path:
    version = re.search(r"<kafka.version>([^<]+)<", POM.read_text())
    assert version, f"{POM} names no kafka.version"
    cache = os.environ.get("REKINDLE_CACHE") or Path.home() / ".cache" / "rekindle"
    return Path(cache) / f"kafka-{version[1]}"


def _complete(directory: Path) -> bool:
    return any(directory.glob("kafka_2.13-*.jar")) and any(directory.glob("log4j-core-*.jar"))


def fetch() -> Path:
    """The folder with Kafka's jars, filled by Maven the first time (43 MB)."""
    target = jar_directory()
    if shutil.which("java") is None:
        raise KafkaUnavailable("java is not installed: the tests need 17 or newer for a real Kafka")
    if _complete(target):
        return target
    if shutil.which("mvn") is None:
        raise KafkaUnavailable("mvn is not installed: Maven fetches the real Kafka of the tests")
    target.parent.mkdir(parents=True, exist_ok=True)
    # into a folder of its own, then renamed: an interrupted download never looks complete
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as scratch:
        jars = Path(scratch) / "jars"
        maven = subprocess.run(
            [
                "mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies",
                f"-DoutputDirectory={jars}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if maven.returncode or not _complete(jars):
            raise KafkaUnavailable(f"Maven could not fetch Kafka:\n{maven.stdout}{maven.stderr}")
        shutil.rmtree(target, ignore_errors=True)
        jars.rename(target)
    return target


class RunningKafka:
    """A Kafka somebody else started (REKINDLE_TEST_KAFKA): it can be used, not broken."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topics(
        self, topics: Mapping[str, int], configs: Mapping[str, str] | None = None
    ) -> None:
        """Create topics (name to number of partitions); blocks, and works inside a running loop."""

        async def create(admin: AIOKafkaAdminClient) -> None:
            wanted = [
                NewTopic(name, partitions, 1, topic_configs=dict(configs or {}))
                for name, partitions in topics.items()
            ]
            answer = await admin.create_topics(wanted)
            for name, code, *detail in answer.topic_errors:
                if code:
                    raise for_code(code)(f"topic {name}: {detail}")

        self.administer(create)

    def delete_topics(self, *names: str) -> None:
        async def delete(admin: AIOKafkaAdminClient) -> None:
            await admin.delete_topics(list(names))

        self.administer(delete)

    def administer(self, work: Callable[[AIOKafkaAdminClient], Awaitable[None]]) -> None:
        """Run `work` with an admin client, in a loop of its own, and wait for it."""

        async def run() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=10_000)
            await admin.start()
            try:
                await work(admin)
            finally:
                await admin.close()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, run()).result()


class KafkaBroker(Restartable, RunningKafka):
    """One broker of our own: started on entry, stopped and forgotten on exit.

    It may be stopped, killed or paused and started again: ports and data stay. `start` takes about
    four seconds and blocks; inside a running loop use `await asyncio.to_thread(broker.start)`.
    """

    name, seconds = "Kafka", 60

    def __init__(
        self,
        *,
        timestamp_type: TimestampType = "LogAppendTime",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._jars = fetch()
        self._port, controller = free_port(), free_port()
        Restartable.__init__(self, "rk-kafka-")
        RunningKafka.__init__(self, f"127.0.0.1:{self._port}")
        self._config = self.directory / "server.properties"
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self.directory / "logs"),
            "log.message.timestamp.type": timestamp_type,
            "offsets.topic.replication.factor": "1",
            # fifty partitions of offsets are fifty files to open at every start
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # a broker started again after kill -9 waits until its former self is given up
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
            **(settings or {}),
        }
        self._config.write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        self._format()

    def _launched(self) -> Server:
        return Server(
            self._java("-Xmx512m", "kafka.Kafka", str(self._config)),
            self.directory / "kafka.log",
            # a broker that is told to reach a proxy or an agent by the environment is not ours
            {k: v for k, v in os.environ.items() if not k.startswith(("KAFKA_", "JAVA_TOOL"))},
        )

    def _java(self, *arguments: str) -> list[str]:
        return ["java", "-cp", f"{self._jars}/*", *arguments]

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # a leading dash would read as an option
        cluster = cluster.replace("-", "A")
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._config)),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self._dir.cleanup()
            raise ServerFailedError(
                f"Kafka's storage was not formatted:\n{done.stdout}{done.stderr}"
            )

    def _answers(self) -> bool:
        # the port first: aiokafka logs every refused connection as an error
        with socket.socket() as wire:
            wire.settimeout(1)
            if wire.connect_ex(("127.0.0.1", self._port)):
                return False
        try:
            self.administer(_sees_a_broker)
        except (KafkaError, OSError, LookupError):
            return False
        return True


async def _sees_a_broker(admin: AIOKafkaAdminClient) -> None:
    if not (await admin.describe_cluster())["brokers"]:
        raise LookupError("the controller has not let the broker in yet")


def main() -> int:
    try:
        print(f"test Kafka: {fetch()}")
    except KafkaUnavailable as missing:
        print(f"SKIPPING every test on a real Kafka: {missing}", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
