"""The trigger of a cart: when it is armed, moved and ended, through the real pipeline."""

from engine.times import HOUR, MINUTE, SECOND, from_iso
from rules.triggers import TRIGGERS
from tests.support.builders import START, Told, a_cart, a_cart_campaign, a_policy, a_profile
from tests.support.builders import a_trigger as trigger_of
from tests.support.world import World

RULE = TRIGGERS["cart_abandonment"]


def a_world(**campaign: object) -> World:
    world = World(a_policy(a_cart_campaign(**campaign), caps=()))
    world.person()
    return world


def test_an_added_product_arms_its_cart_for_an_hour_later() -> None:
    world = a_world()
    world.event(world.told().added("p-1", cart="c-1"))
    (armed,) = world.profile().triggers
    assert (armed.kind, armed.key, armed.campaign) == ("cart_abandonment", "c-1", "cart")
    assert armed.due_at == world.now + HOUR
    assert armed.armed_at == armed.edited_at == armed.told_at == world.now


def test_an_edit_restarts_the_delay_and_keeps_the_episode() -> None:
    world = a_world()
    first = world.told().added("p-1")
    world.event(first)
    world.wait("40m")
    world.event(world.told().added("p-2"))
    (armed,) = world.profile().triggers
    assert armed.episode == first.event_id
    assert armed.armed_at == first.occurred_at
    assert armed.due_at == world.now + HOUR


def test_edits_never_push_it_beyond_the_hard_limit() -> None:
    world = a_world()
    began = world.now
    world.event(world.told().added("p-0"))
    for number in range(1, 10):
        world.wait("25m")
        world.event(world.told().added(f"p-{number}"))
    assert world.profile().triggers[0].due_at == began + 4 * HOUR
    world.until(began + 4 * HOUR + 5 * MINUTE)
    assert world.reasons == ["sent"]


def test_looking_at_the_cart_and_starting_to_pay_are_edits_too() -> None:
    world = a_world()
    world.event(world.told().added("p-1", cart="c-1"))
    world.wait("30m")
    world.event(world.told().checkout("k-1", "c-1", "p-1"))
    assert world.profile().triggers[0].due_at == world.now + HOUR


def test_two_carts_are_two_triggers() -> None:
    world = a_world()
    world.event(world.told().added("p-1", cart="a"), world.told().added("p-2", cart="b"))
    world.wait("10m")
    world.event(world.told().ordered("p-1", order="o-1", cart="a"))
    assert [armed.key for armed in world.profile().triggers] == ["b"]
    assert [(d.trigger.key, d.reason) for d in world.decisions] == [("a", "converted")]


def test_an_order_disarms_its_cart() -> None:
    world = a_world()
    world.event(world.told().added("p-1"))
    world.wait("30m")
    world.event(world.told().ordered("p-1"))
    world.wait("3h")
    assert world.reasons == ["converted"]
    assert world.sent == []


def test_an_order_of_something_else_leaves_a_named_cart_as_it_was() -> None:
    world = a_world()
    world.event(world.told().added("p-1", cart="c-1"))
    due = world.profile().triggers[0].due_at
    world.wait("30m")
    world.event(world.told().ordered("p-9"))
    assert [armed.due_at for armed in world.profile().triggers] == [due]


def test_an_order_of_a_part_of_the_cart_neither_moves_nor_ends_it() -> None:
    world = a_world()
    world.event(world.told().added("p-1", cart="c-1"), world.told().added("p-2", cart="c-1"))
    due = world.profile().triggers[0].due_at
    world.wait("10m")
    world.event(world.told().ordered("p-1"))
    (armed,) = world.profile().triggers
    assert armed.due_at == due
    assert [line.product_id for line in RULE.items(world.profile(), armed)] == ["p-2"]


def test_taking_everything_out_ends_it_as_emptied() -> None:
    world = a_world()
    world.event(world.told().added("p-1"))
    world.event(world.told().removed("p-1"))
    assert world.reasons == ["emptied"]
    world.event(world.told().cart(cart="c-2"))
    assert world.profile().triggers == []


def test_a_new_product_after_an_empty_cart_begins_a_new_episode() -> None:
    world = a_world()
    world.event(world.told().added("p-1"), world.told().removed("p-1"))
    world.wait("5m")
    again = world.told().added("p-2")
    world.event(again)
    assert world.profile().triggers[0].episode == again.event_id


def test_what_a_phone_sends_late_is_not_due_before_it_has_settled() -> None:
    """Given events of two hours ago in an offline queue, her order may still be behind them."""
    world = a_world()
    world.event(world.told(ago="2h").added("p-1"))
    (armed,) = world.profile().triggers
    assert armed.armed_at == world.now - 2 * HOUR
    assert armed.due_at == world.now + 2 * MINUTE


def test_events_in_any_order_give_the_same_due_time() -> None:
    now = START + HOUR
    early = Told(at=START, received_at=now, event_id="early").added("p-1")
    late = Told(at=START + 20 * MINUTE, received_at=now, event_id="late").added("p-2")
    times = []
    for order in ([early, late], [late, early]):
        world = World(a_policy(a_cart_campaign(), caps=()), at=now)
        world.event(*order)
        (armed,) = world.profile().triggers
        times.append((armed.armed_at, armed.edited_at, armed.told_at, armed.due_at))
    assert times[0] == times[1] == (START, START + 20 * MINUTE, now, START + 80 * MINUTE)


def test_history_and_events_two_days_late_arm_nothing() -> None:
    world = a_world()
    world.event(world.told(ago="49h").added("p-1"), world.told(history=True).added("p-2"))
    assert world.profile().triggers == []


def test_it_speaks_once_and_of_what_she_touched_last_first() -> None:
    world = a_world()
    world.event(world.told().added("p-1"))
    world.wait("10s", step="10s")
    world.event(world.told().added("p-2"))
    world.wait("2h")
    (action,) = world.sent
    assert action.trigger.kind == "cart_abandonment"
    assert [item.product_id for item in action.content.items] == ["p-2", "p-1"]


def test_asked_again_it_says_how_the_cart_became_empty() -> None:
    profile = a_profile(a_cart("p-1", cart="c-1"))
    assert RULE.holds(profile, trigger_of("c-1")) is None
    assert RULE.holds(a_profile(), trigger_of("c-1")) == "emptied"
    world = a_world()
    world.event(world.told().added("p-1"), world.told().ordered("p-1"))
    assert RULE.holds(world.profile(), trigger_of("")) == "converted"
    assert RULE.items(world.profile(), trigger_of("")) == []


def test_the_year_one_of_a_broken_client_arms_nothing_and_breaks_nothing() -> None:
    world = a_world()
    told = Told(at=from_iso("0001-01-01T00:00Z"), received_at=world.now)
    world.event(told.added("p-1"), told.ordered("p-1"))
    assert world.profile().triggers == []


def test_a_delay_of_seconds_waits_for_the_settling_time_only() -> None:
    policy = a_policy(a_cart_campaign(delay=10 * SECOND, hard_limit=MINUTE), caps=(), settle=SECOND)
    world = World(policy)
    world.event(world.told().added())
    assert world.profile().triggers[0].due_at == world.now + 10 * SECOND
