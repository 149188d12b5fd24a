"""A process that has imported all a worker needs and forks one per order: a start costs no import.

A cold start costs two seconds of CPU, and a run starts a worker a thousand times. What is forked
is the real worker: nothing of a former life is in the zygote, which opens no connection, starts no
thread and runs no loop. Orders and what became of them go through pipes, a line of JSON each.
"""

import ctypes
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_LOOK: Final = 0.02


class Zygote:
    """The zygote as its owner sees it: :meth:`fork` workers, :meth:`wait` for their ends."""

    def __init__(self, log: Path, environ: Mapping[str, str]) -> None:
        """Start it; ``environ`` without REKINDLE_ names, which each worker is given anew."""
        # OpenBLAS starts its threads when it is imported, and a fork would lose them.
        given = {name: value for name, value in environ.items() if "REKINDLE" not in name}
        given |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with log.open("ab") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.world.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                env=given,
                start_new_session=True,
            )
        self._writing = threading.Lock()
        self._born: Queue[int] = Queue()
        self._ends: dict[int, int] = {}
        self._ended = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        if self._born.get(timeout=60):  # it says 0 once everything is imported
            message = f"the zygote did not come up; see {log}"
            raise RuntimeError(message)

    def fork(self, order: Mapping[str, Any]) -> int:
        """Start a worker and return its process id; see :func:`_worker` for the order."""
        with self._writing:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return self._born.get(timeout=30)

    def wait(self, pid: int, seconds: float) -> int | None:
        """Return what a worker ended with (minus the signal that killed it); None = it runs."""
        with self._ended:
            self._ended.wait_for(lambda: pid in self._ends, timeout=seconds)
            return self._ends.get(pid)

    def close(self) -> None:
        """End it, and every worker with it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._listener.join(5)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "born" in told:
                self._born.put(told["born"])
                continue
            with self._ended:
                self._ends[told["pid"]] = told["ended"]
                self._ended.notify_all()
        self._born.put(-1)  # it is gone: nobody waits for it in vain


# --- inside -------------------------------------------------------------------------------------


def main() -> None:
    """Import everything, then fork per line of standard input until it is closed."""
    _import()
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        message = f"the zygote has {threads} threads: a fork would lose all but one"
        raise RuntimeError(message)
    gc.collect()
    gc.freeze()  # what was imported is never looked through again, nor copied by a fork's gc
    _say(born=0)
    living: set[int] = set()
    waiting = b""
    while True:
        if select.select([0], [], [], _LOOK)[0]:
            read = os.read(0, 65_536)
            if not read:
                break
            *orders, waiting = (waiting + read).split(b"\n")
            for order in orders:
                living.add(_fork(json.loads(order)))
        living -= _reap()
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _import() -> None:
    """Import what workers import late, so that no start pays for it."""
    import lightgbm  # noqa: F401, PLC0415

    import streams.worker  # noqa: F401, PLC0415
    from tests.faults.world import launcher  # noqa: F401, PLC0415


def _fork(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        _say(born=pid)
        return pid
    code = 1
    try:
        code = _worker(order)
    except BaseException:  # noqa: BLE001 - a child must never return into the zygote's loop
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _worker(order: Mapping[str, Any]) -> int:
    """Be a worker: ``environ``, ``log``, and what the launcher is to do: ``crash``, ``mutant``."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, to in ((null, 0), (log, 1), (log, 2)):
        os.dup2(fd, to)
    os.environ.update(order["environ"])
    from tests.faults.world import launcher  # noqa: PLC0415 - imported by the zygote already

    return launcher.run(Path(order["armed"]), order.get("crash"), order.get("mutant"))


def _reap() -> set[int]:
    ended: set[int] = set()
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        _say(pid=pid, ended=os.waitstatus_to_exitcode(status))
        ended.add(pid)


def _say(**told: int) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def wait_for(pid: int, seconds: float, zygote: Zygote) -> int:
    """Wait for an end that must come; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (code := zygote.wait(pid, 1.0)) is not None:
            return code
    message = f"process {pid} did not end within {seconds:g} s"
    raise TimeoutError(message)


__all__ = ["Zygote", "wait_for"]

if __name__ == "__main__":
    main()
