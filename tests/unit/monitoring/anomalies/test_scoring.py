"""The scorer of any series, held against labelled series of many sorts with one threshold for all.

Run on every ninth series of the set; the set was not used to choose a setting.
"""

import math
import random

from monitoring.anomalies.scoring import Scorer
from tests.support import labelled_series
from tests.support.labelled_series import START, STEP, Labelled

HALF = 2_000


def scores_of(labelled: Labelled) -> list[float]:
    scorer = Scorer()
    return [scorer.update(START + row * STEP, v) for row, v in enumerate(labelled.values)]


def sigmas_of(labelled: Labelled) -> list[float]:
    """Score by the running mean and deviation alone: what one would write first."""
    mean = square = 0.0
    scores = []
    for row, value in enumerate(labelled.values, 1):
        deviation = math.sqrt(max(square - mean * mean, 0.0))
        sigmas = abs(value - mean) / deviation if deviation else 0.0
        scores.append(sigmas / (sigmas + 4))
        gain = 1 / min(row, 288)
        mean += gain * (value - mean)
        square += gain * (value * value - square)
    return scores


def test_one_threshold_finds_more_with_fewer_false_alarms_than_running_sigmas() -> None:
    made = labelled_series.series(3)[::9][:4] + labelled_series.series(3)[4::9][:4]
    ours = labelled_series.best([scores_of(one) for one in made], made)
    plain = labelled_series.best([sigmas_of(one) for one in made], made)
    print("value, found, false, threshold:", ours, "running sigmas:", plain)
    assert ours[0] > plain[0]
    assert ours[1] >= 4
    assert ours[2] <= 8


def shifted() -> list[float]:
    draw = random.Random(5)
    return [50 + draw.gauss(0, 2) + (20 if row >= HALF else 0) for row in range(HALF + 200)]


def test_a_break_is_scored_at_its_first_row_and_once() -> None:
    scorer = Scorer()
    scores = [scorer.update(START + row * STEP, v) for row, v in enumerate(shifted())]
    assert scores.index(max(scores)) == HALF
    assert max(scores) >= 0.5
    assert sum(score >= 0.3 for score in scores[HALF : HALF + 60]) <= 3


def test_a_steady_series_reaches_half_in_no_row() -> None:
    scorer = Scorer()
    scores = [scorer.update(START + row * STEP, v) for row, v in enumerate(shifted()[:HALF])]
    assert max(scores) < 0.5


def test_a_series_that_never_moves_is_never_odd_until_it_moves() -> None:
    scorer = Scorer()
    flat = [scorer.update(START + row * STEP, 7.0) for row in range(400)]
    assert max(flat) == 0.0
    assert scorer.update(START + 400 * STEP, 8.0) >= 0.5


def test_values_at_the_end_of_the_floats_are_scored() -> None:
    scorer = Scorer()
    values = [1e308, -1e308, 0.0, 5e-324] * 60
    scores = [scorer.update(START + row * STEP, value) for row, value in enumerate(values)]
    assert all(0.0 <= score <= 1.0 for score in scores)
