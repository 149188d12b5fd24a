"""Acting on real Kafka and Redis: a pause stops what is under way; the log knows who and why."""

import asyncio
import json
import threading
import time
from collections import Counter
from typing import Any

import pytest
from click.testing import CliRunner

from engine import controls
from engine import events as ev
from engine.times import HOUR, MINUTE, SECOND
from streams.cli import main
from streams.control import Acted, act
from tests.support.agreement import wait_folded
from tests.support.processes import free_port
from tests.support.receiver import Receiver
from tests.support.running import Shop, shipped, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

START = 1_767_258_000_000  # 2026-01-01 09:00 UTC
SECRET = "a secret of the test"
USERS = 400
CERTAIN = {
    "share = 0.05": "share = 0.0",
    "share = 0.10": "share = 0.0",
    'from = "21:00"': 'from = "00:00"',
    'to = "08:00"': 'to = "00:00"',
}


def test_a_pause_stops_a_back_log_at_hand_over_though_no_worker_reads_the_log(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only deliver runs: the settings record is folded by nobody, and what stops it is the switch.

    The gateway takes 30 ms a message, so the back-log would last for 12 s.
    """
    _decide(shop, [f"u-{number}" for number in range(USERS)], START)
    port, taken = free_port(), _Times()
    with Receiver(port, SECRET, taken.answer) as receiver, shop.worker("deliver", **_hook(port)):
        wait_until(lambda: len(receiver.messages) >= 20, "the back-log is being handed over")
        said = _rekindle(shop, "pause", "push", "--by", "anna", "--reason", "wrong price", "--json")
        returned = time.monotonic()
        fates = wait_until(lambda: _told(shop, USERS), "every action's fate is told")

        handed = len(receiver.messages)
        late = max(taken.at) - returned
        with capsys.disabled():
            print(f"\nkill switch: {handed} of {USERS}, the last {late:+.2f} s after the command")
        assert fates == {("accepted", ""): handed, ("cancelled", "channel_paused"): USERS - handed}
        assert USERS - handed > 50, "it may have come to an end by itself"
        assert late < 5.0  # the promise is 2 s; two cores may be busy with something else

        told = json.loads(said)
        assert (told["name"], told["partitions"], told["at_handover"]) == ("channel:push", 4, True)
        assert told["control"] | {"id": "", "at": ""} == {
            "id": "",
            "at": "",
            "target": "channel:push",
            "action": "pause",
            "actor": "operator:anna",
            "reason": "wrong price",
            "before": 1.0,
            "after": 0.0,
            "evidence": {},
            "until": None,
        }

        resumed = json.loads(_rekindle(shop, "resume", "push", "--by", "bo", "--json"))
        assert resumed["paused"] is False
        _decide(shop, [f"v-{number}" for number in range(20)], START + 2 * HOUR, apply=False)
        wait_until(lambda: len(receiver.messages) == handed + 20, "it speaks again")

    changes = json.loads(_rekindle(shop, "controls", "--json"))
    assert changes["in_force"] == []
    assert [(one["action"], one["actor"]) for one in changes["changes"]] == [
        ("resume", "operator:bo"),
        ("pause", "operator:anna"),
    ]


def test_a_pause_that_is_in_force_is_told_to_the_operator_and_to_who_asks_why(shop: Shop) -> None:
    shop.apply(shipped(replace=CERTAIN))
    assert (
        _rekindle(shop, "pause", "cart", "--for", "3h", fails=True) == ""
    )  # nobody knows the time
    with shop.worker("decide"):
        shop.load([ev.Tick(now=START, origin="loader")])
        wait_folded(shop)
        _rekindle(shop, "pause", "cart", "--by", "anna", "--reason", "wrong price", "--for", "3h")
        _rekindle(shop, "throttle", "sms", "0.6", "--by", "bo", "--reason", "new sender")
        wait_folded(shop)

        shown = _rekindle(shop, "controls")
        paused = "the campaign cart is paused by anna"
        assert f"{paused} since 2026-01-01 09:00 UTC until 2026-01-01 12:00 UTC" in shown
        assert "SMS is throttled to 60 % by bo since" in shown
        assert ": new sender" in shown
        row = json.loads(_rekindle(shop, "controls", "--last", "0", "--json"))["in_force"][1]
        assert (row["target"], row["share"], row["partitions"]) == ("channel:sms", 0.6, 4)
        assert paused in _rekindle(shop, "doctor", fails=True)

        shop.load([*_history("she", START), ev.Tick(now=START + HOUR + 10 * MINUTE, origin="t")])
        wait_folded(shop)
    (decision,) = shop.values("decisions")
    assert (decision["reason"], decision["held"]["by"]) == ("campaign_paused", "operator:anna")
    why = " ".join(_rekindle(shop, "user", "why", "she").split())
    assert f"not sent: {paused} since" in why
    assert "wrong price" in why


# --- making -------------------------------------------------------------------------------------


class _Times:
    """Answers slowly, and remembers when each request came."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self._lock = threading.Lock()

    def answer(self, _: int) -> int:
        with self._lock:
            self.at.append(time.monotonic())
        threading.Event().wait(0.03)
        return 202


def _hook(port: int) -> dict[str, Any]:
    return {
        "REKINDLE_GATEWAY_PUSH": f"webhook:http://127.0.0.1:{port}/hook",
        "REKINDLE_WEBHOOK_SECRET_PUSH": SECRET,
    }


def _rekindle(shop: Shop, *arguments: str, fails: bool = False) -> str:
    """Run a command of the operator, and return what it printed."""
    done = CliRunner().invoke(main, list(arguments), env=shop.environ, prog_name="rekindle")
    assert fails or done.exit_code == 0, done.output
    return done.stdout


def _decide(shop: Shop, users: list[str], at: int, *, apply: bool = True) -> None:
    """Let each user be decided about: an action by push each."""
    if apply:
        shop.apply(shipped(replace=CERTAIN))
    events = [event for user in users for event in _history(user, at)]
    shop.load([*events, ev.Tick(now=at + HOUR + 10 * MINUTE, origin="loader")])
    with shop.worker("decide"):
        wait_folded(shop)


def _history(user: str, at: int) -> list[ev.Event]:
    def common(number: int) -> dict[str, Any]:
        when = at + number * SECOND
        source = ev.Position(f"test-{user}", 0, 0, number)
        shared = {"event_id": f"{user}-{number}", "user_id": user, "source": source}
        return shared | {"occurred_at": when, "received_at": when}

    line = ev.Line("p1", 1, 300.0, "Shoe", "CNY")
    known = {"push": f"+86-{user}"}
    return [
        ev.Identified(**common(0), addresses=known, zones=["Asia/Shanghai"], locale="en"),
        ev.ConsentChanged(**common(1), channel="push", granted=True),
        ev.ProductAdded(**common(2), line=line),
    ]


def _told(shop: Shop, count: int) -> Counter[tuple[str, str]] | None:
    """Return how often each fate was told, once that of every action is."""
    told = {report["action_id"]: report for report in shop.values("feedback")}
    fates = Counter((report["type"], report["reason"]) for report in told.values())
    return fates if len(told) == count else None


def test_what_stops_a_channel_is_written_though_a_lifted_pause_is_still_in_force(
    shop: Shop,
) -> None:
    """The folded settings say paused: that somebody let go since then stands in the log alone."""
    shop.apply(shipped())
    by_hand = controls.pause("channel:push", actor="operator:anna", at=START)
    let_go = controls.resume("channel:push", actor="operator:anna", at=START + MINUTE)
    found = controls.pause("channel:push", actor="audit", at=START + 2 * MINUTE)

    _act(shop, by_hand)
    with shop.worker("decide"):
        wait_folded(shop)
    _act(shop, let_go)
    stopped = _act(shop, found)
    again = _act(shop, found)

    assert (stopped.partitions, stopped.at_handover) == (4, True)
    assert again.partitions == 0


def _act(shop: Shop, control: ev.Control) -> Acted:
    return asyncio.run(act(shop.deployment, control))
