"""Nothing but a person ever lets more through, whatever was held back before."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import controls
from engine.controls import Held
from engine.events import Control, SettingsRecord
from engine.policy import Settings
from tests.support.mutants import Mutant, caught, replaced

TARGETS = ("channel:sms", "channel:email", "campaign:cart")
LATEST = 40


@st.composite
def a_control(draw: st.DrawFn, actors: tuple[str, ...]) -> Control:
    target, actor, at = draw(
        st.tuples(st.sampled_from(TARGETS), st.sampled_from(actors), st.integers(0, 20))
    )
    ends = draw(st.none() | st.integers(at + 1, 30))
    match draw(st.sampled_from(("pause", "resume", "throttle"))):
        case "pause":
            return controls.pause(target, actor=actor, at=at, expires_at=ends)
        case "resume":
            return controls.resume(target, actor=actor, at=at)
        case _:
            channel = draw(st.sampled_from(TARGETS[:2]))
            share = draw(st.sampled_from((0.1, 0.25, 0.5, 0.9, 1.0)))
            return controls.throttle(channel, share, actor=actor, at=at, expires_at=ends)


ANYBODY = a_control(("operator:anna", "operator:bo", "audit", "brake"))
AUTOMATIC = a_control(("audit", "brake", "", "cron"))
RECORDS = st.builds(
    lambda control, pause: SettingsRecord(control=control, pause=pause),
    st.none() | ANYBODY,
    st.dictionaries(st.sampled_from(TARGETS), st.booleans(), max_size=2),
)


def settings_after(records: list[SettingsRecord]) -> Settings:
    settings = Settings()
    for record in records:
        settings = settings.merged(record)
    return settings


def shares(settings: Settings, since: int) -> list[float]:
    return [
        settings.standing(now).share(target) for target in TARGETS for now in range(since, LATEST)
    ]


Case = tuple[list[SettingsRecord], Control]
CASES: st.SearchStrategy[Case] = st.tuples(st.lists(RECORDS, max_size=8), AUTOMATIC)


def nobody_lets_more_through(case: Case) -> None:
    records, control = case
    before = settings_after(records)
    after = before.merged(SettingsRecord(control=control, pause={control.target: False}))

    compared = zip(shares(before, control.at), shares(after, control.at), strict=True)
    assert all(now <= was for was, now in compared)


@given(CASES)
def test_a_control_of_nobody_never_lets_more_through_at_any_later_moment(case: Case) -> None:
    nobody_lets_more_through(case)


@contextmanager
def a_brake_that_may_do_what_a_person_may() -> Iterator[None]:
    with replaced(controls, "automatic", lambda _: False):
        yield


@contextmanager
def a_brake_whose_end_is_its_own() -> Iterator[None]:
    with replaced(controls, "_longer", lambda _, new: new):
        yield


@contextmanager
def a_record_whose_bare_pauses_rule_its_target() -> Iterator[None]:
    def careless(self: Settings, delta: SettingsRecord) -> Settings:
        bare = msgspec.structs.replace(delta, control=None)
        return merged(merged(self, delta), bare)

    merged = Settings.merged
    with replaced(Settings, "merged", careless):
        yield


@pytest.mark.parametrize(
    "mutant",
    [
        a_brake_that_may_do_what_a_person_may,
        a_brake_whose_end_is_its_own,
        a_record_whose_bare_pauses_rule_its_target,
    ],
)
def test_the_law_notices(mutant: Mutant) -> None:
    caught(nobody_lets_more_through, CASES, mutant)


@given(st.lists(RECORDS, max_size=8), AUTOMATIC)
def test_the_kill_switch_follows_the_same_law(
    records: list[SettingsRecord], control: Control
) -> None:
    held: tuple[Held, ...] = ()
    for record in records:
        if record.control is not None:
            held = controls.applied(held, record.control)
    after = controls.applied(held, control)
    for now in range(control.at, LATEST):
        was, is_now = controls.standing(held, now), controls.standing(after, now)
        assert all(is_now.share(target) <= was.share(target) for target in TARGETS)


@given(st.lists(RECORDS, max_size=8), RECORDS)
def test_a_record_written_twice_is_as_good_as_once(
    records: list[SettingsRecord], record: SettingsRecord
) -> None:
    once = settings_after([*records, record])
    assert once.merged(record) == once
    assert once.merged(record).digest() == once.digest()


@given(st.lists(RECORDS, max_size=8), ANYBODY)
def test_a_pause_holds_from_its_moment_to_its_end_whatever_was_before(
    records: list[SettingsRecord], control: Control
) -> None:
    if control.action != "pause":
        return
    after = settings_after([*records, SettingsRecord(control=control)])
    end = LATEST if control.expires_at is None else control.expires_at
    assert all(after.standing(now).share(control.target) == 0.0 for now in range(control.at, end))


@given(st.lists(RECORDS, max_size=8))
def test_what_is_named_as_paused_is_what_is_held_at_some_moment(
    records: list[SettingsRecord],
) -> None:
    settings = settings_after(records)
    held = {one.target for one in settings.held if not one.share}
    assert held <= set(settings.paused)
    assert list(settings.paused) == sorted(set(settings.paused))
