"""A shop's figures of four weeks and the faults one could have: the truth detectors are held to.

Counts are Poisson, shares binomial, around a rate with a daily and a weekly course; the turn to
the weekend takes three hours, as people do. All is drawn from a seed, in virtual time.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from engine.times import DAY, HOUR, MINUTE
from monitoring.anomalies.episodes import Episode, Tracker
from monitoring.anomalies.kpi import Kpi
from monitoring.anomalies.level import Level
from monitoring.anomalies.ratio import Ratio

MONDAY = 1_767_571_200_000
FIVE = 5 * MINUTE
Change = Callable[[int], float]

RATE = Kpi(name="sends", kind="level", window_ms=MINUTE, counts=True, minimum=5)
LAG = Kpi(name="lag", kind="level", window_ms=MINUTE, direction="up")
BOUNCE = Kpi(name="bounces", kind="ratio", window_ms=FIVE, direction="up", minimum=200)
ORDERS = Kpi(name="conversion", kind="ratio", window_ms=FIVE, direction="down", minimum=200)


def unchanged(_: int) -> float:
    """No fault."""
    return 1.0


def during(start: int, length: int, times: float) -> Change:
    """Multiply by ``times`` from ``start`` for ``length`` ms."""
    return lambda at: times if start <= at < start + length else 1.0


def course(at: int) -> float:
    """The shape of a week: 0.2 to 1.8 of its mean over a day, 0.6 of that on a weekend."""
    hour = at % DAY / HOUR
    day = (at - MONDAY) / DAY % 7
    turn = [1 / (1 + math.exp(-(day - edge) * 24 / 0.7)) for edge in (0, 5, 7)]
    return (1 + 0.8 * math.sin((hour - 9) / 24 * math.tau)) * (
        0.6 + 0.4 * (turn[0] - turn[1] + turn[2])
    )


def poisson(draw: random.Random, mean: float) -> int:
    """Draw a Poisson count; by its normal approximation above 50."""
    if mean > 50:
        return max(0, round(draw.gauss(mean, math.sqrt(mean))))
    count, product, least = 0, draw.random(), math.exp(-mean)
    while product > least:
        count += 1
        product *= draw.random()
    return count


def counts(
    draw: random.Random, a_minute: float, since: int, until: int, change: Change = unchanged
) -> Iterator[tuple[int, int]]:
    """(window end, count) of each minute."""
    for at in range(since, until, MINUTE):
        yield at + MINUTE, poisson(draw, a_minute * course(at) * change(at))


def lags(
    draw: random.Random, since: int, until: int, change: Change = unchanged
) -> Iterator[tuple[int, float]]:
    """(window end, seconds of lag): about one, skewed, with rare hiccups; ``change`` multiplies."""
    for at in range(since, until, MINUTE):
        hiccup = draw.expovariate(0.2) if draw.random() < 0.01 else 0.0
        yield at + MINUTE, (math.exp(draw.gauss(0, 0.25)) + hiccup) * change(at)


def shares(
    draw: random.Random, share: float, n: int, since: int, until: int, change: Change = unchanged
) -> Iterator[tuple[int, int, int]]:
    """(window end, k, n) of five minutes each; the share swings by 15 % over the day."""
    for at in range(since, until, FIVE):
        now = share * (1 + 0.15 * math.sin(at % DAY / DAY * math.tau)) * change(at)
        yield at + FIVE, min(n, poisson(draw, n * now)), n


@dataclass
class Run:
    """Episodes of one run: their openings and closings (window ends, ms)."""

    opened: list[int]
    closed: list[int]

    def delay(self, fault: int) -> float:
        """Ms from ``fault`` to the window end that opened an episode; infinite = never."""
        after = [at - fault for at in self.opened if at > fault]
        return min(after, default=math.inf)


def watch_level(series: Level, windows: Iterable[tuple[int, float]]) -> Run:
    """Run one level over ``windows``."""
    tracker = Tracker(series.kpi)
    return _episodes(tracker.observe(series.update(at, value)) for at, value in windows)


def watch_ratio(series: Ratio, windows: Iterable[tuple[int, int, int]]) -> Run:
    """Run one ratio over ``windows``."""
    tracker = Tracker(series.kpi)
    return _episodes(tracker.observe(series.update(at, k, n)) for at, k, n in windows)


def _episodes(changes: Iterable[Episode | None]) -> Run:
    run = Run([], [])
    for change in changes:
        if change is not None and change.state == "opened":
            run.opened.append(change.opened_at)
        elif change is not None and change.state == "closed" and change.closed_at is not None:
            run.closed.append(change.closed_at)
    return run


def taught_level(kpi: Kpi, windows: Iterable[tuple[int, float]]) -> bytes:
    """Return the state of a series that saw ``windows``."""
    series = Level(kpi)
    for at, value in windows:
        series.update(at, value)
    return series.state()


def taught_ratio(kpi: Kpi, windows: Iterable[tuple[int, int, int]]) -> bytes:
    """Return the state of a series that saw ``windows``."""
    series = Ratio(kpi)
    for at, k, n in windows:
        series.update(at, k, n)
    return series.state()


def from_state_level(kpi: Kpi, state: bytes) -> Level:
    """Go on from saved state, as after a deploy."""
    series = Level.restored(kpi, state)
    assert series is not None
    return series


def from_state_ratio(kpi: Kpi, state: bytes) -> Ratio:
    """Go on from saved state, as after a deploy."""
    series = Ratio.restored(kpi, state)
    assert series is not None
    return series
