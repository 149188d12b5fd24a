"""The closing page fits a terminal and says what the files say, good or bad."""

from dataclasses import replace
from typing import Any

import pytest

from streams.demo.afterwards import Always, Replayed
from streams.demo.playing import Played
from streams.demo.recount import Balance, Group, Lift, Recount
from streams.demo.shop import Effect
from streams.demo.stories import Story
from streams.demo.story import Outcome, as_json, banner, told

CLEAN = Recount(
    events=17_948,
    profiles=300,
    actions={"push": 206, "email": 309, "sms": 29},
    decisions={"sent": 544, "converted": 654, "superseded": 665, "cap:any-24h": 15},
    balances={
        "cart": Balance(armed=1_741, sent=432, silenced=587, disarmed=711, open=11),
        "post-purchase-7d": Balance(armed=669, sent=111, silenced=111, disarmed=319, open=128),
    },
    lost=(),
    doubled=(),
    over_cap=(),
    unexplained=(),
    unknown=0,
    lifts={
        "cart": Lift(Group(423, 77, 400.0), Group(115, 20, 100.0), 8.1, (-81.04, 80.96)),
    },
)


STORY = Story(
    "Reminded, and bought",
    "shopper-0012",
    ("   Tue 13 Oct 18:05 Pen (219 CNY) went into her cart, and nothing more.", "   b", "   c"),
)


def an_outcome(**changes: Any) -> Outcome:
    outcome = Outcome(
        seed=1,
        world="default",
        days=60,
        shoppers=4_000,
        played=Played(unlearned="There is too little to learn from.", recovery=[9.4]),
        kinds={
            "cart": "cart_abandonment",
            "post-purchase-7d": "post_purchase_7d",
            "post-purchase-30d": "post_purchase_30d",
        },
        prices={"push": 0.0, "email": 0.002, "sms": 0.05},
        replayed=Replayed(same=True, due={"cart": 1_100}),
        recount=CLEAN,
        always=Always({"push": 400, "email": 500}, 1.0, "CNY"),
        stories=[STORY],
        truth=Effect(messages=432, ordered=90, without=67),
        folder="demo-run",
        seconds=120.4,
    )
    return replace(outcome, **changes)


def test_the_page_fits_eighty_columns() -> None:
    page = told(an_outcome()) + "\n" + banner(1, 60, 4_000, "fatigued", 0.2)
    assert max(len(line) for line in page.splitlines()) <= 80


def test_the_page_says_what_was_counted() -> None:
    page = told(an_outcome())
    assert "lost 0, doubled 0, over a cap 0; the worker was killed with -9 once." in page
    assert "A replay of the recorded log decides the same, byte for byte." in page
    assert "+8, 95% interval -81 to +81" in page.replace("\n", " ")
    assert "simulator knows: +53" in page.replace("\n", " ")
    assert "DOES NOT ADD UP" not in page


def test_what_was_in_flight_at_the_kill_is_told() -> None:
    assert "unknown" not in told(an_outcome())
    page = told(an_outcome(recount=replace(CLEAN, unknown=2)))
    assert "In flight when it was killed, so never repeated: 2 (told as unknown)." in page


def test_the_page_tells_the_stories_and_how_to_ask_about_them() -> None:
    page = told(an_outcome())
    assert "1. Reminded, and bought (shopper-0012)\n   Tue 13 Oct 18:05 Pen" in page
    assert "rekindle user why shopper-0012 --from demo-run" in page
    assert "rekindle replay demo-run --campaigns demo-run/mine.toml --diff recorded" in page
    assert "rekindle up" in page


def test_the_page_compares_with_sending_always() -> None:
    page = told(an_outcome()).replace("\n", " ")
    assert "900 messages for 1.00 CNY instead of 544 for 2.07: +356." in page


def test_the_page_says_why_nothing_was_learned() -> None:
    assert "There is too little to learn from." in told(an_outcome())


def test_headings_stand_out_where_that_can_be_seen() -> None:
    assert "<Next>" in told(an_outcome(), heading=lambda text: f"<{text}>")
    assert "\x1b" not in told(an_outcome())


def test_the_banner_says_that_the_shop_is_invented() -> None:
    said = banner(1, 60, 4_000, "default", 0.2).replace("\n", " ")
    assert "simulated" in said
    assert "no evidence" in said
    assert "20% hear nothing" in said


def test_a_fault_is_told_with_its_sentences() -> None:
    lost = tuple(f"action a-{number} on push was never handed over" for number in range(7))
    page = told(
        an_outcome(recount=replace(CLEAN, lost=lost), replayed=Replayed(same=False, due={}))
    )
    assert "lost 7" in page
    assert "action a-4 on push was never handed over" in page
    assert "and 2 more" in page
    assert "decides SOMETHING ELSE" in page


def test_a_sum_that_does_not_add_up_is_shown() -> None:
    wrong = {"cart": replace(CLEAN.balances["cart"], open=10)}
    assert "DOES NOT ADD UP" in told(an_outcome(recount=replace(CLEAN, balances=wrong)))


def test_the_object_has_the_fields_of_the_contract() -> None:
    told_as = as_json(an_outcome())
    assert told_as["events"] == 17_948
    assert told_as["profiles"] == 300
    assert told_as["actions"] == {"push": 206, "sms": 29, "email": 309}
    assert told_as["triggers"]["cart_abandonment"] == {
        "armed": 1_741,
        "due": 1_100,
        "closed": 1_730,
        "open": 11,
    }
    assert told_as["triggers"]["post_purchase_30d"]["armed"] == 0
    assert told_as["decisions"]["converted"] == 654
    assert (told_as["cap_violations"], told_as["lost"], told_as["duplicated"]) == (0, 0, 0)
    assert told_as["kills"] == 1
    assert told_as["model"] is None
    assert told_as["lift"] == {
        "estimate": 8.1,
        "interval": [-81.0, 81.0],
        "true": pytest.approx(53.2),
    }


def test_without_closed_windows_the_lift_is_unknown() -> None:
    none = Lift(Group(0, 0, 0.0), Group(0, 0, 0.0), None, None)
    outcome = an_outcome(recount=replace(CLEAN, lifts={"cart": none}), truth=Effect(0, 0, 0))
    assert as_json(outcome)["lift"] == {"estimate": None, "interval": None, "true": None}
    assert "Too few windows" in told(outcome)
