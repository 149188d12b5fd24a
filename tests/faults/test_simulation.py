"""The real agents in a world that is drawn by a seed: nothing lost, nothing doubled, no cap broken.

``python -m tests.faults.simulation --seeds 10000`` runs as many as there is time for.
"""

import os

import pytest

from tests.faults.simulation.harms import HARMS
from tests.faults.simulation.mutants import MUTANTS
from tests.faults.simulation.running import (
    catch,
    crash_points,
    many,
    one,
    regressions,
    turns_of_the_first,
)
from tests.faults.simulation.shop import plan_of

# Each seed is a fifth to a third of a second of CPU; a longer run is the command's.
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "30"))
# Where the search for a mutant begins: shortly before what is known to show it, so that it ends
# soon. The rarest shows once in a hundred seeds, and where depends on every await of the product:
# who changes those may have to look for it anew, from 1 on.
FIRST = dict.fromkeys(MUTANTS, 1) | {
    "trim by count": 40,
    "a commit that consumes no record": 12,
    "no source positions": 19,
    "another source topic is not recognised": 5,
    "what looks repeated is left out": 5,
}
WITHIN = 60


def test_whatever_a_seed_lets_go_wrong_nothing_is_lost_doubled_or_out_of_bounds() -> None:
    total = many(range(SEEDS))

    assert total.wrong == {}
    # There was something to get wrong.
    assert total.counts["kills"] > SEEDS / 2
    assert total.counts["redis fall-backs"] > SEEDS / 8
    assert total.counts["zombies"] > SEEDS / 8
    assert total.counts["carried"] > SEEDS
    assert total.counts["repeated by intake"] > 0


def test_what_an_operator_must_mend_is_said_and_all_goes_on_after_it() -> None:
    total = many(range(SEEDS), harms=HARMS)

    assert total.wrong == {}
    assert {total.counts[f"harm: {name}"] for name in HARMS} == {SEEDS // len(HARMS)}
    # It was said, and it had cost something.
    assert total.counts["sentences of halted lanes"] > SEEDS / 2
    assert total.counts["messages destroyed"] > SEEDS
    assert total.counts["operator: reset"] > 0
    assert total.counts["operator: go_on"] > 0
    assert total.counts["operator: another_log"] > 0


def test_a_seed_is_the_same_shop_each_time() -> None:
    first, _ = one(plan_of(7))
    second, _ = one(plan_of(7))

    assert first.counts == second.counts
    assert first.turns == second.turns
    assert first.carried == second.carried


@pytest.mark.parametrize(("seed", "harm", "told"), list(regressions()))
def test_what_a_seed_once_showed_it_does_not_show_again(seed: int, harm: str, told: str) -> None:
    assert many([seed], harms=(harm,)).wrong == {}, told


@pytest.mark.parametrize("crash", ["kill", "zombie"])
def test_two_owners_and_a_crash_at_any_turn_agree_with_the_log(crash: str) -> None:
    total = crash_points(crash, 1, turns_of_the_first(), step=37)

    assert total.wrong == {}
    assert total.counts["crash points"] > 20


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_protocol_is_caught_for_what_it_breaks(mutant: str) -> None:
    found = catch(mutant, range(FIRST[mutant], FIRST[mutant] + WITHIN))

    assert found is not None, f"{mutant}: nobody noticed"
