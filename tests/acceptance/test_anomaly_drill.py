"""The drill: known faults are found in time, a day-long fault stays open, quiet weeks are quiet.

Virtual time and seeded chance: every delay is a count of windows. The series are taught two
weeks, saved and restored before the fault, as a deploy would.
"""

import random
from functools import cache

import pytest

from engine.times import DAY, HOUR, MINUTE
from monitoring.anomalies.absence import Absence
from monitoring.anomalies.hold import Hold
from monitoring.anomalies.kpi import Kpi
from monitoring.anomalies.level import Level
from monitoring.anomalies.ratio import Ratio
from monitoring.anomalies.tail import Tail
from tests.support import drill
from tests.support.drill import BOUNCE, LAG, MONDAY, ORDERS, RATE, during

# A minute of the night has 60 sends, one of the day 540; half the weekend's less.
A_MINUTE = 300
_score = Tail.score  # before any test replaces it
TAUGHT = MONDAY + 14 * DAY
SEEDS = range(4)


@cache
def taught_rate(seed: int) -> bytes:
    draw = random.Random(f"rate{seed}")
    return drill.taught_level(RATE, drill.counts(draw, A_MINUTE, MONDAY, TAUGHT))


@cache
def taught_lag(seed: int) -> bytes:
    return drill.taught_level(LAG, drill.lags(random.Random(f"lag{seed}"), MONDAY, TAUGHT))


@cache
def taught_share(kpi: Kpi, share: float, n: int, seed: int) -> bytes:
    draw = random.Random(f"{kpi.name}{seed}")
    return drill.taught_ratio(kpi, drill.shares(draw, share, n, MONDAY, TAUGHT))


def rate_run(seed: int, hour: int, times: float, length: int, after: int) -> tuple[int, drill.Run]:
    fault = TAUGHT + hour * HOUR
    draw = random.Random(f"fault{seed}{hour}{times}")
    windows = drill.counts(draw, A_MINUTE, TAUGHT, fault + after, during(fault, length, times))
    return fault, drill.watch_level(drill.from_state_level(RATE, taught_rate(seed)), windows)


def share_run(
    kpi: Kpi, share: float, n: int, seed: int, times: float, after: int
) -> tuple[int, drill.Run]:
    fault = TAUGHT + (3 * seed + 3) % 24 * HOUR
    draw = random.Random(f"fault{kpi.name}{seed}{times}")
    windows = drill.shares(draw, share, n, TAUGHT, fault + after, during(fault, DAY, times))
    series = drill.from_state_ratio(kpi, taught_share(kpi, share, n, seed))
    return fault, drill.watch_ratio(series, windows)


def delays(kpi: Kpi, share: float, n: int, times: float) -> list[float]:
    runs = [share_run(kpi, share, n, seed, times, 2 * HOUR) for seed in range(20)]
    return sorted(run.delay(fault) / MINUTE for fault, run in runs)


def assert_within_half_an_hour(found: list[float]) -> None:
    """All but one of twenty, and that one within 40 minutes: what the docs say of it.

    Chance decides how the evidence comes. Even the sum over exactly these 30 minutes, told the true
    share and the size of the fault, misses 1.3 % of halved conversions and 0.6 % of bounces when it
    may give 0.2 false alarms in four weeks; at the share's lowest hour 2.4 %.
    """
    late = [minutes for minutes in found if minutes > 30]
    assert len(late) <= len(found) // 20, found
    assert max(found) <= 40, found


# 25 = Tuesday, 1 o'clock, when fewest come; the fault of a night has less than a sixth of a day's.
@pytest.mark.parametrize("hour", [10, 20, 25])
@pytest.mark.parametrize(("times", "minutes"), [(0.0, 2), (0.5, 5), (2.0, 5)])
def test_a_rate_that_breaks_is_found_in_minutes_by_night_and_by_day(
    hour: int, times: float, minutes: int
) -> None:
    for seed in SEEDS:
        fault, run = rate_run(seed, hour, times, DAY, 15 * MINUTE)
        assert run.delay(fault) <= minutes * MINUTE, f"seed {seed}"


def test_in_the_night_that_ends_a_weekend_it_takes_a_few_minutes_more() -> None:
    """Between the two sorts of day the usual value is wrong by itself."""
    found = [
        (fault, run) for fault, run in (rate_run(seed, 1, 2.0, DAY, 15 * MINUTE) for seed in SEEDS)
    ]
    assert max(run.delay(fault) for fault, run in found) <= 8 * MINUTE


@pytest.mark.parametrize("hour", [1, 10])
def test_a_source_that_falls_silent_is_found_in_ten_seconds(hour: int) -> None:
    kpi = Kpi(name="source", kind="absence", window_ms=MINUTE)
    series = Absence(kpi)
    for at, count in drill.counts(random.Random(1), A_MINUTE, MONDAY, TAUGHT + hour * HOUR):
        series.learn(at, count)
    last = TAUGHT + hour * HOUR
    assert series.check(last, last).score == 0.0
    assert series.check(last + 10_000, last).score >= 4.0


def test_bounces_times_four_are_found_within_half_an_hour() -> None:
    found = delays(BOUNCE, 0.01, 167, 4.0)
    print("bounces x 4, 167 of 5 min: minutes", found)
    assert_within_half_an_hour(found)


def test_a_halved_conversion_is_found_within_half_an_hour() -> None:
    found = delays(ORDERS, 0.02, 1_000, 0.5)
    print("conversion halved, 1,000 of 5 min: minutes", found)
    assert_within_half_an_hour(found)


def test_a_lag_that_grows_slowly_is_found() -> None:
    for seed in SEEDS:
        fault = TAUGHT + 7 * HOUR
        windows = drill.lags(
            random.Random(f"grow{seed}"),
            TAUGHT,
            fault + 2 * HOUR,
            lambda at, fault=fault: 1 + max(0, at - fault) / (20 * MINUTE),  # type: ignore[misc] # bound now
        )
        run = drill.watch_level(drill.from_state_level(LAG, taught_lag(seed)), windows)
        print("lag + 1 s in 20 min: minutes", run.delay(fault) / MINUTE)
        assert run.delay(fault) <= 36 * MINUTE


@pytest.mark.parametrize("times", [0.0, 0.5, 2.0])
def test_a_fault_of_a_day_stays_one_episode_for_a_day_and_ends_with_it(times: float) -> None:
    for seed in SEEDS:
        assert_open_for_a_day(seed, times)


def assert_open_for_a_day(seed: int, times: float) -> None:
    fault, run = rate_run(seed, 10, times, DAY, DAY + 2 * HOUR)
    opened = [at for at in run.opened if at > fault]
    closed = [at for at in run.closed if at > fault]
    assert len(opened) == 1, f"seed {seed}: opened {[(at - fault) / MINUTE for at in opened]}"
    assert DAY <= closed[0] - fault <= DAY + HOUR, f"seed {seed}"


def test_a_day_of_halved_conversion_stays_open_for_a_day() -> None:
    for seed in SEEDS:
        fault, run = share_run(ORDERS, 0.02, 1_000, seed, 0.5, DAY + 4 * HOUR)
        assert len([at for at in run.opened if at > fault]) == 1, f"seed {seed}"
        assert DAY <= run.closed[-1] - fault <= DAY + 2 * HOUR, f"seed {seed}"


def quiet_level(kpi: Kpi, seed: int) -> int:
    draw = random.Random(f"quiet{kpi.name}{seed}")
    until = MONDAY + 28 * DAY
    windows = (
        drill.lags(draw, MONDAY, until)
        if kpi is LAG
        else drill.counts(draw, A_MINUTE, MONDAY, until)
    )
    return len(drill.watch_level(Level(kpi), windows).opened)


def quiet_ratio(kpi: Kpi, share: float, n: int, seed: int) -> int:
    draw = random.Random(f"quiet{kpi.name}{seed}")
    windows = drill.shares(draw, share, n, MONDAY, MONDAY + 28 * DAY)
    return len(drill.watch_ratio(Ratio(kpi), windows).opened)


@pytest.mark.slow
def test_four_quiet_weeks_open_at_most_one_episode_a_fortnight() -> None:
    """From the first window on: the weeks in which a series learns its week are among them."""
    by_series = {
        "sends": [quiet_level(RATE, seed) for seed in range(2)],
        "lag": [quiet_level(LAG, seed) for seed in range(2)],
        "bounces": [quiet_ratio(BOUNCE, 0.01, 167, seed) for seed in range(6)],
        "conversion": [quiet_ratio(ORDERS, 0.02, 1_000, seed) for seed in range(6)],
    }
    print("false episodes of four quiet weeks, by seed:", by_series)
    for name, found in by_series.items():
        assert max(found) <= 2, f"{name}: {found}"


# --- the drill finds detectors that lack a part -------------------------------------------------


def test_without_its_own_tail_a_series_with_hiccups_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    nominal = Tail(log=False, least=0.34)
    for _ in range(150):
        nominal.learn(1.0)
    monkeypatch.setattr(nominal, "_edge", 2.33)
    monkeypatch.setattr(Tail, "score", lambda _, statistic: _score(nominal, statistic))
    assert quiet_level(LAG, 0) > 2


def test_a_baseline_that_learns_the_fault_closes_it_early(monkeypatch: pytest.MonkeyPatch) -> None:
    taught_rate(0)
    monkeypatch.setattr(Hold, "step", lambda *_: None)
    with pytest.raises((AssertionError, IndexError)):
        assert_open_for_a_day(0, 0.5)


def test_a_sum_that_looks_one_way_misses_the_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ratio, "_sum", lambda self: self._nats[0])
    assert min(delays(ORDERS, 0.02, 1_000, 0.5)) > 30


def test_a_tail_that_takes_everything_is_blinded_by_one_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def blind(clip: float) -> float:
        monkeypatch.setattr("monitoring.anomalies.tail._CLIP", clip)
        tail = Tail(log=False, least=0.34)
        draw = random.Random(4)
        for _ in range(3_000):
            tail.learn(abs(draw.gauss(0, 1)))
        for _ in range(5):
            tail.learn(1_000.0)
        return tail.score(8.0)

    assert blind(8.0) >= 4.0 > blind(float("inf"))
