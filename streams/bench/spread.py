"""How times are told: percentiles by nearest rank, the largest, and how many there were."""

from collections.abc import Mapping, Sequence
from math import ceil

PERCENTILES: Mapping[str, float] = {"p50": 50.0, "p99": 99.0, "p999": 99.9}


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` per cent do not exceed (nearest rank)."""
    # 99.9 / 100 x 1,000 is 999.0000000000001 for a machine, and rank 1,000 would be wrong.
    rank = ceil(round(share / 100 * len(ordered), 9))
    return ordered[max(rank, 1) - 1]


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Return count, percentiles and maximum; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    told: dict[str, float] = {"n": len(ordered)}
    told |= {name: round(percentile(ordered, share), 1) for name, share in PERCENTILES.items()}
    return told | {"max": round(ordered[-1], 1)}


__all__ = ["percentile", "spread"]
