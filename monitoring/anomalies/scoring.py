"""Scores any series of (time, value) online: one number from 0 to 1 a row, one setting for all.

Four looks at each value (a quick mean, the best of the forecasters, the nearest earlier shape, the
usual directions of shape) are scored each by its own tail and averaged. The first row of an
episode carries its score; the rows after it are damped, so that one fault is one alarm.
"""

from collections import deque
from statistics import median
from typing import Final

from engine.times import HOUR
from monitoring.anomalies import clock
from monitoring.anomalies.forecasts import Forecasts
from monitoring.anomalies.kpi import OPENS_AT
from monitoring.anomalies.shapes import Nearest, Subspace
from monitoring.anomalies.tail import Tail

# Rows to learn how far apart rows are; none of them is scored.
_STEPS: Final = 20
_QUICK_GAIN: Final = 0.1
_HUBER: Final = 2.5
_UNCLIPPED: Final = 60
_SCALE_MEMORY: Final = 500
# Mean excess of log1p of a normal error, in sigmas, over that of its 2 % edge.
_EXCESS: Final = 0.1
# An alarm speaks for the next 3 % of the rows so far, and at least for so many.
_EPISODE_SHARE: Final = 0.03
_EPISODE_LEAST: Final = 24
_DAMPED: Final = 0.25
# Squares of more would leave the range of a float.
_LARGEST: Final = 1e100


class _Quick:
    """Error of a quick robust mean, in robust sigmas."""

    def __init__(self) -> None:
        self._level = 0.0
        self._scale = 0.0
        self._taken = 0

    def distance(self, value: float) -> float:
        if not self._taken:
            self._level = value
        self._taken += 1
        error = value - self._level
        scale = self._scale
        room = _HUBER * scale if self._taken > _UNCLIPPED and scale > 0.0 else float("inf")
        gain = max(_QUICK_GAIN, 1 / self._taken)
        self._level += gain * min(max(error, -room), room)
        self._scale += (min(abs(error), room) - scale) / min(self._taken, _SCALE_MEMORY)
        return _sigmas(error, scale, self._level)


class _Usual:
    """Error of the forecaster that errs least, the time of the week among them."""

    def __init__(self, step_ms: int) -> None:
        self._forecasts = Forecasts(step_ms)

    def distance(self, at_ms: int, value: float) -> float:
        place = clock.place(at_ms, "UTC")
        self._forecasts.begin(value)
        forecast = self._forecasts.say(place)
        self._forecasts.learn(place, value, forecast)
        self._forecasts.follow(value, forecast.sigma, held=False)
        return _sigmas(value - forecast.value, forecast.sigma, forecast.value)


class Scorer:
    """The online scorer of one series: feed its rows in order, get a score for each."""

    def __init__(self) -> None:
        self._rows = 0
        self._times: list[int] = []
        self._quick = _Quick()
        self._usual: _Usual | None = None
        self._nearest = Nearest()
        self._subspace = Subspace()
        self._tails = [Tail(log=True, least=_EXCESS) for _ in range(4)]
        # (row, score) of rows that no later one of the same episode has passed, highest first.
        self._highest: deque[tuple[int, float]] = deque()

    def update(self, at_ms: int, value: float | None) -> float:
        """Score the row of time ``at_ms`` (ms UTC) by the rows before it; then learn it.

        A row without value scores 0. 0.5 is where an alarm of one in ten thousand rows lies.
        """
        self._rows += 1
        if value is None:
            return 0.0
        value = min(max(value, -_LARGEST), _LARGEST)
        if self._usual is None:
            self._learn_step(at_ms)
        distances = [
            self._quick.distance(value),
            self._usual.distance(at_ms, value) if self._usual else 0.0,
            self._nearest.distance(value),
            self._subspace.distance(value),
        ]
        rare = sum(map(_calibrated, self._tails, distances)) / len(self._tails)
        return _as_share(self._once(rare) if self._tails[0].warm else 0.0)

    def _learn_step(self, at_ms: int) -> None:
        self._times.append(at_ms)
        if len(self._times) < _STEPS:
            return
        steps = [
            after - before
            for before, after in zip(self._times, self._times[1:], strict=False)
            if after > before
        ]
        self._usual = _Usual(int(median(steps)) if steps else HOUR)
        self._times.clear()

    def _once(self, rare: float) -> float:
        """Damp what does not pass the highest score of the rows an alarm speaks for."""
        highest = self._highest
        spoken_for = max(_EPISODE_LEAST, int(_EPISODE_SHARE * self._rows))
        while highest and highest[0][0] < self._rows - spoken_for:
            highest.popleft()
        first = not highest or rare > highest[0][1]
        while highest and highest[-1][1] <= rare:
            highest.pop()
        highest.append((self._rows, rare))
        return rare if first else rare * _DAMPED


def _calibrated(tail: Tail, distance: float) -> float:
    score = tail.score(distance)
    tail.learn(distance)
    return score


def _sigmas(error: float, scale: float, level: float) -> float:
    """Return the error in scales; a series that never moved is known to a millionth."""
    return abs(error) / max(scale, 1e-6 * abs(level), 1e-12)


def _as_share(score: float) -> float:
    return score / (score + OPENS_AT)
