"""Whom we may speak to and where: consent, reachability, unsubscribing, erasure.

Peers' twenty behaviours covered here: 18 (erasure with reasons pending; the certificate belongs to
privacy tools). 7 (merged profiles where one opted out) belongs to identity, later.
"""

import pytest

from engine.times import HOUR
from tests.support.builders import a_cart_campaign, a_policy, a_post_purchase_campaign
from tests.support.world import World

CART_ONLY = a_policy(a_cart_campaign(cooldown=0), caps=())


def a_world(*channels: str) -> World:
    world = World(CART_ONLY)
    world.person("u-1", "Asia/Shanghai", *channels)
    return world


def leave_a_cart(world: World, product: str = "coat") -> None:
    world.event(world.told().added(product))
    world.wait("1h")


def test_unknown_consent_is_no_consent() -> None:
    world = World(CART_ONLY)
    world.event(world.told().identified())
    leave_a_cart(world)

    assert world.sent == []
    assert world.reasons == ["no_consent"]


def test_a_yes_to_one_channel_is_no_yes_to_another() -> None:
    world = a_world("email")
    leave_a_cart(world)

    assert [action.channel for action in world.sent] == ["email"]
    assert world.decisions[0].channels["push"].objection == "no_consent"


def test_withdrawn_consent_ends_what_was_planned_at_once() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.event(world.told().consented(granted=False))

    assert world.reasons == ["opted_out"]
    world.wait("2h")
    assert world.sent == []


def test_withdrawn_on_one_channel_the_others_may_still_speak() -> None:
    world = a_world()
    world.event(world.told().added("coat"))
    world.event(world.told().consented("push", granted=False))
    world.wait("1h")

    assert [action.channel for action in world.sent] == ["email"]


def test_an_older_yes_that_arrives_later_does_not_undo_a_no() -> None:
    world = a_world()
    world.wait("1h")
    world.event(world.told().consented(granted=False))
    world.event(world.told(ago="30m").consented())
    leave_a_cart(world)

    assert world.reasons == ["no_consent"]


def test_a_no_to_another_purpose_ends_nothing() -> None:
    world = World(CART_ONLY)
    world.event(world.told().identified(), world.told().added("coat"))
    world.event(world.told().consented(granted=False, purpose="analytics"))

    assert world.reasons == []


def test_personalisation_switched_off_is_silence() -> None:
    world = a_world()
    world.event(world.told().consented(granted=False, purpose="personalisation"))
    leave_a_cart(world)

    assert world.reasons == ["personalisation_off"]


def test_an_anonymous_visitor_is_unreachable() -> None:
    world = World(CART_ONLY)
    world.person("anon:7")
    world.event(world.told("anon:7").added("coat"))
    world.wait("1h")

    assert world.sent == []
    assert world.reasons == ["unreachable"]


def test_without_an_address_nothing_is_sent() -> None:
    world = World(CART_ONLY)
    world.event(world.told().identified({}), world.told().consented())
    leave_a_cart(world)

    assert world.reasons == ["unreachable"]


def test_an_address_taken_away_is_not_used() -> None:
    world = a_world()
    world.event(world.told().identified({"push": ""}))
    leave_a_cart(world)

    assert [action.channel for action in world.sent] == ["email"]
    assert "push" not in world.addresses().by_channel


def test_a_hard_bounce_suppresses_the_address_until_she_gives_another() -> None:
    world = a_world("push")
    leave_a_cart(world)
    world.event(world.told().outcome(world.sent[0].action_id, "bounced", permanent=True))
    leave_a_cart(world, "hat")
    world.event(world.told().identified({"push": "another-token"}))
    leave_a_cart(world, "tent")

    assert world.reasons == ["sent", "suppressed_address", "sent"]
    assert world.sent[1].to.address == "another-token"


@pytest.mark.parametrize("word", ["unsubscribed", "complained"])
def test_unsubscribing_acts_at_once(word: str) -> None:
    world = a_world("push")
    leave_a_cart(world)
    world.event(world.told().added("hat"))
    world.event(world.told().outcome(world.sent[0].action_id, word))  # type: ignore[arg-type]

    assert world.reasons == ["sent", "opted_out"]
    world.wait("2h")
    assert len(world.sent) == 1


def test_erased_with_reasons_pending_nothing_is_sent_and_nothing_remains() -> None:
    world = World(a_policy(a_cart_campaign(), a_post_purchase_campaign(7)))
    world.person()
    world.event(world.told().added("coat"), world.told().ordered("hat", order="o-9"))
    world.event(world.told().added("tent", cart="b"))
    world.wait("10m")
    world.event(world.told().erased())

    assert set(world.reasons[1:]) == {"erased"}, world.reasons
    stub = world.profile()
    assert stub.erased_at == world.now
    assert not any((stub.carts, stub.orders, stub.triggers, stub.consents, stub.reach))
    assert not world.addresses().by_channel
    world.wait("8d", step="1h")
    assert world.sent == []


def test_later_events_do_not_bring_an_erased_user_back() -> None:
    world = a_world()
    world.event(world.told().erased())
    world.event(world.told().identified(), world.told().added("coat"))
    world.event(world.told(ago="1h").consented())
    world.wait("2h")

    assert world.decisions == []
    assert not world.profile().carts


def test_only_a_new_yes_begins_anew() -> None:
    world = a_world()
    world.event(world.told().erased())
    world.wait("1h")
    world.person()  # identified first: refused; then she says yes
    assert not world.profile().erased_at
    assert not world.profile().reach, "what came before her yes was not kept"
    world.person()
    leave_a_cart(world)

    assert world.reasons == ["sent"]


def test_erased_twice_the_later_time_stands() -> None:
    world = a_world()
    world.event(world.told().erased())
    world.now += 2 * HOUR
    world.event(world.told().erased())
    world.event(world.told(ago="1h").consented())

    assert world.profile().erased_at == world.now
