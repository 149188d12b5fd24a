"""Cuts time into train, calibrate and test, so that no label reaches into the next slice."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.training.labels import Flags, Ints

_CALIBRATE_FROM: Final = 0.6
_TEST_FROM: Final = 0.8


@dataclass(frozen=True, slots=True)
class Slices:
    """Which rows belong where; a row whose window reaches over a cut belongs nowhere."""

    train: Flags
    calibrate: Flags
    test: Flags


def by_time(at: Ints, window: Ints) -> Slices:
    """Cut at 60 % and 80 % of the rows; ``at`` and ``window`` in ms, at least one row.

    The gap before a cut is each row's own conversion window. People may be in several slices, as
    they will be when the model serves; the intervals are taken over people.
    """
    first, second = np.quantile(at, [_CALIBRATE_FROM, _TEST_FROM], method="lower")
    ends = at + window
    return Slices(
        train=ends <= first,
        calibrate=(at > first) & (ends <= second),
        test=at > second,
    )
