"""How the families of :mod:`monitoring.metrics` become series: blocks all recorders are built of.

Children are made once, when a recorder is made; nothing resolves labels where work is done.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from monitoring.metrics import OTHER, Metric, values

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# A third of all series would be `_created` timestamps nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call] # the client left its types out

_Child = TypeVar("_Child")


def registry() -> CollectorRegistry:
    """Return a registry of one's own, with the ``process_*`` figures in it."""
    made = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=made)
    return made


def counter(metric: Metric, of: CollectorRegistry) -> Counter:
    """Register a counter."""
    return Counter(metric.exposed, metric.says, _names(metric), registry=of)


def gauge(metric: Metric, of: CollectorRegistry) -> Gauge:
    """Register a gauge."""
    return Gauge(metric.exposed, metric.says, _names(metric), registry=of)


def histogram(metric: Metric, of: CollectorRegistry) -> Histogram:
    """Register a histogram."""
    return Histogram(
        metric.exposed, metric.says, _names(metric), registry=of, buckets=metric.buckets
    )


def info(metric: Metric, of: CollectorRegistry) -> Info:
    """Register an info: its labels are given with each call of ``info``."""
    return Info(metric.exposed, metric.says, registry=of)


def counters_of(
    metric: Metric,
    label: str,
    of: CollectorRegistry,
    folded: Callable[[], object] | None = None,
) -> "Closed[Counter]":
    """Register a counter of one closed label, and return its children, each at 0.

    Raises KeyError for a label known at run time.
    """
    made = counter(metric, of)
    return Closed({value: made.labels(value) for value in values(metric, label)}, folded)


def value_of(of: CollectorRegistry, metric: Metric, /, **labels: str) -> float:
    """Return one sample, as scraped; 0 where there is none."""
    found = of.get_sample_value(metric.exposed, labels)
    return 0.0 if found is None else found


def render(of: CollectorRegistry) -> bytes:
    """Return everything in Prometheus' text format; may run in a thread."""
    return generate_latest(of)


class Tally(Collector):
    """A histogram without labels for values that come by the hundred.

    A tenth of what the client's own costs with its lock: it is told from one thread and may be read
    from another.
    """

    def __init__(self, metric: Metric, of: CollectorRegistry) -> None:
        """Register it, empty."""
        self._metric = metric
        self._bounds = tuple(float(bound) for bound in metric.buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        of.register(self)

    def observe(self, value: float) -> None:
        """Note one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def observe_all(self, found: Iterable[float]) -> None:
        """Note values."""
        counts, bounds, total = self._counts, self._bounds, self._sum
        for value in found:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self._sum = total

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the family as it is scraped."""
        ends = [*map(floatToGoString, self._bounds), "+Inf"]
        totals = accumulate(list(self._counts))
        buckets = [(end, float(total)) for end, total in zip(ends, totals, strict=True)]
        yield HistogramMetricFamily(
            self._metric.exposed, self._metric.says, buckets=buckets, sum_value=self._sum
        )


class Closed(dict[str, _Child]):
    """The children of a closed label; asked for a value that is not in it, gives ``other``.

    ``folded`` is called each time it does.
    """

    def __init__(
        self, children: Mapping[str, _Child], folded: Callable[[], object] | None = None
    ) -> None:
        """``children`` by value; raises KeyError later where there is no ``other`` among them."""
        super().__init__(children)
        self._folded = folded

    def __missing__(self, value: str) -> _Child:
        """Return the child of ``other``."""
        if value == OTHER:
            raise KeyError(value)
        if self._folded is not None:
            self._folded()
        return self[OTHER]


def add(children: Mapping[str, Counter], counts: Mapping[str, int]) -> None:
    """Add counts to the children of their values."""
    for value, count in counts.items():
        children[value].inc(count)


class Bounded(Closed[_Child]):
    """The children of a label whose values are known at run time: so many, then ``other``.

    ``make`` makes the child of a value.
    """

    def __init__(
        self,
        make: Callable[[str], _Child],
        bound: int,
        known: Iterable[str] = (),
        folded: Callable[[], object] | None = None,
    ) -> None:
        """Make the child of ``other`` and of the values ``known`` from the start."""
        super().__init__({OTHER: make(OTHER)}, folded)
        self._make, self._bound = make, bound
        for value in known:
            self[value]

    def __missing__(self, value: str) -> _Child:
        """Make the child of a value, or return that of ``other`` when there is no room for it."""
        if len(self) > self._bound:
            return super().__missing__(value)
        child = self[value] = self._make(value)
        return child


def _names(metric: Metric) -> list[str]:
    return [label.name for label in metric.labels]


__all__ = [
    "CONTENT_TYPE",
    "Bounded",
    "Closed",
    "Tally",
    "add",
    "counter",
    "counters_of",
    "gauge",
    "histogram",
    "info",
    "registry",
    "render",
    "value_of",
]
