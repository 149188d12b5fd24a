"""How the partitions a worker owns stand: gauges that go when the partition goes.

A worker may own 64 partitions of eight topics. The first sixteen of a topic have series of their
own; the rest stand together under ``other`` in such a way that no alert is lost: records are
summed, of times the worst is told.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from engine.times import SECOND
from monitoring import metrics
from monitoring.instruments import gauge
from monitoring.metrics import MAX_PARTITIONS, OTHER, Metric

_Fold = Callable[[Iterable[float]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One owned partition; None = not known, or not a thing of this topic.

    ``waiting`` and ``outbox`` in records, ``oldest`` in s, ``watermark`` and ``ticked`` in ms UTC.
    """

    topic: str
    partition: int
    waiting: int | None = None
    oldest: float | None = None
    watermark: int | None = None
    outbox: int | None = None
    ticked: int | None = None


class Partitions:
    """The gauges per partition of one worker."""

    def __init__(self, topics: Sequence[str], of: CollectorRegistry) -> None:
        """``topics``: all that this worker reads, with prefix; those beyond 8 are ``other``."""
        self._topics = frozenset(topics[: metrics.MAX_TOPICS])
        self._gauges = tuple(
            _Kept(metric, of, fold, read)
            for metric, fold, read in (
                (metrics.LAG, sum, lambda x: x.waiting),
                (metrics.LAG_AGE, max, lambda x: x.oldest),
                (metrics.WATERMARK, min, lambda x: _seconds(x.watermark)),
                (metrics.OUTBOX, sum, lambda x: x.outbox),
                (metrics.TICKED, min, lambda x: _seconds(x.ticked)),
            )
        )

    def show(self, owned: Sequence[Partition]) -> None:
        """Tell how everything owned stands now; what is not among it is told no more."""
        places = self._places(owned)
        for kept in self._gauges:
            kept.show(owned, places)

    def _places(self, owned: Sequence[Partition]) -> list[tuple[str, str]]:
        """Return the labels of each: topic and partition."""
        numbers: dict[str, list[int]] = {}
        for each in owned:
            numbers.setdefault(each.topic, []).append(each.partition)
        named = {topic: set(sorted(all_)[:MAX_PARTITIONS]) for topic, all_ in numbers.items()}
        return [
            (each.topic, str(each.partition) if each.partition in named[each.topic] else OTHER)
            if each.topic in self._topics
            else (OTHER, OTHER)
            for each in owned
        ]


_Read = Callable[[Partition], float | None]


class _Kept:
    """One gauge, and the children it shows now."""

    def __init__(self, metric: Metric, of: CollectorRegistry, fold: _Fold, read: _Read) -> None:
        self._gauge = gauge(metric, of)
        self._by_topic = any(label.name == "topic" for label in metric.labels)
        self._fold, self._read = fold, read
        self._shown: dict[tuple[str, ...], Gauge] = {}

    def show(self, owned: Sequence[Partition], places: Sequence[tuple[str, str]]) -> None:
        found: dict[tuple[str, ...], list[float]] = {}
        for each, place in zip(owned, places, strict=True):
            value = self._read(each)
            if value is not None:
                found.setdefault(place if self._by_topic else place[1:], []).append(value)
        for gone in self._shown.keys() - found.keys():
            self._gauge.remove(*gone)
            del self._shown[gone]
        for labels, values in found.items():
            child = self._shown.get(labels)
            if child is None:
                child = self._shown[labels] = self._gauge.labels(*labels)
            child.set(self._fold(values))


def _seconds(at: int | None) -> float | None:
    return None if at is None else at / SECOND


__all__ = ["Partition", "Partitions"]
