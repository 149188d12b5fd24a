"""What stands in the log of decisions stands, whatever this engine would say."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec
import pytest

from engine.decisions import Decision
from engine.policy import Cap, Policy
from engine.times import DAY
from tests.support import mutants
from tests.support.builders import USER, a_cart_campaign, a_policy
from tests.support.fallen import Fall, fall_back
from tests.support.strategies import History
from tests.support.world import World

Engine = AbstractContextManager[None]

CART = a_cart_campaign(cooldown=0)
POLICY = a_policy(CART, caps=())


def filled() -> World:
    """Somebody known has left something in her cart; the next tick but one finds it due."""
    world = World(POLICY, chunk=1)
    world.person()
    world.event(world.told().added("p-1"))
    return world


def back(
    world: World, other: Policy | None = None, *, kept: int = 0, acted: int = 9, **engines: Engine
) -> World:
    """Lose the state of all but ``kept`` records, and come back; the log goes on for a while.

    What the world had made of its whole log is recorded, but for what is cut off.
    """
    reached = len(world.logs[0])
    world.wait("2h", step="10m")
    records = tuple(record for _, record in world.logs[0])
    return fall_back(History(POLICY, records), Fall(kept, reached, 9, acted), other, **engines)


def with_(policy: Policy, **changes: object) -> Policy:
    campaign = msgspec.structs.replace(CART, **changes)
    return msgspec.structs.replace(policy, campaigns={campaign.id: campaign})


def the_one(world: World, found: Callable[[Decision], bool] = lambda _: True) -> Decision:
    (decision,) = [decision for decision in world.decisions if found(decision)]
    return decision


def test_a_recorded_send_is_charged_where_this_engine_would_be_silent() -> None:
    before = filled()
    before.wait("90m", step="10m")

    world = back(before, with_(POLICY, margin=0.0))

    decision = the_one(world)
    assert decision.reason == "sent"
    assert [send.action_id for send in world.profile().sends] == [decision.action_id]
    assert not world.profile().triggers
    assert world.report.recorded == {"different": 1}


def test_a_recorded_send_of_a_removed_campaign_counts_for_the_caps_of_what_comes_next() -> None:
    """At the end of the record the rest is judged on the profile that was just charged."""
    capped = msgspec.structs.replace(
        POLICY, caps=(Cap(name="any-24h", kind="rolling", window=DAY, limit=1),)
    )
    before = World(capped, chunk=1)
    before.person()
    before.event(before.told().added("p-1"))
    before.wait("90m", step="10m")
    more = msgspec.structs.replace(CART, id="more")

    world = back(before, msgspec.structs.replace(capped, campaigns={"more": more}))

    told = [(decision.campaign, decision.reason) for decision in world.decisions]
    assert told[0] == ("cart", "sent")
    assert ("more", "sent") not in told
    assert len(world.profile().sends) == 1
    assert world.report.recorded["missing"] == 1


def test_a_recorded_silence_stays_silence_where_this_engine_would_speak() -> None:
    before = World(with_(POLICY, margin=0.0), chunk=1)
    before.person()
    before.event(before.told().added("p-1"))
    before.wait("90m", step="10m")
    history = History(with_(POLICY, margin=0.0), tuple(record for _, record in before.logs[0]))

    world = fall_back(history, Fall(0, len(history.records), 9, 9), POLICY)

    assert the_one(world).reason == "not_worth_it"
    assert not world.sent
    assert not world.profile().triggers


def test_a_message_whose_topic_lacks_it_is_made_again_under_its_own_name() -> None:
    before = filled()
    before.wait("60m", step="10m")
    (wanted,) = before.sent
    place = [entry.id for entry in before.out]

    world = back(before, with_(POLICY, version=2), acted=0)

    (action,) = world.sent
    assert (action.action_id, action.decision_id) == (wanted.action_id, wanted.decision_id)
    assert action.channel == wanted.channel
    assert action.campaign.version == 2, "in the words of today"
    assert [entry.id for entry in world.out] == place


def test_a_message_that_cannot_be_made_any_more_is_counted_and_its_charge_stays() -> None:
    before = filled()
    before.wait("60m", step="10m")

    world = back(before, msgspec.structs.replace(POLICY, campaigns={}), acted=0)

    assert not world.sent
    assert world.report.recorded == {"missing": 1, "unsaid": 1}
    assert len(world.profile().sends) == 1


def test_what_this_engine_would_say_too_early_waits_until_the_record_ends() -> None:
    before = filled()
    before.event(before.told("u-2").identified(), before.told("u-2").consented())
    before.wait("10m", step="10m")
    before.event(before.told("u-2").added("p-2"))
    before.wait("70m", step="10m")
    tail = before.decisions[-1]
    assert [each.user_id for each in before.decisions] == [USER, "u-2"]
    second = a_cart_campaign(id="second", cooldown=0, delay=20 * 60_000)
    other = msgspec.structs.replace(POLICY, campaigns={"cart": CART, "second": second})

    world = back(before, other)

    late = [decision for decision in world.decisions if decision.campaign == "second"]
    assert {decision.user_id for decision in late} == {USER, "u-2"}
    # Hers of the last recorded tick was decided in it; the other one's in the tick after it.
    assert all(decision.at >= tail.at for decision in late)
    assert world.report.recorded["extra"] == 2
    assert not world.profile().triggers


def test_a_recorded_end_ends_what_this_engine_would_keep() -> None:
    """The engine of the record knew a rule that ours does not: its word stands."""
    before = filled()
    before.event(before.told().consented("*", granted=False))
    assert the_one(before).reason == "opted_out"

    world = back(before, POLICY, second=mutants.withdrawal_not_heard())

    assert the_one(world).reason == "opted_out"
    assert not world.profile().triggers
    assert world.report.recorded == {"different": 1}


def test_an_end_that_is_not_recorded_waits_for_the_word_of_the_record() -> None:
    before = filled()
    before.event(before.told().consented("*", granted=False))
    before.wait("60m", step="10m")

    world = back(before, POLICY, first=mutants.withdrawal_not_heard())

    assert the_one(world).reason == "no_consent"
    assert not world.profile().triggers
    assert world.report.recorded["extra"] == 1
    assert world.report.armed == {"cart": 1}


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 5])
def test_the_same_engine_finds_the_same_from_any_point(kept: int) -> None:
    before = filled()
    before.wait("80m", step="10m")

    world = back(before, kept=kept)

    assert world.report.recorded == {"same": 1}
    assert [entry.id for entry in world.out] == [entry.id for entry in before.out]
    assert world.profiles() == before.profiles()
