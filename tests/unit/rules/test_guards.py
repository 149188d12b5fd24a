"""Each guard by itself: what it objects to, whom it binds, and in which order they are asked."""

import pkgutil
from dataclasses import replace
from typing import Any

import msgspec
import pytest

import rules.guards
from engine import controls
from engine.controls import Held
from engine.decisions import judge_again, object_to
from engine.ports import Case, Objection
from engine.profile import Consent, Profile, Reach, Send
from engine.reasons import is_reason
from engine.times import DAY, HOUR
from rules.guards import (
    GUARDS,
    caps,
    consent,
    cooldown,
    dates,
    pause,
    personalisation,
    quiet_hours,
    reachability,
    staleness,
    suppression,
    throttle,
)
from tests.support.builders import START, USER, a_cart_campaign, a_policy, a_profile, a_trigger
from tests.support.world import in_force


def a_case(profile: Profile | None = None, now: int = START + HOUR, **campaign: Any) -> Case:
    """Ask about a cart that is due now, for somebody who may be spoken to."""
    chosen = a_cart_campaign(**campaign)
    return Case(
        user_id=USER,
        profile=profile or a_profile(),
        trigger=a_trigger(),
        campaign=chosen,
        policy=a_policy(chosen),
        now=now,
        dry_run=False,
    )


def under(*held: Held) -> Case:
    """Ask while this is held back."""
    return replace(a_case(), standing=controls.standing(held, START))


def a_send(hours_ago: float = 1, **changes: Any) -> Send:
    send = Send(START + HOUR - round(hours_ago * HOUR), "cart", "push", "a-1")
    return msgspec.structs.replace(send, **changes)


def test_nobody_objects_to_somebody_who_may_be_spoken_to() -> None:
    assert [guard(a_case(), "push") for guard in GUARDS] == [None] * len(GUARDS)


def test_the_order_is_stated_and_complete() -> None:
    modules = (
        dates,
        pause,
        staleness,
        consent,
        personalisation,
        reachability,
        suppression,
        cooldown,
        caps,
        throttle,
        quiet_hours,
    )
    assert [module.GUARD for module in modules] == list(GUARDS)
    names = {module.name for module in pkgutil.iter_modules(rules.guards.__path__)}
    assert names == {module.__name__.rpartition(".")[2] for module in modules}
    stated = rules.guards.__doc__ or ""
    places = [stated.index(module.__name__.rpartition(".")[2].split("_")[0]) for module in modules]
    assert places == sorted(places)


def test_only_what_counts_spares_testers_and_only_what_charges_is_skipped_later() -> None:
    spares = [guard for guard in GUARDS if not guard.for_testers]
    assert spares == [cooldown.GUARD, caps.GUARD, throttle.GUARD]
    later = [guard for guard in GUARDS if not guard.at_handover]
    assert later == [staleness.GUARD, cooldown.GUARD, caps.GUARD]


# --- what the operator wants --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("starts", "ends", "objects"),
    [
        (None, None, False),
        (START + HOUR, None, False),
        (START + HOUR + 1, None, True),
        (None, START + HOUR, True),
        (None, START + HOUR + 1, False),
    ],
)
def test_a_campaign_speaks_from_its_first_to_its_last_moment(
    starts: int | None, ends: int | None, objects: bool
) -> None:
    found = dates.GUARD(a_case(starts=starts, ends=ends), "push")
    assert found == (Objection("outside_dates") if objects else None)


def test_a_pause_in_the_file_or_by_command_silences_the_campaign() -> None:
    assert pause.GUARD(a_case(status="paused"), "push") == Objection("campaign_paused")
    campaign, push = Held(target="campaign:cart"), Held(target="channel:push")
    assert pause.GUARD(under(push, campaign), "push") == Objection("campaign_paused", held=campaign)


def test_a_paused_channel_silences_only_itself() -> None:
    push = Held(target="channel:push", by="operator:anna", reason="wrong price")
    case = under(push, Held(target="campaign:other"))
    assert pause.GUARD(case, "push") == Objection("channel_paused", held=push)
    assert pause.GUARD(case, "email") is None


def test_a_throttle_lets_its_share_through_and_the_same_people_at_every_higher_one() -> None:
    through: dict[float, set[str]] = {}
    users = [f"u-{number}" for number in range(2_000)]
    for share in (0.1, 0.5, 0.9):
        case = under(Held(target="channel:push", share=share))
        asked = {user: throttle.GUARD(replace(case, user_id=user), "push") for user in users}
        through[share] = {user for user, objection in asked.items() if objection is None}
        assert {o.reason for o in asked.values() if o} == {"rate_brake"}
        # six standard deviations of a fair lot at the worst share
        assert abs(len(through[share]) / len(users) - share) < 6 * 0.5 / len(users) ** 0.5
    assert through[0.1] < through[0.5] < through[0.9]


def test_the_lot_of_a_throttle_falls_the_same_at_the_hand_over_and_anew_for_the_next_cart() -> None:
    case = under(Held(target="channel:push", share=0.5))
    again = replace(case, handing_over=True, now=case.now + HOUR)
    assert throttle.GUARD(case, "push") == throttle.GUARD(again, "push")

    episodes = [msgspec.structs.replace(case.trigger, episode=f"e-{n}") for n in range(64)]
    asked = [throttle.GUARD(replace(case, trigger=one), "push") for one in episodes]
    assert None in asked
    assert any(asked)


def test_a_throttle_binds_its_own_channel_only() -> None:
    case = under(Held(target="channel:push", share=0.1))
    users = [f"u-{number}" for number in range(100)]
    assert not any(throttle.GUARD(replace(case, user_id=user), "sms") for user in users)


def test_what_is_late_beyond_stale_after_is_not_said() -> None:
    due = a_trigger().due_at
    assert staleness.GUARD(a_case(now=due + 14 * HOUR), "push") is None
    assert staleness.GUARD(a_case(now=due + 14 * HOUR + 1), "push") == Objection("stale")


# --- whether she may be spoken to ---------------------------------------------------------------


def consenting(*words: tuple[str, str, bool, int]) -> Profile:
    profile = a_profile(consent=False)
    profile.consents = [Consent(*word) for word in words]
    return profile


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ([], False),
        ([("marketing", "push", True, 1)], True),
        ([("marketing", "email", True, 1)], False),
        ([("marketing", "*", True, 1)], True),
        ([("marketing", "*", True, 1), ("marketing", "push", False, 2)], False),
        ([("marketing", "push", False, 1), ("marketing", "*", True, 2)], True),
        ([("marketing", "push", True, 1), ("marketing", "*", False, 1)], False),
        ([("personalisation", "*", True, 1)], False),
    ],
)
def test_her_last_word_on_the_channel_counts_and_no_word_is_a_no(
    words: list[tuple[str, str, bool, int]], allowed: bool
) -> None:
    found = consent.GUARD(a_case(consenting(*words)), "push")
    assert found == (None if allowed else Objection("no_consent"))


def test_personalisation_is_off_only_when_she_switched_it_off() -> None:
    off = ("personalisation", "*", False, 2)
    assert personalisation.GUARD(a_case(consenting()), "push") is None
    assert personalisation.GUARD(a_case(consenting(off)), "sms") == Objection("personalisation_off")
    on_again = ("personalisation", "push", True, 3)
    assert personalisation.GUARD(a_case(consenting(off, on_again)), "push") is None


def test_without_an_address_or_a_name_she_cannot_be_reached() -> None:
    reach = reachability.GUARD
    assert reach(a_case(a_profile(reachable=["email"])), "push") == Objection("unreachable")
    assert reach(a_case(a_profile(reachable=["email"])), "email") is None
    gone = a_profile()
    gone.reach["push"] = Reach(b"", START)
    assert reach(a_case(gone), "push") == Objection("unreachable")
    assert reach(replace(a_case(), user_id="anon:d-1"), "push") == Objection("unreachable")


def test_an_address_that_bounced_for_good_silences_its_channel_only() -> None:
    profile = a_profile()
    profile.reach["email"].suppressed = True
    assert suppression.GUARD(a_case(profile), "email") == Objection("suppressed_address")
    assert suppression.GUARD(a_case(profile), "push") is None


# --- whether she has heard enough of this campaign ----------------------------------------------


def cooling(*sends: Send, lost_at: int = 0, **case: Any) -> Objection | None:
    profile = a_profile()
    profile.sends, profile.sends_lost_at = list(sends), lost_at
    return cooldown.GUARD(replace(a_case(profile), **case), "email")


def test_a_campaign_rests_on_every_channel_after_it_has_spoken() -> None:
    assert cooling(a_send(71.9)) == Objection("cooldown")
    assert cooling(a_send(72)) is None
    assert cooling(a_send(1, campaign="other")) is None


def test_what_was_given_back_or_said_in_a_dry_run_only_does_not_cool() -> None:
    assert cooling(a_send(outcomes={"rejected": 3})) is None
    assert cooling(a_send(outcomes={"rejected": 3, "delivered": 5})) == Objection("cooldown")
    assert cooling(a_send(withheld="dry_run")) is None
    assert cooling(a_send(withheld="dry_run"), dry_run=True) == Objection("cooldown")
    assert cooling(a_send(withheld="holdout")) == Objection("cooldown")


def test_a_send_lost_within_the_cooldown_is_taken_for_the_campaigns_own() -> None:
    assert cooling(lost_at=START - 70 * HOUR) == Objection("cooldown")
    assert cooling(lost_at=START + HOUR - 72 * HOUR) is None


def test_no_cooldown_never_objects() -> None:
    profile = a_profile()
    profile.sends = [a_send(0)]
    assert cooldown.GUARD(a_case(profile, cooldown=0), "push") is None


# --- together -----------------------------------------------------------------------------------


def test_a_tester_is_spared_caps_and_cooldown_but_not_consent() -> None:
    campaign = a_cart_campaign()
    force = in_force(a_policy(campaign, testers=[USER]))
    assert force.policy is not None
    profile = a_profile()
    profile.sends = [a_send()]
    case = replace(a_case(profile), policy=force.policy)
    assert object_to(case, "push", force) is None
    profile.consents = []
    found = object_to(case, "push", force)
    assert found is not None
    assert found[1].reason == "no_consent"


def test_before_hand_over_its_own_charge_does_not_object_but_a_withdrawal_does() -> None:
    profile = a_profile()
    profile.sends = [a_send(0)]
    case, force = a_case(profile), in_force(a_policy())
    assert object_to(case, "push", force) is not None
    assert judge_again(case, "push", force) is None
    profile.consents[0].granted = False
    assert judge_again(case, "push", force) == Objection("no_consent")


def test_every_reason_is_in_the_closed_list() -> None:
    reasons = [
        dates.GUARD(a_case(ends=0), "push"),
        pause.GUARD(a_case(status="paused"), "push"),
        staleness.GUARD(a_case(now=START + 9 * DAY), "push"),
        consent.GUARD(a_case(consenting()), "push"),
        reachability.GUARD(a_case(a_profile(reachable=[])), "push"),
        cooling(a_send()),
        throttle.GUARD(under(Held(target="channel:push", share=1e-9)), "push"),
        quiet_hours.GUARD(a_case(now=START + 14 * HOUR), "push"),
    ]
    assert all(found is not None and is_reason(found.reason) for found in reasons)
