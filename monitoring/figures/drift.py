"""Whether decisions still look like those a model learned from: PSI of each feature.

The population stability index compares the shares of a feature's values in the bins of a baseline:
below 0.1 nothing moved, above 0.2 look at it. A model's manifest does not hold distributions, so
the baseline is the shop's own week before the model came into force, and under a new schema of
features the first week; until it is over, and while the last day has too few decisions, nothing is
said.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping
from math import log
from typing import Final

from msgspec import Struct, field

from engine.times import DAY, HOUR
from monitoring.figures.seen import Decided

MOST_FEATURES: Final = 30
_BASELINE: Final = 7 * DAY
# Fewer than this say nothing, neither of the baseline nor of a day.
FEWEST: Final = 200
# So many of each day of the last week are remembered: a fair sample by their hash.
_SAMPLE: Final = FEWEST
_BINS: Final = 10
_HOURS: Final = 24
# A bin that is empty on one side would make the index infinite.
_LEAST: Final = 1e-4


class Bins(Struct, array_like=True):
    """The baseline of one feature: inner edges, and the share of each bin; the last is missing."""

    edges: list[float]
    shares: list[float]

    @classmethod
    def of(cls, values: list[float | None]) -> "Bins":
        """Return bins of about equal share; equal values share one bin."""
        there = sorted(value for value in values if value is not None)
        cuts = [there[len(there) * cut // _BINS] for cut in range(1, _BINS)] if there else []
        bins = cls(sorted(set(cuts)), [])
        counts = [0] * (len(bins.edges) + 2)
        for value in values:
            counts[bins.place(value)] += 1
        bins.shares = [count / len(values) for count in counts]
        return bins

    def place(self, value: float | None) -> int:
        """Return the bin of a value."""
        return len(self.edges) + 1 if value is None else bisect_right(self.edges, value)

    def psi(self, counts: list[int]) -> float:
        """Return how far counts by bin are from the baseline."""
        total = sum(counts)
        pairs = (
            (max(n / total, _LEAST), max(share, _LEAST))
            for n, share in zip(counts, self.shares, strict=True)
        )
        return sum((now - then) * log(now / then) for now, then in pairs)


class Drift(Struct):
    """Baseline, last week and last day of the decisions that were scored under one schema."""

    schema: str = ""
    began: int = 0
    days: dict[int, list[tuple[int, list[float | None]]]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    bins: list[Bins] = field(default_factory=list)
    hours: dict[int, list[list[int]]] = field(default_factory=dict)

    def take(self, seen: Decided) -> None:
        """Fold one decision; a new schema begins a new baseline."""
        if not seen.features:
            return
        if seen.schema != self.schema:
            self._begin(seen)
        row = [seen.features.get(name) for name in self.names]
        day = self.days.setdefault(seen.at // DAY, [])
        insort(day, (seen.decision, row), key=lambda one: one[0])
        del day[_SAMPLE:]
        if not self.bins:
            return
        hour = seen.at // HOUR
        counts = self.hours.get(hour)
        if counts is None:
            counts = self.hours[hour] = [[0] * len(one.shares) for one in self.bins]
        for into, bins, value in zip(counts, self.bins, row, strict=True):
            into[bins.place(value)] += 1

    def _begin(self, seen: Decided) -> None:
        self.schema, self.began = seen.schema, seen.at
        self.names = list(seen.features)[:MOST_FEATURES]
        self.days, self.bins, self.hours = {}, [], {}

    def renew(self) -> None:
        """Hold what comes against the last week, from which a new model learned.

        In the first week of a schema nothing changes: it is not over.
        """
        if self.bins:
            self.bins, self.hours = self._last_week(), {}

    def _last_week(self) -> list[Bins]:
        rows = [row for day in self.days.values() for _, row in day]
        if len(rows) < FEWEST:
            return []
        return [Bins.of([row[place] for row in rows]) for place in range(len(self.names))]

    def close(self, now: int) -> None:
        """End the baseline when its week is over at ``now`` (ms), and forget what is old."""
        if not self.bins and now - self.began >= _BASELINE:
            self.bins = self._last_week()
        for day in [one for one in self.days if (one + 1) * DAY <= now - _BASELINE]:
            del self.days[day]
        for hour in [one for one in self.hours if one <= now // HOUR - _HOURS]:
            del self.hours[hour]

    def psi(self) -> Mapping[str, float]:
        """Return the index of each feature over the last day; nothing while too few decided."""
        hours = list(self.hours.values())
        found = {}
        for place, bins in enumerate(self.bins):
            counts = [sum(hour[place][at] for hour in hours) for at in range(len(bins.shares))]
            if sum(counts) >= FEWEST:
                found[self.names[place]] = bins.psi(counts)
        return found


__all__ = ["FEWEST", "MOST_FEATURES", "Bins", "Drift"]
