"""Frequency caps: three kinds, their edges, what counts, and when they have room again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy import Cap
from engine.ports import CapState, Case, Objection
from engine.profile import Send
from engine.times import DAY, HOUR, MINUTE, from_iso
from rules import count_caps
from rules.guards.caps import GUARD
from tests.support.builders import USER, a_cart_campaign, a_policy, a_profile, a_trigger
from tests.support.world import World

NOON = from_iso("2026-03-04T12:00+08:00")
ROLLING = Cap(name="any-24h", kind="rolling", window=DAY, limit=1)
DAILY = Cap(name="daily", kind="calendar_day", limit=1)
GAP = Cap(name="gap", kind="gap", window=6 * HOUR)


def a_case(*limits: Cap, sends: list[Send], now: int = NOON, **changes: Any) -> Case:
    zones = changes.pop("zones", ["Asia/Shanghai"])
    lost_at = changes.pop("lost_at", 0)
    when_capped = changes.pop("when_capped", "hold")
    campaign = a_cart_campaign(when_capped=when_capped)
    profile = a_profile(zones=zones)
    profile.sends, profile.sends_lost_at = sends, lost_at
    policy = a_policy(campaign, caps=limits)
    case = Case(USER, profile, a_trigger(), campaign, policy, now, dry_run=False)
    return replace(case, **changes)


def at(iso: str, channel: str = "push", **changes: Any) -> Send:
    return Send(from_iso(iso), "other", channel, f"a-{iso}", **changes)


def test_a_rolling_window_frees_when_its_oldest_send_leaves_it() -> None:
    send = at("2026-03-03T23:50+08:00")
    held = GUARD(a_case(ROLLING, sends=[send]), "push")
    assert held == Objection("cap:any-24h", send.at + DAY)
    assert GUARD(a_case(ROLLING, sends=[send], now=send.at + DAY - 1), "push") is not None
    assert GUARD(a_case(ROLLING, sends=[send], now=send.at + DAY), "push") is None


def test_at_ten_past_midnight_a_new_day_is_free_and_a_rolling_day_is_not() -> None:
    """Given a message at 23:50, when twenty minutes have passed, then the two kinds differ."""
    sends = [at("2026-03-03T23:50+08:00")]
    now = from_iso("2026-03-04T00:10+08:00")
    assert GUARD(a_case(DAILY, sends=sends, now=now), "push") is None
    assert GUARD(a_case(ROLLING, sends=sends, now=now), "push") is not None


def test_a_calendar_day_frees_at_her_midnight() -> None:
    sends = [at("2026-03-04T00:10+08:00")]
    found = GUARD(a_case(DAILY, sends=sends, now=from_iso("2026-03-04T23:50+08:00")), "push")
    assert found == Objection("cap:daily", from_iso("2026-03-05T00:00+08:00"))
    assert GUARD(a_case(DAILY, sends=sends, now=from_iso("2026-03-05T00:00+08:00")), "push") is None


def test_a_send_at_midnight_itself_belongs_to_the_new_day() -> None:
    sends = [at("2026-03-04T00:00+08:00")]
    assert GUARD(a_case(DAILY, sends=sends), "push") is not None


def test_a_day_of_25_hours_is_one_day() -> None:
    sends = [at("2026-11-01T00:10-04:00")]
    now = from_iso("2026-11-01T23:50-05:00")
    found = GUARD(a_case(DAILY, sends=sends, now=now, zones=["America/New_York"]), "push")
    assert found == Objection("cap:daily", from_iso("2026-11-02T00:00-05:00"))


def test_with_several_possible_zones_the_strictest_day_binds() -> None:
    """Given 23:50 in Berlin, when it is past midnight there but not in London, then it waits."""
    sends = [at("2026-03-03T23:50+01:00")]
    now = from_iso("2026-03-04T00:10+01:00")
    zones = ["Europe/Berlin", "Europe/London"]
    found = GUARD(a_case(DAILY, sends=sends, now=now, zones=zones), "push")
    assert found == Objection("cap:daily", from_iso("2026-03-04T00:00+00:00"))


def test_an_unknown_zone_counts_the_day_of_the_file() -> None:
    sends = [at("2026-03-03T23:50+08:00")]
    now = from_iso("2026-03-04T00:10+08:00")
    assert GUARD(a_case(DAILY, sends=sends, now=now, zones=["Nowhere/Land"]), "push") is None


def test_a_gap_counts_from_the_last_send() -> None:
    sends = [at("2026-03-04T05:00+08:00"), at("2026-03-04T07:00+08:00")]
    found = GUARD(a_case(GAP, sends=sends), "push")
    assert found == Objection("cap:gap", from_iso("2026-03-04T13:00+08:00"))
    assert GUARD(a_case(GAP, sends=sends[:1], now=sends[0].at + 6 * HOUR), "push") is None


def test_a_cap_of_one_channel_neither_counts_nor_binds_the_others() -> None:
    sms = Cap(name="sms-7d", kind="rolling", window=7 * DAY, limit=1, channel="sms")
    case = a_case(sms, sends=[at("2026-03-03T12:00+08:00", "sms")])
    assert GUARD(case, "push") is None
    assert GUARD(case, "sms") == Objection("cap:sms-7d", case.now + 6 * DAY)
    assert GUARD(a_case(sms, sends=[at("2026-03-03T12:00+08:00", "push")]), "sms") is None


def test_all_caps_must_allow_the_first_is_named_and_the_last_to_open_says_when() -> None:
    week = Cap(name="any-7d", kind="rolling", window=7 * DAY, limit=1)
    send = at("2026-03-04T10:00+08:00")
    case = a_case(ROLLING, week, sends=[send])
    assert GUARD(case, "push") == Objection("cap:any-24h", send.at + 7 * DAY)


def test_the_operator_may_drop_instead_of_hold() -> None:
    case = a_case(ROLLING, sends=[at("2026-03-04T10:00+08:00")], when_capped="drop")
    assert GUARD(case, "push") == Objection("cap:any-24h", None)


def test_dry_runs_bind_dry_runs_only_the_holdout_binds_everybody() -> None:
    dry, held = at("2026-03-04T10:00+08:00"), at("2026-03-04T11:00+08:00")
    dry.withheld, held.withheld = "dry_run", "holdout"
    assert GUARD(a_case(ROLLING, sends=[dry]), "push") is None
    assert GUARD(a_case(ROLLING, sends=[dry], dry_run=True), "push") is not None
    assert GUARD(a_case(ROLLING, sends=[held]), "push") is not None


def test_what_was_given_back_does_not_count() -> None:
    refused = at("2026-03-04T10:00+08:00", outcomes={"rejected": 1})
    assert GUARD(a_case(ROLLING, sends=[refused]), "push") is None
    refused.outcomes["opened"] = 60  # it was there after all
    assert GUARD(a_case(ROLLING, sends=[refused]), "push") is not None


def test_a_window_that_reaches_back_beyond_a_lost_send_counts_as_full() -> None:
    week = Cap(name="any-7d", kind="rolling", window=7 * DAY, limit=3)
    case = a_case(week, sends=[], lost_at=NOON - 2 * DAY)
    assert GUARD(case, "push") == Objection("cap:any-7d", NOON + 5 * DAY)
    assert count_caps(case) == [CapState("any-7d", 3, 3)]
    assert GUARD(a_case(week, sends=[], lost_at=NOON - 7 * DAY), "push") is None
    assert GUARD(a_case(DAILY, sends=[], lost_at=NOON - HOUR), "push") is not None
    assert GUARD(a_case(DAILY, sends=[], lost_at=NOON - 13 * HOUR), "push") is None


def test_a_decision_records_how_full_every_cap_was() -> None:
    sms = Cap(name="sms-7d", kind="rolling", window=7 * DAY, limit=1, channel="sms")
    sends = [at("2026-03-03T09:00+08:00", "sms"), at("2026-03-04T09:00+08:00")]
    assert count_caps(a_case(ROLLING, sms, DAILY, sends=sends)) == [
        CapState("any-24h", 1, 1),
        CapState("sms-7d", 1, 1),
        CapState("daily", 1, 1),
    ]


KINDS = st.sampled_from(["rolling", "calendar_day", "gap"])


@given(
    KINDS,
    st.integers(1, 4),
    st.sampled_from([HOUR, 6 * HOUR, DAY, 3 * DAY]),
    st.lists(st.integers(0, 4 * DAY // MINUTE), max_size=12),
    st.sampled_from([["Asia/Kolkata"], ["America/New_York", "Pacific/Honolulu"], []]),
)
def test_a_full_cap_says_a_later_moment_at_which_it_allows(
    kind: Any, limit: int, window: int, ages: list[int], zones: list[str]
) -> None:
    """Law: until > now, the cap has room at that moment and has none just before it."""
    cap = Cap(name="x", kind=kind, window=window, limit=1 if kind == "gap" else limit)
    sends = [Send(NOON - age * MINUTE, "other", "push") for age in sorted(ages, reverse=True)]
    case = a_case(cap, sends=sends, zones=zones)
    found = GUARD(case, "push")
    if found is None:
        assert count_caps(case)[0].used < cap.limit
        return
    assert found.until is not None
    assert found.until > case.now
    assert GUARD(replace(case, now=found.until), "push") is None
    assert GUARD(replace(case, now=found.until - 1), "push") is not None


@pytest.mark.parametrize("when_capped", ["hold", "drop"])
def test_a_capped_campaign_holds_or_drops_in_the_pipeline(when_capped: Any) -> None:
    campaign = a_cart_campaign(when_capped=when_capped, stale_after=2 * DAY)
    world = World(a_policy(campaign, caps=[Cap(name="gap", kind="gap", window=4 * HOUR)]))
    world.person()
    world.event(world.told().sent_elsewhere(), world.told().added("p-1"))
    world.wait("5h")
    expected = ["cap:gap", "sent"] if when_capped == "hold" else ["cap:gap"]
    assert world.reasons == expected
    if when_capped == "hold":
        assert world.decisions[0].outcome == "defer"
        assert world.sent[0].delivery.created_at == "2026-03-04T06:00:00.000Z"
