"""The workers of a fault run: forked, killed, frozen, and started again when they end by a fault.

One thread looks after them as a supervisor of processes does in production: whatever ends and was
not told to is started again under the same name.
"""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.world.plan import Recovery
from tests.faults.world.zygote import Zygote, wait_for
from tests.support.processes import free_port

_LOOK: Final = 0.1
# A worker that ends by itself (Redis is away at its start) is started again after a moment.
_BACKOFF: Final = 0.5
_LONGEST: Final = 30.0


@dataclass
class Worker:
    """One place of the crew; ``name`` changes when another worker takes it."""

    place: int
    name: str
    port: int
    log: Path
    armed: Path
    pid: int = 0
    wanted: bool = False
    frozen: bool = False
    began: float = 0.0
    ready: bool = False
    why: str = "start"
    lock: threading.RLock = field(default_factory=threading.RLock)


class Crew:
    """All workers; every method may be called from any thread."""

    def __init__(
        self, zygote: Zygote, directory: Path, environ: Mapping[str, str], mutant: str | None
    ) -> None:
        """``environ``: the REKINDLE_ settings all share."""
        self._zygote = zygote
        self._directory = directory
        self._environ = dict(environ)
        self._mutant = mutant
        self.workers: list[Worker] = []
        self.recoveries: list[Recovery] = []
        self.starts = 0
        self.ends: list[dict[str, Any]] = []
        self._over = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def begin(self, count: int) -> None:
        """Start ``count`` workers and look after them."""
        for _ in range(count):
            self.hire()
        self._supervisor.start()

    def hire(self) -> Worker:
        """Add a worker and start it."""
        place = len(self.workers)
        worker = Worker(
            place,
            f"w{place}",
            free_port(),
            self._directory / f"worker-{place}.log",
            self._directory / f"armed-{place}",
        )
        self.workers.append(worker)
        self.start(worker, "start")
        return worker

    # --- one worker -----------------------------------------------------------------------------

    def start(self, worker: Worker, why: str, crash: str | None = None) -> None:
        """Start a worker that is down; ``crash``: where it is to die, ``label:n``."""
        with worker.lock:
            worker.pid = self._zygote.fork(
                {
                    "environ": {
                        **self._environ,
                        "REKINDLE_WORKER_ID": worker.name,
                        "REKINDLE_HTTP": f"127.0.0.1:{worker.port}",
                    },
                    "log": str(worker.log),
                    "armed": str(worker.armed),
                    "crash": crash,
                    "mutant": self._mutant,
                }
            )
            worker.wanted, worker.frozen, worker.ready = True, False, False
            worker.began, worker.why = time.monotonic(), why
            self.starts += 1

    def kill(self, worker: Worker) -> None:
        """Kill it with -9; nobody starts it again until :meth:`start`."""
        with worker.lock:
            worker.wanted = False
            self._signal(worker, signal.SIGKILL)
            wait_for(worker.pid, 10, self._zygote)

    def stop(self, worker: Worker) -> int:
        """Tell it to end, and return what it ended with; -9 when it had to be killed."""
        with worker.lock:
            worker.wanted = False
            self._signal(worker, signal.SIGTERM)
            try:
                return wait_for(worker.pid, 20, self._zygote)
            except TimeoutError:
                self._signal(worker, signal.SIGKILL)
                return wait_for(worker.pid, 10, self._zygote)

    def freeze(self, worker: Worker) -> None:
        """Stop its clock."""
        worker.frozen = True
        self._signal(worker, signal.SIGSTOP)

    def thaw(self, worker: Worker) -> None:
        """Let it go on, not knowing how long it slept."""
        worker.began, worker.ready, worker.why = time.monotonic(), False, "freeze"
        self._signal(worker, signal.SIGCONT)
        worker.frozen = False

    def arm(self, worker: Worker, crash: str) -> None:
        """Let a running worker die at ``label:n``."""
        worker.armed.write_text(crash, "utf-8")
        self._signal(worker, signal.SIGUSR1)

    def tell_tasks(self) -> None:
        """Let each worker write into its log what its tasks wait for."""
        for worker in self.workers:
            self._signal(worker, signal.SIGUSR2)

    def alive(self, worker: Worker) -> bool:
        """Return whether its process runs."""
        return bool(worker.pid) and self._zygote.wait(worker.pid, 0) is None

    def _signal(self, worker: Worker, number: int) -> None:
        if self.alive(worker):
            try:
                os.kill(worker.pid, number)
            except ProcessLookupError:  # it ended a moment ago
                return

    # --- all of them ----------------------------------------------------------------------------

    def deaths(self) -> list[tuple[int, str, int]]:
        """Return the ordered crashes that came about: (ms, label, process)."""
        found: list[tuple[int, str, int]] = []
        for path in sorted(self._directory.glob("armed-*.deaths")):
            for line in path.read_text("utf-8").splitlines():
                at, label, pid = line.split()
                found.append((int(at), label, int(pid)))
        return sorted(found)

    def ask(self, worker: Worker, path: str) -> tuple[int, str]:
        """Return status and body of a request to its port; 0 = nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}{path}", timeout=2) as told:
                return told.status, told.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, repr(error)

    def unready(self) -> dict[str, Any]:
        """Return what the workers say that are not ready, by name."""
        answers = {w.name: self.ask(w, "/readyz") for w in self.workers if w.wanted}
        return {name: _said(body) for name, (status, body) in answers.items() if status != 200}

    def close(self) -> None:
        """Look after nobody any more."""
        self._over.set()
        if self._supervisor.is_alive():
            self._supervisor.join(10)

    def _supervise(self) -> None:
        while not self._over.wait(_LOOK):
            for worker in list(self.workers):
                self._look(worker)

    def _look(self, worker: Worker) -> None:
        if not worker.wanted or worker.frozen or not worker.lock.acquire(blocking=False):
            return
        try:
            code = self._zygote.wait(worker.pid, 0)
            if code is not None and worker.wanted:
                self._restart(worker, code)
            elif not worker.ready and self.ask(worker, "/readyz")[0] == 200:
                worker.ready = True
                took = time.monotonic() - worker.began
                self.recoveries.append(Recovery(worker.why, "ready", round(took, 2)))
        finally:
            worker.lock.release()

    def _restart(self, worker: Worker, code: int) -> None:
        lasted = time.monotonic() - worker.began
        self.ends.append(
            {"worker": worker.name, "code": code, "lasted": round(lasted, 2), "at": time.time()}
        )
        if code != -signal.SIGKILL:
            time.sleep(_BACKOFF)
        self.start(worker, "crash" if code != -signal.SIGKILL else "kill_at")


def until(true: Callable[[], Any], seconds: float, every: float = 0.1) -> Any:
    """Wait for a condition; returns what it returned, or None when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(every)
    return None


def _said(body: str) -> Any:
    try:
        return json.loads(body).get("findings")
    except ValueError:
        return body[:300]
