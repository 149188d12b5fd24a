"""The recount finds nothing in an honest run, and finds each lie that is put into one."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.times import DAY, HOUR, from_iso, iso
from streams.demo import recount as subject
from streams.demo.recount import newcombe, recount, wilson

START = from_iso("2026-10-05T00:00:00Z")
CAMPAIGNS = """
version = 1
testers = ["tester"]
[[cap]]
name = "any-24h"
kind = "rolling"
window = "24h"
limit = 1
[[cap]]
name = "any-7d"
kind = "rolling"
window = "7d"
limit = 3
[[cap]]
name = "day-sms"
kind = "calendar_day"
limit = 1
channel = "sms"
[[campaign]]
id = "cart"
conversion_window = "24h"
"""
Line = dict[str, Any]


class Run:
    """A recorded run in a folder, written line by line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "events").mkdir()
        (folder / "campaigns.toml").write_text(CAMPAIGNS)
        self.offset = 0
        self.tick(START)

    def append(self, name: str, line: Line) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")

    def event(self, **fields: Any) -> None:
        self.offset += 1
        line = {"offset": self.offset, "timestamp": 1, "value": fields}
        self.append("events/0.jsonl", line)

    def tick(self, now: int) -> None:
        self.event(type="tick", now=now)

    def ordered(self, user: str, at: int, order: str) -> None:
        self.event(
            type="order_completed",
            event_id=order,
            user_id=user,
            occurred_at=at,
            order_id=order,
            source=["raw", 0, 0, self.offset, 0],
        )

    def decided(self, user: str, at: int, outcome: str, reason: str, number: int = 0) -> str:
        name = f"{user}-{at}-{number}"
        self.append(
            "decisions.jsonl",
            {
                "decision_id": f"d-{name}",
                "at": iso(at),
                "user_id": user,
                "campaign": "cart",
                "trigger": {"kind": "cart_abandonment", "key": name, "episode": name},
                "outcome": outcome,
                "reason": reason,
                "action_id": f"a-{name}" if outcome == "send" else None,
            },
        )
        return name

    def sent(self, user: str, at: int, channel: str = "push", zone: str = "Asia/Shanghai") -> str:
        name = self.decided(user, at, "send", "sent")
        self.append(
            f"actions.{channel}.jsonl",
            {
                "action_id": f"a-{name}",
                "channel": channel,
                "user_id": user,
                "to": {"timezone": zone},
                "delivery": {"created_at": iso(at)},
            },
        )
        self.append("gateway.jsonl", {"action_id": f"a-{name}"})
        self.told(name, "accepted")
        return name

    def told(self, name: str, kind: str) -> None:
        self.append("feedback.jsonl", {"action_id": f"a-{name}", "type": kind})

    def tallied(self, armed: int, still_open: int) -> None:
        (self.folder / "armed.json").write_bytes(orjson.dumps({"cart": armed}))
        (self.folder / "open.json").write_bytes(orjson.dumps({"cart": still_open}))

    def recount(self) -> subject.Recount:
        return recount(self.folder, self.folder / "campaigns.toml")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def an_honest_run(run: Run) -> Run:
    for day in range(3):
        run.sent("u-1", START + day * DAY)
    run.sent("u-2", START)
    run.decided("u-3", START, "disarm", "converted")
    run.decided("u-4", START, "suppress", "no_consent")
    run.decided("u-5", START, "defer", "quiet_hours")
    run.ordered("u-3", START, "o-1")
    run.tick(START + 9 * DAY)
    run.tallied(armed=7, still_open=1)
    return run


def test_an_honest_run_is_clean_and_adds_up(run: Run) -> None:
    told = an_honest_run(run).recount()
    assert told.clean, told
    assert told.actions == {"push": 4}
    assert told.decisions == {"sent": 4, "converted": 1, "no_consent": 1}
    balance = told.balances["cart"]
    assert (balance.armed, balance.sent, balance.silenced, balance.disarmed, balance.open) == (
        7,
        4,
        1,
        1,
        1,
    )
    assert told.events == 1
    assert told.profiles == 1


def double_a_line(name: str) -> Callable[[Run], None]:
    def lie(run: Run) -> None:
        path = run.folder / name
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines, lines[0]]))

    return lie


def drop_a_line(name: str) -> Callable[[Run], None]:
    def lie(run: Run) -> None:
        path = run.folder / name
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))

    return lie


def over_a_day(run: Run) -> None:
    run.sent("u-2", START + DAY - 1)
    run.tallied(armed=8, still_open=1)


def over_a_week(run: Run) -> None:
    run.sent("u-1", START + 3 * DAY)
    run.tallied(armed=8, still_open=1)


def end_a_trigger_twice(run: Run) -> None:
    name = run.decided("u-9", START, "disarm", "converted")
    path = run.folder / "decisions.jsonl"
    last = orjson.loads(path.read_bytes().splitlines()[-1])
    run.append("decisions.jsonl", {**last, "decision_id": f"other-{name}"})


def sneak_an_action_in(run: Run) -> None:
    run.append(
        "actions.push.jsonl",
        {
            "action_id": "a-sneaked",
            "channel": "push",
            "user_id": "u-8",
            "to": {"timezone": "UTC"},
            "delivery": {"created_at": iso(START)},
        },
    )
    run.append("gateway.jsonl", {"action_id": "a-sneaked"})


LIES: dict[str, tuple[Callable[[Run], None], str]] = {
    "a hand-over twice": (double_a_line("gateway.jsonl"), "doubled"),
    "an action twice": (double_a_line("actions.push.jsonl"), "doubled"),
    "a trigger ended twice": (end_a_trigger_twice, "doubled"),
    "a hand-over lost": (drop_a_line("gateway.jsonl"), "lost"),
    "an action lost": (drop_a_line("actions.push.jsonl"), "lost"),
    "a decision lost": (drop_a_line("decisions.jsonl"), "unexplained"),
    "an action nobody decided": (sneak_an_action_in, "unexplained"),
    "two in a day": (over_a_day, "over_cap"),
    "four in a week": (over_a_week, "over_cap"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found(run: Run, name: str) -> None:
    lie, kind = LIES[name]
    lie(an_honest_run(run))
    told = run.recount()
    assert getattr(told, kind), told
    assert not told.clean


def test_a_silent_closing_that_vanishes_unbalances_the_sum(run: Run) -> None:
    an_honest_run(run)
    path = run.folder / "decisions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b"no_consent" not in line))
    told = run.recount()
    assert not told.balances["cart"].holds
    assert not told.clean


def test_a_send_given_back_leaves_room_and_a_late_proof_takes_it_again(run: Run) -> None:
    name = run.decided("u-1", START, "send", "sent")
    action = {
        "action_id": f"a-{name}",
        "channel": "push",
        "user_id": "u-1",
        "to": {"timezone": "UTC"},
        "delivery": {"created_at": iso(START)},
    }
    run.append("actions.push.jsonl", action)
    run.append("gateway.jsonl", {"action_id": f"a-{name}"})
    run.told(name, "failed")
    run.sent("u-1", START + HOUR)
    assert not run.recount().over_cap
    run.told(name, "delivered")
    assert len(run.recount().over_cap) == 1


def test_an_action_refused_at_hand_over_is_not_lost(run: Run) -> None:
    name = run.decided("u-1", START, "send", "sent")
    run.append(
        "actions.push.jsonl",
        {
            "action_id": f"a-{name}",
            "channel": "push",
            "user_id": "u-1",
            "to": {"timezone": "UTC"},
            "delivery": {"created_at": iso(START)},
        },
    )
    assert run.recount().lost
    run.told(name, "cancelled")
    assert not run.recount().lost


def test_exactly_a_window_later_is_allowed(run: Run) -> None:
    run.sent("u-1", START)
    run.sent("u-1", START + DAY)
    assert not run.recount().over_cap


def test_a_calendar_day_is_that_of_her_zone(run: Run) -> None:
    """23:30 and 00:30 in Shanghai are two days there and one in UTC."""
    late = from_iso("2026-10-06T23:30:00+08:00")
    run.sent("u-1", late, "sms", "Asia/Shanghai")
    run.sent("u-1", late + HOUR, "sms", "Asia/Shanghai")
    run.sent("u-2", late, "sms", "UTC")
    run.sent("u-2", late + HOUR, "sms", "UTC")
    days = [found for found in run.recount().over_cap if "day-sms" in found]
    assert len(days) == 1
    assert days[0].startswith("u-2")


def test_a_message_of_another_system_fills_the_cap_too(run: Run) -> None:
    run.event(
        type="sent_elsewhere", event_id="x", user_id="u-1", occurred_at=START, channel="email"
    )
    run.sent("u-1", START + HOUR)
    assert len(run.recount().over_cap) == 1


def test_testers_have_no_caps(run: Run) -> None:
    run.sent("tester", START)
    run.sent("tester", START + HOUR)
    assert not run.recount().over_cap


def test_an_event_that_intake_repeated_is_counted_once(run: Run) -> None:
    run.ordered("u-1", START, "o-1")
    lines = (run.folder / "events/0.jsonl").read_bytes().splitlines(keepends=True)
    (run.folder / "events/0.jsonl").write_bytes(b"".join([*lines, lines[-1]]))
    assert run.recount().events == 1


def test_the_lift_compares_sent_with_withheld_over_closed_windows(run: Run) -> None:
    for number in range(40):
        run.sent(f"t-{number}", START)
        run.decided(f"w-{number}", START, "suppress", "would_send_holdout")
        if number < 20:
            run.ordered(f"t-{number}", START + HOUR, f"ot-{number}")
        if number < 10:
            run.ordered(f"w-{number}", START + HOUR, f"ow-{number}")
    run.ordered("t-39", START + DAY + 1, "too late")
    run.sent("t-open", START + 2 * DAY)
    run.tick(START + 2 * DAY)
    lift = run.recount().lifts["cart"]
    assert (lift.treated.messages, lift.treated.ordered) == (40, 20)
    assert (lift.withheld.messages, lift.withheld.ordered) == (40, 10)
    assert lift.estimate == pytest.approx(250.0)
    assert lift.interval is not None
    low, high = lift.interval
    assert low < 250 < high
    assert low > 0


def test_many_messages_to_few_people_widen_the_interval(run: Run) -> None:
    for number in range(40):
        run.sent("one", START + number * 30 * DAY)
        run.ordered("one", START + number * 30 * DAY + HOUR, f"o-{number}")
        run.sent("other", START + number * 30 * DAY)
        run.decided(f"w-{number}", START, "suppress", "would_send_holdout")
    run.tick(START + 2000 * DAY)
    treated = run.recount().lifts["cart"].treated
    assert treated.messages == 80
    assert treated.size < 10


def test_the_intervals_are_those_of_the_textbook() -> None:
    """Newcombe 1998, table II, case (a): 56/70 against 48/80, methods 3 and 10."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert newcombe(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_it_uses_nothing_of_our_own_code() -> None:
    tree = ast.parse(Path(subject.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"engine", "rules", "models", "streams", "monitoring"}


def test_what_nobody_can_say_arrived_is_counted(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for number, told in enumerate(("accepted", "unknown", "unknown")):
        said = {"action_id": f"a-{number}", "type": told, "occurred_at": iso(START)}
        run.append("feedback.jsonl", said)
    assert recount(tmp_path, tmp_path / "campaigns.toml").unknown == 2
