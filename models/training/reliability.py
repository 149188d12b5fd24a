"""What a model said against what happened, in bins of equal mass."""

from typing import Final

import numpy as np

from models.manifest import Bin
from models.training.labels import Flags, Floats

_BINS: Final = 10
_DIGITS: Final = 6


def bins(converted: Flags, predicted: Floats) -> list[Bin]:
    """Return at most ten bins, the lowest chances first; equal chances stay together."""
    if not len(converted):
        return []
    edges = np.quantile(predicted, np.arange(1, _BINS) / _BINS)
    place = np.searchsorted(edges, predicted, side="left")
    return [_bin(converted[place == at], predicted[place == at]) for at in np.unique(place)]


def _bin(converted: Flags, predicted: Floats) -> Bin:
    return Bin(
        rows=len(converted),
        positives=int(np.count_nonzero(converted)),
        mean_predicted=round(float(predicted.mean()), _DIGITS),
    )
