"""Percentiles by nearest rank."""

from statistics import median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.bench.spread import percentile, spread

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("share", "found"), [(50, 500), (99, 990), (99.9, 999), (100, 1000), (0, 1), (0.05, 1)]
)
def test_percentiles_of_the_numbers_to_a_thousand_are_their_ranks(share: float, found: int) -> None:
    assert percentile(range(1, 1001), share) == found


@given(VALUES, st.floats(0.001, 100))
def test_at_least_the_share_lies_at_or_below_and_less_lies_below(
    values: list[float], share: float
) -> None:
    found = percentile(sorted(values), share)

    assert sum(value <= found for value in values) >= share / 100 * len(values) - 1e-6
    assert sum(value < found for value in values) < share / 100 * len(values) + 1e-6


@given(VALUES)
def test_the_middle_is_the_lower_median(values: list[float]) -> None:
    assert percentile(sorted(values), 50) == median_low(values)


def test_nothing_has_no_spread() -> None:
    assert spread([]) is None


def test_a_spread_tells_count_and_largest_whatever_the_order() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"n": 3, "p50": 2.0, "p99": 3.0, "p999": 3.0, "max": 3.0}
