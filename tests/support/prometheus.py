"""A real Prometheus with what it scrapes and tells: redis_exporter, Alertmanager, and receivers.

The files of ops/ are what runs; only addresses are changed, and on request the windows of named
rules, where a test cannot wait for them.
"""

import json
import os
import signal
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.support import alerts
from tests.support.processes import Server, free_port

# Name of a rule -> (what ships, what a test puts in its place) in its expression.
Shortened = Mapping[str, Sequence[tuple[str, str]]]

_SECOND = "1s"


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as it arrived: ``at`` of the monotonic clock, ``status`` firing or resolved."""

    at: float
    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Webhooks:
    """Where all receivers of Alertmanager point to; keeps every alert that came, in order.

    ``heard`` is called with each of them, in a thread of the server. ``answers``: the status that
    each notification is answered with; it may be set at any time.
    """

    def __init__(self, heard: Callable[[Told], None] = lambda _: None) -> None:
        self.told: list[Told] = []
        self.answers = 200
        self._heard = heard
        keep, receiver = self._keep, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                keep(self.path, body)
                self.send_response(receiver.answers)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _keep(self, path: str, body: bytes) -> None:
        message, now = json.loads(body), time.monotonic()
        came = [
            Told(now, path.strip("/"), one["status"], one["labels"], one["annotations"])
            for one in message["alerts"]
        ]
        self.told += came
        for one in came:
            self._heard(one)

    def find(self, receiver: str, name: str, status: str = "firing") -> Told | None:
        """Return the first alert of that name that reached a receiver."""
        for one in list(self.told):
            if (one.receiver, one.labels["alertname"], one.status) == (receiver, name, status):
                return one
        return None


class _Program:
    """A Debian program with a web port and a folder of its own, from entry to exit."""

    name: str
    binary: str

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix=f"rk-{self.binary}-")
        self.folder = Path(self._directory.name)
        self.port = free_port()
        self._server: Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def options(self) -> list[str]:
        """Write the files it reads and return what it is started with."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        command = [alerts.tool(self.binary), *self.options()]
        command.append(f"--web.listen-address={self.address}")
        self._server = Server(command, self.folder / "log")
        self._server.wait_until(lambda: _ready(self.address), seconds=30, name=self.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._directory.cleanup()

    def stop(self) -> None:
        """End it before its time."""
        if self._server:
            self._server.stop()
            self._server = None


class Alertmanager(_Program):
    """The shipped routes, every receiver a webhook at ``webhooks``."""

    name, binary = "Alertmanager", "prometheus-alertmanager"

    def __init__(self, webhooks: str) -> None:
        super().__init__()
        self._webhooks = webhooks

    def options(self) -> list[str]:
        config = yaml.safe_load(alerts.ALERTMANAGER.read_text("utf-8"))
        for receiver in config["receivers"]:
            mailed = receiver.pop("email_configs")[0]
            hook = {"url": f"http://{self._webhooks}/{receiver['name']}"}
            receiver["webhook_configs"] = [hook | {"send_resolved": mailed["send_resolved"]}]
        path = self.folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return [
            f"--config.file={path}",
            f"--storage.path={self.folder / 'data'}",
            # alone: it must not wait for others to gossip with
            "--cluster.listen-address=",
        ]


class RedisExporter(_Program):
    """Serves the figures of one Redis server, found at ``redis`` (a URL)."""

    name, binary = "redis_exporter", "prometheus-redis-exporter"

    def __init__(self, redis: str) -> None:
        super().__init__()
        self._redis = redis

    def options(self) -> list[str]:
        # as in docker-compose.yml: shorter than a scrape may take, which is a second at the least
        return [f"--redis.addr={self._redis}", "--connection-timeout=500ms"]


class Prometheus(_Program):
    """The shipped configuration and rules, told of one Alertmanager.

    ``targets``: the folder that file_sd reads. ``shortened``: name of an alert or of a recorded
    series -> what in its expression is replaced by what, for windows and ages longer than a test
    may wait. ``interval``: of every group of rules. ``hurried``: scrapes once a second, judges as
    often, and no alert waits: its ``for`` is cut to a second. ``redis``: the address of a
    redis_exporter; without one its job is left out.
    """

    name, binary = "Prometheus", "prometheus"

    def __init__(
        self,
        targets: Path,
        alertmanager: str,
        shortened: Shortened | None = None,
        interval: str = "",
        *,
        hurried: bool = False,
        redis: str = "",
    ) -> None:
        super().__init__()
        self._redis = redis
        self._interval = _SECOND if hurried else interval
        self._hurried = hurried
        self._targets, self._alertmanager = targets, alertmanager
        self._shortened = shortened or {}

    def options(self) -> list[str]:
        self._write(self.folder)
        return [
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            # Prometheus finds its Alertmanager some seconds after it starts: what fires before is
            # lost, and by default not sent again for a minute. Some runs began so.
            "--rules.alert.resend-delay=5s",
            "--log.level=warn",
        ]

    def add_rules(self, name: str, groups: Sequence[Mapping[str, Any]]) -> None:
        """Put one more file of rules beside those that ship, and have it read."""
        text = yaml.safe_dump({"groups": [dict(group) for group in groups]}, sort_keys=False)
        (self.folder / "rules" / f"{name}.yml").write_text(text, "utf-8")
        assert self._server, "it runs"
        os.kill(self._server.pid, signal.SIGHUP)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        asked = urllib.parse.urlencode({"query": expr})
        with urllib.request.urlopen(
            f"http://{self.address}/api/v1/query?{asked}", timeout=10
        ) as told:
            return list(json.load(told)["data"]["result"])

    def _write(self, folder: Path) -> None:
        (folder / "rules").mkdir()
        for path in alerts.rule_files():
            (folder / "rules" / path.name).write_text(self._rules(path), "utf-8")
        config = yaml.safe_load(alerts.PROMETHEUS.read_text("utf-8"))
        if self._hurried:
            config["global"] |= {"scrape_interval": _SECOND, "scrape_timeout": _SECOND}
        config["alerting"]["alertmanagers"] = [
            {"static_configs": [{"targets": [self._alertmanager]}]}
        ]
        for job in config["scrape_configs"]:
            if job["job_name"] == "rekindle":
                job["file_sd_configs"][0]["files"] = [f"{self._targets}/*.json"]
            addresses = {
                "prometheus": self.address,
                "alertmanager": self._alertmanager,
                "redis": self._redis,
            }
            if job["job_name"] in addresses:
                job["static_configs"] = [{"targets": [addresses[job["job_name"]]]}]
        if not self._redis:
            config["scrape_configs"] = [
                job for job in config["scrape_configs"] if job["job_name"] != "redis"
            ]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config, sort_keys=False))

    def _rules(self, path: Path) -> str:
        file = yaml.safe_load(path.read_text("utf-8"))
        for group in file["groups"] if self._interval else ():
            group["interval"] = self._interval
        for rule in (rule for group in file["groups"] for rule in group["rules"]):
            if self._hurried and "for" in rule:
                rule["for"] = _SECOND
            for shipped, shorter in self._shortened.get(rule.get("alert", rule.get("record")), ()):
                assert shipped in rule["expr"], rule
                rule["expr"] = rule["expr"].replace(shipped, shorter)
        return yaml.safe_dump(file, sort_keys=False)


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=2) as told:
            return bool(told.status == 200)
    except OSError:
        return False
