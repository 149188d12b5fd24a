"""A strategy's scorer makes the engine's own arithmetic come to what the strategy wants."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions import Weighed, a_case, weigh
from engine.ports import Case, Score, Scorer
from engine.times import HOUR
from streams.demo.shop import Ledger
from streams.trial.strategies import LikelyBuyers, Oracle, SendAlways, claiming
from streams.trial.worth import LOST, outcome
from tests.support.builders import START, a_cart, a_policy, a_profile, a_trigger
from tests.support.world import in_force

NOW = START + HOUR
FORCE = in_force(a_policy())


def a_question(fatigue: float = 0.0) -> Case:
    """Return a case about a cart of 200 CNY with a margin of 0.3: 60 are at stake."""
    profile = a_profile(a_cart("coat", "hat"))
    profile.fatigue, profile.fatigue_at = fatigue, NOW
    assert FORCE.policy is not None
    campaign = FORCE.policy.campaigns["cart"]
    return a_case("u-1", profile, a_trigger(), campaign, FORCE, NOW)


def weighed(case: Case, scorer: Scorer) -> Weighed:
    return weigh(case, replace(FORCE, scorer=scorer))


@dataclass
class Claims:
    worths: dict[str, float]
    p0: float

    def score(self, case: Case) -> Score:
        return claiming(case, self.worths, self.p0)


@dataclass
class Fixed:
    p0: float

    def score(self, case: Case) -> Score:
        return Score(self.p0, {}, "")


@given(
    push=st.floats(-0.05, 25.0),
    sms=st.floats(-0.05, 25.0),
    fatigue=st.floats(0.0, 6.0),
    p0=st.sampled_from([0.001, 0.5]),
)
def test_the_engine_finds_the_worth_that_was_claimed(
    push: float, sms: float, fatigue: float, p0: float
) -> None:
    found = weighed(a_question(fatigue), Claims({"push": push, "sms": sms}, p0)).worth

    assert found["push"] == pytest.approx(push, abs=1e-4)
    assert found["sms"] == pytest.approx(sms, abs=1e-4)
    assert found["email"] < 0, "a channel that is not named is never worth it"


def test_a_worth_beyond_the_order_is_the_nearest_there_is() -> None:
    found = weighed(a_question(), Claims({"push": 1_000.0}, 0.001))

    assert 59 < found.worth["push"] < 60
    assert found.best == "push"


def test_send_always_takes_the_cheapest_channel_however_tired_she_is() -> None:
    for fatigue in (0.0, 5.0, 50.0):
        assert weighed(a_question(fatigue), SendAlways()).best == "push"


def test_likely_buyers_are_spoken_to_and_others_are_not() -> None:
    kind = a_question().trigger.kind

    def best(p0: float, above: dict[str, float]) -> str | None:
        return weighed(a_question(), LikelyBuyers(Fixed(p0), above)).best

    assert best(0.3, {kind: 0.2}) == "push"
    assert best(0.2, {kind: 0.2}) == "push"
    assert best(0.1, {kind: 0.2}) is None
    assert best(0.1, {}) == "push", "a kind without a bar cannot be ranked"


def test_the_oracle_says_what_is_worth_most_and_nothing_that_is_not() -> None:
    def best(true: dict[str, float]) -> str | None:
        return weighed(a_question(), Oracle(lambda _, channel: true[channel])).best

    assert best({"push": 3.0, "email": 9.0, "sms": -20.0}) == "email"
    assert best({"push": -0.01, "email": 0.0, "sms": -20.0}) is None


def test_value_is_margin_less_messages_less_those_who_were_lost() -> None:
    assert FORCE.policy is not None
    ledger = Ledger(
        orders=9,
        revenue=1_000.0,
        margin=300.0,
        messages={"push": 7, "email": 10, "sms": 4},
        unsubscribed=2,
        complained=1,
        caused=3,
        visits=50,
        brought=40.0,
        refusing=0.5,
    )

    found = outcome(ledger, FORCE.policy)

    assert found.cost == pytest.approx(10 * 0.002 + 4 * 0.05)
    assert found.value == pytest.approx(300.0 - 0.22 - 3 * LOST)
    assert found.worth == pytest.approx(40.0 - 0.22 - 0.5 * LOST)
    assert (found.messages, found.lost, found.caused) == (21, 3, 3)
