"""Gauges per partition: of each topic by its name, gone with the partition, and never too many."""

import pytest
from prometheus_client import CollectorRegistry

from monitoring import metrics
from monitoring.instruments import value_of
from monitoring.metrics import MAX_PARTITIONS, Metric
from monitoring.partitions import Partition, Partitions

EVENTS, PUSH = "rekindle.events", "rekindle.actions.push"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def partitions(registry: CollectorRegistry) -> Partitions:
    return Partitions([EVENTS, PUSH], registry)


def shown(registry: CollectorRegistry, metric: Metric) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels[label.name] for label in metric.labels): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == metric.exposed
    }


def test_two_topics_of_one_partition_do_not_overwrite_each_other(
    registry: CollectorRegistry, partitions: Partitions
) -> None:
    partitions.show(
        [
            Partition(topic=EVENTS, partition=3, waiting=17, oldest=2.0),
            Partition(topic=PUSH, partition=3, waiting=0, oldest=0.0),
        ]
    )
    assert shown(registry, metrics.LAG) == {(EVENTS, "3"): 17, (PUSH, "3"): 0}
    assert shown(registry, metrics.LAG_AGE) == {(EVENTS, "3"): 2.0, (PUSH, "3"): 0.0}


def test_a_partition_given_up_is_told_no_more(
    registry: CollectorRegistry, partitions: Partitions
) -> None:
    kept = Partition(topic=EVENTS, partition=4, waiting=1, outbox=1, ticked=5_500)
    gone = Partition(topic=EVENTS, partition=3, waiting=17, oldest=1.0, outbox=2, ticked=4_000)
    partitions.show([kept, gone])
    assert value_of(registry, metrics.TICKED, partition="4") == 5.5
    partitions.show([kept])
    for metric in (metrics.LAG, metrics.OUTBOX, metrics.TICKED):
        assert {labels[-1] for labels in shown(registry, metric)} == {"4"}, metric.name
    assert shown(registry, metrics.LAG_AGE) == {}


def test_what_is_not_known_has_no_series(
    registry: CollectorRegistry, partitions: Partitions
) -> None:
    partitions.show([Partition(topic=EVENTS, partition=0)])
    assert shown(registry, metrics.LAG) == {}
    assert shown(registry, metrics.WATERMARK) == {}


def test_beyond_the_bound_nothing_is_lost_that_an_alert_needs(
    registry: CollectorRegistry, partitions: Partitions
) -> None:
    partitions.show(
        [
            Partition(
                topic=EVENTS,
                partition=n,
                waiting=1,
                oldest=float(n),
                watermark=1_000 * (100 - n),
                ticked=1_000 * (100 - n),
            )
            for n in reversed(range(64))
        ]
    )
    waiting, ages = shown(registry, metrics.LAG), shown(registry, metrics.LAG_AGE)
    assert len(waiting) == MAX_PARTITIONS + 1
    assert sum(waiting.values()) == 64
    assert waiting[EVENTS, "other"] == 64 - MAX_PARTITIONS
    assert max(ages.values()) == ages[EVENTS, "other"] == 63
    assert min(shown(registry, metrics.TICKED).values()) == 37
    assert min(shown(registry, metrics.WATERMARK).values()) == 37


def test_topics_beyond_the_bound_stand_together(registry: CollectorRegistry) -> None:
    topics = [f"t{n}" for n in range(metrics.MAX_TOPICS + 2)]
    Partitions(topics, registry).show(
        [Partition(topic=topic, partition=0, waiting=2) for topic in topics]
    )
    waiting = shown(registry, metrics.LAG)
    assert waiting["other", "other"] == 4
    assert len(waiting) == metrics.MAX_TOPICS + 1
