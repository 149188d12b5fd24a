"""Sets the chance of an order right for silence, on rows in which nothing was done.

Trees learn from all rows and are asked for silence. Where most rows were sent something, they may
never have asked which channel it was, and what the message did is in every answer.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from models.calibration import LEAST, MOST, Calibration
from models.training.arms import arm, shrunken, silent_chance, variance, withheld_share
from models.training.fit import fewest
from models.training.labels import NOTHING, Flags, Floats, Labelled

# As for lifts: what is left in the answers is what messages did. In simulated shops of 4,000 rows
# wider priors added more noise (sd .16 and .19 of p0 with 0.3 and 0.5) than the error they mended.
SPREAD: Final = 0.2
_LEAST_OUTCOMES: Final = 5
_DIGITS: Final = 9
_P_DIGITS: Final = 6


def shifts(rows: Labelled, learned: Flags, kinds: list[str], foretold: Floats) -> dict[str, float]:
    """Return by trigger kind what must be added to the log-odds ``foretold`` for silence.

    From rows ``learned`` in which nothing was done by chance, drawn towards 0 as far as they are
    few; 0 with fewer than 5 of either outcome.
    """
    chance = silent_chance(rows, withheld_share(rows))
    still = learned & (rows.done == NOTHING) & (chance > 0)
    found = {}
    for kind in kinds:
        ours = still & (rows.kind == rows.kinds.index(kind))
        found[kind] = 0.0
        if fewest(rows.converted[ours]) >= _LEAST_OUTCOMES:
            alone = arm(rows, ours, foretold, chance)
            moved = shrunken(alone.shift, variance(alone), toward=0.0, spread=SPREAD)
            found[kind] = round(moved, _DIGITS)
    return found


def shifted(calibration: Calibration, shift: float) -> Calibration:
    """Return a calibration that says ``shift`` more in log-odds; its ranking stays as it is."""
    if shift == 0:
        return calibration
    if calibration.kind != "isotonic":
        b = round(calibration.b + shift, _DIGITS)
        return Calibration(kind="platt", a=calibration.a, b=b)
    knots = np.asarray(calibration.p)
    odds = knots / (1.0 - knots) * np.exp(shift)
    moved = np.clip(np.round(odds / (1.0 + odds), _P_DIGITS), LEAST, MOST)
    return Calibration(kind="isotonic", raw=calibration.raw, p=tuple(moved.tolist()))


def log_odds(rows: Labelled, raw: Floats, calibration: Mapping[str, Calibration]) -> Floats:
    """Return the log-odds of calibrated raw scores, NaN for kinds without a calibration."""
    found = np.full(len(raw), np.nan)
    for kind, ours in calibration.items():
        at = rows.kind == rows.kinds.index(kind)
        p = np.array([ours.probability(score) for score in raw[at].tolist()])
        found[at] = np.log(p) - np.log1p(-p)
    return found
