"""Examples stand for all the ways in which fates changed, and for as many people as possible."""

from collections.abc import Mapping

import msgspec
import pytest

from engine.decisions import ChannelView, Decision, DecisionTrigger
from engine.reasons import REASONS
from engine.report import Report
from engine.times import iso
from streams.replay.difference import EXAMPLES, Difference, Side
from streams.replay.run import Result
from streams.replay.told import Sides, told
from tests.support.builders import START


def a_decision(user: str, reason: str, key: str = "c", **changed: object) -> Decision:
    """Build a closing decision; ``sent`` goes by push."""
    sent = reason == "sent"
    decision = Decision(
        decision_id=f"{user}-{key}",
        pos="1.1",
        at=iso(START),
        user_id=user,
        campaign="cart",
        campaign_version=1,
        trigger=DecisionTrigger(
            kind="cart_abandonment",
            key=key,
            episode="e",
            armed_at=iso(START),
            due_at=iso(START),
        ),
        attempt=0,
        outcome="send" if sent else "suppress",
        reason=reason,
        channel="push" if sent else None,
        currency="CNY",
        channels={"push": ChannelView(worth=0.5)},
    )
    return msgspec.structs.replace(decision, **changed)


def changed(fates: Mapping[tuple[str, str], tuple[str, str]]) -> Difference:
    """Compare two sides of (user, key): (before, after)."""
    difference = Difference()
    for (user, key), (before, after) in fates.items():
        sides: tuple[tuple[Side, str], ...] = (("before", before), ("after", after))
        for side, reason in sides:
            decision = a_decision(user, reason, key)
            getattr(difference, side).add(decision, None)
            difference.add(side, decision)
    difference.finish()
    return difference


def test_every_way_has_an_example_before_one_has_two() -> None:
    often = {(f"u-{n:03}", "c"): ("sent", "not_worth_it") for n in range(50)}
    seldom = {
        ("v-1", "c"): ("cooldown", "sent"),
        ("v-2", "c"): ("no_consent", "unreachable"),
    }

    examples = changed(often | seldom).examples()

    assert len(examples) == EXAMPLES
    assert [one.before for one in examples[:3]] == ["gets push", "cooldown", "no_consent"]
    assert {one.user_id for one in examples} >= {"v-1", "v-2"}


def test_a_person_stands_once_where_others_are_left() -> None:
    hers = {("a-1", f"c-{n}"): ("sent", "not_worth_it") for n in range(5)}
    others = {(f"u-{n}", "c"): ("sent", "not_worth_it") for n in range(3)}

    people = [one.user_id for one in changed(hers | others).examples()]

    assert people[:4] == ["a-1", "u-0", "u-1", "u-2"]


@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_of_arrival_does_not_choose_the_examples(backwards: bool) -> None:
    fates = {(f"u-{n:03}", "c"): ("sent", "cooldown") for n in range(40)}
    ordered = dict(reversed(fates.items())) if backwards else fates

    assert [one.user_id for one in changed(ordered).examples()] == [f"u-00{n}" for n in range(10)]


def test_the_same_at_another_time_is_the_same_and_counted() -> None:
    difference = Difference()
    difference.add("before", a_decision("u-1", "sent"))
    difference.add("after", a_decision("u-1", "sent", at=iso(START + 60_000)))
    difference.finish()

    assert (difference.same, difference.retimed, difference.changed) == (1, 1, {})


def test_held_back_is_no_fate() -> None:
    difference = Difference()
    difference.add("before", a_decision("u-1", "quiet_hours", outcome="defer"))
    difference.add("after", a_decision("u-1", "sent"))
    difference.finish()

    assert difference.changed == {("cart", "never decided", "gets push"): 1}


def text_of(difference: Difference) -> str:
    result = Result(
        report=Report(),
        preview=difference.after,
        difference=difference,
        profiles=0,
        profile_bytes=(0, 0),
        settings_hashes=[],
        unreadable={},
        notes=[],
    )
    return "\n".join(told(result, Sides("mine.toml", "the log's own campaigns")))


def test_money_and_people_are_told_before_and_after() -> None:
    fates = {
        ("u-1", "c"): ("sent", "not_worth_it"),
        ("u-2", "c"): ("sent", "sent"),
        ("u-3", "c"): ("cooldown", "sent"),
        ("u-4", "c"): ("cooldown", "sent"),
    }
    said = text_of(changed(fates))

    assert "people spoken to: 2 -> 3 (2 newly, 1 no longer)" in said
    assert "  cart        2 -> 3  0.00 -> 0.00       1.00 -> 1.50" in said
    assert "Worth is assumed" in said
    assert "what they did in the recorded log" in " ".join(said.split())


def test_currencies_are_never_added_up() -> None:
    difference = Difference()
    for campaign, currency in (("cart", "CNY"), ("other", "EUR")):
        difference.before.add(a_decision("u-1", "sent", campaign=campaign, currency=currency), None)
    difference.add("before", a_decision("u-1", "sent"))
    difference.finish()
    said = text_of(difference)

    assert "0.50 CNY" in said
    assert "0.50 EUR" in said
    assert "together" not in said


@pytest.mark.parametrize("reason", [*(one for one in REASONS if one != "cooldown"), "cap:any-24h"])
def test_every_reason_reads_as_words(reason: str) -> None:
    said = text_of(changed({("u-1", "c"): ("cooldown", reason)})).partition("What changes")[2]

    assert said
    assert "_" not in said
    assert "cap:" not in said


def test_many_ways_are_cut_and_counted() -> None:
    fates = {(f"u-{n:02}", "c"): ("sent", reason) for n, reason in enumerate(REASONS[3:20])}

    said = text_of(changed(fates))

    assert "5  in 5 other ways: --json has them all" in said
    assert max(len(line) for line in said.splitlines()) <= 80
