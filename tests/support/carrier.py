"""A provider behind the signed webhooks of all channels, who reports what becomes of messages.

Its reports arrive in the topic ``feedback``, as those of any provider do. How it behaves may be
changed while it works: what it answers, and which outcomes it reports.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from engine.times import iso

CHANNELS: Final = ("push", "sms", "email")
NAME: Final = "carrier"

# Seconds between two lots of reports.
_EVERY: Final = 0.5
_SECRET: Final = "of-a-carrier-on-loopback"

Publish = Callable[[str, Sequence[tuple[bytes, bytes]]], object]


@dataclass(frozen=True)
class Conduct:
    """How it behaves towards its n-th call, counted from 0.

    ``answers``: with which status; None = it hangs up without a word. ``reports``: of a message it
    took, action id and outcome of each report that follows.
    """

    answers: Callable[[int], int | None] = lambda _: 202
    reports: Callable[[int, str], Sequence[tuple[str, str]]] = lambda _, action: [
        (action, "delivered")
    ]


class Carrier:
    """Listens on a loopback port while :meth:`working`; ``conduct`` may be set at any time."""

    def __init__(self) -> None:
        self.conduct = Conduct()
        self.taken = 0
        self._calls = 0
        self._lock = threading.Lock()
        self._waiting: list[tuple[bytes, bytes]] = []
        carrier = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                action = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = carrier._take(action)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # its port is taken from now on: calls wait until somebody listens
        self._server.daemon_threads = True

    @property
    def environ(self) -> Mapping[str, str]:
        """Return the settings of a worker whose messages it carries."""
        found = {}
        for channel in CHANNELS:
            url = f"http://127.0.0.1:{self._server.server_address[1]}/{channel}"
            found[f"REKINDLE_GATEWAY_{channel.upper()}"] = f"webhook:{url}"
            found[f"REKINDLE_WEBHOOK_SECRET_{channel.upper()}"] = _SECRET
        return found

    @contextmanager
    def working(self, publish: Publish) -> Iterator[None]:
        """Take calls, and report through ``publish``, until the block ends."""
        over = threading.Event()

        def report() -> None:
            while not over.wait(_EVERY):
                with self._lock:
                    lot, self._waiting = self._waiting, []
                if lot:
                    publish("feedback", lot)

        threads = [
            threading.Thread(target=one, daemon=True)
            for one in (self._server.serve_forever, report)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            self._server.shutdown()
            self._server.server_close()
            for thread in threads:
                thread.join(10)

    def _take(self, action: Mapping[str, Any]) -> int | None:
        """Return what a call is answered, and keep the reports that follow."""
        with self._lock:
            number, self._calls = self._calls, self._calls + 1
            status = self.conduct.answers(number)
            if status is not None and status < 300:
                told = self.conduct.reports(self.taken, action["action_id"])
                self._waiting += [_report(action, *one) for one in told]
                self.taken += 1
            return status


def _report(action: Mapping[str, Any], action_id: str, outcome: str) -> tuple[bytes, bytes]:
    """Return one record of the topic ``feedback``."""
    report = {
        "v": 1,
        "feedback_id": f"{NAME}-{action_id}-{outcome}",
        "action_id": action_id,
        "user_id": action["user_id"],
        "channel": action["channel"],
        "provider": NAME,
        "type": outcome,
        "permanent": outcome == "bounced",
        "occurred_at": iso(int(time.time() * 1000)),
    }
    return action["user_id"].encode(), json.dumps(report).encode()
