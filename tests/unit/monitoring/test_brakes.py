"""When a channel is stopped or slowed by itself: at which figures, in which order, how often."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import controls
from engine.controls import FREE, Standing
from engine.events import Control, SettingsRecord
from engine.policy import Settings
from engine.times import DAY, MINUTE
from monitoring.brakes import RULES, Brakes, Figures, paced

EMAIL = "channel:email"
START = 1_767_258_000_000


class Shop:
    """Windows of a minute through the brakes, and what they ask for put in force at once."""

    def __init__(self) -> None:
        self.brakes = Brakes()
        self.settings = Settings()
        self.now = START
        self.did: list[Control] = []

    @property
    def standing(self) -> Standing:
        return self.settings.standing(self.now)

    def minute(self, *, heeded: bool = True, **figures: Any) -> Control | None:
        self.now += MINUTE
        window = Figures(**{"channel": "email", "end": self.now, **figures})
        control = self.brakes.judge(window, self.standing)
        if control is not None:
            self.did.append(control)
            if heeded:
                self.put(control)
        return control

    def minutes(self, count: int, **figures: Any) -> list[Control]:
        return [done for _ in range(count) if (done := self.minute(**figures)) is not None]

    def put(self, control: Control) -> None:
        self.settings = self.settings.merged(SettingsRecord(control=control))

    def resume(self) -> None:
        self.put(controls.resume(EMAIL, actor=controls.operator("anna"), at=self.now))


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_hard_bounces_beyond_their_limit_stop_the_channel_with_their_evidence(shop: Shop) -> None:
    (done,) = shop.minutes(10, accepted=50, hard_bounces=3, provider="mailer")

    assert (done.actor, done.action, done.target) == ("brake", "pause", EMAIL)
    assert done.expires_at is None
    assert done.reason == "hard bounces 6 % of 200 accepted in 30 min, limit 5 %"
    assert done.evidence == {
        "provider": "mailer",
        "rule": "hard_bounces",
        "rate": 0.06,
        "limit": 0.05,
        "accepted": 200,
        "found": 12,
        "window_s": 1800,
    }
    controls.check(done)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_nothing_at_its_limit_or_before_there_are_enough(rule: Any) -> None:
    at_limit, too_few, beyond = Shop(), Shop(), Shop()
    just = round(rule.limit * 10_000)
    assert not at_limit.minute(accepted=10_000, **{rule.name: just})
    assert not too_few.minute(accepted=rule.least - 1, **{rule.name: rule.least - 1})
    done = beyond.minute(accepted=10_000, **{rule.name: just + 1})
    assert done is not None
    assert done.evidence["rule"] == rule.name


def test_what_costs_the_senders_name_is_judged_first(shop: Shop) -> None:
    everything: dict[str, Any] = {"complaints": 50, "unsubscribes": 500, "hard_bounces": 900}
    order = []
    while everything:
        shop = Shop()
        done = shop.minute(accepted=2_000, **everything)
        assert done is not None
        order.append(str(done.evidence["rule"]))
        everything.pop(order[-1])
    assert order == ["complaints", "unsubscribes", "hard_bounces"]


def test_what_the_audit_found_goes_before_all(shop: Shop) -> None:
    done = shop.minute(accepted=2_000, complaints=50, violations={"over_cap": 2, "no_consent": 0})
    assert done is not None
    assert (done.evidence["rule"], done.evidence["over_cap"]) == ("violations", 2)


def test_a_channel_that_stands_still_is_not_stopped_again(shop: Shop) -> None:
    assert len(shop.minutes(120, accepted=50, hard_bounces=30, complaints=5)) == 1


def test_what_a_person_lets_go_is_judged_by_new_figures_alone(shop: Shop) -> None:
    shop.minutes(10, accepted=100, hard_bounces=50)
    shop.resume()
    assert not shop.minutes(60, accepted=100, hard_bounces=1)

    again = shop.minutes(20, accepted=100, hard_bounces=50)
    assert len(again) == 1


def test_what_was_not_heard_is_asked_for_again_after_five_minutes(shop: Shop) -> None:
    asked = [
        number
        for number in range(12)
        if shop.minute(heeded=False, accepted=300, hard_bounces=60) is not None
    ]
    assert asked == [0, 5, 10]


def test_bounces_of_half_an_hour_ago_are_forgotten(shop: Shop) -> None:
    shop.minutes(3, accepted=60, hard_bounces=50)
    shop.now += 31 * MINUTE
    assert not shop.minutes(5, accepted=60)


def test_an_end_somebody_set_to_a_pause_is_taken_away_by_a_brake(shop: Shop) -> None:
    until = shop.now + DAY
    shop.put(controls.pause(EMAIL, actor="operator:anna", at=shop.now, expires_at=until))
    shop.minute(accepted=300, hard_bounces=60)
    assert shop.settings.standing(until).share(EMAIL) == 0.0


def test_a_window_that_comes_twice_counts_once(shop: Shop) -> None:
    window = Figures(channel="email", end=START + MINUTE, accepted=150, hard_bounces=20)
    assert shop.brakes.judge(window, FREE) is None
    assert shop.brakes.judge(window, FREE) is None


def test_another_channel_and_another_provider_have_figures_of_their_own(shop: Shop) -> None:
    for channel, provider in (("sms", ""), ("email", "a"), ("email", "b")):
        done = shop.minute(channel=channel, provider=provider, accepted=150, hard_bounces=100)
        assert done is None


def test_it_goes_on_after_a_restart_where_it_stood(shop: Shop) -> None:
    kept, restarted = Shop(), Shop()
    done = []
    for minute in range(30):
        figures: dict[str, Any] = {"accepted": 40, "hard_bounces": 1 + minute // 5}
        done.append((kept.minute(**figures), restarted.minute(**figures)))
        restarted.brakes = Brakes(restarted.brakes.state())
    assert all(one == other for one, other in done)
    assert any(one for one, _ in done)


# --- pace ---------------------------------------------------------------------------------------


def test_a_pace_beyond_the_plan_is_lowered_by_a_fifth_every_five_minutes(shop: Shop) -> None:
    steps = []
    for _ in range(30):
        share = shop.standing.share(EMAIL)
        projected = 400.0 * share
        done = shop.minute(planned=100.0, projected=projected)
        if done is not None:
            steps.append((round((shop.now - START) / MINUTE), done.after))

    assert [minute for minute, _ in steps] == [1, 6, 11, 16, 21, 26, 31][: len(steps)]
    assert [share for _, share in steps] == [0.8, 0.64, 0.512, 0.4096, 0.3277, 0.2622]
    assert shop.did[0].reason == "400 would go out by the plan's end, 100 of it are left"


def test_a_pace_within_a_twentieth_of_the_plan_is_left_alone(shop: Shop) -> None:
    assert not shop.minutes(20, planned=100.0, projected=105.0)
    assert not shop.minutes(20, planned=None, projected=105.0)
    assert not shop.minutes(20, planned=100.0, projected=0.0)


@given(
    st.floats(0, 1e9),
    st.floats(1e-3, 1e9),
    st.floats(0.1, 1.0),
)
def test_a_pace_is_one_step_down_and_never_up(
    planned: float, projected: float, share: float
) -> None:
    after = paced(planned, projected, share)
    assert 0.1 <= after <= share
    assert after >= share * 0.8 - 1e-4


# --- laws ---------------------------------------------------------------------------------------

WINDOWS = st.lists(
    st.builds(
        lambda channel, accepted, shares, pace, violations: {
            "channel": channel,
            "accepted": accepted,
            "complaints": round(accepted * shares[0]),
            "unsubscribes": round(accepted * shares[1]),
            "hard_bounces": round(accepted * shares[2]),
            "planned": pace[0],
            "projected": pace[1],
            "violations": {"over_cap": violations},
        },
        st.sampled_from(("email", "sms")),
        st.integers(0, 3_000),
        st.tuples(st.floats(0, 0.01), st.floats(0, 0.05), st.floats(0, 0.1)),
        st.tuples(st.none() | st.floats(0, 1e4), st.none() | st.floats(0, 1e4)),
        st.sampled_from((0, 0, 0, 0, 1)),
    ),
    max_size=40,
)


def played(windows: Iterable[dict[str, Any]]) -> Iterator[tuple[Settings, Control, Settings]]:
    """Play windows, and yield each control with what was in force before and after it."""
    shop = Shop()
    for window in windows:
        before = shop.settings
        done = shop.minute(**window)
        if done is not None:
            yield before, done, shop.settings


@given(WINDOWS)
def test_whatever_the_figures_are_it_lets_never_more_through_and_always_changes_something(
    windows: list[dict[str, Any]],
) -> None:
    for before, control, after in played(windows):
        controls.check(control)
        was = before.standing(control.at).share(control.target)
        assert after.standing(control.at).share(control.target) < was
        assert control.expires_at is None
        assert control.evidence


@given(WINDOWS)
def test_below_the_least_number_nothing_but_a_violation_stops_a_channel(
    windows: list[dict[str, Any]],
) -> None:
    few = [window | {"accepted": window["accepted"] % 5, "planned": None} for window in windows]
    # 40 windows of at most 4 stay below the 200 of the smallest rule
    stopped = {str(control.evidence["rule"]) for _, control, _ in played(few)}
    assert stopped <= {"violations"}
