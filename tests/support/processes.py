"""A real server as a child process that never outlives the test run."""

import fcntl
import itertools
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

# Below Linux's ephemeral range (32768 and up): a port that a server gives up for the length of
# a restart is then not taken meanwhile as the local end of some client's connection.
_FIRST_PORT, _PORTS = 20_000, 12_000
_next_port = itertools.count(os.getpid() * 37)
# Kafka binds a port three seconds after it was found free; a test process beside us found the same
# one. Each byte of this file is a port, locked by the process that took it until it ends.
_CLAIMS = Path(tempfile.gettempdir()) / f"rekindle-test-ports-{os.getuid()}"
_claims: list[TextIO] = []


class ServerFailedError(AssertionError):
    """A server did not come up, or did not do what it was told; the message has its last lines."""


def free_port() -> int:
    """Return a port that nobody listens on and no other test process was given."""
    for _ in range(_PORTS):
        port = _FIRST_PORT + next(_next_port) % _PORTS
        if not _claimed(port):
            continue
        with socket.socket() as probe:
            # as the servers do, so that connections of a former run do not count as taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerFailedError(
        f"no free loopback port between {_FIRST_PORT} and {_FIRST_PORT + _PORTS}"
    )


def _claimed(port: int) -> bool:
    """Lock a port for the life of this process; False = another has it."""
    if not _claims:
        # closed by the end of the process alone: closing it would let go of every lock
        _claims.append(_CLAIMS.open("a"))
    try:
        fcntl.lockf(_claims[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


class Server:
    """One child process with its log file, and a watcher that kills it when we die.

    The watcher is a shell that reads a pipe whose other end only this process holds; the pipe
    closes however this process ends, kill -9 included. (PR_SET_PDEATHSIG would fire when the
    *thread* that started the server ends, and tests start servers from worker threads.)
    """

    def __init__(
        self, command: Sequence[str], log: Path, environ: dict[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            # a session of its own, so that Ctrl-C in the terminal reaches only pytest
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environ,
                start_new_session=True,
            )
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", f"read -r _; kill -9 {self._process.pid}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, answers: Callable[[], bool], *, seconds: float, name: str) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.running:
                self._dismiss_watcher()
                raise ServerFailedError(f"{name} ended while starting:\n{self.last_lines()}")
            if answers():
                return
            time.sleep(0.05)
        self.kill()
        raise ServerFailedError(f"{name} did not answer within {seconds:g} s:\n{self.last_lines()}")

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._dismiss_watcher()

    def stop(self, *, seconds: float = 15) -> None:
        self._process.send_signal(signal.SIGCONT)  # a paused process cannot obey
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._dismiss_watcher()

    def last_lines(self, count: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def _dismiss_watcher(self) -> None:
        # first the watcher, then its pipe: it must never kill whoever inherits the number
        self._watcher.kill()
        self._watcher.wait()
        if self._watcher.stdin:
            self._watcher.stdin.close()


class Restartable:
    """A server with a folder of its own, from entry to exit, that a test stops and starts again.

    A subclass says what it is called, how it is started, and when it answers.
    """

    name: str
    seconds: float

    def __init__(self, prefix: str) -> None:
        self._dir = tempfile.TemporaryDirectory(prefix=prefix)
        self.directory = Path(self._dir.name)
        self._server: Server | None = None

    def _launched(self) -> Server:
        """Start the process."""
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        if self._server is not None:
            raise RuntimeError(f"{self.name} is running already")
        self._server = self._launched()
        try:
            self._server.wait_until(self._answers, seconds=self.seconds, name=self.name)
        except BaseException:
            self._server = None
            raise

    def stop(self) -> None:
        """Orderly, as a maintenance restart: everything acknowledged is on disk."""
        if self._server is not None:
            self._server.stop(seconds=20)
            self._server = None

    def kill(self) -> None:
        """As `kill -9` does: what was written survives, for the kernel has it."""
        self._running().kill()
        self._server = None

    def pause(self) -> None:
        """Connections stay open and nothing answers, as with a machine that hangs."""
        self._running().pause()

    def resume(self) -> None:
        self._running().resume()

    def close(self) -> None:
        self.stop()
        self._dir.cleanup()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._dir.cleanup()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._server
