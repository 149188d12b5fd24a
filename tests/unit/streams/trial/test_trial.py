"""A trial is fair: one seed gives one answer, and strategies differ by how they choose, only."""

import asyncio
from collections import Counter
from functools import cache

import pytest
from msgspec import structs

from engine import decisions
from engine.errors import Refused
from engine.times import DAY
from streams.demo.files import HOLDOUT
from streams.demo.shop import Shop
from streams.demo.worlds import WORLDS
from streams.trial import run as trials
from streams.trial.play import Log, Play
from streams.trial.run import STRATEGIES, Asked, Trial, run, run_all

START = trials.START
SMALL = Asked(world="default", seed=3, shoppers=100, learn_days=5, judge_days=6)


@cache
def played(world: str) -> Trial:
    return run(structs.replace(SMALL, world=world))


def a_play(days: int = 5, seed: int = 3, shoppers: int = 80) -> Play:
    """Return a shop in which the shipped campaigns have spoken for some days."""
    play = Play(Shop(seed, shoppers, 2 * days, START, WORLDS["default"]), START)
    asyncio.run(play.until(START + days * DAY, trials._learning(trials._shipped(), None)))
    return play


def go_on(play: Play, strategy: str = "prior", days: int = 5) -> Log:
    force = trials._judged(trials._shipped(), strategy, play, None, Log())
    asyncio.run(play.until(play.now + days * DAY, force))
    return play.log


# --- one answer ---------------------------------------------------------------------------------


def test_equal_seeds_give_equal_numbers() -> None:
    assert run(SMALL) == played("default")


def test_other_seeds_are_other_shops() -> None:
    other = run(structs.replace(SMALL, seed=4, shoppers=40))

    again = run(structs.replace(SMALL, shoppers=40))
    assert other.outcomes["prior"].value != again.outcomes["prior"].value


def test_a_world_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(Refused, match="default"):
        run(Asked(world="narnia", seed=1, shoppers=10))


def test_trials_come_back_in_the_order_they_were_asked_for() -> None:
    asked = [
        Asked(world="default", seed=s, shoppers=10, learn_days=1, judge_days=1) for s in (2, 1)
    ]
    over: list[str] = []

    found = run_all(asked, over.append, workers=1)

    assert [trial.asked for trial in found] == asked
    assert over == ["default, seed 2", "default, seed 1"]


def test_a_shop_that_explores_tries_every_channel_and_the_shipped_one_as_its_file_says() -> None:
    shipped = trials._shipped()

    as_shipped, explored = trials._learning(shipped, None), trials._learning(shipped, 0.3)

    assert shipped.policy is not None
    assert as_shipped.policy is not None
    assert explored.policy is not None
    assert as_shipped.policy.exploration == shipped.policy.exploration
    assert explored.policy.exploration.share == 0.3
    assert set(explored.policy.exploration.channels) == set(shipped.policy.channels)
    assert explored.policy.holdout.share == as_shipped.policy.holdout.share == HOLDOUT


# --- the fork -----------------------------------------------------------------------------------


def test_a_fork_goes_on_as_its_origin_would_have() -> None:
    play = a_play()
    learned = play.log
    fork = play.fork()

    forked = go_on(fork)
    play.log = Log()
    on = go_on(play)

    assert forked.decisions
    assert (forked.decisions, forked.events) == (on.decisions, on.events)
    assert learned.decisions, "the fork did not take the log away"


def test_what_one_fork_does_no_other_feels() -> None:
    play = a_play()
    untouched, other = play.fork(), play.fork()

    go_on(other, "send-always")

    assert go_on(untouched).decisions == go_on(play.fork()).decisions
    assert other.log.decisions != untouched.log.decisions


# --- the strategies -----------------------------------------------------------------------------


def test_every_strategy_is_played() -> None:
    assert tuple(played("default").outcomes) == STRATEGIES


def test_without_a_model_the_prior_speaks_for_it_and_the_reason_is_told() -> None:
    trial = played("default")

    assert "too little" in trial.trained.refused
    assert trial.outcomes["model"] == trial.outcomes["prior"]


def test_where_nothing_works_the_oracle_says_nothing_and_nobody_does_better() -> None:
    outcomes = played("nothing-works").outcomes

    assert outcomes["oracle"].messages == 0
    assert outcomes["oracle"].value == max(outcome.value for outcome in outcomes.values())
    assert outcomes["send-always"].messages > 0


def test_where_messages_work_the_oracle_sends_few_and_gains_by_them() -> None:
    outcomes = played("default").outcomes

    assert 0 < outcomes["oracle"].messages < outcomes["prior"].messages
    assert outcomes["oracle"].caused > outcomes["prior"].caused
    assert outcomes["oracle"].value > outcomes["prior"].value


def test_send_always_finds_no_message_too_dear_and_no_other_sends_more() -> None:
    log = go_on(a_play().fork(), "send-always")

    reasons = Counter(decisions.decode(one).reason for one in log.decisions)
    assert reasons["sent"] > 0
    assert not reasons["not_worth_it"]
    assert not reasons["explored_none"]
    assert not reasons["would_send_holdout"]
    outcomes = played("default").outcomes
    assert outcomes["send-always"].messages >= outcomes["propensity-only"].messages
    assert outcomes["send-always"].messages > outcomes["random"].messages


def test_what_the_shop_heard_is_what_was_decided() -> None:
    """The ledger that strategies are paid by, counted again from the decisions."""
    play = a_play().fork()
    since = play.now
    log = go_on(play, "send-always")

    decided = [decisions.decode(one) for one in log.decisions]
    sent = Counter(one.channel for one in decided if one.outcome == "send")
    assert sent
    assert play.shop.ledger(since, play.now).messages == dict(sent)


def test_what_it_leads_to_comes_back_as_feedback() -> None:
    log = go_on(a_play().fork(), "send-always")

    told = Counter(getattr(event, "outcome", None) for event in log.events)
    sent = Counter(decisions.decode(one).outcome for one in log.decisions)["send"]
    assert told["delivered"] > 0
    assert sent * 0.8 < told["accepted"] <= sent + 5, "but for what crosses either end"
