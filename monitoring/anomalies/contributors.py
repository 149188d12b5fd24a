"""Which parts of a figure its anomaly came from: each one's share of the shortfall or surplus."""

from collections.abc import Mapping
from operator import attrgetter

import msgspec


class Contributor(msgspec.Struct, frozen=True, kw_only=True):
    """One part, e.g. ``provider=acme``; ``share`` is its part of the whole difference.

    Shares of parts that moved the other way are left out, so those shown may add up to more
    than 1.
    """

    dimension: str
    value: float
    expected: float
    share: float


def contributors(
    expected: Mapping[str, float], seen: Mapping[str, float], *, top: int = 3
) -> list[Contributor]:
    """Return the ``top`` parts that moved most in the direction of the whole, largest first.

    Both mappings say the same figure of each part in the same time; a part that one of them
    lacks is 0 there. Empty when the whole did not move.
    """
    parts = sorted({*expected, *seen})
    moved = {part: seen.get(part, 0.0) - expected.get(part, 0.0) for part in parts}
    whole = sum(moved.values())
    if not whole:
        return []
    found = [
        Contributor(
            dimension=part,
            value=seen.get(part, 0.0),
            expected=expected.get(part, 0.0),
            share=by / whole,
        )
        for part, by in moved.items()
        if by / whole > 0
    ]
    return sorted(found, key=attrgetter("share"), reverse=True)[:top]
