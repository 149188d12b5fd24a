"""What a figure is made of: which part of it moved, when the whole did."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from monitoring.anomalies.contributors import contributors
from monitoring.figures.bounded import Key
from monitoring.figures.catalogue import Dimension
from monitoring.figures.told import Contributor

# A part's expectation is its mean over so many windows before the last ones, which may be ill.
_MINUTES: Final = 60
_LAST: Final = 5
_MOST: Final = 3
# By figure: the family of its parts, and the label by which they are told.
_OF: Final[Mapping[str, tuple[str, str]]] = {
    "records": ("traffic", "acquisition"),
    "orders": ("product_orders", "category"),
    "sent": ("sent_for", "campaign"),
}
_FAMILIES: Final = frozenset(family for family, _ in _OF.values())


class Parts(Struct):
    """The parts' counts of the last 60 windows, of a minute or of an hour each, oldest first."""

    minutes: list[dict[Key, float]] = field(default_factory=list)

    def add(self, sums: Mapping[Key, float]) -> None:
        """Add what one window counted."""
        told = {key: count for key, count in sums.items() if key[0] in _FAMILIES}
        self.minutes = [*self.minutes, told][-_MINUTES:]

    def contributors(self, figure: str, dimension: Dimension) -> list[Contributor]:
        """Return the parts that account for most of what changed in the last five windows."""
        family, label = _OF.get(figure, ("", ""))
        if not family or len(self.minutes) <= _LAST:
            return []
        before = _mean(self.minutes[:-_LAST], family)
        after = _mean(self.minutes[-_LAST:], family)
        # A part of one channel carries it as its first label.
        keys = {
            key
            for key in before.keys() | after.keys()
            if figure != "sent" or key[1] == dimension[0]
        }
        found = contributors(
            {key[-1]: before.get(key, 0.0) for key in keys},
            {key[-1]: after.get(key, 0.0) for key in keys},
            top=_MOST,
        )
        return [
            Contributor(
                {label: one.dimension},
                round(one.value, 3),
                round(one.expected, 3),
                round(one.share, 4),
            )
            for one in found
        ]


def _mean(minutes: list[dict[Key, float]], family: str) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for counts in minutes:
        for key, count in counts.items():
            if key[0] == family:
                found[key] = found.get(key, 0.0) + count / len(minutes)
    return found


__all__ = ["Parts"]
