"""A week and a month after she bought: what happens, in her words.

Peers' twenty behaviours covered here: 9 in part (the clocks go forward) and 14 (refunds). 16, the
win-back of the dormant, belongs to later triggers.
"""

import pytest

from engine.times import DAY, HOUR, from_iso
from tests.support.builders import Told, a_policy, a_post_purchase_campaign
from tests.support.recount import local
from tests.support.world import World

WEEK = a_policy(a_post_purchase_campaign(7))
MONTH = a_policy(a_post_purchase_campaign(30))


def a_world(policy: object = None, *, zone: str = "Asia/Shanghai", at: str = "") -> World:
    world = World(WEEK if policy is None else policy)  # type: ignore[arg-type]
    world.now = from_iso(at) if at else world.now
    world.person("u-1", zone)
    return world


def days(world: World, count: int) -> None:
    world.until(world.now + count * DAY, step="1h")


@pytest.mark.parametrize(("policy", "after"), [(WEEK, 7), (MONTH, 30)])
def test_she_hears_on_the_day_at_the_hour_she_bought(policy: object, after: int) -> None:
    world = a_world(policy)
    world.event(world.told().ordered("coat"))

    days(world, 31)

    (message,) = world.sent
    assert from_iso(message.delivery.created_at) - from_iso(message.trigger.armed_at) == after * DAY
    assert [item.product_id for item in message.content.items] == ["coat"]


@pytest.mark.parametrize(
    ("zone", "bought", "heard", "hours"),
    [
        # the clocks go forward: seven days are 167 hours
        ("Europe/Berlin", "2026-03-25T10:30:00+01:00", "2026-04-01 10:30", 167),
        ("America/New_York", "2026-03-04T12:00:00-05:00", "2026-03-11 12:00", 167),
        # and back: 169
        ("Europe/Berlin", "2026-10-21T10:30:00+02:00", "2026-10-28 10:30", 169),
        # by half an hour
        ("Australia/Lord_Howe", "2026-10-01T10:30:00+10:30", "2026-10-08 10:30", 167.5),
    ],
)
def test_seven_days_are_calendar_days_on_her_clock(
    zone: str, bought: str, heard: str, hours: float
) -> None:
    world = a_world(zone=zone, at=bought)
    world.event(world.told().ordered("coat"))

    world.until(world.now + 8 * DAY, step="5m")

    (message,) = world.sent
    assert local(message.delivery.created_at, zone) == heard
    span = from_iso(message.delivery.created_at) - from_iso(bought)
    assert span == hours * HOUR


def test_a_cancelled_order_is_silence() -> None:
    world = a_world()
    world.event(world.told().ordered("coat"))
    days(world, 3)
    world.event(world.told().cancelled())
    days(world, 10)

    assert world.sent == []
    assert world.reasons == ["refunded"]


def test_refunded_on_day_five_is_silence_on_day_seven_and_thirty() -> None:
    world = a_world(a_policy(a_post_purchase_campaign(7), a_post_purchase_campaign(30)))
    world.event(world.told().ordered("coat", "hat"))
    days(world, 5)
    world.event(world.told().refunded())
    days(world, 30)

    assert world.sent == []
    assert world.reasons == ["refunded", "refunded"]


def test_refunded_line_by_line_until_nothing_is_left_is_a_full_refund() -> None:
    world = a_world()
    world.event(world.told().ordered("coat", "hat"))
    world.event(world.told().refunded("o-1", "coat"), world.told().refunded("o-1", "hat"))
    days(world, 8)

    assert world.reasons == ["refunded"]


def test_after_a_partial_refund_she_hears_of_what_she_kept() -> None:
    world = a_world()
    world.event(world.told().ordered("coat", "hat"))
    world.event(world.told().refunded("o-1", "coat"))
    days(world, 8)

    (message,) = world.sent
    assert [item.product_id for item in message.content.items] == ["hat"]


def test_a_delivery_moves_the_day() -> None:
    world = a_world()
    world.event(world.told().ordered("coat"))
    days(world, 3)
    world.event(world.told().delivered())
    delivered = world.now
    days(world, 12)

    (message,) = world.sent
    assert from_iso(message.delivery.created_at) - delivered == 7 * DAY


def test_a_new_order_takes_over() -> None:
    world = a_world()
    world.event(world.told().ordered("coat", order="o-1"))
    days(world, 3)
    world.event(world.told().ordered("hat", order="o-2"))
    days(world, 12)

    assert world.reasons == ["superseded", "sent"]
    assert [item.product_id for item in world.sent[0].content.items] == ["hat"]


def test_the_new_order_cancelled_it_moves_back() -> None:
    world = a_world()
    world.event(world.told().ordered("coat", order="o-1"))
    days(world, 3)
    world.event(world.told().ordered("hat", order="o-2"))
    world.event(world.told().cancelled("o-2"))
    days(world, 12)

    assert world.reasons == ["superseded", "refunded", "sent"]
    (message,) = world.sent
    assert message.trigger.key == "o-1"
    assert from_iso(message.delivery.created_at) - from_iso(message.trigger.armed_at) == 7 * DAY


def test_it_does_not_move_back_to_an_order_whose_week_is_over() -> None:
    world = a_world()
    world.event(world.told().ordered("coat", order="o-1"))
    days(world, 6)
    world.event(world.told().ordered("hat", order="o-2"))
    days(world, 3)
    world.event(world.told().cancelled("o-2"))
    days(world, 12)

    assert world.sent == []
    assert world.reasons == ["superseded", "refunded"]


def test_an_order_speaks_once_although_a_later_one_is_cancelled() -> None:
    world = a_world()
    world.event(world.told().ordered("coat", order="o-1"))
    days(world, 8)
    world.event(world.told().ordered("hat", order="o-2"), world.told().cancelled("o-2"))
    days(world, 12)

    assert [action.trigger.key for action in world.sent] == ["o-1"]


def test_a_late_old_order_never_takes_over() -> None:
    world = a_world()
    world.event(world.told().ordered("coat", order="o-2"))
    world.event(world.told(ago="1d").ordered("hat", order="o-1"))
    days(world, 12)

    assert [action.trigger.key for action in world.sent] == ["o-2"]
    assert world.reasons == ["sent"]


def test_refunds_that_arrive_before_their_order_still_count() -> None:
    world = a_world()
    refund = Told(at=world.now + 1000, received_at=world.now, numbers=world.numbers).refunded()
    world.event(refund)
    world.event(world.told().ordered("coat"))
    days(world, 8)

    assert world.sent == []
