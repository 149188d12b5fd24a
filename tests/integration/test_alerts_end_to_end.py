"""Faults injected into real processes reach people: through Prometheus, rules, routes, a webhook.

What ships under ops/ runs; receivers' addresses are replaced, and the window of the violations is
shortened, because a test cannot wait ten minutes for an alert to be resolved.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.agreement import wait_folded
from tests.support.fired import END_TO_END
from tests.support.over_cap import over_cap
from tests.support.processes import Server
from tests.support.prometheus import Alertmanager, Prometheus, Told, Webhooks
from tests.support.running import Running, Shop, shipped, wait_until
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

_EVENTS = 4_000
# What the product promises from a violation to a person.
_PROMISED = 30.0
_SHORTENED = dict.fromkeys(
    ("CapViolation", "ActionsUndecided"), (("[10m]", "[20s]"), ("< 600", "< 20"))
)
_WHERE = {
    "CapViolation": "oncall",
    "ActionsUndecided": "oncall",
    "PausedByMachine": "marketing-ops",
    "WorkerDown": "tickets",
    "Watchdog": "deadman",
}


class Watched:
    """A shop that is scraped through `rekindle targets`, and who is told of its alerts."""

    def __init__(self, stack: ExitStack, shop: Shop, folder: Path) -> None:
        given = shop.environ
        command = [sys.executable, "-m", "streams.cli", "targets", "--follow"]
        command += ["--file", str(folder / "rekindle.json")]
        follower = Server(command, folder / "log", environ=_environ(given))
        stack.callback(follower.stop)
        self.webhooks = stack.enter_context(Webhooks())
        alertmanager = stack.enter_context(Alertmanager(self.webhooks.address))
        self.prometheus = stack.enter_context(
            Prometheus(folder, alertmanager.address, shortened=_SHORTENED)
        )

    def wait(self, name: str, since: float, within: float, status: str = "firing") -> Told:
        """Wait until an alert has reached its receiver, and print how long it took."""
        receiver = _WHERE[name]
        told: Told = wait_until(
            lambda: self.webhooks.find(receiver, name, status), f"{name} {status}", within
        )
        print(f"{name} {status} at {receiver}: {told.at - since:.1f} s")
        return told

    def sees(self, kind: str, count: int = 1) -> bool:
        """Return whether that many processes of a kind are scraped."""
        return len(self.prometheus.query(f'up{{job="rekindle", kind="{kind}"}} == 1')) == count


def _environ(given: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "REKINDLE" not in name} | given


@pytest.fixture
def watched(shop: Shop, tmp_path: Path) -> Iterator[Watched]:
    folder = tmp_path / "targets"
    folder.mkdir()
    with ExitStack() as stack:
        yield Watched(stack, shop, folder)


def test_injected_faults_reach_whom_they_concern_and_are_resolved(
    shop: Shop, watched: Watched
) -> None:
    began = time.monotonic()
    shop.apply(shipped())
    shop.load(list(traffic(_EVENTS)))
    with ExitStack() as stack:
        stack.enter_context(shop.worker())
        wait_folded(shop)
        other = stack.enter_context(shop.worker("deliver", ready=False, REKINDLE_WORKER_ID="two"))
        audit = shop.start_audit()
        wait_until(lambda: _ready(audit), "the audit knows everything", 60)
        wait_until(lambda: watched.sees("worker", 2) and watched.sees("audit"), "all are scraped")
        watched.wait("Watchdog", began, 60)

        killed = time.monotonic()
        other.kill()
        injected = time.monotonic()
        over_cap(shop)
        told = watched.wait("CapViolation", injected, _PROMISED)
        assert told.labels["channel"] == "push"
        assert told.labels["severity"] == "page"
        assert not told.labels.keys() & {"runbooks", "grafana"}
        assert told.annotations["runbook_url"].endswith("/docs/runbooks/CapViolation.md")
        watched.wait("ActionsUndecided", injected, _PROMISED)

        down = watched.wait("WorkerDown", killed, 120)
        assert down.labels["worker"] == "two"
        watched.wait("PausedByMachine", injected, 120)
        assert watched.webhooks.find("marketing-ops", "CapViolation")
        watched.wait("CapViolation", injected, 180, "resolved")
        audit.stop()

    fired = {one.labels["alertname"] for one in watched.webhooks.told}
    assert fired >= END_TO_END.keys() >= _WHERE.keys()


def _ready(audit: Running) -> bool:
    try:
        return audit.get("/readyz")[0] == 200
    except OSError:
        return False
