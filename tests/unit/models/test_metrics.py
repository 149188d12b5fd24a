"""Figures against their definitions, and intervals that mean what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.labels import Flags, Floats
from models.training.metrics import auc, average_precision, ece10, log_loss, measure

_rows = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.5, 0.9])), min_size=2, max_size=30
)


def _split(rows: list[tuple[bool, float]]) -> tuple[Flags, Floats]:
    return np.array([y for y, _ in rows]), np.array([p for _, p in rows])


@given(_rows)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, float]]) -> None:
    positives = [p for y, p in rows if y]
    negatives = [p for y, p in rows if not y]
    pairs = [(a > b) + (a == b) / 2 for a in positives for b in negatives]
    expected = sum(pairs) / len(pairs) if pairs else None
    assert auc(*_split(rows)) == (None if expected is None else pytest.approx(expected))


@given(_rows, st.data())
def test_a_weight_of_two_is_the_row_twice(
    rows: list[tuple[bool, float]], data: st.DataObject
) -> None:
    counts = data.draw(st.lists(st.integers(1, 3), min_size=len(rows), max_size=len(rows)))
    twice = [row for row, count in zip(rows, counts, strict=True) for _ in range(count)]
    weights = np.array(counts, dtype=np.float64)
    for figure in (auc, average_precision, log_loss):
        weighted, repeated = figure(*_split(rows), weights), figure(*_split(twice))
        assert weighted == (None if repeated is None else pytest.approx(repeated))


def test_average_precision_by_hand() -> None:
    # ranks: + - + -, precisions at the positives 1 and 2/3
    converted, predicted = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])
    assert average_precision(converted, predicted) == pytest.approx((1 + 2 / 3) / 2)


def test_calibration_error_sees_what_ranking_does_not() -> None:
    draw = np.random.default_rng(1)
    chance = draw.uniform(0.05, 0.4, 50_000)
    converted = draw.random(50_000) < chance
    honest, doubled = ece10(converted, chance), ece10(converted, np.minimum(2 * chance, 1))
    assert honest is not None
    assert doubled is not None
    assert honest < 0.01
    assert doubled > 0.2
    assert auc(converted, chance) == auc(converted, 2 * chance)


def test_intervals_are_wider_when_rows_of_one_person_agree() -> None:
    draw = np.random.default_rng(2)
    chance = np.repeat(draw.uniform(0.1, 0.9, 100), 20)
    converted = np.repeat(draw.random(100) < chance[::20], 20)
    by_person = measure(converted, chance, np.repeat(np.arange(100), 20), seed=1).auc
    by_row = measure(converted, chance, np.arange(2_000), seed=1).auc
    assert by_person is not None
    assert by_row is not None
    assert by_person.high - by_person.low > 2 * (by_row.high - by_row.low)
    assert by_person.low <= by_person.estimate <= by_person.high


def test_a_slice_without_both_outcomes_has_no_auc() -> None:
    figures = measure(np.zeros(50, dtype=bool), np.full(50, 0.2), np.arange(50), seed=1)
    assert figures.auc is None
    assert figures.log_loss is not None
    empty = measure(np.zeros(0, dtype=bool), np.zeros(0), np.zeros(0, dtype=np.int64), seed=1)
    assert empty.rows == 0
    assert empty.log_loss is None
