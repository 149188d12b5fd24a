"""The closing page fits a terminal and says what the files say, good or bad."""

from dataclasses import replace
from typing import Any

import pytest

from streams.demo.recount import Balance, Group, Lift, Recount
from streams.demo.shop import Effect
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
    lifts={
        "cart": Lift(Group(423, 77, 400.0), Group(115, 20, 100.0), 8.1, (-81.04, 80.96)),
    },
)


def an_outcome(**changes: Any) -> Outcome:
    outcome = Outcome(
        seed=1,
        days=35,
        shoppers=300,
        seconds=120.4,
        kills=1,
        holdout=0.2,
        kinds={
            "cart": "cart_abandonment",
            "post-purchase-7d": "post_purchase_7d",
            "post-purchase-30d": "post_purchase_30d",
        },
        due={"cart": 1_100},
        replayed=True,
        recount=CLEAN,
        truth=Effect(messages=432, ordered=90, without=67),
        folder="demo-run",
        witness="shopper-0012",
    )
    return replace(outcome, **changes)


def test_the_page_fits_eighty_columns() -> None:
    for folder in ("demo-run", None):
        page = told(an_outcome(folder=folder)) + "\n" + banner(1, 35, 300, 0.2)
        assert max(len(line) for line in page.splitlines()) <= 80


def test_the_page_says_what_was_counted() -> None:
    page = told(an_outcome())
    assert "lost 0, doubled 0, over a cap 0" in page
    assert "killed -9 once" in page
    assert "A replay of the log decides the same." in page
    assert "+8, 95% interval -81 to +81" in page.replace("\n", " ")
    assert "simulator knows: +53" in page.replace("\n", " ")
    assert "DOES NOT ADD UP" not in page
    assert "rekindle user why shopper-0012 --from demo-run/decisions.jsonl" in page


def test_the_banner_says_that_the_shop_is_invented() -> None:
    said = banner(1, 35, 300, 0.2).replace("\n", " ")
    assert "simulated" in said
    assert "no evidence" in said
    assert "20% hear nothing" in said


def test_a_fault_is_told_with_its_sentences() -> None:
    lost = tuple(f"action a-{number} on push was never handed over" for number in range(7))
    page = told(an_outcome(recount=replace(CLEAN, lost=lost), replayed=False))
    assert "lost 7" in page
    assert "action a-4 on push was never handed over" in page
    assert "and 2 more" in page
    assert "NOT THE SAME" in page


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
