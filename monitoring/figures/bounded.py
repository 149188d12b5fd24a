"""Counts that forget: the last day by the hour, and the largest of many, both of bounded size."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from engine.times import HOUR

# A figure and the values of its labels, for example ("orders", "direct").
Key = tuple[str, ...]
# The hour that runs and the 24 before it.
_HOURS: Final = 25


class Day(Struct):
    """Sums by key over the last 24 whole hours and the one that runs."""

    hours: dict[int, dict[Key, float]] = field(default_factory=dict)

    def add(self, at: int, counts: Mapping[Key, float]) -> None:
        """Add counts of the hour of ``at`` (ms); the oldest hour is forgotten."""
        hour = at // HOUR
        into = self.hours.setdefault(hour, {})
        for key, count in counts.items():
            into[key] = into.get(key, 0.0) + count
        for old in [one for one in self.hours if one <= hour - _HOURS]:
            del self.hours[old]

    def totals(self) -> dict[Key, float]:
        """Return the sums by key."""
        found: dict[Key, float] = {}
        for counts in self.hours.values():
            for key, count in counts.items():
                found[key] = found.get(key, 0.0) + count
        return found

    @property
    def since(self) -> int:
        """Return the beginning of the oldest hour, ms; 0 = nothing yet."""
        return min(self.hours, default=0) * HOUR


class Rank(Struct, array_like=True):
    """What one product or category sold: pieces and their value."""

    quantity: int = 0
    value: float = 0.0
    name: str = ""
    category: str = ""


class Best(Struct):
    """The best sold of each hour of a day: ``most`` an hour, the least of them give way.

    What gave way within an hour is missing from the day: exact as long as an hour sells no more
    than ``most`` different things, and the largest are right far beyond it.
    """

    most: int = 2_000
    hours: dict[int, dict[str, Rank]] = field(default_factory=dict)

    def add(self, at: int, sold: Iterable[tuple[str, Rank]]) -> None:
        """Add what was sold in the hour of ``at`` (ms)."""
        hour = at // HOUR
        into = self.hours.setdefault(hour, {})
        for name, rank in sold:
            found = into.setdefault(name, Rank())
            found.quantity += rank.quantity
            found.value += rank.value
            found.name, found.category = rank.name or found.name, rank.category or found.category
        if len(into) > self.most:
            kept = sorted(into.items(), key=lambda one: (-one[1].value, one[0]))[: self.most // 2]
            self.hours[hour] = dict(kept)
        for old in [one for one in self.hours if one <= hour - _HOURS]:
            del self.hours[old]

    def top(self, count: int) -> list[tuple[str, Rank]]:
        """Return the ``count`` of largest value over the day."""
        found: dict[str, Rank] = {}
        for ranks in self.hours.values():
            for name, rank in ranks.items():
                into = found.setdefault(name, Rank())
                into.quantity += rank.quantity
                into.value += rank.value
                into.name, into.category = rank.name or into.name, rank.category or into.category
        return sorted(found.items(), key=lambda one: (-one[1].value, one[0]))[:count]


__all__ = ["Best", "Day", "Key", "Rank"]
