"""What a newcomer gets: the shipped campaigns file, read by the real loader."""

from importlib.resources import files

import msgspec

from engine.policy import Exploration, Holdout, Policy
from rules import campaigns
from tests.support.world import World


def shipped() -> Policy:
    content = files("rules").joinpath("campaigns.toml").read_bytes()
    return campaigns.load(content, "campaigns.toml")


def test_out_of_the_box_nothing_is_sent_and_everything_is_told() -> None:
    world = World(shipped())
    for number in range(20):
        world.person(f"u-{number}")
        world.event(world.told(f"u-{number}").added("coat", 3))
    world.wait("1h")

    assert world.sent == []
    assert "would_send_dry_run" in world.reasons
    assert len(world.decisions) == 20


def test_switched_to_live_a_cart_is_followed_by_one_message() -> None:
    policy = shipped()
    live = msgspec.structs.replace(
        policy, mode="live", holdout=Holdout(0.0), exploration=Exploration()
    )
    world = World(live)
    world.person()
    world.event(world.told().added("coat", 3))
    world.wait("1d", step="30m")

    assert len(world.sent) == 1


def test_live_and_in_the_long_run_all_three_campaigns_speak() -> None:
    policy = shipped()
    live = msgspec.structs.replace(
        policy, mode="live", holdout=Holdout(0.0), exploration=Exploration()
    )
    world = World(live)
    world.person()
    world.event(world.told().added("coat", 3))
    world.wait("1h")
    world.event(world.told().ordered("coat", total=600.0))
    world.wait("31d", step="1h")

    spoke = [action.campaign.id for action in world.sent]
    assert spoke == ["cart", "post-purchase-7d", "post-purchase-30d"], world.reasons
