"""The arithmetic of a decision: what a message is worth, and which one is chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isclose, log

import msgspec
import pytest

from engine import decisions, draws
from engine.decisions import Weighed, a_case, choose, expected_basket, in_holdout, uplift, weigh
from engine.ports import Case, InForce, Objection, Score
from engine.profile import Addresses, Profile, Trigger
from engine.times import DAY, HOUR
from tests.support.builders import (
    CHANNELS,
    START,
    a_cart,
    a_cart_campaign,
    a_policy,
    a_profile,
    a_trigger,
)
from tests.support.world import in_force

NOW = START + HOUR


def a_question(
    force: InForce | None = None, profile: Profile | None = None, trigger: Trigger | None = None
) -> tuple[Case, InForce]:
    force = force or in_force(a_policy())
    assert force.policy is not None
    profile = profile or a_profile(a_cart("coat"))
    campaign = next(iter(force.policy.campaigns.values()))
    return a_case("u-1", profile, trigger or a_trigger(), campaign, force, NOW), force


def weighed_as(worth: Mapping[str, float], exploration: float = 0.0) -> Weighed:
    force = in_force(a_policy(exploration=exploration))
    case, _ = a_question(force)
    score = Score(p0=0.1, features={}, schema_hash="")
    return Weighed(
        case, {}, score, dict.fromkeys(worth, 1.1), dict.fromkeys(worth, 0.01), dict(worth), 100.0
    )


# --- worth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("p0", [0.001, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("lift", [0.8, 1.0, 1.1, 3.0])
def test_uplift_is_what_the_odds_ratio_adds(p0: float, lift: float) -> None:
    sigma = 1 / (1 + exp(-(log(p0 / (1 - p0)) + log(lift))))

    assert isclose(uplift(p0, lift), sigma - p0, abs_tol=1e-6)


@pytest.mark.parametrize("p0", [-1.0, 0.0, 1.0, 2.0])
def test_a_score_beyond_the_edge_has_a_finite_uplift(p0: float) -> None:
    assert abs(uplift(p0, 2.0)) < 1e-5


def test_worth_is_the_formula_of_the_contract() -> None:
    """Uplift x margin x basket - cost - patience x (1 + F), for each channel."""
    profile = a_profile(a_cart("coat", "hat"))
    profile.fatigue, profile.fatigue_at = 3.0, NOW - 7 * DAY  # F = 1.5
    case, force = a_question(profile=profile)

    weighed = weigh(case, force)

    assert weighed.basket == 200.0
    gain = uplift(0.10, 1.30)
    assert weighed.worth["push"] == round(gain * 0.3 * 200 - 0.0 - 0.05 * 2.5, 6)
    gain = uplift(0.10, 1.10)
    assert weighed.worth["sms"] == round(gain * 0.3 * 200 - 0.05 - 0.30 * 2.5, 6)
    assert weighed.best == "push"


def test_what_is_logged_reproduces_what_was_compared() -> None:
    @dataclass
    class Precise:
        def score(self, case: Case) -> Score:
            return Score(p0=0.1234564999, features={}, schema_hash="")

    case, force = a_question()
    force = InForce(**{**vars(force), "scorer": Precise()})
    weighed = weigh(case, force)
    verdict = decisions.judge(weighed, _addresses(), force, outranked=False)

    logged = decisions.record(weighed, verdict, force, "1.1", []).channels["push"]

    assert logged.p0 == 0.123456
    assert logged.uplift == uplift(logged.p0, 1.30)


def _addresses() -> Addresses:
    return Addresses(by_channel={"push": ("token", START)})


# --- the basket ---------------------------------------------------------------------------------


def test_the_basket_is_the_open_cart() -> None:
    case, _ = a_question(profile=a_profile(a_cart("coat", "hat", price=40.0)))

    assert expected_basket(case, Score(0.1, {}, "")) == 80.0


def test_without_a_cart_it_is_her_mean_order_drawn_towards_that_of_everybody() -> None:
    profile = a_profile()
    profile.orders_seen, profile.orders_value = 3, 900.0
    case, _ = a_question(profile=profile)

    assert expected_basket(case, Score(0.1, {}, "", mean_order=100.0)) == (900 + 3 * 100) / 6
    assert expected_basket(case, Score(0.1, {}, "")) == (900 + 3 * 180) / 6


def test_without_either_it_is_assumed() -> None:
    case, _ = a_question(profile=a_profile())

    assert expected_basket(case, Score(0.1, {}, "")) == 180.0


# --- choosing -----------------------------------------------------------------------------------


def test_the_largest_worth_is_best() -> None:
    assert weighed_as({"push": 0.1, "email": 0.3, "sms": 0.2}).best == "email"


def test_of_equals_the_cheaper_is_best() -> None:
    assert CHANNELS["email"].cost < CHANNELS["sms"].cost
    assert weighed_as({"sms": 0.3, "email": 0.3}).best == "email"
    assert weighed_as({"email": 0.3, "push": 0.3}).best == "push"


def test_what_is_worth_nothing_is_not_said() -> None:
    weighed = weighed_as({"push": 0.0, "email": -0.2})

    assert weighed.best is None
    assert choose(weighed, "d-1").channel is None


def test_without_exploration_the_best_is_certain() -> None:
    choice = choose(weighed_as({"push": 0.3, "email": 0.1}), "d-1")

    assert choice.channel == "push"
    assert choice.propensities == {None: 0.0, "push": 1.0, "email": 0.0}
    assert not choice.explored


def test_exploration_draws_over_silence_the_best_and_the_exploring_channels() -> None:
    """Channels push and email explore; sms, the best here, is among them only as the best."""
    weighed = weighed_as({"push": 0.1, "email": -0.3, "sms": 0.2}, exploration=0.4)

    choice = choose(weighed, "d-1")

    assert choice.propensities == pytest.approx({None: 0.1, "push": 0.1, "email": 0.1, "sms": 0.7})


def test_when_silence_is_best_it_has_the_rest_of_the_probability() -> None:
    choice = choose(weighed_as({"push": -0.1, "sms": -0.2}, exploration=0.4), "d-1")

    assert choice.propensities == pytest.approx({None: 0.8, "push": 0.2})


def test_what_is_drawn_follows_the_propensities() -> None:
    weighed = weighed_as({"push": 0.3, "email": 0.1}, exploration=0.6)
    chosen = [choose(weighed, f"d-{number}") for number in range(3000)]

    for channel, chance in chosen[0].propensities.items():
        share = sum(choice.channel == channel for choice in chosen) / len(chosen)
        assert abs(share - chance) < 0.03
    assert all(choice.explored == (choice.channel != "push") for choice in chosen)


def test_the_lot_is_the_keyed_hash_of_the_decision() -> None:
    choice = choose(weighed_as({"push": 0.3}, exploration=0.5), "d-1")

    assert choice.draw == draws.draw("shop", "2026Q1", "explore", "d-1")


# --- objections and withholding -----------------------------------------------------------------


def test_the_objection_of_the_channel_that_came_furthest_speaks() -> None:
    case, _ = a_question()
    objections = {
        "push": (3, Objection("no_consent")),
        "email": (8, Objection("cap:any-24h")),
        "sms": (8, Objection("quiet_hours")),
    }

    spoken = Weighed(case, objections, None, {}, {}, {}, None).spoken

    assert spoken.reason == "cap:any-24h", "ties by the campaign's order"


def test_the_holdout_has_its_share_and_no_tester() -> None:
    policy = a_policy(holdout=0.2, testers=("u-0",))
    users = [f"u-{number}" for number in range(2000)]

    withheld = [user for user in users if in_holdout(policy, user)]

    assert abs(len(withheld) / len(users) - 0.2) < 0.03
    assert not in_holdout(a_policy(holdout=1.0, testers=("u-0",)), "u-0")
    assert in_holdout(a_policy(holdout=1.0), "u-0")


def test_a_hold_longer_than_the_campaign_waits_is_a_no() -> None:
    case, force = a_question()
    waits = case.trigger.due_at + case.campaign.stale_after
    for until, outcome in ((waits, "defer"), (waits + 1, "suppress")):
        objections = {"push": (9, Objection("quiet_hours", until))}
        weighed = Weighed(case, objections, None, {}, {}, {}, None)
        verdict = decisions.judge(weighed, _addresses(), force, outranked=False)
        assert (verdict.outcome, verdict.reason) == (outcome, "quiet_hours")


def test_words_that_cannot_be_made_are_a_reason_of_their_own() -> None:
    huge = a_profile(a_cart(*[f"{number}" * 3000 for number in range(9)]))
    case, force = a_question(in_force(a_policy(a_cart_campaign(channels=("push",)))), huge)

    verdict = decisions.judge(weigh(case, force), _addresses(), force, outranked=False)

    assert (verdict.outcome, verdict.reason) == ("suppress", "template_failed")
    assert verdict.action is None


def test_an_action_names_its_cause_and_neither_channel_nor_version() -> None:
    case, _ = a_question()
    again = msgspec.structs.replace(case.trigger, due_at=7, attempt=3, wake_at=9)
    _, force = a_question(in_force(a_policy(a_cart_campaign(version=9))))
    other, _ = a_question(force, trigger=again)

    assert decisions.ids(case)[0] == decisions.ids(other)[0]
    assert decisions.ids(case)[1] != decisions.ids(other)[1]
