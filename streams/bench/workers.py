"""The worker processes of a bench: started, watched while something is waited for, ended."""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from engine.errors import Refused
from streams.log.topics import CHANNELS
from streams.loopback import free_port
from streams.settings import Deployment

_DEADLINE: Final = 600.0
_READY_WITHIN: Final = 60.0
_POLL: Final = 0.05
_LAST_WORDS: Final = 2_000

_said: dict[int, Path] = {}
_ports: dict[int, int] = {}

Process = subprocess.Popen[bytes]


def start(
    deployment: Deployment, only: str, *, clock: str, name: str = "bench", module: str = ""
) -> Process:
    """Start a worker process; ``only`` names its agents, ``name`` is its place in the groups.

    ``module`` is what python runs: the command line, unless a measuring one stands in for it. What
    the worker says goes to a file; :func:`wait` shows the end of it when the worker has ended.
    """
    port = free_port()
    environ = Deployment.of_child(
        KAFKA=deployment.kafka,
        REDIS=deployment.redis,
        TOPIC_PREFIX=deployment.topic_prefix,
        SOURCES=",".join(f"{source.topic}:{source.dialect}" for source in deployment.sources),
        CLOCK=clock,
        HTTP=f"127.0.0.1:{port}",
        WORKER_ID=name,
        **{f"GATEWAY_{channel.upper()}": f"jsonl:{os.devnull}" for channel in CHANNELS},
    )
    command = [sys.executable, "-m", *(module or "streams.cli").split(), "worker", "--only", only]
    handle, path = tempfile.mkstemp(prefix="rekindle-bench-", suffix=".log")
    try:
        process = subprocess.Popen(command, env=environ, stdout=handle, stderr=handle)  # noqa: S603 - our own program
    finally:
        os.close(handle)
    _said[process.pid], _ports[process.pid] = Path(path), port
    return process


def port_of(process: Process) -> int:
    """Return the HTTP port of a worker that was started here."""
    return _ports[process.pid]


def stop(*processes: Process) -> None:
    """End workers in order (SIGTERM), all at once."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        if process.poll() is None:
            process.kill()
            process.wait()
        _forget(process)


def kill(process: Process) -> None:
    """End a worker as kill -9 does."""
    process.kill()
    process.wait()
    _forget(process)


@contextmanager
def running(
    deployment: Deployment, only: str, *, clock: str, count: int = 1, module: str = ""
) -> Iterator[Sequence[Process]]:
    """Run ``count`` workers, ready when the block begins, ended however it ends."""
    processes: list[Process] = []
    try:
        for number in range(count):
            name = f"bench-{number}"
            processes.append(start(deployment, only, clock=clock, name=name, module=module))
        for process in processes:
            wait(partial(owns, process), 1, [process], _READY_WITHIN)
        yield processes
    finally:
        stop(*processes)


def wait(
    done: Callable[[], int],
    wanted: int,
    processes: Sequence[Process],
    seconds: float = _DEADLINE,
) -> int:
    """Wait until ``done()`` reaches ``wanted`` and return it; raises Refused when it will not."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        reached = done()
        if reached >= wanted:
            return reached
        for process in processes:
            if process.poll() is not None:
                message = f"A worker of the bench has ended. It said:\n{_last_words(process)}"
                raise Refused(message)
        sleep(_POLL)
    said = "\n".join(_last_words(process) for process in processes)
    message = f"The bench waited {seconds:.0f} s in vain for {wanted:,}. The workers said:\n{said}"
    raise Refused(message)


def owns(process: Process) -> int:
    """Return 1 once a worker has its first partitions."""
    return int(" owns " in _said[process.pid].read_text("utf-8", "replace"))


def ready(process: Process) -> int:
    """Return 1 when a worker says at its port that it does its work."""
    try:
        # loopback only
        with urllib.request.urlopen(f"http://127.0.0.1:{port_of(process)}/readyz", timeout=2):
            return 1
    except (urllib.error.URLError, OSError):
        return 0


def _last_words(process: Process) -> str:
    return _said[process.pid].read_text("utf-8", "replace")[-_LAST_WORDS:]


def _forget(process: Process) -> None:
    with suppress(KeyError):
        _said.pop(process.pid).unlink(missing_ok=True)
    _ports.pop(process.pid, None)


__all__ = ["Process", "kill", "owns", "port_of", "ready", "running", "start", "stop", "wait"]
