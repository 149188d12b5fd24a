"""What one closed minute counted, by figure and the values of its labels; and what it measured."""

from collections import defaultdict

from monitoring.figures.bounded import Key


class Counts:
    """Sums by key, and single values by key where their distribution matters."""

    __slots__ = ("sums", "values")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.sums: dict[Key, float] = {}
        self.values: dict[Key, list[float]] = defaultdict(list)

    def add(self, key: Key, amount: float = 1.0) -> None:
        """Add to a sum."""
        self.sums[key] = self.sums.get(key, 0.0) + amount

    def note(self, key: Key, value: float) -> None:
        """Keep one value."""
        self.values[key].append(value)

    def of(self, key: Key) -> float:
        """Return a sum; 0 = nothing was counted."""
        return self.sums.get(key, 0.0)


__all__ = ["Counts"]
