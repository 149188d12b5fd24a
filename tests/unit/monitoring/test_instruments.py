"""The blocks of the recorders: what is unknown is counted as other, and nothing has no bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from monitoring import metrics
from monitoring.instruments import Bounded, Tally, add, counters_of, value_of

VALUES = st.lists(st.floats(0, 10_000, allow_nan=False), max_size=200)


@given(VALUES)
def test_a_tally_is_scraped_as_the_clients_own_histogram(values: list[float]) -> None:
    metric = metrics.LATENESS
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally(metric, ours)
    histogram = Histogram(metric.exposed, metric.says, registry=theirs, buckets=metric.buckets)
    tally.observe_all(values)
    for value in values:
        histogram.observe(value)
    assert generate_latest(ours) == generate_latest(theirs)


@given(VALUES)
def test_one_by_one_is_the_same_as_all_at_once(values: list[float]) -> None:
    registry, other = CollectorRegistry(), CollectorRegistry()
    one, all_ = Tally(metrics.LATENESS, registry), Tally(metrics.LATENESS, other)
    all_.observe_all(values)
    for value in values:
        one.observe(value)
    assert generate_latest(registry) == generate_latest(other)


def test_a_value_of_no_list_is_counted_as_other_and_told() -> None:
    registry, told = CollectorRegistry(), []
    children = counters_of(metrics.EVENTS, "type", registry, lambda: told.append(1))
    add(children, {"order_completed": 2, "surprise": 3, "another": 1})
    assert value_of(registry, metrics.EVENTS, type="order_completed") == 2
    assert value_of(registry, metrics.EVENTS, type="other") == 4
    assert len(told) == 2


def test_a_list_without_other_refuses_what_is_not_in_it() -> None:
    children = counters_of(metrics.DOUBTS_TOTAL, "doubt", CollectorRegistry())
    with pytest.raises(KeyError, match="other"):
        children["unheard"]


def test_values_known_at_run_time_are_bounded() -> None:
    registry, told = CollectorRegistry(), []
    counter = Counter("orders", "Orders.", ["source"], registry=registry)
    children = Bounded(counter.labels, 2, known=["ads"], folded=lambda: told.append(1))
    for source in ("ads", "mail", "search", "ads", "search", "social"):
        children[source].inc()
    assert set(children) == {"other", "ads", "mail"}
    assert registry.get_sample_value("orders_total", {"source": "other"}) == 3
    assert registry.get_sample_value("orders_total", {"source": "ads"}) == 2
    assert len(told) == 3
