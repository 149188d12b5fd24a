"""What several runs of one part came to: the median of every figure."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any


def middle(runs: Sequence[Any]) -> Any:
    """Return one finding of several that have the same shape; raises ValueError for none.

    Numbers become their median. What one run could not tell (None) is not told, and what was not so
    in one run is not so; words are those of the first.
    """
    if not runs:
        message = "there was no run"
        raise ValueError(message)
    first = runs[0]
    if any(found is None for found in runs):
        return None
    if isinstance(first, bool):
        return all(runs)
    if isinstance(first, int | float):
        return median(runs)
    if isinstance(first, Mapping):
        return {name: middle([found.get(name) for found in runs]) for name in first}
    return first


__all__ = ["middle"]
