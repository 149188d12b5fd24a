"""Silence: the time since the last event against the events this hour should have brought.

The fastest and surest signal of all: nothing has to be estimated about what came, only how
unlikely it is that nothing did. Closed windows teach the rate of each hour and how much burstier
than Poisson the events are; a check may come at any moment.
"""

from array import array
from typing import Final, Literal

import msgspec

from engine.times import HOUR
from monitoring.anomalies import clock
from monitoring.anomalies.hold import Hold
from monitoring.anomalies.kpi import OPENS_AT, Kpi
from monitoring.anomalies.verdict import RAREST, Verdict

VERSION: Final = 1

_DECADE: Final = 2.302585093
_PASSES_KEPT: Final = 8
_QUICK_MEMORY: Final = 60
_BURST_MEMORY: Final = 1_000
# One count may not say how bursty all are: 30 times the variance of Poisson is the most it says.
_BURST_CLIP: Final = 30.0
_WARM_UP: Final = 60
# Where even this long a silence would not be rare, there is not enough traffic to speak of it.
PATIENCE: Final = HOUR


class _State(msgspec.Struct, array_like=True):
    version: int
    window_ms: int
    rates: bytes
    seen: bytes
    numbers: tuple[float, ...]
    hold: tuple[int | None, int, int | None, int]


class Absence:
    """The series of a `Kpi` of kind absence: `learn` closed windows, `check` at any time."""

    def __init__(self, kpi: Kpi) -> None:
        self.kpi = kpi
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._rates = array("f", bytes(4 * clock.HOURS))  # events a window
        self._seen = array("f", bytes(4 * clock.HOURS))
        self._quick = 0.0
        self._windows = 0
        self._bursts = 1.0
        self._empty = 0
        self._hold = Hold()

    def learn(self, window_end_ms: int, count: float) -> None:
        """Take the number of events of the closed window that ended at ``window_end_ms``."""
        middle = window_end_ms - self.kpi.window_ms // 2
        rate = self._rate(middle)
        self._empty = 0 if count else self._empty + 1
        silent = self._empty * rate / self._bursts / _DECADE if self._warm else 0.0
        self._hold.step(window_end_ms, silent)
        if count:
            self._hold.release()
        if self._hold.outlasted():
            self._begin_anew()
        if self._hold.held:
            return
        self._windows += 1
        if self._warm and rate > 0.0:
            bursts = min((count - rate) ** 2 / rate, _BURST_CLIP * self._bursts)
            self._bursts += (bursts - self._bursts) / min(self._windows, _BURST_MEMORY)
            self._bursts = max(self._bursts, 1.0)
        self._quick += (count - self._quick) / min(self._windows, _QUICK_MEMORY)
        self._learn_hour(middle, count)

    def check(self, now_ms: int, last_event_ms: int) -> Verdict:
        """Judge at ``now_ms`` that the last event was at ``last_event_ms`` (both ms UTC)."""
        expected = self._expected(last_event_ms, now_ms)
        possible = self._rate(now_ms) * PATIENCE / self.kpi.window_ms
        enough = self._warm and possible / self._bursts / _DECADE >= OPENS_AT
        score = min(RAREST, expected / self._bursts / _DECADE)
        return Verdict(
            at=now_ms,
            value=0.0,
            expected=expected,
            low=1.0 if enough else 0.0,
            high=float("inf"),
            score=score if enough else 0.0,
            direction="down",
            enough=enough,
            n=expected,
        )

    def settle(self, answer: Literal["true", "false", "expected"]) -> None:
        """Take an operator's verdict: a silence that was to be expected is how things are now."""
        if answer == "expected":
            self._begin_anew()

    @property
    def _warm(self) -> bool:
        return self._windows >= _WARM_UP

    def _rate(self, at: int) -> float:
        first, second, share = clock.place(at, self.kpi.zone)
        known = [
            (self._rates[hour], weight)
            for hour, weight in ((first, 1 - share), (second, share))
            if weight and self._seen[hour] >= self._an_hour
        ]
        if not known:
            return self._quick
        return sum(rate * weight for rate, weight in known) / sum(weight for _, weight in known)

    @property
    def _an_hour(self) -> float:
        return 0.95 * max(1.0, HOUR / self.kpi.window_ms)

    def _expected(self, since: int, until: int) -> float:
        """Events of a silence: hour by hour, at most a day back."""
        total, at = 0.0, max(since, until - 24 * HOUR)
        while at < until:
            step = min(HOUR // 4, until - at)
            total += self._rate(at + step // 2) * step / self.kpi.window_ms
            at += step
        return total

    def _learn_hour(self, at: int, count: float) -> None:
        first, second, share = clock.place(at, self.kpi.zone)
        most = _PASSES_KEPT * max(1.0, HOUR / self.kpi.window_ms)
        for hour, weight in ((first, 1 - share), (second, share)):
            if not weight:
                continue
            self._seen[hour] = min(self._seen[hour] + weight, most)
            gain = weight / max(self._seen[hour], weight)
            self._rates[hour] += (count - self._rates[hour]) * gain

    def state(self) -> bytes:
        """Return the whole series in less than 1 kB; `Absence.restored` goes on from there."""
        return msgspec.msgpack.encode(
            _State(
                version=VERSION,
                window_ms=self.kpi.window_ms,
                rates=self._rates.tobytes(),
                seen=self._seen.tobytes(),
                numbers=(self._quick, self._windows, self._bursts, self._empty),
                hold=self._hold.state(),
            )
        )

    @classmethod
    def restored(cls, kpi: Kpi, state: bytes) -> "Absence | None":
        """Return the series that was saved; None when ``state`` is another version's or KPI's."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
        except msgspec.MsgspecError:
            return None
        if saved.version != VERSION or saved.window_ms != kpi.window_ms:
            return None
        series = cls(kpi)
        series._rates, series._seen = array("f", saved.rates), array("f", saved.seen)
        series._quick, windows, series._bursts, empty = saved.numbers
        series._windows, series._empty = int(windows), int(empty)
        series._hold = Hold(*saved.hold)
        return series
