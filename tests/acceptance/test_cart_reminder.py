"""She put something into a cart and went away: what happens, in her words.

Peers' twenty behaviours covered here: 1 (purchase a second before), 4 (edits and the hard limit),
5 (two carts). 6 and 7 (guests logging in, merged profiles) belong to identity, later.
"""

from engine.times import HOUR, from_iso
from tests.support.builders import a_cart_campaign, a_policy
from tests.support.world import World

CART_ONLY = a_policy(a_cart_campaign())


def a_world() -> World:
    world = World(CART_ONLY)
    world.person()
    return world


def test_a_cart_left_for_an_hour_is_followed_by_one_push() -> None:
    world = a_world()
    world.event(world.told().added("coat"))

    world.wait("59m")
    assert world.sent == []
    world.wait("1m")

    (push,) = world.sent
    assert push.channel == "push"
    assert push.to.address == "token-u-1"
    assert push.to.locale == "zh-CN"
    assert [item.name for item in push.content.items] == ["Name of coat"]
    world.wait("3d", step="1h")
    assert len(world.sent) == 1


def test_the_action_is_good_for_as_long_as_its_channel_says() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.wait("1h")

    delivery = world.sent[0].delivery
    assert from_iso(delivery.expires_at) - from_iso(delivery.created_at) == 2 * HOUR


def test_an_edit_restarts_the_hour_and_the_message_shows_what_is_there_now() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.wait("40m")
    world.event(world.told().added("hat"))
    world.event(world.told().removed("coat"))

    world.wait("59m")
    assert world.sent == []
    world.wait("1m")

    (push,) = world.sent
    assert [item.product_id for item in push.content.items] == ["hat"]


def test_somebody_who_keeps_editing_hears_at_the_hard_limit() -> None:
    world = a_world()
    for number in range(24):  # every ten minutes, for four hours
        world.event(world.told().added(f"p-{number % 3}"))
        world.wait("10m")

    (push,) = world.sent
    assert from_iso(push.delivery.created_at) - from_iso(push.trigger.armed_at) == 4 * HOUR


def test_an_edit_after_the_message_does_not_send_it_again_within_the_cooldown() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.wait("1h")
    world.event(world.told().added("hat"))
    world.wait("2h")

    assert world.reasons == ["sent", "cooldown"]


def test_two_carts_are_two_reasons_and_buying_one_leaves_the_other() -> None:
    world = a_world()
    world.event(world.told().added("coat", cart="a"), world.told().added("tent", cart="b"))
    world.wait("30m")
    world.event(world.told().ordered("coat", cart="a"))
    world.wait("1h")

    assert world.reasons == ["converted", "sent"]
    assert [action.trigger.key for action in world.sent] == ["b"]


def test_of_two_carts_due_at_once_one_speaks() -> None:
    world = a_world()
    world.event(world.told().added("coat", cart="a"), world.told().added("tent", 5, cart="b"))
    world.wait("2h")

    assert sorted(world.reasons) == ["outranked", "sent"]
    assert world.sent[0].trigger.key == "b", "the dearer cart"


def test_bought_at_the_last_second_is_silence() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.until(world.now + HOUR - 1000)
    world.event(world.told().ordered("coat"))
    world.wait("1d", step="1h")

    assert world.sent == []
    assert world.reasons == ["converted"]


def test_bought_in_the_log_before_the_tick_is_silence_although_all_workers_were_down() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.down = True
    world.now += 3 * HOUR
    world.event(world.told(ago="1h").ordered("coat"))
    world.down = False
    world.tick(world.now)

    assert world.sent == []
    assert world.reasons == ["converted"]


def test_an_order_that_only_lists_products_takes_them_out_of_every_cart() -> None:
    world = a_world()
    world.event(world.told().added("coat", cart="a"), world.told().added("hat", cart="a"))
    world.event(world.told().ordered("coat"))
    world.wait("1h")

    (push,) = world.sent
    assert [item.product_id for item in push.content.items] == ["hat"]


def test_an_order_that_names_its_checkout_ends_the_cart_of_that_checkout() -> None:
    world = a_world()
    world.event(world.told().added("coat", cart="a"), world.told().checkout("k-7", "a"))
    world.event(world.told().ordered(checkout="k-7"))
    world.wait("5h")

    assert world.reasons == ["converted"]


def test_what_arrives_after_its_order_opens_no_cart() -> None:
    world = a_world()
    world.event(world.told().added("coat", cart="a"), world.told().checkout("k-7", "a"))
    world.event(world.told().ordered(checkout="k-7"))
    world.event(world.told(ago="10m").added("hat", cart="a"))
    world.wait("5h")

    assert world.reasons == ["converted"]


def test_an_emptied_cart_is_silence() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.wait("30m")
    world.event(world.told().removed("coat"))
    world.wait("5h")

    assert world.sent == []
    assert world.reasons == ["emptied"]


def test_a_cart_seen_empty_is_emptied() -> None:
    world = a_world()
    world.event(world.told().added("coat", cart="a"))
    world.event(world.told().cart(cart="a"))
    world.wait("5h")

    assert world.reasons == ["emptied"]


def test_filled_again_after_an_order_it_is_another_wish() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.wait("30m")
    world.event(world.told().added("hat"))
    world.event(world.told(ago="10m").ordered("coat"))  # her order reaches us late
    world.wait("1h")

    assert world.reasons == ["converted", "sent"]
    assert [item.product_id for item in world.sent[0].content.items] == ["hat"]
    assert len({decision.trigger.episode for decision in world.decisions}) == 2


def test_the_same_add_delivered_twice_is_one_and_one_message() -> None:
    world = a_world()
    added = world.told().added("coat")
    world.event(added, added)
    world.wait("2h")

    (push,) = world.sent
    assert world.profile().carts[0].lines[0].quantity == 1
    assert push.content.items[0].product_id == "coat"
