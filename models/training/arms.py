"""Compares what was done with what could have been done: one arm of a randomised comparison.

An arm is told by one number, its *shift*: by how much its log-odds of an order stand above those
foretold. Rows are weighted by 1 / (chance of what was done), so that both arms speak for the same
decisions, though the best choice was taken far more often than the others. numpy only.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.training.labels import NOTHING, UNCOMPARED, Flags, Floats, Ints, Labelled

# One row in place of more than twenty others says more about itself than about them.
MAX_WEIGHT: Final = 20.0
# Far below what is rounded away.
_CLOSE: Final = 1e-12
_STEPS: Final = 100
# A full Newton step from far away leaps past the answer.
_LONGEST_STEP: Final = 2.0


@dataclass(frozen=True, slots=True)
class Arm:
    """The shift of some rows against what was foretold, and what each row contributes to it."""

    shift: float
    influence: Floats
    user: Ints


def withheld_share(rows: Labelled) -> float:
    """Return the share of choices to speak that met a person of the holdout.

    Observed, not read from the campaigns file: a log may span several files. It enters weights
    only, and both arms are also held against what was foretold, so little hangs on its noise.
    """
    spoke = (rows.done > NOTHING) | (rows.withheld & (rows.done != UNCOMPARED))
    return float(np.mean(rows.withheld[spoke])) if spoke.any() else 0.0


def silent_chance(rows: Labelled, share: float) -> Floats:
    """Return each row's chance that nothing was done: of the holdout, or silence was chosen."""
    return share + (1.0 - share) * rows.silence


def sent_chance(rows: Labelled, share: float, channel: int) -> Floats:
    """Return each row's chance that this channel (its column) spoke."""
    return (1.0 - share) * rows.chance[:, channel]


def arm(rows: Labelled, ours: Flags, foretold: Floats, chance: Floats) -> Arm:
    """Solve for the shift of the rows ``ours``; both outcomes must be among them.

    ``foretold``: log-odds per row; ``chance``: of what was done, above 0 for these rows. Newton's
    method on sum of weight x (converted - sigma(foretold + shift)) = 0.
    """
    offset, converted = foretold[ours], rows.converted[ours].astype(np.float64)
    weight = np.minimum(1.0 / chance[ours], MAX_WEIGHT)
    shift = 0.0
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-(offset + shift)))
        curvature = float(np.sum(weight * p * (1.0 - p)))
        step = float(np.sum(weight * (converted - p))) / curvature
        shift += min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
        if abs(step) < _CLOSE:
            break
    p = 1.0 / (1.0 + np.exp(-(offset + shift)))
    influence = weight * (converted - p) / float(np.sum(weight * p * (1.0 - p)))
    return Arm(shift, influence, rows.user[ours])


def variance(one: Arm, minus: Arm | None = None) -> float:
    """Return the variance of a shift, or of the difference of two, robust to clusters.

    A sandwich over people: the rows of one person agree, and she may be in both arms.
    """
    user, influence = one.user, one.influence
    if minus is not None:
        user = np.concatenate((user, minus.user))
        influence = np.concatenate((influence, -minus.influence))
    _, place = np.unique(user, return_inverse=True)
    by_person = np.bincount(place, weights=influence)
    people = len(by_person)
    return float(np.sum(by_person**2)) * people / max(people - 1, 1)


def shrunken(estimate: float, variance: float, *, toward: float, spread: float) -> float:
    """Return the posterior mean under a Gaussian prior with mean ``toward`` and sd ``spread``."""
    ours, prior = 1.0 / variance, 1.0 / spread**2
    return (estimate * ours + toward * prior) / (ours + prior)
