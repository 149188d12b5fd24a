"""The observer and the audit of `rekindle up`: processes of their own, which end with it.

Processes and not services: neither may take a worker's time, and an audit in the process it audits
would be none.
"""

import socket
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from streams.demo.children import end, kill_with_us
from streams.settings import Deployment

COMMANDS: Final = ("observe", "audit")
# SIGTERM: out within 10 s.
_STOP_SECONDS: Final = 12.0


class Companions:
    """Started on entry, on free ports of loopback; told to end, and waited for, on exit.

    One that ends by itself says why on standard error, and the page that it is absent.
    """

    def __init__(self, settings: Mapping[str, str], of: str) -> None:
        """``settings``: without prefix, what they have beside our own environment.

        ``of``: the name of the worker they run beside, with which theirs begin.
        """
        self._settings = dict(settings)
        self._of = of
        self._running: list[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        for command in COMMANDS:
            child = subprocess.Popen(  # noqa: S603 - this Python and our own commands
                [sys.executable, "-m", "streams.cli", command],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                env=self._environ(command),
                # Ctrl-C is for us, and the worker ends before those who watch it
                start_new_session=True,
            )
            self._running.append((child, kill_with_us(child.pid)))
        return self

    def _environ(self, command: str) -> dict[str, str]:
        theirs = {"HTTP": f"127.0.0.1:{_free_port()}", "WORKER_ID": f"{self._of}-{command}"}
        return Deployment.of_child(**self._settings | theirs)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child, _ in self._running:
            child.terminate()
        for child, watcher in self._running:
            end(child, _STOP_SECONDS)
            watcher.kill()
            end(watcher)
        self._running = []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


__all__ = ["COMMANDS", "Companions"]
