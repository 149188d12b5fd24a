"""Counters of many processes become rates, counts and percentiles of all of them together."""

from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.times import HOUR, MINUTE, SECOND
from monitoring.page.history import LIVE, SIMULATED, History, buckets, quantile
from monitoring.summary import Summary

START = 1_700_000_000_000
BOUNDS = (0.1, 0.5, 1.0, 5.0)


def worker(name: str, at: int, started: int = START - HOUR, **counted: float) -> Summary:
    samples = {f"{key}_total": value for key, value in counted.items()}
    return Summary(kind="worker", name=name, at=at, started_at=started, samples=samples)


def looked(*steps: list[Summary], every: int = 10 * SECOND) -> History:
    history = History()
    for number, summaries in enumerate(steps):
        history.add(summaries, START + number * every)
    return history


# --- counters ------------------------------------------------------------------------------------


def test_a_rate_is_that_of_all_workers_together() -> None:
    later = START + 10 * SECOND
    history = looked(
        [worker("a", START, x=100), worker("b", START, x=7)],
        [worker("a", later, x=150), worker("b", later, x=27)],
    )

    assert (history.rates("x_total") or {}) == {"x_total": pytest.approx(7.0)}


def test_there_is_no_rate_before_a_second_look() -> None:
    assert looked([worker("a", START, x=100)]).rates("x_total") is None


def test_a_worker_seen_first_in_the_middle_of_its_life_brings_nothing_of_its_past() -> None:
    later = START + 10 * SECOND
    history = looked([], [worker("a", later, started=START - HOUR, x=1_000)])

    assert history.counts("x_total") == {}


def test_a_worker_born_since_the_last_look_brings_all_it_counted() -> None:
    later = START + 10 * SECOND
    history = looked([], [worker("a", later, started=START + SECOND, x=40)])

    assert history.counts("x_total") == {"x_total": pytest.approx(40)}


def test_a_worker_that_started_anew_counts_from_zero_and_never_backwards() -> None:
    later = START + 10 * SECOND
    history = looked(
        [worker("a", START, x=1_000)],
        [worker("a", later, started=START + SECOND, x=30)],
    )

    assert history.counts("x_total") == {"x_total": pytest.approx(30)}


def test_a_restart_that_has_already_counted_more_than_before_is_still_a_restart() -> None:
    later = START + 10 * SECOND
    history = looked([worker("a", START, x=10)], [worker("a", later, started=START + SECOND, x=30)])

    assert history.counts("x_total") == {"x_total": pytest.approx(30)}


def test_a_summary_that_did_not_change_counts_once() -> None:
    later = START + 10 * SECOND
    same = worker("a", later, x=150)
    history = looked([worker("a", START, x=100)], [same], [same], [same])

    assert history.counts("x_total") == {"x_total": pytest.approx(50)}


def test_a_worker_that_comes_back_after_a_while_counts_what_it_did_meanwhile() -> None:
    back = START + 20 * SECOND
    history = looked([worker("a", START, x=100)], [], [worker("a", back, x=160)])

    assert history.counts("x_total") == {"x_total": pytest.approx(60)}


@given(
    steps=st.lists(st.integers(0, 500), min_size=1, max_size=40),
    gaps=st.lists(st.integers(200, 25_000), min_size=40, max_size=40),
)
def test_no_rhythm_of_looks_loses_or_invents_a_count(steps: list[int], gaps: list[int]) -> None:
    history, at, total = History(), START, 0
    history.add([worker("a", at, x=total)], at)
    for more, gap in zip(steps, gaps, strict=False):
        at, total = at + gap, total + more
        history.add([worker("a", at, x=total)], at)

    assert sum(history.counts("x_total").values()) == pytest.approx(sum(steps))


def test_what_is_older_than_half_an_hour_is_forgotten_and_takes_no_room() -> None:
    history = History()
    for number in range(2_000):
        at = START + number * 10 * SECOND
        history.add([worker("a", at, x=number)], at)

    assert len(history._bins) <= LIVE.kept // LIVE.width + 1
    assert sum(history.counts("x_total").values()) == pytest.approx(
        LIVE.kept / (10 * SECOND), abs=1.5
    )


def test_points_lie_on_whole_widths_and_have_the_height_of_the_rate() -> None:
    history = History()
    for number in range(61):
        at = START + number * SECOND
        history.add([worker("a", at, x=5 * number)], at)

    points = history.rate_points("x_total")

    assert [at % LIVE.width for at, _ in points] == [0] * len(points)
    assert len(points) >= 5
    assert {round(rate, 6) for _, rate in points} == {5.0}


# --- percentiles ---------------------------------------------------------------------------------


def observed(values: list[float]) -> dict[str, float]:
    """Return what a histogram that saw these says, zeros left out as summaries leave them out."""
    counts = [0] * (len(BOUNDS) + 1)
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    found, total = {}, 0
    for bound, count in zip([*BOUNDS, float("inf")], counts, strict=True):
        total += count
        if total:
            name = "+Inf" if bound == float("inf") else str(bound)
            found[f't_bucket{{le="{name}"}}'] = float(total)
    return found


def with_times(name: str, at: int, values: list[float]) -> Summary:
    return Summary(
        kind="worker", name=name, at=at, started_at=START - HOUR, samples=observed(values)
    )


times = st.lists(st.floats(0.01, 4.9), max_size=60)


@given(left=times, right=times, share=st.floats(0.01, 0.99))
def test_a_percentile_of_two_workers_is_that_of_one_who_did_all_the_work(
    left: list[float], right: list[float], share: float
) -> None:
    later = START + 10 * SECOND
    two = looked(
        [with_times("a", START, []), with_times("b", START, [])],
        [with_times("a", later, left), with_times("b", later, right)],
    )
    one = looked([with_times("a", START, [])], [with_times("a", later, left + right)])

    found = quantile(buckets(two.counts("t_bucket"), BOUNDS), share)

    assert found == pytest.approx(quantile(buckets(one.counts("t_bucket"), BOUNDS), share))


def test_percentiles_are_not_averaged() -> None:
    later = START + 10 * SECOND
    fast, slow = [0.05] * 990, [4.0] * 10
    history = looked(
        [with_times("a", START, []), with_times("b", START, [])],
        [with_times("a", later, fast), with_times("b", later, slow)],
    )

    found = quantile(buckets(history.counts("t_bucket"), BOUNDS), 0.95)

    # each alone says 0.095 and 4.8; their average would be 2.4
    assert found is not None
    assert found < 0.1


@given(values=st.lists(st.floats(0.01, 4.9), min_size=1, max_size=200), share=st.floats(0.1, 0.99))
def test_a_percentile_lies_in_the_bucket_of_the_value_it_is_of(
    values: list[float], share: float
) -> None:
    rank = max(0, min(len(values) - 1, -int(-share * len(values) // 1) - 1))
    true = sorted(values)[rank]
    upper = BOUNDS[bisect_left(BOUNDS, true)]
    lower = 0.0 if upper == BOUNDS[0] else BOUNDS[BOUNDS.index(upper) - 1]

    found = quantile(buckets(observed(values), BOUNDS), share)

    assert found is not None
    assert lower - 1e-9 <= found <= upper + 1e-9


def test_beyond_the_last_bound_the_bound_is_all_that_is_known() -> None:
    assert quantile(buckets(observed([100.0] * 10), BOUNDS), 0.5) == 5.0


def test_of_nothing_there_is_no_percentile() -> None:
    assert quantile({}, 0.5) is None


# --- simulated time ------------------------------------------------------------------------------


def simulated(at: int, now: int, **counted: float) -> Summary:
    samples = {f"{key}_total": value for key, value in counted.items()}
    facts: dict[str, Any] = {"clock": "source", "now": now}
    return Summary(kind="worker", name="d", at=at, started_at=1, samples=samples, facts=facts)


def test_in_a_simulation_points_lie_on_simulated_hours() -> None:
    history = History()
    day = 444_000 * HOUR
    for number in range(40):
        # one second of the wall is half a simulated day, which comes a second after the wall
        now = day + number * 12 * HOUR
        history.add(
            [simulated(START + number * SECOND, now, x=3_600 * number)], START + number * SECOND
        )

    points = history.rate_points("x_total")

    assert history.simulated
    assert history.now == day + 39 * 12 * HOUR
    assert len(points) == SIMULATED.kept // SIMULATED.width
    assert points[-1][0] <= history.now
    assert {round(rate, 6) for _, rate in points} == {round(3_600 / (12 * 3_600), 6)}


def test_simulated_time_stands_still_while_its_worker_is_away() -> None:
    history = History()
    history.add([simulated(START, 1_000 * HOUR, x=1)], START)
    history.add([simulated(START + 1, 1_002 * HOUR, x=2)], START + SECOND)
    history.add([], START + MINUTE)

    assert history.now == 1_002 * HOUR
    assert history.simulated


def test_what_is_counted_while_simulated_time_stands_is_not_lost() -> None:
    history = History()
    history.add([simulated(START, 1_000 * HOUR, x=1)], START)
    history.add([simulated(START + 1, 1_002 * HOUR, x=2)], START + SECOND)
    history.add([simulated(START + 2, 1_002 * HOUR, x=9)], START + 2 * SECOND)

    assert sum(history.counts("x_total").values()) == pytest.approx(8)
