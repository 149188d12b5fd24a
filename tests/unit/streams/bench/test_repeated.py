"""Of several runs the middle one is told, figure by figure."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.bench.repeated import middle


def test_every_number_is_the_median_of_its_own() -> None:
    runs = [
        {"latency": {"p50": 3, "p99": 10.0}, "acted": 5},
        {"latency": {"p50": 1, "p99": 30.0}, "acted": 5},
        {"latency": {"p50": 2, "p99": 20.0}, "acted": 4},
    ]

    assert middle(runs) == {"latency": {"p50": 2, "p99": 20.0}, "acted": 5}


def test_what_one_run_could_not_tell_is_not_told() -> None:
    assert middle([{"ratio": 2.0}, {"ratio": None}, {"ratio": 1.0}]) == {"ratio": None}
    assert middle([{"ratio": {"cpu": 2.0}}, {"ratio": {}}]) == {"ratio": {"cpu": None}}


def test_what_was_not_so_in_one_run_is_not_so() -> None:
    assert middle([{"equal": True}, {"equal": False}, {"equal": True}]) == {"equal": False}
    assert middle([{"equal": True}] * 3) == {"equal": True}


def test_words_are_those_of_the_first_run() -> None:
    assert middle([{"note": "a"}, {"note": "b"}]) == {"note": "a"}


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=9))
def test_one_figure_of_many_runs_is_their_median(values: list[float]) -> None:
    assert middle([{"x": value} for value in values]) == {"x": median(values)}


def test_no_run_has_no_middle() -> None:
    with pytest.raises(ValueError, match="no run"):
        middle([])
