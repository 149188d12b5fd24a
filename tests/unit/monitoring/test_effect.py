"""Intervals that keep what they promise, and the rows it takes to know."""

from math import isclose
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.effect import Effect, Group, Interval, effect, group, more_withheld, wilson
from streams.demo import recount


def of(ordered: int, rows: int) -> Group:
    """Rows of as many people."""
    return Group(rows, rows, ordered, float(rows))


@pytest.mark.parametrize(
    ("treated", "withheld", "interval"),
    [
        (of(56, 70), of(48, 80), (0.0524, 0.3339)),
        (of(9, 10), of(3, 10), (0.1705, 0.8090)),
        (of(6, 7), of(2, 7), (0.0582, 0.8062)),
        (of(5, 56), of(0, 29), (-0.0381, 0.1926)),
        (of(0, 10), of(0, 20), (-0.1611, 0.2775)),
        (of(0, 10), of(0, 10), (-0.2775, 0.2775)),
        (of(10, 10), of(0, 20), (0.6791, 1.0)),
        (of(10, 10), of(0, 10), (0.6075, 1.0)),
    ],
)
def test_differences_carry_the_intervals_newcombe_published(
    treated: Group, withheld: Group, interval: tuple[float, float]
) -> None:
    # Statistics in Medicine 17 (1998) 873-890, table II, method 10
    found = effect(treated, withheld).interval

    assert found is not None
    assert found == pytest.approx(interval, abs=5e-5)


shares = st.floats(0.0, 1.0)
sizes = st.floats(1.0, 1e6)


@given(shares, sizes)
def test_the_independent_recount_finds_the_same_intervals(share: float, size: float) -> None:
    low, high = wilson(share, size)

    assert 0.0 <= low <= high <= 1.0
    assert (low, high) == pytest.approx(recount.wilson(share, size), abs=1e-9)


@given(st.lists(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))))
def test_a_group_is_worth_at_most_its_rows_and_at_least_something(
    people: list[tuple[int, int]],
) -> None:
    found = group(people)

    assert found.rows == sum(n for n, _ in people)
    assert found.size <= found.rows
    assert (found.size > 0) == (found.rows > 0)


def test_rows_that_agree_within_a_person_count_as_one() -> None:
    alike = group([(4, 4), (4, 0)] * 50)
    mixed = group([(4, 2)] * 100)

    assert alike.size == pytest.approx(100, rel=0.02)
    assert mixed.size == 400


def test_where_nobody_ordered_a_person_counts_once() -> None:
    assert group([(5, 0)] * 20).size == 20


def _experiment(chance: Random, people: int, repeats: int, share: float) -> list[tuple[int, int]]:
    """Each person answers the same every time: the worst a repetition can be."""
    answers = [chance.random() < share for _ in range(people)]
    return [(repeats, repeats * yes) for yes in answers]


def _covers(found: Effect, truth: float) -> bool:
    assert found.interval is not None
    return found.interval.low <= truth <= found.interval.high


def test_nineteen_of_twenty_intervals_hold_the_truth_when_people_repeat() -> None:
    chance = Random(7)
    held = naive = 0
    for _ in range(600):
        treated = _experiment(chance, 200, 3, 0.20)
        withheld = _experiment(chance, 60, 3, 0.12)
        held += _covers(effect(group(treated), group(withheld)), 0.08)
        as_if = [
            of(sum(k for _, k in side), sum(n for n, _ in side)) for side in (treated, withheld)
        ]
        naive += _covers(effect(*as_if), 0.08)

    assert held / 600 > 0.93
    assert naive / 600 < 0.85, "without the design effect the test above proves nothing"


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_rows_asked_for_show_the_effect_four_times_out_of_five(repeats: int) -> None:
    chance = Random(11)
    pilot = effect(
        group([(repeats, repeats * (number % 20 < 3)) for number in range(400)]),
        group([(repeats, repeats * (number % 20 < 3)) for number in range(100)]),
    )
    more = more_withheld(pilot, 0.05, base=0.15, treated_per_withheld=4.0)
    assert more
    people = (pilot.withheld.rows + more) // repeats

    told = sum(
        effect(
            group(_experiment(chance, 4 * people, repeats, 0.20)),
            group(_experiment(chance, people, repeats, 0.15)),
        ).told
        for _ in range(300)
    )

    assert 0.70 < told / 300 < 0.90


def test_a_smaller_effect_and_repeating_people_need_more_rows() -> None:
    start = effect(of(30, 200), of(6, 40))
    repeating = effect(group([(5, 5), (5, 0)] * 20), group([(5, 5), (5, 0)] * 4))

    def more(found: Effect, difference: float) -> int:
        rows = more_withheld(found, difference, base=0.1, treated_per_withheld=4.0)
        assert rows is not None
        return rows

    assert more(start, 0.01) > more(start, 0.02) > 0
    assert more(repeating, 0.02) > 4 * more(effect(of(100, 200), of(20, 40)), 0.02)


def test_with_no_rows_at_all_the_assumptions_plan_the_experiment() -> None:
    nothing = effect(group([]), group([]))

    # textbook: n = (1.96 + 0.84)^2 (p q / 19 + p q) / d^2 for 19 treated per withheld
    rows = more_withheld(nothing, 0.01, base=0.10, treated_per_withheld=19.0)

    assert rows is not None
    assert isclose(rows, (1.96 + 0.8416) ** 2 * (0.0979 / 19 + 0.09) / 0.0001, rel_tol=0.01)
    assert nothing.estimate is None
    assert nothing.interval is None
    assert not nothing.told


def test_what_cannot_be_shown_has_no_number_of_rows() -> None:
    start = effect(of(30, 200), of(6, 40))

    assert more_withheld(start, 0.0, base=0.1, treated_per_withheld=4.0) is None
    assert more_withheld(start, 0.9, base=0.1, treated_per_withheld=4.0) is None
    empty = effect(of(30, 200), of(0, 0))
    assert more_withheld(empty, 0.01, base=0.1, treated_per_withheld=0.0) is None


def test_an_interval_that_touches_zero_tells_nothing() -> None:
    group_ = of(1, 10)

    assert not Effect(group_, group_, 0.1, Interval(0.0, 0.2)).told
    assert Effect(group_, group_, 0.1, Interval(0.001, 0.2)).told
    assert Effect(group_, group_, -0.1, Interval(-0.2, -0.001)).told
