"""The observer and the audit of `rekindle up` and the demo: processes that end with it.

Processes and not services: neither may take a worker's time, and an audit in the process it audits
would be none.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streams.demo.children import end, kill_with_us
from streams.loopback import free_port
from streams.settings import PREFIX, Deployment

COMMANDS: Final = ("observe", "audit")
# Beside a demo they take the time it leaves: a third of what they get, where there is none left.
_NICE: Final = 5
# SIGTERM: out within 10 s.
_STOP_SECONDS: Final = 12.0


class Companions:
    """Started on entry, on free ports of loopback; told to end, and waited for, on exit.

    One that ends by itself says why on standard error, and the page that it is absent.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        of: str,
        *,
        alone: bool = False,
        since: str = "0s",
        logs: Path | None = None,
    ) -> None:
        """``settings``: without prefix, what they have beside our own environment.

        ``of``: the name of the worker they run beside, with which theirs begin. ``alone``: nothing
        but ``settings`` is theirs, and what runs beside them comes first. ``since``: how far back
        the observer begins. ``logs``: the folder that takes what they say, instead of standard
        error.
        """
        self._settings = dict(settings)
        self._of = of
        self._alone = alone
        self._options = {"observe": ("--since", since), "audit": ()}
        self._logs = logs
        self._running: list[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        for command in COMMANDS:
            with ExitStack() as opened:
                out, error = sys.stderr.fileno(), None
                if self._logs is not None:
                    log = opened.enter_context((self._logs / f"{command}.log").open("ab"))
                    out = error = log.fileno()
                child = subprocess.Popen(  # noqa: S603 - this Python and our own commands
                    [sys.executable, "-m", "streams.cli", command, *self._options[command]],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=error,
                    env=self._environ(command),
                    # Ctrl-C is for us, and the worker ends before those who watch it
                    start_new_session=True,
                )
            if self._alone:
                os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
            self._running.append((child, kill_with_us(child.pid)))
        return self

    def _environ(self, command: str) -> dict[str, str]:
        theirs = {"HTTP": f"127.0.0.1:{free_port()}", "WORKER_ID": f"{self._of}-{command}"}
        settings = self._settings | theirs
        found = Deployment.of_child(**settings)
        if self._alone:
            others = [name for name in found if name.startswith(PREFIX)]
            for name in others:
                if name.removeprefix(PREFIX) not in settings:
                    del found[name]
        return found

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


__all__ = ["COMMANDS", "Companions"]
