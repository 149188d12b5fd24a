"""How arming and ending change a profile, and which events may arm."""

import msgspec
import pytest

from engine.profile import Profile
from engine.times import HOUR, MINUTE
from engine.triggers import LATE, arm, end, may_arm, wake
from tests.support.builders import START, Told, a_trigger


def test_the_first_arming_wakes_her_when_it_is_due() -> None:
    profile = Profile()

    assert arm(profile, a_trigger()) == (True, None)
    assert profile.wake == START + HOUR


def test_armed_again_it_keeps_its_episode_and_takes_the_new_times() -> None:
    profile = Profile()
    arm(profile, a_trigger())
    moved = msgspec.structs.replace(a_trigger(), episode="other", due_at=START + 2 * HOUR)

    assert arm(profile, moved) == (False, None)
    (armed,) = profile.triggers
    assert (armed.episode, armed.due_at, armed.wake_at) == ("episode-", moved.due_at, moved.due_at)
    assert profile.wake == START + HOUR, "only a tick makes her wake later"


def test_what_was_deferred_is_not_looked_at_before_the_deferral_ends() -> None:
    profile = Profile()
    arm(profile, a_trigger())
    profile.triggers[0].attempt, profile.triggers[0].wake_at = 1, START + 9 * HOUR

    arm(profile, a_trigger())

    assert profile.triggers[0].wake_at == START + 9 * HOUR


def test_due_earlier_she_wakes_earlier() -> None:
    profile = Profile()
    arm(profile, a_trigger())
    sooner = msgspec.structs.replace(a_trigger(), due_at=START + MINUTE, wake_at=START + MINUTE)
    arm(profile, sooner)

    assert profile.wake == START + MINUTE
    wake(profile, START + HOUR)
    assert profile.wake == START + MINUTE


def test_ending_what_is_not_armed_is_nothing() -> None:
    assert end(Profile(), "cart", "cart_abandonment", "") is None


@pytest.mark.parametrize(
    ("told", "arms"),
    [
        (Told(), True),
        (Told(received_at=START + LATE), True),
        (Told(received_at=START + LATE + 1), False),
        (Told(history=True), False),
    ],
)
def test_only_what_is_fresh_arms(told: Told, arms: bool) -> None:
    assert may_arm(told.added()) is arms
