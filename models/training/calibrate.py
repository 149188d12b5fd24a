"""How raw scores become probabilities, learned from a slice the trees did not grow on."""

from itertools import pairwise
from typing import Final

import numpy as np

from models.calibration import FEWEST_KNOTS, LEAST, MOST, MOST_KNOTS, Calibration
from models.training.labels import Flags, Floats

# Trained on log-loss a model is calibrated already (ECE .014); two parameters from fewer positives
# than this would add more noise than they take away.
PLATT_FROM: Final = 200
# Above so many of the rarer outcome the shape may come from the data. The bins then hold some 16 of
# it each: what one bin says by chance is pooled with its neighbours.
ISOTONIC_ABOVE: Final = 1_000
_DIGITS: Final = 9
_P_DIGITS: Final = 6
_STEPS: Final = 50
_CLOSE: Final = 1e-10


def calibrate(raw: Floats, converted: Flags) -> Calibration:
    """Return isotonic above 1,000 of the rarer outcome, Platt from 200, below it the identity.

    Also the identity when the scores do not rise with the outcome: a slice that turns the ranking
    around is a reason to distrust the slice, not to serve the model upside down.
    """
    positives = int(np.count_nonzero(converted))
    fewest = min(positives, len(converted) - positives)
    if fewest < PLATT_FROM:
        return Calibration()
    a, b = platt(raw, converted)
    if not (np.isfinite(a) and np.isfinite(b) and a > 0):
        return Calibration()
    scaled = Calibration(kind="platt", a=round(a, _DIGITS), b=round(b, _DIGITS))
    return scaled if fewest <= ISOTONIC_ABOVE else isotonic(raw, converted) or scaled


def platt(raw: Floats, converted: Flags) -> tuple[float, float]:
    """Return (a, b) that maximise the likelihood of sigma(a x raw + b), by Newton's method.

    Targets are drawn in by one row each, as Platt did, so that separable scores stay finite.
    """
    positives = float(np.count_nonzero(converted))
    negatives = len(converted) - positives
    target = np.where(converted, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.column_stack((raw, np.ones_like(raw)))
    answer = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(design @ answer)))
        gradient = design.T @ (target - p)
        # the small ridge keeps the matrix invertible when all raw scores are equal
        curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        answer += step
        if np.max(np.abs(step)) < _CLOSE:
            break
    return float(answer[0]), float(answer[1])


def isotonic(raw: Floats, converted: Flags) -> Calibration | None:
    """Return centred isotonic regression; None where scores do not tell rows apart.

    Centred (Oron and Flournoy, 2017): each pooled block is one knot at its mean score, with
    straight lines between. Level blocks would forget who ranks above whom; over four known shapes
    they cost up to .0005 more log-loss on the three smooth ones and gained where chances jump,
    which those of a model of many small trees hardly do.
    """
    blocks = _pooled(*_bins(raw, converted))
    # After rounding two neighbours can fall on one score: the latter stands for both.
    knots = {round(score, _DIGITS): _sayable(chance) for score, chance, _ in blocks}
    if len(knots) < FEWEST_KNOTS:
        return None
    return Calibration(kind="isotonic", raw=tuple(knots), p=tuple(knots.values()))


def _sayable(chance: float) -> float:
    return min(max(round(chance, _P_DIGITS), LEAST), MOST)


def _bins(raw: Floats, converted: Flags) -> tuple[Floats, Floats, Floats]:
    """Return mean score, chance and mass of at most 64 bins of equal mass; equal scores together.

    Every bin is given one more row at the rate of the whole slice, so that ten rows without an
    order do not say "never"; the mean over all rows stays what it is.
    """
    edges = np.unique(np.quantile(raw, np.arange(1, MOST_KNOTS) / MOST_KNOTS))
    places = np.searchsorted(edges, raw, side="left")
    rows = np.bincount(places)
    filled = rows > 0
    rate = float(np.mean(converted))
    mass = np.asarray(rows[filled] + 1.0, dtype=np.float64)
    chance = (np.bincount(places, weights=converted)[filled] + rate) / mass
    score: Floats = np.bincount(places, weights=raw)[filled] / rows[filled]
    return score, chance, mass


def _pooled(score: Floats, chance: Floats, mass: Floats) -> list[tuple[float, float, float]]:
    """Return (score, chance, mass) of blocks whose chances rise: pool adjacent violators."""
    blocks: list[tuple[float, float, float]] = []
    for bin_ in zip(score.tolist(), chance.tolist(), mass.tolist(), strict=True):
        blocks.append(bin_)
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            later, earlier = blocks.pop(), blocks.pop()
            blocks.append(_together(earlier, later))
    assert all(left[1] < right[1] for left, right in pairwise(blocks))
    return blocks


def _together(
    one: tuple[float, float, float], other: tuple[float, float, float]
) -> tuple[float, float, float]:
    mass = one[2] + other[2]
    score, chance = ((one[at] * one[2] + other[at] * other[2]) / mass for at in (0, 1))
    return score, chance, mass
