"""How good probabilities are, with intervals by bootstrap over people. numpy only."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from models.manifest import Interval, Metrics
from models.training.labels import Flags, Floats, Ints

REPLICATES: Final = 200
_EDGE: Final = 1e-6  # probabilities are rounded to this; the logarithm of 0 is not asked for
_BINS: Final = 10
_DIGITS: Final = 6

# (converted, predicted, weights) -> figure; None where both outcomes are not there
Figure = Callable[[Flags, Floats, Floats], float | None]


def auc(converted: Flags, predicted: Floats, weights: Floats | None = None) -> float | None:
    """Return the chance that a positive is ranked above a negative; ties count a half."""
    positive, negative = _by_score(converted, predicted, weights)
    pairs = positive.sum() * negative.sum()
    if pairs == 0:
        return None
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)


def average_precision(
    converted: Flags, predicted: Floats, weights: Floats | None = None
) -> float | None:
    """Return the mean precision over the positives; equal scores share one precision."""
    positive, negative = (side[::-1] for side in _by_score(converted, predicted, weights))
    if positive.sum() == 0:
        return None
    found = np.cumsum(positive)
    precision = found / np.maximum(found + np.cumsum(negative), np.finfo(float).tiny)
    return float((positive * precision).sum() / positive.sum())


def log_loss(converted: Flags, predicted: Floats, weights: Floats | None = None) -> float | None:
    """Return the mean of -ln of the probability given to what happened."""
    if not len(converted):
        return None
    p = np.clip(predicted, _EDGE, 1 - _EDGE)
    return _mean(-np.log(np.where(converted, p, 1 - p)), _ones(converted, weights))


def ece10(converted: Flags, predicted: Floats, weights: Floats | None = None) -> float | None:
    """Return the expected calibration error over ten bins of equal mass.

    Equal scores stay together. Biased upwards: chance alone opens gaps in small bins.
    """
    if not len(converted):
        return None
    mass = _ones(converted, weights)
    edges = np.quantile(predicted, np.arange(1, _BINS) / _BINS)
    bins = np.searchsorted(edges, predicted, side="left")
    gaps = np.bincount(bins, weights=mass * (converted - predicted), minlength=_BINS)
    return float(np.abs(gaps).sum() / mass.sum())


def base_rate(converted: Flags, predicted: Floats, weights: Floats | None = None) -> float | None:
    """Return the share of positives; ``predicted`` is not looked at."""
    del predicted
    if not len(converted):
        return None
    return _mean(converted.astype(np.float64), _ones(converted, weights))


def measure(
    converted: Flags, predicted: Floats, user: Ints, *, seed: int, replicates: int = REPLICATES
) -> Metrics:
    """Return all figures with 95 % intervals; whole people are drawn, because their rows agree."""
    people, place = np.unique(user, return_inverse=True)
    chance = np.random.default_rng(seed)
    draws = [
        np.bincount(chance.integers(0, len(people), len(people)), minlength=len(people))[place]
        for _ in range(replicates if len(people) > 1 else 0)
    ]

    def interval(figure: Figure) -> Interval | None:
        return _interval(figure, converted, predicted, draws)

    return Metrics(
        rows=len(converted),
        positives=int(np.count_nonzero(converted)),
        users=len(people),
        base_rate=interval(base_rate),
        mean_predicted=round(float(predicted.mean()), _DIGITS) if len(predicted) else None,
        auc=interval(auc),
        average_precision=interval(average_precision),
        log_loss=interval(log_loss),
        ece10=interval(ece10),
    )


def _interval(
    figure: Figure, converted: Flags, predicted: Floats, draws: list[npt.NDArray[np.int64]]
) -> Interval | None:
    estimate = figure(converted, predicted, np.ones(len(converted)))
    found = [figure(converted, predicted, weights.astype(np.float64)) for weights in draws]
    drawn = [value for value in found if value is not None]
    if estimate is None or not drawn:
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(*(round(float(value), _DIGITS) for value in (estimate, low, high)))


def _by_score(converted: Flags, predicted: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    """Return the weight of positives and of negatives per distinct score, lowest score first."""
    if not len(converted):
        return np.zeros(0), np.zeros(0)
    order = np.argsort(predicted, kind="stable")
    score, is_positive = predicted[order], converted[order]
    mass = _ones(converted, weights)[order]
    starts = np.concatenate(([0], np.nonzero(np.diff(score))[0] + 1))
    positive = np.add.reduceat(np.where(is_positive, mass, 0.0), starts)
    return positive, np.add.reduceat(mass, starts) - positive


def _ones(converted: Flags, weights: Floats | None) -> Floats:
    return np.ones(len(converted)) if weights is None else weights


def _mean(values: Floats, weights: Floats) -> float:
    return float((values * weights).sum() / weights.sum())
