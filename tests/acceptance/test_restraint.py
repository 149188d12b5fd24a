"""When it is better to say nothing, or to say it later: caps, quiet hours, rivals, operators.

Peers' twenty behaviours covered here: 3 (one left in the cap, two reasons), 8 and 9 (quiet hours,
over the change of clocks), 10 (no zone known), 11 (rolling and calendar days), 13 (a refused
hand-over gives the cap back once), 15 in part (after an outage), 17 (a new rule does not
back-fill), 19 in part (the holdout is the same person everywhere).
Later: 12 (order confirmations: purpose "service"), 20 (model service: later), 2 and
15 with real kills (integration).
"""

import msgspec
import pytest

from engine.decisions import in_holdout
from engine.events import OutcomeType
from engine.policy import Cap, Policy
from engine.times import DAY, HOUR, from_iso
from tests.support.builders import (
    SHIPPED_CAPS,
    Told,
    a_cart_campaign,
    a_policy,
    a_post_purchase_campaign,
    shipped_campaigns,
)
from tests.support.recount import local
from tests.support.world import World


def a_world(policy: Policy, at: str = "", zone: str = "Asia/Shanghai") -> World:
    world = World(policy, at=from_iso(at) if at else from_iso("2026-03-04T02:00:00+00:00"))
    world.person("u-1", zone)
    return world


def leave_a_cart(world: World, cart: str) -> None:
    world.event(world.told().added("coat", cart=cart))
    world.wait("1h")


PATIENT = a_cart_campaign(cooldown=0)


# --- caps ---------------------------------------------------------------------------------------


def test_one_a_day_and_three_a_week() -> None:
    world = a_world(a_policy(PATIENT, caps=SHIPPED_CAPS))
    for day in range(5):
        leave_a_cart(world, f"c-{day}")
        leave_a_cart(world, f"d-{day}")
        world.wait("22h 30m", step="30m")

    assert world.reasons == [
        *("sent", "cap:any-24h") * 3,
        *("cap:any-7d",) * 4,
    ]
    assert [cap.used for cap in world.decisions[-1].caps] == [0, 3, 0]


@pytest.mark.parametrize(("kind", "second"), [("calendar_day", "sent"), ("rolling", "cap:daily")])
def test_before_and_after_midnight_is_two_calendar_days_and_one_rolling_day(
    kind: str, second: str
) -> None:
    cap = Cap(name="daily", kind=kind, limit=1)  # type: ignore[arg-type]
    awake = msgspec.structs.replace(a_policy().quiet_hours, start=0, end=0)
    policy = a_policy(PATIENT, caps=(cap,), quiet=awake)
    world = a_world(policy, "2026-03-04T22:50:00+08:00")
    leave_a_cart(world, "a")  # 23:50
    world.event(world.told(ago="40m").added("coat", cart="b"))
    world.wait("20m")  # 00:10

    assert world.reasons == ["sent", second]


def test_held_for_the_gap_it_speaks_when_the_gap_is_over() -> None:
    cap = Cap(name="gap", kind="gap", window=4 * HOUR)
    world = a_world(a_policy(a_cart_campaign(cooldown=0, when_capped="hold"), caps=(cap,)))
    leave_a_cart(world, "a")
    leave_a_cart(world, "b")
    world.wait("4h")

    assert world.reasons == ["sent", "cap:gap", "sent"]
    first, second = (from_iso(action.delivery.created_at) for action in world.sent)
    assert second - first == 4 * HOUR


def test_what_other_systems_send_counts_too() -> None:
    world = a_world(a_policy(PATIENT, caps=SHIPPED_CAPS))
    world.event(world.told().sent_elsewhere("email"))
    leave_a_cart(world, "a")

    assert world.reasons == ["cap:any-24h"]


@pytest.mark.parametrize(
    ("told", "next_one"),
    [
        (("failed",), "sent"),
        (("rejected", "rejected"), "sent"),
        (("failed", "delivered"), "cap:any-24h"),
        (("delivered", "failed"), "cap:any-24h"),
        (("unknown", "failed"), "cap:any-24h"),
        (("bounced",), "cap:any-24h"),
    ],
)
def test_only_a_refused_hand_over_gives_the_cap_back_and_only_once(
    told: tuple[OutcomeType, ...], next_one: str
) -> None:
    world = a_world(a_policy(PATIENT, caps=SHIPPED_CAPS))
    leave_a_cart(world, "a")
    for outcome in told:
        world.event(world.told().outcome(world.sent[0].action_id, outcome))
    leave_a_cart(world, "b")
    leave_a_cart(world, "c")

    assert world.reasons == ["sent", next_one, "cap:any-24h"]


# --- rivals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when_capped", "later"), [("drop", []), ("hold", ["sent"])])
def test_of_two_reasons_with_one_left_in_the_cap_the_better_speaks(
    when_capped: str, later: list[str]
) -> None:
    rich = a_cart_campaign(id="rich", margin=0.9, cooldown=0)
    poor = a_cart_campaign(id="poor", cooldown=0, when_capped=when_capped, stale_after=2 * DAY)
    world = a_world(a_policy(poor, rich, caps=SHIPPED_CAPS[:1]))
    leave_a_cart(world, "a")

    assert [(d.campaign, d.reason) for d in world.decisions] == [
        ("rich", "sent"),
        ("poor", "outranked"),
    ]
    world.wait("26h", step="30m")
    assert world.reasons[2:] == later


def test_what_is_due_within_the_window_competes_already() -> None:
    now = a_cart_campaign(id="now", cooldown=0)
    soon = a_cart_campaign(id="soon", cooldown=0, margin=0.9, delay=HOUR + 30_000)
    world = a_world(a_policy(now, soon, caps=SHIPPED_CAPS[:1]))
    leave_a_cart(world, "a")

    assert [action.campaign.id for action in world.sent] == ["soon"]


# --- quiet hours --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "evening"),
    [
        ("Asia/Shanghai", "2026-03-04T20:30:00+08:00"),
        ("America/New_York", "2026-03-07T20:30:00-05:00"),  # the night the clocks go forward
        ("America/New_York", "2026-10-31T20:30:00-04:00"),  # and back
        ("Europe/Berlin", "2026-03-28T20:30:00+01:00"),
        ("Australia/Lord_Howe", "2026-10-03T20:30:00+10:30"),  # by half an hour
    ],
)
def test_a_cart_left_in_the_evening_is_followed_in_the_morning_of_her_clock(
    zone: str, evening: str
) -> None:
    world = a_world(a_policy(PATIENT), evening, zone)
    leave_a_cart(world, "a")
    world.wait("13h")

    assert world.reasons == ["quiet_hours", "sent"]
    clock = local(world.sent[0].delivery.created_at, zone)[-5:]
    assert "08:00" <= clock <= "09:05"


def test_bought_at_night_the_morning_is_silent() -> None:
    world = a_world(a_policy(PATIENT), "2026-03-04T20:30:00+08:00")
    leave_a_cart(world, "a")
    world.wait("3h")
    world.event(world.told().ordered("coat", cart="a"))
    world.wait("12h")

    assert world.reasons == ["quiet_hours", "converted"]


def test_many_held_ones_are_spread_over_the_first_hour() -> None:
    world = World(a_policy(PATIENT), at=from_iso("2026-03-04T20:30:00+08:00"))
    users = [f"u-{number}" for number in range(40)]
    for user in users:
        world.person(user)
        world.event(world.told(user).added("coat"))
    world.wait("13h")

    minutes = {local(action.delivery.created_at, "Asia/Shanghai") for action in world.sent}
    assert len(world.sent) == len(users)
    assert len(minutes) > 6, "a burst"


def test_dropped_when_the_campaign_says_so() -> None:
    dropping = a_cart_campaign(when_quiet="drop")
    world = a_world(a_policy(dropping), "2026-03-04T20:30:00+08:00")
    leave_a_cart(world, "a")
    world.wait("14h")

    assert world.reasons == ["quiet_hours"]


def test_without_a_zone_the_shops_own_is_taken() -> None:
    world = World(a_policy(PATIENT), at=from_iso("2026-03-04T20:30:00+08:00"))
    world.event(world.told().identified(zones=[]), world.told().consented())
    leave_a_cart(world, "a")

    assert world.reasons == ["quiet_hours"]


def test_where_she_may_be_in_two_zones_it_must_be_day_in_both() -> None:
    world = World(a_policy(PATIENT), at=from_iso("2026-03-04T09:00:00-05:00"))
    both = ["America/New_York", "America/Los_Angeles"]
    world.event(world.told().identified(zones=both), world.told().consented())
    leave_a_cart(world, "a")  # 10:00 in New York, 07:00 in Los Angeles
    world.wait("3h")

    assert world.reasons == ["quiet_hours", "sent"]
    assert local(world.sent[0].delivery.created_at, "America/Los_Angeles")[-5:] >= "08:00"


# --- the operator -------------------------------------------------------------------------------


def test_dry_run_writes_what_it_would_send_and_sends_nothing() -> None:
    world = a_world(a_policy(PATIENT, mode="dry_run"))
    leave_a_cart(world, "a")
    leave_a_cart(world, "b")

    assert world.sent == []
    assert world.reasons == ["would_send_dry_run", "cap:any-24h"]


def test_a_dry_run_does_not_use_up_a_real_cap() -> None:
    world = a_world(a_policy(PATIENT, mode="dry_run"))
    leave_a_cart(world, "a")
    world.apply(a_policy(PATIENT))
    leave_a_cart(world, "b")

    assert world.reasons == ["would_send_dry_run", "sent"]


def test_the_holdout_is_the_same_people_in_every_campaign_and_is_charged_like_the_others() -> None:
    policy = a_policy(*shipped_campaigns(), holdout=0.3)
    world = World(policy)
    users = [f"u-{number}" for number in range(40)]
    for user in users:
        world.person(user)
        world.event(world.told(user).added("coat"))
        world.event(world.told(user).ordered("hat", order="o-1", cart="other"))
    world.wait("8d", step="30m")

    withheld = {d.user_id for d in world.decisions if d.reason == "would_send_holdout"}
    assert withheld == {user for user in users if in_holdout(policy, user)}
    assert 4 <= len(withheld) <= 20
    assert not withheld & {action.user_id for action in world.sent}
    per_user = {user: [s.withheld for s in world.profile(user).sends] for user in users}
    assert all(len(charges) == 2 for charges in per_user.values())


def test_testers_are_always_told_and_flagged() -> None:
    policy = a_policy(a_cart_campaign(), holdout=1.0, exploration=1.0, testers=("u-1",))
    world = a_world(policy)
    leave_a_cart(world, "a")
    leave_a_cart(world, "b")

    assert world.reasons == ["sent", "sent"], "neither holdout nor caps nor cooldown"
    assert all(decision.tester for decision in world.decisions)


def test_testers_too_are_asked_for_consent() -> None:
    world = World(a_policy(testers=("u-1",)))
    world.event(world.told().identified())
    leave_a_cart(world, "a")

    assert world.reasons == ["no_consent"]


@pytest.mark.parametrize(
    ("paused", "reasons"),
    [("campaign:cart", ["campaign_paused"]), ("channel:push", ["sent"])],
)
def test_a_pause_silences_and_its_end_releases_no_burst(paused: str, reasons: list[str]) -> None:
    world = a_world(a_policy(PATIENT))
    world.pause(paused)
    leave_a_cart(world, "a")
    assert world.reasons == reasons
    assert [action.channel for action in world.sent] == ["email"][: len(world.sent)]

    world.pause(paused, on=False)
    world.wait("3h")

    assert world.reasons == reasons


def test_when_every_channel_is_paused_the_decision_says_so() -> None:
    world = a_world(a_policy(a_cart_campaign(channels=("push",))))
    world.pause("channel:push")
    leave_a_cart(world, "a")

    assert world.reasons == ["channel_paused"]


def test_what_a_removed_campaign_had_armed_ends_when_it_is_due() -> None:
    world = a_world(a_policy(PATIENT, a_post_purchase_campaign(7)))
    world.event(world.told().added("coat"))
    world.apply(a_policy(a_post_purchase_campaign(7)))
    world.wait("1h")

    assert world.reasons == ["campaign_removed"]
    assert not world.profile().triggers


def test_a_campaign_whose_id_now_means_something_else_does_not_take_over_what_was_armed() -> None:
    world = a_world(a_policy(PATIENT))
    world.event(world.told().added("coat"))
    world.apply(a_policy(a_post_purchase_campaign(7, id="cart")))
    world.wait("1h")

    assert world.reasons == ["campaign_removed"]


def test_a_new_campaign_does_not_back_fill() -> None:
    world = a_world(a_policy(a_post_purchase_campaign(7)))
    world.event(world.told().added("coat"))
    world.apply(a_policy(PATIENT, a_post_purchase_campaign(7)))
    world.wait("1d", step="30m")

    assert world.decisions == []


def test_due_times_stay_as_they_were_when_the_delay_changes() -> None:
    world = a_world(a_policy(PATIENT))
    world.event(world.told().added("coat"))
    world.apply(a_policy(a_cart_campaign(delay=3 * HOUR, cooldown=0)))
    world.wait("1h")

    assert world.reasons == ["sent"]


def test_outside_its_dates_a_campaign_is_silent() -> None:
    world = a_world(a_policy(a_cart_campaign(ends=from_iso("2026-03-04T02:30:00+00:00"))))
    leave_a_cart(world, "a")

    assert world.reasons == ["outside_dates"]


# --- late ---------------------------------------------------------------------------------------


def test_after_a_long_outage_what_is_stale_is_not_said() -> None:
    world = a_world(a_policy(PATIENT))
    world.event(world.told().added("coat"))
    world.tick(world.now + HOUR + 14 * HOUR + 1)

    assert world.reasons == ["stale"]


def test_after_a_short_outage_it_is_still_said() -> None:
    world = a_world(a_policy(PATIENT))
    world.event(world.told().added("coat"))
    world.tick(world.now + 3 * HOUR)

    assert world.reasons == ["sent"]


def test_an_event_more_than_two_days_late_arms_nothing() -> None:
    world = a_world(a_policy(PATIENT))
    world.event(world.told(ago="49h").added("coat"))
    world.wait("1d", step="30m")

    assert world.decisions == []
    assert world.profile().carts[0].lines, "but it is known"


def test_imported_history_arms_nothing() -> None:
    world = a_world(a_policy())
    world.event(world.told(history=True).added("coat"))
    world.event(world.told(history=True).ordered("hat", order="o-1", cart="other"))
    world.wait("31d", step="6h")

    assert world.decisions == []
    assert world.profile().order("o-1") is not None


def test_a_cart_from_an_offline_queue_is_left_to_settle() -> None:
    """It was left 50 minutes ago and an hour ends in ten: but its last event came just now."""
    world = a_world(a_policy(PATIENT))
    world.event(world.told(ago="70m").added("coat"))
    world.wait("1m")
    assert world.sent == []
    world.wait("1m")

    assert world.reasons == ["sent"]


def test_her_order_from_the_same_offline_queue_arrives_within_the_settling() -> None:
    world = a_world(a_policy(PATIENT))
    world.event(world.told(ago="70m").added("coat"))
    world.wait("1m")
    world.event(world.told(ago="60m").ordered("coat"))
    world.wait("2h")

    assert world.reasons == ["converted"]


def test_what_has_not_settled_does_not_compete_early() -> None:
    """A rival is due now; the late cart, due in 30 s, waits for its two minutes all the same."""
    rival = a_cart_campaign(id="rival", channels=("email",), cooldown=0, delay=30 * 60_000)
    world = a_world(a_policy(PATIENT, rival, caps=(), settle=120_000))
    start = world.now
    world.event(world.told().added("coat", cart="a"))
    late = Told("u-1", start - 70 * 60_000, start + 30 * 60_000 - 90_000)
    world.until(start + 30 * 60_000 - 90_000)
    world.event(late.added("hat", cart="b"))
    world.until(start + 30 * 60_000)

    assert {action.trigger.key for action in world.sent} == {"a"}
