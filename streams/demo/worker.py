"""The worker of the demo: the product's own, in a process that can be killed and started again.

``python -m streams.demo.worker JSON`` runs it with the settings in the JSON object, so that no
variable of the caller's environment can reach the demo.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from engine.errors import Unavailable
from streams.demo.children import end, kill_with_us

# SIGTERM: out within 10 s.
_STOP_SECONDS: Final = 15.0


class WorkerProcess:
    """One worker with the settings ``environ``; it ends with this process."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        """``log``: the file its output goes to."""
        self._environ = orjson.dumps(dict(environ)).decode()
        self._log = log
        self._out: BinaryIO | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is ready when it takes work."""
        self._out = self._log.open("ab")
        self._process = subprocess.Popen(  # noqa: S603 - this Python and this module
            [sys.executable, "-m", "streams.demo.worker", self._environ],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._out,
            # Ctrl-C is for the demo, which then stops its parts in order
            start_new_session=True,
        )
        self._watcher = kill_with_us(self._process.pid)

    def kill(self) -> None:
        """Kill it as kill -9 does."""
        if self._process is not None:
            self._process.kill()
        self._close()

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process is not None:
            self._process.terminate()
        self._close()

    def check(self) -> None:
        """Raise Unavailable with its last words when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            said = self._log.read_text(errors="replace").strip().splitlines()[-3:]
            message = f"The worker ended by itself: {' '.join(said)} (all of it: {self._log})"
            raise Unavailable(message)

    def _close(self) -> None:
        if self._process is not None:
            end(self._process, _STOP_SECONDS)
        # only after the worker: while it lives, it must not outlive us
        if self._watcher is not None:
            self._watcher.kill()
            end(self._watcher)
        if self._out is not None:
            self._out.close()
        self._process = self._watcher = self._out = None


def main(settings: str) -> None:
    """Run a worker with these settings until a signal ends it."""
    from streams import worker  # noqa: PLC0415 - only the child needs the whole product
    from streams.settings import Deployment  # noqa: PLC0415 - as above

    worker.run(Deployment.from_env(orjson.loads(settings)))


if __name__ == "__main__":
    main(sys.argv[1])
