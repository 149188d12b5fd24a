"""Laws of one run: whatever happened, in whatever order, nobody is spoken to who must not be."""

from collections import Counter

import pytest
from hypothesis import Phase, given, settings
from hypothesis.strategies import SearchStrategy

from engine.times import HOUR
from tests.support import mutants, recount
from tests.support.mutants import Mutant, caught
from tests.support.strategies import (
    BUSY_GAPS,
    HEAVY,
    History,
    everything,
    histories,
    play,
    talkative,
)


def caps_hold(history: History) -> None:
    recount.check_caps(play(history))


def consent_holds(history: History) -> None:
    recount.check_consent(play(history))


def nobody_is_woken(history: History) -> None:
    recount.check_quiet_hours(play(history))


def everything_armed_ends_once(history: History) -> None:
    recount.check_closings(play(history))


def propensities_are_probabilities(history: History) -> None:
    recount.check_propensities(play(history))


def wakes_are_kept(history: History) -> None:
    """Checked after every commit, not only at the end."""
    world = play(history, chunk=1, watch=recount.check_wakes)
    recount.check_wakes(world)


def every_action_has_its_decision(history: History) -> None:
    recount.check_actions(play(history))


REACHED = (
    "sent",
    "would_send_holdout",
    "would_send_dry_run",
    "converted",
    "emptied",
    "superseded",
    "refunded",
    "opted_out",
    "erased",
    "no_consent",
    "unreachable",
    "cap",
    "cooldown",
    "quiet_hours",
    "outranked",
    "explored_none",
    "stale",
)


@given(everything())
def test_no_history_breaks_a_promise(history: History) -> None:
    world = play(history)

    recount.check_all(world)


@HEAVY
@given(histories(gaps=BUSY_GAPS, length=16))
def test_the_index_of_wake_ups_is_the_copy_of_the_profiles_after_every_commit(
    history: History,
) -> None:
    wakes_are_kept(history)


HOURS = (HOUR, 2 * HOUR, 5 * HOUR)
told_back = histories(("added", "added", "outcome"), HOURS, (0,))
erased = histories(("added", "added", "erased"), HOURS, (0,))
withdrawn = histories(("added", "added", "withdrawn"), HOURS, (0,))


@pytest.mark.parametrize(
    ("law", "cases", "mutant"),
    [
        (caps_hold, talkative(), mutants.no_caps),
        (caps_hold, talkative(), mutants.decisions_not_folded),
        (caps_hold, talkative(), mutants.all_judged_before_any_is_charged),
        (caps_hold, told_back, mutants.reports_forget_the_send),
        (consent_holds, withdrawn, mutants.no_consent),
        (consent_holds, erased, mutants.erasure_keeps_the_profile),
        (nobody_is_woken, talkative(), mutants.no_quiet_hours),
        (everything_armed_ends_once, talkative(), mutants.closings_forgotten),
        (everything_armed_ends_once, talkative(), mutants.decided_but_still_armed),
        (propensities_are_probabilities, talkative(), mutants.propensities_of_the_chosen),
        (wakes_are_kept, talkative(), mutants.wakes_not_lowered),
        (wakes_are_kept, talkative(), mutants.index_not_written),
        (every_action_has_its_decision, talkative(), mutants.decisions_not_written),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_engine_is_noticed(
    law: mutants.Law, cases: SearchStrategy[History], mutant: Mutant
) -> None:
    caught(law, cases, mutant)


def test_the_strategies_reach_every_reason() -> None:
    """Not a law of the engine but of the strategies: where nothing happens nothing is proven."""
    reasons: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()

    @settings(max_examples=200, derandomize=True, database=None, phases=[Phase.generate])
    @given(everything())
    def look(history: History) -> None:
        for decision in play(history).decisions:
            reasons[decision.reason.split(":")[0]] += 1
            outcomes[decision.outcome] += 1

    look()

    assert set(outcomes) == {"send", "defer", "suppress", "disarm"}
    missing = set(REACHED) - set(reasons)
    assert not missing, f"never seen: {missing}; seen: {reasons}"
