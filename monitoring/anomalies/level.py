"""A level (events a minute, seconds of lag, cost of an order) against what it should be now.

The error of the best forecaster, in robust sigmas, and the mean of the last few errors are each
scored by their own tail: the first finds the break, the second a fall too small for one window.
"""

from math import expm1, log1p, sqrt
from typing import Final, Literal

import msgspec

from engine.times import HOUR
from monitoring.anomalies import clock
from monitoring.anomalies.forecasts import Forecast, Forecasts, Saved
from monitoring.anomalies.hold import Hold
from monitoring.anomalies.kpi import OPENS_AT, Kpi
from monitoring.anomalies.tail import Tail
from monitoring.anomalies.verdict import Verdict

VERSION: Final = 1

# Nothing that is worth an alarm is half a percent off.
_LEAST_SIGMA: Final = 0.005
# Mean excess of a normal error over the edge of its largest 2 %, in sigmas.
_EXCESS: Final = 0.34
# The mean of the last errors: about seven windows; in sigmas of such a mean.
_POOL: Final = 0.25
_POOL_SIGMA: Final = sqrt((2 - _POOL) / _POOL)
_POOL_CLIP: Final = 6.0
# Means of neighbours look alike: seven windows above are one event, not seven.
_POOL_HANDICAP: Final = 0.85
# A quick mean that stood still through a fault knows nothing of the hours that passed.
_STALE: Final = HOUR
_LARGEST_LOG: Final = 700.0


class _State(msgspec.Struct, array_like=True):
    version: int
    kpi: tuple[str, int, bool, bool]
    forecasts: Saved
    pool: float
    tail: tuple[float, ...]
    pool_tail: tuple[float, ...]
    hold: tuple[int | None, int, int | None, int]


class Level:
    """The series of a `Kpi` of kind level. Feed every closed window once, in order."""

    def __init__(self, kpi: Kpi) -> None:
        self.kpi = kpi
        self._forecasts = Forecasts(kpi.window_ms)
        self._pool = 0.0
        self._tail = Tail(log=False, least=_EXCESS)
        self._pool_tail = Tail(log=False, least=_EXCESS)
        self._hold = Hold()

    def update(self, window_end_ms: int, value: float) -> Verdict:
        """Judge the window that ended at ``window_end_ms`` by what came before; then learn it.

        Raises ValueError when a figure that is compared by its log is below 0.
        """
        if self.kpi.log and value < 0:
            message = f"{self.kpi.name}: {value} is below 0; such a figure needs log=False"
            raise ValueError(message)
        seen = log1p(value) if self.kpi.log else value
        self._forecasts.begin(seen)
        place = clock.place(window_end_ms - self.kpi.window_ms // 2, self.kpi.zone)
        forecast = self._forecast(place, window_end_ms)
        error = (seen - forecast.value) / forecast.sigma
        self._pool += _POOL * (min(max(error, -_POOL_CLIP), _POOL_CLIP) - self._pool)
        verdict = self._verdict(window_end_ms, value, forecast, error)
        self._hold.step(window_end_ms, verdict.score)
        self._learn(place, seen, forecast, error)
        if self._hold.outlasted(young=not self._forecasts.knows(place)):
            self._adopt()
        return verdict

    def settle(self, answer: Literal["true", "false", "expected"]) -> None:
        """Take an operator's verdict: what is no fault is learned from here on."""
        if answer != "true":
            self._adopt()

    def _forecast(self, place: tuple[int, int, float], at: int) -> Forecast:
        since = self._hold.since
        said = self._forecasts.say(place, stale=since is not None and at - since >= _STALE)
        sigma = max(said.sigma, _LEAST_SIGMA if self.kpi.log else _LEAST_SIGMA * abs(said.value))
        if self.kpi.counts:
            sigma = max(sigma, 1 / sqrt(max(expm1(said.value), 0.0) + 1))
        return Forecast(said.value, sigma or 1.0)

    def _verdict(self, at: int, value: float, forecast: Forecast, error: float) -> Verdict:
        one, pooled = self._sided(error), self._sided(self._pool * _POOL_SIGMA)
        expected = self._back(forecast.value)
        room = self._tail.at(OPENS_AT) * forecast.sigma
        enough = self._tail.warm and max(abs(expected), abs(value)) >= self.kpi.minimum
        score = max(self._tail.score(one), self._pool_tail.score(pooled) - _POOL_HANDICAP)
        return Verdict(
            at=at,
            value=value,
            expected=expected,
            low=self._back(forecast.value - room),
            high=self._back(forecast.value + room),
            score=max(score, 0.0) if enough else 0.0,
            direction="down" if (error if one >= pooled else self._pool) < 0 else "up",
            enough=enough,
            n=expected,
        )

    def _sided(self, error: float) -> float:
        if self.kpi.direction == "both":
            return abs(error)
        return max(error if self.kpi.direction == "up" else -error, 0.0)

    def _back(self, level: float) -> float:
        return max(expm1(min(level, _LARGEST_LOG)), 0.0) if self.kpi.log else level

    def _learn(
        self, place: tuple[int, int, float], seen: float, forecast: Forecast, error: float
    ) -> None:
        if self._hold.teaches:
            self._tail.learn(self._sided(error))
            self._pool_tail.learn(self._sided(self._pool * _POOL_SIGMA))
            self._forecasts.learn(place, seen, forecast)
        self._forecasts.follow(seen, forecast.sigma, held=self._hold.held)

    def _adopt(self) -> None:
        self._forecasts.adopt(held=self._hold.held)
        self._pool = 0.0
        self._hold.release()

    def state(self) -> bytes:
        """Return the whole series in less than 1 kB; `Level.restored` goes on from there."""
        return msgspec.msgpack.encode(
            _State(
                version=VERSION,
                kpi=_shape(self.kpi),
                forecasts=self._forecasts.state(),
                pool=self._pool,
                tail=self._tail.state(),
                pool_tail=self._pool_tail.state(),
                hold=self._hold.state(),
            )
        )

    @classmethod
    def restored(cls, kpi: Kpi, state: bytes) -> "Level | None":
        """Return the series that was saved; None when ``state`` is another version's or KPI's."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
        except msgspec.MsgspecError:
            return None
        if saved.version != VERSION or saved.kpi != _shape(kpi):
            return None
        series = cls(kpi)
        series._forecasts = Forecasts.restored(kpi.window_ms, saved.forecasts)
        series._pool = saved.pool
        series._tail = Tail.restored(saved.tail, log=False, least=_EXCESS)
        series._pool_tail = Tail.restored(saved.pool_tail, log=False, least=_EXCESS)
        series._hold = Hold(*saved.hold)
        return series


def _shape(kpi: Kpi) -> tuple[str, int, bool, bool]:
    return kpi.direction, kpi.window_ms, kpi.log, kpi.counts
