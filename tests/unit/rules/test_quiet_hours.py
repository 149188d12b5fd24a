"""Quiet hours: edges of the window, summer time, several possible zones, and the next morning."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy import QuietHours
from engine.ports import Case
from engine.times import HOUR, MINUTE, SECOND, from_iso
from rules.guards.quiet_hours import AHEAD, GUARD, SPREAD
from rules.zones import wall
from tests.support.builders import USER, a_cart_campaign, a_policy, a_profile, a_trigger
from tests.support.world import World


def a_case(now: str | int, *zones: str, key: str = "", **changes: Any) -> Case:
    quiet = changes.pop("quiet", None)
    campaign = a_cart_campaign(**changes)
    at = from_iso(now) if isinstance(now, str) else now
    profile, policy = a_profile(zones=zones), a_policy(campaign, quiet=quiet)
    return Case(USER, profile, a_trigger(key), campaign, policy, at, dry_run=False)


def until(case: Case) -> int | None:
    """Return until when it is held; None = it may speak."""
    found = GUARD(case, "push")
    if found is None:
        return None
    assert found.reason == "quiet_hours"
    assert found.until is not None
    assert found.until > case.now
    return found.until


def opens(case: Case, morning: str) -> bool:
    """Return whether it is held until the first hour from ``morning`` on."""
    held = until(case)
    return held is not None and 0 <= held - from_iso(morning) < SPREAD


# --- edges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "quiet"),
    [
        ("07:59:59", True),
        ("08:00:00", False),
        ("20:49:59", False),
        ("20:50:00", True),  # hand-over may take ten minutes
        ("20:59:59", True),
        ("21:00:00", True),
        ("00:00:00", True),
        ("12:00:00", False),
    ],
)
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Asia/Kolkata", "America/New_York"])
def test_a_decision_is_judged_for_the_ten_minutes_after_it(
    zone: str, clock: str, quiet: bool
) -> None:
    day = {"Asia/Shanghai": "+08:00", "Asia/Kolkata": "+05:30", "America/New_York": "-05:00"}[zone]
    case = a_case(f"2026-02-04T{clock}{day}", zone)
    assert (until(case) is not None) == quiet


@pytest.mark.parametrize(
    ("clock", "quiet"),
    [("07:59:59.999", True), ("08:00", False), ("20:59:59.999", False), ("21:00", True)],
)
def test_a_hand_over_is_judged_for_its_own_moment(clock: str, quiet: bool) -> None:
    """What was decided at 20:49 must not be refused at 20:55."""
    case = replace(a_case(f"2026-02-04T{clock}+08:00", "Asia/Shanghai"), handing_over=True)
    assert (GUARD(case, "push") is not None) == quiet


def test_equal_bounds_are_never_quiet() -> None:
    for clock in ("00:00", "03:30", "23:59"):
        case = a_case(f"2026-02-04T{clock}+08:00", "Asia/Shanghai", quiet=QuietHours(480, 480))
        assert until(case) is None


def test_quiet_hours_within_one_day_work_too() -> None:
    siesta = QuietHours(13 * 60, 15 * 60)
    assert until(a_case("2026-02-04T12:45+08:00", "Asia/Shanghai", quiet=siesta)) is None
    assert opens(
        a_case("2026-02-04T12:55+08:00", "Asia/Shanghai", quiet=siesta), "2026-02-04T15:00+08:00"
    )


# --- the next morning ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "night", "morning"),
    [
        ("Asia/Shanghai", "2026-03-04T22:00+08:00", "2026-03-05T08:00+08:00"),
        ("Asia/Shanghai", "2026-03-05T03:00+08:00", "2026-03-05T08:00+08:00"),
        ("Asia/Kolkata", "2026-03-04T22:00+05:30", "2026-03-05T08:00+05:30"),
        # both nights of summer time
        ("America/New_York", "2026-03-07T22:00-05:00", "2026-03-08T08:00-04:00"),
        ("America/New_York", "2026-10-31T22:00-04:00", "2026-11-01T08:00-05:00"),
        ("Europe/Berlin", "2026-03-28T22:00+01:00", "2026-03-29T08:00+02:00"),
        ("Europe/Berlin", "2026-10-24T22:00+02:00", "2026-10-25T08:00+01:00"),
        ("Australia/Lord_Howe", "2026-10-03T22:00+10:30", "2026-10-04T08:00+11:00"),
        ("Australia/Lord_Howe", "2026-04-04T22:00+11:00", "2026-04-05T08:00+10:30"),
    ],
)
def test_the_night_ends_at_her_own_eight(zone: str, night: str, morning: str) -> None:
    assert opens(a_case(night, zone), morning)


def test_a_bound_in_the_hour_left_out_opens_after_the_gap() -> None:
    hours = QuietHours(21 * 60, 2 * 60 + 30)  # 02:30 does not exist on 29 March in Berlin
    case = a_case("2026-03-28T23:00+01:00", "Europe/Berlin", quiet=hours)
    assert opens(case, "2026-03-29T03:00+02:00")


def test_an_hour_that_comes_twice_is_judged_by_its_clock() -> None:
    """Quiet until 01:30; at 02:00 the clock goes back to 01:00, and it is quiet once more."""
    hours = QuietHours(21 * 60, 90)
    case = a_case("2026-11-01T00:30-04:00", "America/New_York", quiet=hours)
    held = until(case)
    assert held is not None
    # twenty of the thirty minutes between the two nights are left for deciding
    assert 0 <= held - from_iso("2026-11-01T01:30-04:00") < 20 * MINUTE
    again = a_case("2026-11-01T01:10-05:00", "America/New_York", quiet=hours)
    assert opens(again, "2026-11-01T01:30-05:00")


def test_a_day_left_out_is_survived() -> None:
    case = a_case("2011-12-29T22:00-10:00", "Pacific/Apia")
    assert opens(case, "2011-12-31T08:00+14:00")


# --- where she may be ---------------------------------------------------------------------------


def test_every_possible_zone_must_be_awake() -> None:
    zones = ("America/New_York", "America/Los_Angeles")
    assert until(a_case("2026-02-04T10:30-05:00", *zones)) is not None  # 07:30 in the west
    assert until(a_case("2026-02-04T12:00-05:00", *zones)) is None
    assert opens(a_case("2026-02-04T20:00-08:00", *zones), "2026-02-05T08:00-08:00")


def test_without_a_known_zone_the_files_zone_speaks() -> None:
    for zones in ([], ["Nowhere/Land"]):
        assert opens(a_case("2026-03-04T22:00+08:00", *zones), "2026-03-05T08:00+08:00")


def test_a_known_zone_stands_beside_an_unknown_one() -> None:
    case = a_case("2026-03-04T22:00+08:00", "Nowhere/Land", "Europe/Berlin")
    assert until(case) is None  # 15:00 in Berlin


def test_zones_that_are_never_awake_together_are_silence_not_a_loop() -> None:
    zones = ("Asia/Shanghai", "America/New_York", "Pacific/Honolulu", "Europe/Berlin")
    found = GUARD(a_case("2026-03-04T12:00+08:00", *zones), "push")
    assert found is not None
    assert (found.reason, found.until) == ("quiet_hours", None)


def test_a_short_common_morning_is_not_missed_by_the_spread() -> None:
    """Given zones that share three quarters of an hour, then all are held into its first part."""
    zones = ("UTC+00:00", "UTC+12:15")  # awake together from 08:00 to 08:45
    helds = [
        until(a_case("2026-03-04T21:30+00:00", *zones, key=f"c-{number}")) for number in range(50)
    ]
    first = from_iso("2026-03-05T08:00+00:00")
    assert all(held is not None and 0 <= held - first < 35 * MINUTE for held in helds)
    assert len(set(helds)) > 40


# --- holding ------------------------------------------------------------------------------------


def test_everybodys_morning_is_spread_over_an_hour_by_a_keyed_draw() -> None:
    morning = from_iso("2026-03-05T08:00+08:00")
    helds = []
    for number in range(200):
        case = a_case("2026-03-04T22:00+08:00", "Asia/Shanghai", key=f"c-{number}")
        assert until(case) == until(case)
        helds.append((until(case) or 0) - morning)
    assert all(0 <= held < HOUR for held in helds)
    assert all(
        any(lo <= held < lo + 15 * MINUTE for held in helds) for lo in range(0, HOUR, 900_000)
    )


def test_the_operator_may_drop_instead_of_hold() -> None:
    found = GUARD(a_case("2026-03-04T22:00+08:00", "Asia/Shanghai", when_quiet="drop"), "push")
    assert found is not None
    assert (found.reason, found.until) == ("quiet_hours", None)


@given(
    st.sampled_from(
        [
            ["America/New_York"],
            ["Europe/Berlin", "Europe/London"],
            ["Australia/Lord_Howe"],
            ["Asia/Kolkata", "Asia/Shanghai"],
            ["America/New_York", "America/Los_Angeles"],
        ]
    ),
    st.integers(from_iso("2026-01-01T00:00Z"), from_iso("2027-01-01T00:00Z")),
    st.integers(0, 23 * 60 + 59),
    st.integers(0, 23 * 60 + 59),
)
def test_what_is_held_may_be_said_in_the_morning(
    zones: list[str], now: int, start: int, end: int
) -> None:
    """Law: judged anew at ``until`` it is allowed, and no clock is quiet for ten minutes more."""
    hours = QuietHours(start, end)
    case = a_case(now, *zones, quiet=hours)
    found = GUARD(case, "push")
    allowed = now if found is None else found.until
    if allowed is None:
        return
    assert GUARD(replace(case, now=allowed), "push") is None
    for zone in zones:
        for at in range(allowed, allowed + AHEAD, MINUTE):
            assert not _quiet(zone, hours, at)
    if found is not None:  # and it was not allowed before: somewhere in reach it is quiet
        assert any(_quiet(zone, hours, at) for zone in zones for at in (now, now + AHEAD)) or any(
            _quiet(zone, hours, at) for zone in zones for at in range(now, now + AHEAD, SECOND * 30)
        )


def _quiet(zone: str, hours: QuietHours, at: int) -> bool:
    """Judge one moment the plain way."""
    clock = wall(zone, at)
    minute = clock.hour * 60 + clock.minute
    if hours.start <= hours.end:
        return hours.start <= minute < hours.end
    return not hours.end <= minute < hours.start


def test_a_cart_left_at_nine_in_the_evening_is_followed_up_in_the_morning() -> None:
    world = World(a_policy(a_cart_campaign(), caps=()), at=from_iso("2026-03-04T20:30+08:00"))
    world.person()
    world.event(world.told().added("p-1"))
    world.wait("13h", step="1m")
    assert world.reasons == ["quiet_hours", "sent"]
    assert "2026-03-05T00:00" <= world.sent[0].delivery.created_at < "2026-03-05T01:02"


def test_who_buys_at_night_is_left_alone_in_the_morning() -> None:
    world = World(a_policy(a_cart_campaign(), caps=()), at=from_iso("2026-03-04T20:30+08:00"))
    world.person()
    world.event(world.told().added("p-1"))
    world.wait("3h")
    world.event(world.told().ordered("p-1"))
    world.wait("12h")
    assert world.reasons == ["quiet_hours", "converted"]
