"""Whether messages made a difference: two groups, their difference, and what is needed to know.

Shares carry Wilson's interval and differences Newcombe's (his method 10), which hold for the few
rows and the rare orders of a young campaign, where the textbook interval promises too much. Several
rows of one person tell less than as many of different people: the size of a group is divided by
its design effect, the variance between people over the variance of independent rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

_LEVEL: Final = 0.95
_POWER: Final = 0.80
_Z: Final = NormalDist().inv_cdf(0.5 + _LEVEL / 2)
# How many standard errors an effect must measure to be told from zero with that power.
_TOLD: Final = _Z + NormalDist().inv_cdf(_POWER)


class Interval(NamedTuple):
    """A 95 % interval of a share, or of a difference of shares."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Group:
    """Decisions of one kind whose window is over; ``size`` = independent rows they are worth."""

    rows: int
    people: int
    ordered: int
    size: float

    @property
    def share(self) -> float:
        """Return the share of rows with an order; 0 when there are none."""
        return self.ordered / self.rows if self.rows else 0.0

    @property
    def interval(self) -> Interval | None:
        """Return the 95 % interval of the share; None when there are no rows."""
        return wilson(self.share, self.size) if self.rows else None

    @property
    def repetition(self) -> float:
        """Return the design effect: rows per independent row, at least 1."""
        return self.rows / self.size if self.rows else 1.0


def group(answers: Iterable[tuple[int, int]]) -> Group:
    """Return a group from (rows, rows with an order) of each of its people."""
    people = list(answers)
    rows, ordered = sum(n for n, _ in people), sum(k for _, k in people)
    return Group(rows, len(people), ordered, _size(people, rows, ordered))


def _size(people: list[tuple[int, int]], rows: int, ordered: int) -> float:
    """Return the rows over their design effect, which is at least 1.

    Where all or none ordered it cannot be estimated: a person then counts once.
    """
    count = len(people)
    if not 0 < ordered < rows or count < 2:
        return float(count)
    share = ordered / rows
    between = sum((k - share * n) ** 2 for n, k in people) * count / (count - 1)
    return rows / max(1.0, between / (rows * share * (1 - share)))


def wilson(share: float, size: float) -> Interval:
    """Return Wilson's 95 % interval of a share among ``size`` (above 0) independent rows."""
    pull = _Z**2 / size
    middle = (share + pull / 2) / (1 + pull)
    half = _Z / (1 + pull) * sqrt(share * (1 - share) / size + pull / (4 * size))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Effect:
    """Treated minus withheld, as a difference of shares; None when a group is empty."""

    treated: Group
    withheld: Group
    estimate: float | None
    interval: Interval | None

    @property
    def told(self) -> bool:
        """Return whether the interval leaves zero out."""
        return self.interval is not None and not self.interval.low <= 0.0 <= self.interval.high


def effect(treated: Group, withheld: Group) -> Effect:
    """Compare two groups."""
    one, other = treated.interval, withheld.interval
    if one is None or other is None:
        return Effect(treated, withheld, None, None)
    difference = treated.share - withheld.share
    down = sqrt((treated.share - one.low) ** 2 + (other.high - withheld.share) ** 2)
    up = sqrt((one.high - treated.share) ** 2 + (withheld.share - other.low) ** 2)
    return Effect(treated, withheld, difference, Interval(difference - down, difference + up))


def more_withheld(
    found: Effect, difference: float, *, base: float, treated_per_withheld: float
) -> int | None:
    """Return how many more withheld rows tell ``difference`` from zero at 5 %, with 80 % power.

    Treated rows grow along, ``treated_per_withheld`` times as fast (as observed once both groups
    have rows); each group repeats its people as it did so far. ``base``: share that orders without
    a message, where no order was seen yet. None: no difference, or a share it cannot lead to.
    """
    treated, withheld = found.treated, found.withheld
    rows = treated.rows + withheld.rows
    ordered = treated.ordered + withheld.ordered
    without = ordered / rows if ordered else base
    with_ = without + difference
    if treated.rows and withheld.rows:
        treated_per_withheld = treated.rows / withheld.rows
    if difference == 0 or not 0 < with_ < 1 or treated_per_withheld <= 0:
        return None
    per_row = (
        withheld.repetition * without * (1 - without)
        + treated.repetition * with_ * (1 - with_) / treated_per_withheld
    )
    return max(0, ceil(_TOLD**2 * per_row / difference**2) - withheld.rows)


__all__ = ["Effect", "Group", "Interval", "effect", "group", "more_withheld", "wilson"]
