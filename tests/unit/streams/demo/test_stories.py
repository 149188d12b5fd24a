"""Stories are found in a run that holds them, told in three lines, and not in one that does not."""

import ast
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.times import DAY, HOUR, MINUTE, from_iso, iso
from streams.demo import stories as subject
from streams.demo.stories import find, told

# 18:00 in Shanghai
START = from_iso("2026-10-13T10:00:00Z")
HER = "shopper-0167"
CAMPAIGNS = """
[channel.push]
cost = 0.0
patience = 0.05
[channel.sms]
cost = 0.05
patience = 0.3
[[campaign]]
id = "cart"
margin = 0.3
[campaign.lift]
push = 1.1
sms = 2.0
"""


class Run:
    """A recorded run in a folder, written line by line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "events").mkdir()
        (folder / "artefacts").mkdir()
        (folder / "campaigns.toml").write_text(CAMPAIGNS)
        self.append("events/0.jsonl", {"value": {"type": "tick", "now": START}})
        self.event("identified", START, zones=["Asia/Shanghai"])

    def append(self, name: str, line: dict[str, Any]) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")

    def event(self, kind: str, at: int, **fields: Any) -> None:
        value = {"type": kind, "user_id": HER, "occurred_at": at, **fields}
        self.append("events/0.jsonl", {"value": value})

    def cart(self, at: int) -> None:
        line = ["p-1", 1, 219.0, "Pen", "CNY"]
        self.event("product_added", at, cart_id="cart-1", line=line)

    def order(self, at: int, cart_id: str = "cart-1") -> None:
        self.event("order_completed", at, cart_id=cart_id, total=219.0, currency="CNY")

    def decision(self, at: int, reason: str, **fields: Any) -> None:
        decision = {
            "decision_id": f"d-{at}",
            "at": iso(at),
            "user_id": HER,
            "campaign": "cart",
            "trigger": {
                "kind": "cart_abandonment",
                "key": "cart-1",
                "episode": "e-1",
                "due_at": iso(fields.pop("due", at)),
            },
            "reason": reason,
            "currency": "CNY",
            "channel": None,
            "channels": {},
            "caps": [],
            "model": None,
            "basket": 219.0,
            "action_id": None,
            **fields,
        }
        self.append("decisions.jsonl", decision)

    def push(self) -> None:
        action = {"action_id": "a-1", "channel": "push", "content": {"body": "Still there."}}
        self.append("actions.push.jsonl", action)

    def clicked(self, at: int) -> None:
        said = {"action_id": "a-1", "type": "clicked", "occurred_at": iso(at)}
        self.append("feedback.jsonl", said)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def reminded(run: Run, ordered_at: int) -> None:
    run.cart(START)
    run.decision(START + 2 * HOUR, "sent", channel="push", action_id="a-1")
    run.push()
    run.clicked(START + 2 * HOUR + 29 * MINUTE)
    run.order(ordered_at)


def test_who_was_reminded_and_bought_is_found(run: Run) -> None:
    reminded(run, START + 3 * HOUR)
    assert list(told(find(run.folder))) == [
        "1. Reminded, and bought (shopper-0167)",
        "   Tue 13 Oct 18:00 Pen (219 CNY) went into her cart, and nothing more.",
        "   20:00 Push: “Still there.”",
        "   20:29 clicked; 21:00 ordered for 219 CNY.",
    ]


def test_an_order_a_day_after_the_click_is_no_story(run: Run) -> None:
    reminded(run, START + DAY)
    assert find(run.folder) == []


def test_who_bought_minutes_before_is_found(run: Run) -> None:
    due = START + HOUR
    run.cart(START)
    run.order(due - 4 * MINUTE)
    run.decision(due - 4 * MINUTE, "converted", due=due)
    (story,) = find(run.folder)
    assert story.title == "Silent, because she bought minutes before"
    assert story.told[1] == "   18:56 ordered for 219 CNY, 4 minutes before it was due."


def test_a_purchase_an_hour_before_is_not_called_minutes(run: Run) -> None:
    due = START + 2 * HOUR
    run.cart(START)
    run.order(due - HOUR)
    run.decision(due - HOUR, "converted", due=due)
    assert find(run.folder) == []


def test_what_was_held_overnight_and_not_needed_is_found(run: Run) -> None:
    night, morning = START + 4 * HOUR, START + 14 * HOUR
    run.cart(START + 3 * HOUR)
    run.decision(night, "quiet_hours", until=iso(morning))
    run.order(night + HOUR)
    run.decision(night + HOUR, "converted", due=night)
    (story,) = find(run.folder)
    assert story.title == "Held overnight, then not needed"
    assert "held until Wed 14 Oct 08:00" in story.told[1]


def views(worth_of_push: float) -> dict[str, Any]:
    push = {"objection": None, "p0": 0.2, "uplift": 0.015686, "worth": worth_of_push}
    sms = {"objection": "cap:sms-7d", "p0": None, "uplift": None, "worth": None}
    return {"push": push, "sms": sms}


def test_a_cap_that_closed_the_best_channel_is_found(run: Run) -> None:
    # 0.015686 x 0.3 x 219 - 0.05 = 0.98 by push; by SMS 0.1333 x 65.7 - 0.05 - 0.30 = 8.41
    run.push()
    run.decision(
        START,
        "sent",
        channel="push",
        action_id="a-1",
        channels=views(0.98057),
        caps=[["sms-7d", 1, 1]],
    )
    (story,) = find(run.folder)
    assert story.title == "A cap refused the best channel"
    assert "SMS was worth most, 8.41 CNY." in story.told[0]
    assert story.told[1] == "   The cap sms-7d allows 1, and 1 had gone out."
    assert "a push, worth 0.98" in story.told[2]


def test_a_cap_on_a_channel_that_was_worth_less_is_no_story(run: Run) -> None:
    run.push()
    text = (run.folder / "campaigns.toml").read_text().replace("sms = 2.0", "sms = 1.0")
    (run.folder / "campaigns.toml").write_text(text)
    run.decision(
        START,
        "sent",
        channel="push",
        action_id="a-1",
        channels=views(0.98057),
        caps=[["sms-7d", 1, 1]],
    )
    assert find(run.folder) == []


def test_chinese_characters_take_two_columns(run: Run) -> None:
    action = {"action_id": "a-1", "channel": "push", "content": {"body": "购" * 60}}
    run.append("actions.push.jsonl", action)
    run.cart(START)
    run.decision(START + 2 * HOUR, "sent", channel="push", action_id="a-1")
    run.clicked(START + 2 * HOUR)
    run.order(START + 3 * HOUR)
    (story,) = find(run.folder)
    assert story.told[1].endswith("…")
    assert len(story.told[1]) + story.told[1].count("购") <= 80


def test_the_stories_import_nothing_of_the_engine() -> None:
    tree = ast.parse(Path(subject.__file__).read_text())
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = ("engine", "rules", "models", "monitoring", "streams")
    assert [name for name in modules if name.startswith(ours)] == ["streams.demo.recount"]
