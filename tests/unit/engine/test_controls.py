"""Who may hold back what: one rule, and what a shop hears of it."""

from collections.abc import Callable

import msgspec
import pytest
from msgspec import UNSET, Struct

from engine import controls, decisions
from engine.controls import FREE, Held, Standing
from engine.errors import Refused
from engine.events import Control, SettingsRecord
from engine.policy import Settings
from engine.times import HOUR, iso
from tests.support.builders import START
from tests.support.world import World

ANNA = controls.operator("anna")
EMAIL = "channel:email"


def after(*did: Control) -> Settings:
    settings = Settings()
    for control in did:
        settings = settings.merged(SettingsRecord(control=control))
    return settings


def share(settings: Settings, now: int, target: str = EMAIL) -> float:
    return settings.standing(now).share(target)


# --- what a person does -------------------------------------------------------------------------


def test_a_pause_keeps_who_why_and_until_when() -> None:
    paused = after(controls.pause(EMAIL, actor=ANNA, at=5, reason="bad import", expires_at=50))

    held = Held(target=EMAIL, by=ANNA, reason="bad import", since=5, until=50)
    assert paused.standing(49) == Standing({EMAIL: held}, {})
    assert paused.standing(50) == FREE
    assert paused.paused == (EMAIL,)  # for a release that knows no end


def test_a_resume_lifts_the_pause_and_leaves_the_throttle() -> None:
    throttled = controls.throttle(EMAIL, 0.6, actor=ANNA, at=1)
    paused = controls.pause(EMAIL, actor=ANNA, at=2)
    both = after(throttled, paused)
    assert share(both, 3) == 0.0

    resumed = both.merged(SettingsRecord(control=controls.resume(EMAIL, actor=ANNA, at=4)))
    assert share(resumed, 5) == 0.6
    assert resumed.paused == ()

    free = resumed.merged(SettingsRecord(control=controls.throttle(EMAIL, 1.0, actor=ANNA, at=6)))
    assert free == Settings()


def test_a_pause_without_a_word_still_pauses_and_a_person_may_lift_it() -> None:
    silent = Settings(paused=(EMAIL,))
    assert silent.standing(0) == Standing({EMAIL: Held(target=EMAIL)}, {})

    lifted = silent.merged(SettingsRecord(control=controls.resume(EMAIL, actor=ANNA, at=1)))
    assert lifted == Settings()


def test_a_brake_does_not_put_an_end_to_a_pause_without_a_word() -> None:
    silent = Settings(paused=(EMAIL,))
    brake = controls.pause(EMAIL, actor="brake", at=1, expires_at=9)
    assert silent.merged(SettingsRecord(control=brake)) == silent


def test_a_bare_pause_or_resume_replaces_what_was_said_about_the_old_one() -> None:
    told = after(controls.pause(EMAIL, actor=ANNA, at=5, expires_at=50))
    bare = told.merged(SettingsRecord(pause={EMAIL: True}))
    assert bare.standing(60) == Standing({EMAIL: Held(target=EMAIL)}, {})
    assert told.merged(SettingsRecord(pause={EMAIL: False})) == Settings()


# --- what nobody but a person may do ------------------------------------------------------------


@pytest.mark.parametrize("actor", ["brake", "audit", "somebody", ""])
def test_who_is_no_person_lets_nothing_through(actor: str) -> None:
    paused = controls.pause(EMAIL, actor=ANNA, at=1)
    throttled = controls.throttle(EMAIL, 0.5, actor=ANNA, at=1)
    held = after(paused, throttled)
    for control in (
        controls.resume(EMAIL, actor=actor, at=2),
        controls.throttle(EMAIL, 1.0, actor=actor, at=2),
        controls.throttle(EMAIL, 0.9, actor=actor, at=2),
        controls.pause(EMAIL, actor=actor, at=2, expires_at=3),
    ):
        record = SettingsRecord(control=control, pause={EMAIL: False})
        assert held.merged(record) == held
    with pytest.raises(Refused, match="a person"):
        controls.check(controls.resume(EMAIL, actor=actor, at=2))


def test_a_brake_makes_a_pause_longer_and_says_so() -> None:
    held = after(controls.pause(EMAIL, actor=ANNA, at=1, expires_at=10))
    brake = controls.pause(EMAIL, actor="brake", at=2, reason="complaints")
    longer = held.merged(SettingsRecord(control=brake))

    assert longer.standing(11).paused[EMAIL].by == "brake"


def test_a_brake_that_lowers_a_throttle_does_not_end_before_it_did() -> None:
    held = after(controls.throttle(EMAIL, 0.8, actor=ANNA, at=1))
    brake = controls.throttle(EMAIL, 0.5, actor="brake", at=2, expires_at=10)
    lower = held.merged(SettingsRecord(control=brake))

    assert (share(lower, 9), share(lower, 11)) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (controls.pause("sms", actor=ANNA, at=1), "names nothing"),
        (controls.pause("channel:", actor=ANNA, at=1), "names nothing"),
        (controls.throttle("campaign:cart", 0.5, actor=ANNA, at=1), "no channel"),
        (controls.throttle(EMAIL, 0.05, actor=ANNA, at=1), "pause"),
        (controls.throttle(EMAIL, 1.5, actor=ANNA, at=1), "1.5"),
        (controls.pause(EMAIL, actor=ANNA, at=5, expires_at=5), "ends before"),
        (controls.pause(EMAIL, actor=ANNA, at=5, reason="x" * 201), "200 characters"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(wrong: Control, says: str) -> None:
    with pytest.raises(Refused, match=says):
        controls.check(wrong)


# --- old records, old states, old releases ------------------------------------------------------


class OldSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings as releases before the controls have them."""

    campaigns: str | None = None
    templates: str | None = None
    model: str | None = None
    paused: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("encode", "decode"),
    [
        (msgspec.json.encode, msgspec.json.Decoder(Settings).decode),
        (msgspec.msgpack.encode, msgspec.msgpack.Decoder(Settings).decode),
    ],
    ids=["json", "msgpack"],
)
def test_what_an_old_release_stored_is_read_and_keeps_its_hash(
    encode: Callable[[object], bytes], decode: Callable[[bytes], Settings]
) -> None:
    stored = encode(OldSettings(campaigns="c" * 64, paused=(EMAIL,)))

    read = decode(stored)

    assert read == Settings(campaigns="c" * 64, paused=(EMAIL,))
    assert encode(read) == stored
    assert Settings().digest() == "44136fa355b3678a"
    assert Settings(paused=("channel:sms",)).digest() == "a5e5b19ecf657d59"


def test_an_old_release_still_obeys_a_pause_a_new_one_wrote() -> None:
    stored = msgspec.msgpack.encode(after(controls.pause(EMAIL, actor=ANNA, at=1)))
    assert msgspec.msgpack.decode(stored, type=OldSettings) == OldSettings(paused=(EMAIL,))


# --- what the shop hears of it ------------------------------------------------------------------


def a_world() -> World:
    world = World()
    world.person()
    world.event(world.told().added("p-1", cart="c-1"))
    return world


def test_a_pause_that_ends_is_over_at_the_tick_of_its_last_moment() -> None:
    for ends, spoken in ((START + HOUR, 1), (START + HOUR + 1, 0)):
        world = a_world()
        for name in ("push", "sms", "email"):
            control = controls.pause(f"channel:{name}", actor=ANNA, at=START, expires_at=ends)
            world.act(control)
        world.tick(START + HOUR)
        assert len(world.sent) == spoken


def test_a_decision_says_who_paused_and_why() -> None:
    world = a_world()
    world.act(controls.pause("campaign:cart", actor=ANNA, at=START, reason="wrong price"))
    world.wait("2h")

    decision = world.decisions[-1]
    assert (decision.outcome, decision.reason) == ("suppress", "campaign_paused")
    assert decision.held == decisions.HeldBack(
        target="campaign:cart", share=0.0, by=ANNA, reason="wrong price", since=iso(START)
    )
    assert decisions.decode(decisions.encode(decision)) == decision


def test_a_decision_nobody_held_back_is_written_as_before() -> None:
    world = a_world()
    world.pause("campaign:cart")
    world.wait("2h")

    decision = world.decisions[-1]
    assert decision.reason == "campaign_paused"
    assert decision.held is UNSET
    assert b'"held"' not in decisions.encode(decision)


def test_a_throttle_silences_by_lot_and_keeps_nothing_for_later() -> None:
    world = World()
    users = [f"u-{number}" for number in range(60)]
    for user in users:
        world.person(user)
        world.event(world.told(user).added("p-1", cart="c-1"))
    for name in ("push", "sms", "email"):
        world.act(controls.throttle(f"channel:{name}", 0.5, actor="brake", at=START))
    world.wait("2h")
    silenced = {one.user_id for one in world.decisions if one.reason == "rate_brake"}
    spoken = {one.user_id for one in world.decisions if one.reason == "sent"}

    assert silenced
    assert spoken
    assert silenced | spoken == set(users)
    for name in ("push", "sms", "email"):
        world.act(controls.throttle(f"channel:{name}", 1.0, actor=ANNA, at=world.now))
    world.wait("8h")
    assert {one.user_id for one in world.decisions if one.reason == "sent"} == spoken
