"""Platt's two parameters from raw scores of a slice the trees did not grow on."""

from typing import Final

import numpy as np

from models.calibration import Calibration
from models.training.labels import Flags, Floats

# Trained on log-loss a model is calibrated already (ECE .014); two parameters from fewer positives
# than this would add more noise than they take away.
PLATT_FROM: Final = 200
_DIGITS: Final = 9
_STEPS: Final = 50
_CLOSE: Final = 1e-10


def calibrate(raw: Floats, converted: Flags) -> Calibration:
    """Return Platt scaling from 200 of either outcome on, below it the identity.

    Also the identity when the slope is not positive: a slice that turns the ranking around is a
    reason to distrust the slice, not to serve the model upside down.
    """
    positives = int(np.count_nonzero(converted))
    if min(positives, len(converted) - positives) < PLATT_FROM:
        return Calibration()
    a, b = platt(raw, converted)
    if not (np.isfinite(a) and np.isfinite(b) and a > 0):
        return Calibration()
    return Calibration(kind="platt", a=round(a, _DIGITS), b=round(b, _DIGITS))


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
