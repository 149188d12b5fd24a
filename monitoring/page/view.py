"""The present of all processes and the half hour before it, in the words panels ask in."""

from collections.abc import Iterable, Mapping
from typing import Final

from engine.times import SECOND
from monitoring.metrics import Metric
from monitoring.page.history import STALE_AFTER, History, buckets, has, quantile
from monitoring.page.schema import Panel, State
from monitoring.summary import Kind, Summary, taken_apart

_COMMAND: Final[dict[Kind, str]] = {
    "worker": "rekindle worker",
    "observe": "rekindle observe",
    "audit": "rekindle audit",
}


class View:
    """What panels are made of; ``wall`` is ms, ages of summaries are told in it."""

    def __init__(self, summaries: Iterable[Summary], history: History, wall: int) -> None:
        self.history = history
        self.wall = wall
        self.now = history.now if history.simulated else history.now or wall
        self.summaries = sorted(summaries, key=lambda each: (each.kind, each.name))
        self._counted: dict[tuple[str, int | None], dict[str, float]] = {}
        self._rates: dict[str, dict[str, float] | None] = {}
        # By family: a page asks some hundred times.
        self._said: dict[str, dict[str, list[float]]] = {}
        for summary in self.summaries:
            for series, value in summary.samples.items():
                family = self._said.setdefault(taken_apart(series)[0], {})
                family.setdefault(series, []).append(value)

    # --- processes ------------------------------------------------------------------------------

    def of(self, kind: Kind) -> list[Summary]:
        """Return the processes of one kind."""
        return [each for each in self.summaries if each.kind == kind]

    def state(self, summary: Summary) -> State:
        """Return whether a process still speaks."""
        return "live" if self.wall - summary.at <= STALE_AFTER else "stale"

    def panel(self, kind: Kind) -> Panel:
        """Return where figures of this kind of process come from, and of when they are."""
        found = self.of(kind)
        if not found:
            return Panel(state="absent", reason=f"No `{_COMMAND[kind]}` runs.")
        as_of = max(each.at for each in found)
        silent = [each for each in found if self.state(each) == "stale"]
        if not silent:
            return Panel(state="live", as_of=as_of)
        told = "; ".join(
            f"{each.name} has said nothing for {(self.wall - each.at) // SECOND} s"
            for each in silent
        )
        state: State = "stale" if len(silent) == len(found) else "live"
        return Panel(state=state, as_of=as_of, reason=f"{told}.")

    # --- how things stand -----------------------------------------------------------------------

    def values(self, metric: Metric, **labels: str) -> dict[str, list[float]]:
        """Return by series what all processes say of it; what is zero is not said."""
        said = self._said.get(metric.exposed, {})
        return {series: values for series, values in said.items() if has(series, labels)}

    def total(self, metric: Metric, **labels: str) -> float:
        """Return the sum of a gauge over processes and labels."""
        return sum(sum(values) for values in self.values(metric, **labels).values())

    def highest(self, metric: Metric, **labels: str) -> float | None:
        """Return the highest of a gauge that somebody says; None = nobody."""
        return max((max(v) for v in self.values(metric, **labels).values()), default=None)

    def lowest(self, metric: Metric, **labels: str) -> float | None:
        """Return the lowest of a gauge that somebody says; None = nobody."""
        return min((min(v) for v in self.values(metric, **labels).values()), default=None)

    def label_values(self, metric: Metric, label: str) -> list[str]:
        """Return which values of a label appear."""
        return sorted({label_of(series, label) for series in self.values(metric)})

    # --- what was counted -----------------------------------------------------------------------

    def rate(self, metric: Metric, **labels: str) -> float | None:
        """Return increases per second of the page's time; None before a second look."""
        rates = self.rates(metric.exposed)
        return None if rates is None else _sum(rates, labels)

    def rates(self, name: str) -> dict[str, float] | None:
        """Return increases per second by series of a family; None before a second look."""
        if name not in self._rates:
            self._rates[name] = self.history.rates(name)
        return self._rates[name]

    def counted(self, name: str, over: int | None = None) -> dict[str, float]:
        """Return increases by series of a family over ``over`` ms (None = what is kept)."""
        key = name, over
        if key not in self._counted:
            self._counted[key] = self.history.counts(name, over)
        return self._counted[key]

    def count(self, metric: Metric, **labels: str) -> float:
        """Return what was counted over what is kept."""
        return round(_sum(self.counted(metric.exposed), labels), 6)

    def counts_by(self, metric: Metric, label: str, **labels: str) -> dict[str, float]:
        """Return what was counted over what is kept, by a label."""
        return by_label(self.counted(metric.exposed), label, labels)

    def rates_by(self, metric: Metric, label: str, **labels: str) -> dict[str, float]:
        """Return increases per second, by a label."""
        return by_label(self.rates(metric.exposed) or {}, label, labels)

    def quantile(self, metric: Metric, share: float, over: int, **labels: str) -> float | None:
        """Return a quantile over the last ``over`` ms of all processes together."""
        counted = self.counted(f"{metric.exposed}_bucket", over)
        return quantile(buckets(counted, metric.buckets, **labels), share)


def samples(summary: Summary, metric: Metric, **labels: str) -> float:
    """Return what one process says, summed over labels not named."""
    return sum(
        value
        for series, value in summary.samples.items()
        if series.startswith(metric.exposed)
        and taken_apart(series)[0] == metric.exposed
        and has(series, labels)
    )


def label_of(series: str, label: str) -> str:
    """Return the value of one label of a series; empty when it has none."""
    return dict(taken_apart(series)[1]).get(label, "")


def by_label(
    increases: Mapping[str, float], label: str, labels: Mapping[str, str]
) -> dict[str, float]:
    """Add up by one label what has all ``labels``."""
    found: dict[str, float] = {}
    for series, more in increases.items():
        if has(series, labels):
            value = label_of(series, label)
            found[value] = found.get(value, 0.0) + more
    return {value: round(more, 6) for value, more in sorted(found.items())}


def _sum(increases: Mapping[str, float], labels: Mapping[str, str]) -> float:
    return sum(more for series, more in increases.items() if has(series, labels))
