"""Every decision can be told as one sentence, and its arithmetic is that of the record."""

import re
from typing import Any

import msgspec
import pytest

from engine.decisions import ChannelView, Decision, DecisionTrigger, HeldBack
from engine.ports import CapState
from engine.reasons import REASONS
from rules import campaigns
from streams.sentence import SENTENCES, line, sentence

POLICY = campaigns.load(campaigns.shipped(), "campaigns.toml")
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"

NOT_WORTH_IT = Decision(
    decision_id="d",
    pos="7.1",
    at="2026-03-04T02:00:00.000Z",
    user_id="u-1",
    campaign="cart",
    campaign_version=1,
    trigger=DecisionTrigger(
        kind="cart_abandonment",
        key="c-7",
        episode="e",
        armed_at="2026-03-04T01:00:00.000Z",
        due_at="2026-03-04T02:00:00.000Z",
    ),
    attempt=0,
    outcome="suppress",
    reason="not_worth_it",
    currency="CNY",
    channels={
        "push": ChannelView(objection="unreachable"),
        "sms": ChannelView(p0=0.05, uplift=0.004, worth=-0.378, propensity=0.0),
    },
    basket=60.0,
)


def a_decision(**changed: object) -> Decision:
    return msgspec.structs.replace(NOT_WORTH_IT, **changed)


def test_every_reason_has_its_sentence_and_no_other_has_one() -> None:
    assert set(SENTENCES) == set(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_told_in_one_line(reason: str) -> None:
    said = sentence(a_decision(reason=reason, channel="push"), POLICY)

    assert "\n" not in said
    assert "{" not in said
    assert said


def test_what_was_not_worth_it_is_told_as_arithmetic() -> None:
    assert sentence(NOT_WORTH_IT, POLICY) == (
        f"not sent: 0.4 % more orders {TIMES} 18 CNY {MINUS} 0.05 SMS {MINUS} 0.40 patience "
        f"= {MINUS}0.38 CNY"
    )


def test_the_arithmetic_adds_up() -> None:
    said = sentence(NOT_WORTH_IT, POLICY).replace(MINUS, "-")
    percent, value, cost, patience, worth = (
        float(number) for number in re.findall(r"-?\d+\.?\d*", said.replace("- ", ""))
    )

    assert percent / 100 * value - cost - patience == pytest.approx(worth, abs=0.01)


def test_without_the_campaigns_file_only_the_worth_is_told() -> None:
    assert sentence(NOT_WORTH_IT) == (f"not sent: 0.4 % more orders by sms, worth {MINUS}0.38 CNY")


def test_a_file_with_other_prices_is_not_believed() -> None:
    channels = {"sms": ChannelView(p0=0.05, uplift=0.004, worth=0.06)}

    assert "patience" not in sentence(a_decision(channels=channels), POLICY)


def test_another_version_of_the_campaign_is_not_believed() -> None:
    assert "patience" not in sentence(a_decision(campaign_version=2), POLICY)


def test_what_was_sent_is_told_with_its_channel_and_worth() -> None:
    channels = {"email": ChannelView(p0=0.1, uplift=0.009, worth=1.463, propensity=0.93)}
    sent = a_decision(
        outcome="send", reason="sent", channel="email", channels=channels, basket=550.0
    )

    said = sentence(sent, POLICY)

    assert said.startswith("sent by email: 0.9 % more orders")
    assert "165 CNY" in said
    assert said.endswith("1.46 CNY")


def test_a_cap_is_told_with_its_figures() -> None:
    capped = a_decision(reason="cap:any-7d", caps=[CapState("any-7d", 3, 3)], channels={})

    assert sentence(capped) == "not sent: the cap any-7d allows 3, and 3 had been sent"
    assert "any-9d" in sentence(a_decision(reason="cap:any-9d", channels={}))


def test_a_deferral_says_until_when() -> None:
    held = a_decision(
        outcome="defer", reason="quiet_hours", until="2026-03-05T00:12:00.000Z", channels={}
    )

    assert sentence(held) == ("held back: it is night where she is (until 2026-03-05 00:12 UTC)")


def test_a_line_names_time_campaign_and_cart() -> None:
    assert line(NOT_WORTH_IT).startswith("2026-03-04 02:00 UTC cart c-7: not sent: ")


@pytest.mark.parametrize(
    ("reason", "held", "says"),
    [
        (
            "rate_brake",
            {"target": "channel:email", "share": 0.6, "by": "brake", "reason": "pace"},
            "not sent: e-mail is throttled to 60 % by the brake since 2026-03-04 10:31 UTC: pace",
        ),
        (
            "channel_paused",
            {"target": "channel:sms", "share": 0.0, "by": "operator:anna", "reason": ""},
            "not sent: SMS is paused by anna since 2026-03-04 10:31 UTC",
        ),
        (
            "campaign_paused",
            {
                "target": "campaign:cart",
                "share": 0.0,
                "by": "audit",
                "reason": "over_cap 1",
                "until": "2026-03-04T12:00:00.000Z",
            },
            (
                "not sent: the campaign cart is paused by the audit since 2026-03-04 10:31 UTC "
                "until 2026-03-04 12:00 UTC: over_cap 1"
            ),
        ),
    ],
)
def test_what_was_held_back_is_told_with_who_and_why(
    reason: str, held: dict[str, Any], says: str
) -> None:
    told = HeldBack(since="2026-03-04T10:31:00.000Z", **held)
    assert sentence(a_decision(reason=reason, channels={}, held=told), POLICY) == says
