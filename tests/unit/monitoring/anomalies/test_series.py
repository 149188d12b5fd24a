"""Laws of the three kinds of series: saved is restored, small, pinned; too little is said so."""

import random
from collections.abc import Callable

import msgspec
import pytest

from engine.times import HOUR, MINUTE
from monitoring.anomalies.absence import Absence
from monitoring.anomalies.kpi import Kpi
from monitoring.anomalies.level import Level
from monitoring.anomalies.ratio import Ratio
from monitoring.anomalies.series import Series, build, restored
from monitoring.anomalies.verdict import Verdict
from tests.support.drill import MONDAY, counts, course, poisson

LEVEL = Kpi(name="sends", kind="level", window_ms=MINUTE, counts=True)
RATIO = Kpi(name="bounces", kind="ratio", window_ms=MINUTE, minimum=100)
SILENCE = Kpi(name="source", kind="absence", window_ms=MINUTE)


def step(series: Series, at: int, draw: random.Random) -> Verdict:
    count = poisson(draw, 80 * course(at))
    match series:
        case Level():
            return series.update(at, count)
        case Ratio():
            return series.update(at, min(count, poisson(draw, 0.05 * count)), count)
        case Absence():
            series.learn(at, count)
            return series.check(at + 5_000, at)


@pytest.mark.parametrize("kpi", [LEVEL, RATIO, SILENCE])
@pytest.mark.parametrize("windows", [1, 100, 3_000])
def test_a_restored_series_says_what_the_saved_one_would_have_said(kpi: Kpi, windows: int) -> None:
    draw = random.Random(windows)
    series = build(kpi)
    for window in range(windows):
        step(series, MONDAY + window * MINUTE, draw)
    again = restored(kpi, series.state())
    assert again is not None
    assert len(series.state()) < 1_000
    rest = random.getstate()
    said = [
        [step(one, MONDAY + at * MINUTE, random.Random(at)) for at in range(windows, windows + 50)]
        for one in (series, again)
    ]
    assert said[0] == said[1]
    assert random.getstate() == rest


@pytest.mark.parametrize("kpi", [LEVEL, RATIO, SILENCE])
def test_a_state_of_another_version_kind_or_window_is_not_read(kpi: Kpi) -> None:
    state = build(kpi).state()
    version, *rest = msgspec.msgpack.decode(state)
    assert restored(kpi, msgspec.msgpack.encode([version + 1, *rest])) is None
    assert restored(kpi, b"") is None
    assert restored(msgspec.structs.replace(kpi, window_ms=5 * MINUTE), state) is None
    for other in {LEVEL, RATIO, SILENCE} - {kpi}:
        assert restored(other, state) is None


def test_a_series_that_is_too_young_says_so() -> None:
    series = Level(LEVEL)
    assert not series.update(MONDAY, 100).enough
    assert series.update(MONDAY + MINUTE, 0).score == 0.0


def taught(kpi: Kpi, a_minute: float) -> Level:
    series = Level(kpi)
    for at, count in counts(random.Random(3), a_minute, MONDAY, MONDAY + 9 * HOUR):
        series.update(at, count)
    return series


def test_too_little_traffic_is_said_and_never_scored() -> None:
    kpi = msgspec.structs.replace(LEVEL, minimum=20)
    said = taught(kpi, 5).update(MONDAY + 9 * HOUR + MINUTE, 0)
    assert (said.enough, said.score) == (False, 0.0)


def test_too_few_trials_are_said_and_never_scored() -> None:
    series = Ratio(RATIO)
    for window in range(2_000):
        said = series.update(MONDAY + window * MINUTE, 1, 20)
    assert said.enough
    for window in range(2_000, 2_300):
        said = series.update(MONDAY + window * MINUTE, 1, 1)
    assert (said.enough, said.score) == (False, 0.0)


def test_a_source_with_few_events_is_never_called_silent() -> None:
    series = Absence(SILENCE)
    for window in range(3_000):
        series.learn(MONDAY + window * MINUTE, 1 if window % 20 == 0 else 0)
    now = MONDAY + 3_000 * MINUTE
    said = series.check(now, now - 2 * HOUR)
    assert (said.enough, said.score) == (False, 0.0)


def test_a_silence_is_watched_by_the_hour_through_days_it_does_not_know_yet() -> None:
    """In the middle of an hour that was never seen, all the weight was on it: a division by 0."""
    series = Absence(Kpi(name="source", kind="absence", window_ms=HOUR))
    first = MONDAY + 16 * HOUR
    for hour in range(9 * 24):
        series.learn(first + hour * HOUR, 40)
    now = first + 9 * 24 * HOUR
    assert series.check(now, now - HOUR).enough
    assert series.check(now, now - 6 * HOUR).score >= 4.0


def test_the_band_is_where_an_episode_opens() -> None:
    series = taught(LEVEL, 300)
    at = MONDAY + 9 * HOUR + MINUTE
    band = series.update(at, 300)
    assert band.low < band.expected < band.high
    below = Level.restored(LEVEL, taught(LEVEL, 300).state())
    assert below is not None
    assert below.update(at, band.low * 0.97).score >= 4.0
    inside = taught(LEVEL, 300)
    assert inside.update(at, band.low * 1.05).score < 4.0


@pytest.mark.parametrize(("direction", "value"), [("up", 10), ("down", 3_000)])
def test_the_side_nobody_minds_is_never_scored(direction: str, value: int) -> None:
    kpi = msgspec.convert(msgspec.to_builtins(LEVEL) | {"direction": direction}, Kpi)
    assert taught(kpi, 300).update(MONDAY + 9 * HOUR + MINUTE, value).score < 1.0


def lasting(series: Level, answer: str | None) -> float:
    """Half the rate for ten minutes, a verdict, then 40 minutes more: the last score."""
    draw = random.Random(8)
    for minute in range(50):
        at = MONDAY + 9 * HOUR + (minute + 1) * MINUTE
        said = series.update(at, poisson(draw, 150 * course(at)))
        if minute == 10 and answer == "expected":
            series.settle("expected")
        if minute == 10 and answer == "true":
            series.settle("true")
    return said.score


def test_what_an_operator_expected_is_the_new_normal_at_once() -> None:
    assert lasting(taught(LEVEL, 300), "expected") < 2.5
    assert lasting(taught(LEVEL, 300), "true") >= 4.0
    assert lasting(taught(LEVEL, 300), None) >= 4.0


def test_a_verdict_starts_both_sums_anew() -> None:
    series = Ratio(RATIO)
    for window in range(2_000):
        series.update(MONDAY + window * MINUTE, 2, 40)
    for window in range(2_000, 2_020):
        said = series.update(MONDAY + window * MINUTE, 12, 40)
    assert said.score >= 4.0
    series.settle("false")
    assert series.update(MONDAY + 2_020 * MINUTE, 2, 40).score < 2.5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Level(LEVEL).update(MONDAY, -1),
        lambda: Ratio(RATIO).update(MONDAY, 3, 2),
        lambda: Kpi(name="x", kind="level", window_ms=0),
        lambda: Kpi(name="x", kind="level", window_ms=1, counts=True, log=False),
    ],
)
def test_what_cannot_be_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"x|sends|bounces"):
        wrong()
