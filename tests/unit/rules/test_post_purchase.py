"""The triggers after a purchase: one newest standing order, its window, and what moves it."""

from engine.times import DAY, HOUR, MINUTE, from_iso
from rules.triggers import TRIGGERS
from tests.support.builders import a_policy, a_post_purchase_campaign
from tests.support.world import World

DAY_7 = TRIGGERS["post_purchase_7d"]


def a_world(*days: int, zone: str = "Asia/Shanghai", at: str = "2026-03-04T10:00+08:00") -> World:
    campaigns = [a_post_purchase_campaign(number) for number in days or (7,)]
    world = World(a_policy(*campaigns, caps=()), at=from_iso(at))
    world.person(zone=zone)
    return world


def armed(world: World) -> dict[tuple[str, str], int]:
    """Due times by (kind, order)."""
    return {(one.kind, one.key): one.due_at for one in world.profile().triggers}


def test_an_order_arms_day_7_and_day_30_at_its_local_hour() -> None:
    world = a_world(7, 30)
    world.event(world.told().ordered("p-1"))
    assert armed(world) == {
        ("post_purchase_7d", "o-1"): from_iso("2026-03-11T10:00+08:00"),
        ("post_purchase_30d", "o-1"): from_iso("2026-04-03T10:00+08:00"),
    }


def test_days_are_calendar_days_when_the_clocks_change() -> None:
    world = a_world(zone="America/New_York", at="2026-03-04T10:00-05:00")
    world.event(world.told().ordered("p-1"))
    assert armed(world)["post_purchase_7d", "o-1"] == from_iso("2026-03-11T10:00-04:00")


def test_it_speaks_once_when_it_is_due() -> None:
    world = a_world(7, 30)
    world.event(world.told().ordered("p-1"))
    world.wait("31d", step="1h")
    assert world.reasons == ["sent", "sent"]
    assert [action.delivery.created_at[:10] for action in world.sent] == [
        "2026-03-11",
        "2026-04-03",
    ]


def test_a_newer_order_takes_over() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", order="o-1"))
    world.wait("2d", step="1h")
    world.event(world.told().ordered("p-2", order="o-2"))
    assert armed(world) == {("post_purchase_7d", "o-2"): world.now + 7 * DAY}
    assert world.reasons == ["superseded"]


def test_a_late_old_order_never_takes_over() -> None:
    world = a_world()
    world.event(world.told().ordered("p-2", order="new"))
    before = world.profile().triggers
    world.event(world.told(ago="1d").ordered("p-1", order="old"))
    assert world.profile().triggers == before
    assert world.reasons == []


def test_of_two_orders_at_one_moment_the_greater_id_is_the_newer() -> None:
    for order in (("o-1", "o-2"), ("o-2", "o-1")):
        world = a_world()
        for name in order:
            world.event(world.told().ordered("p-1", order=name))
        assert [key for _, key in armed(world)] == ["o-2"]


def test_a_cancelled_order_moves_it_back_to_the_one_before() -> None:
    world = a_world()
    first = world.now
    world.event(world.told().ordered("p-1", order="o-1"))
    world.wait("2d", step="1h")
    world.event(world.told().ordered("p-2", order="o-2"))
    world.wait("1d", step="1h")
    world.event(world.told().cancelled("o-2"))
    assert armed(world) == {("post_purchase_7d", "o-1"): first + 7 * DAY}
    assert world.reasons == ["superseded", "refunded"]
    world.wait("5d", step="1h")
    assert world.reasons[-1] == "sent"
    assert world.sent[0].trigger.key == "o-1"


def test_a_full_refund_moves_it_back_only_while_the_window_of_the_other_is_open() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", order="o-1"))
    world.wait("6d", step="1h")
    world.event(world.told().ordered("p-2", order="o-2"))
    world.wait("2d", step="1h")  # the seventh day of o-1 has passed
    world.event(world.told().refunded("o-2"))
    assert armed(world) == {}
    assert world.reasons == ["superseded", "refunded"]


def test_day_30_moves_back_when_day_7_cannot_any_more() -> None:
    world = a_world(7, 30)
    first = world.now
    world.event(world.told().ordered("p-1", order="o-1"))
    world.wait("6d", step="1h")
    world.event(world.told().ordered("p-2", order="o-2"))
    world.wait("2d", step="1h")
    world.event(world.told().refunded("o-2"))
    assert armed(world) == {("post_purchase_30d", "o-1"): first + 30 * DAY}


def test_it_does_not_move_back_to_an_order_that_has_had_its_say() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", order="o-1"))
    world.wait("8d", step="1h")
    assert world.reasons == ["sent"]
    world.event(world.told().ordered("p-2", order="o-2"))
    world.event(world.told().cancelled("o-2"))
    assert armed(world) == {}


def test_after_the_newest_has_had_its_say_nothing_is_armed_for_older_ones() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", order="o-1"))
    world.wait("8d", step="1h")
    world.event(world.told(ago="1d").delivered("o-1"))
    world.event(world.told().refunded("o-1", "p-9"))
    assert armed(world) == {}


def test_a_partial_refund_leaves_the_window_and_takes_the_line_out() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", "p-2"))
    due = world.profile().triggers[0].due_at
    world.wait("1d", step="1h")
    world.event(world.told().refunded("o-1", "p-1"))
    (trigger,) = world.profile().triggers
    assert trigger.due_at == due
    assert [line.product_id for line in DAY_7.items(world.profile(), trigger)] == ["p-2"]


def test_a_partial_refund_does_not_move_it_to_a_zone_she_has_travelled_to() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", "p-2"))
    before = armed(world)
    world.wait("1d", step="1h")
    world.event(world.told().identified(zones=["Europe/Berlin"]))
    world.wait("1d", step="1h")
    world.event(world.told().refunded("o-1", "p-1"))
    assert armed(world) == before


def test_refunding_the_last_line_is_a_full_refund() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", "p-2"))
    world.event(world.told().refunded("o-1", "p-1"), world.told().refunded("o-1", "p-2"))
    assert world.reasons == ["refunded"]


def test_a_delivery_before_the_due_time_moves_the_anchor() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1"))
    world.wait("3d 5h", step="1h")
    world.event(world.told().delivered("o-1"))
    assert armed(world) == {("post_purchase_7d", "o-1"): world.now + 7 * DAY}


def test_a_delivery_that_is_told_late_counts_from_when_it_happened() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1"))
    world.wait("4d", step="1h")
    world.event(world.told(ago="1d").delivered("o-1"))
    assert armed(world)["post_purchase_7d", "o-1"] == world.now + 6 * DAY


def test_a_delivery_before_its_order_is_a_broken_clock() -> None:
    world = a_world()
    world.event(world.told(ago="1h").delivered("o-1"), world.told().ordered("p-1"))
    assert armed(world) == {("post_purchase_7d", "o-1"): world.now + 7 * DAY}


def test_a_cancellation_that_overtakes_its_order_arms_nothing_for_it() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", order="o-1"))
    world.wait("1h")
    world.event(world.told().cancelled("o-2"), world.told().ordered("p-2", order="o-2"))
    assert [key for _, key in armed(world)] == ["o-1"]
    assert world.reasons == []


def test_it_is_never_due_sooner_than_its_last_event_has_settled() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1"))
    world.until(world.now + 7 * DAY - MINUTE, step="1h")
    world.event(world.told().refunded("o-1", "p-9"))
    assert armed(world)["post_purchase_7d", "o-1"] == world.now + 2 * MINUTE


def test_imported_orders_arm_nothing_but_hold_back_older_ones() -> None:
    world = a_world()
    world.event(world.told(history=True).ordered("p-1", order="new"))
    world.event(world.told(ago="1h").ordered("p-2", order="old"))
    assert armed(world) == {}


def test_asked_again_it_holds_only_for_the_newest_standing_order() -> None:
    world = a_world()
    world.event(world.told().ordered("p-1", order="o-1"))
    (trigger,) = world.profile().triggers
    assert DAY_7.holds(world.profile(), trigger) is None
    world.event(world.told().ordered("p-2", order="o-2"))
    # the same moment, so the greater id is the newer
    assert DAY_7.holds(world.profile(), trigger) == "superseded"
    world.event(world.told().cancelled("o-1"))
    assert DAY_7.holds(world.profile(), trigger) == "refunded"
    trigger.key = "o-forgotten"  # sixteen newer ones pushed it out
    assert DAY_7.holds(world.profile(), trigger) == "superseded"
    assert DAY_7.items(world.profile(), trigger) == []


def test_a_campaign_of_another_kind_is_left_alone() -> None:
    world = a_world(7, 30)
    world.event(world.told().ordered("p-1", order="o-1"))
    world.wait("8d", step="1h")
    world.event(world.told(ago="1h").delivered("o-1"))
    assert list(armed(world)) == [("post_purchase_30d", "o-1")]
    assert world.profile().triggers[0].due_at == world.now - HOUR + 30 * DAY
