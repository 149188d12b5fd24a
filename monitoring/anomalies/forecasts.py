"""What the next value of a series should be, and how far off that usually is.

Three one-step forecasters run side by side: a quick robust mean, a slow one, and a slow drift
around the usual value of this hour of a weekday or weekend day. The one that erred least lately
speaks; a clipped error counts, so that one break does not change the speaker.
"""

from array import array
from typing import Final, NamedTuple, TypeAlias

import msgspec

from engine.times import DAY, HOUR
from monitoring.anomalies import clock

Place: TypeAlias = tuple[int, int, float]

_QUICK_GAIN: Final = 0.1
# Errors pull a mean by at most so many sigmas: one spike is not a level.
_HUBER: Final = 2.5
# The first windows teach the scale unclipped: a clipped scale that starts near 0 never grows.
_UNCLIPPED: Final = 60
_SCALE_MEMORY: Final = 500
_SCALES: Final = 8  # of three hours each: a night's few events are less steady than a day's many
_SIGMA: Final = 1.2533  # of a normal, from its mean absolute error
# Days of one hour before its usual value is spoken of, and as many as it remembers.
_PASSES: Final = 1.9
_PASSES_KEPT: Final = 8

_QUICK, _SLOW, _SEASON = range(3)
# The quick mean follows a slow fault and forgives it: it has to be clearly better to speak. With
# 1.05 a lag that grew sevenfold in two hours was never found.
_FAVOUR: Final = (1.25, 1.0, 1.0)


class Forecast(NamedTuple):
    """What the speaker expects and its usual error (one sigma)."""

    value: float
    sigma: float


class Saved(msgspec.Struct, array_like=True):
    """All that `Forecasts.restored` needs."""

    usual: bytes
    seen: bytes
    scales: bytes
    numbers: tuple[float, ...]
    errors: tuple[float, ...]


class Forecasts:
    """The forecasters of one series of windows ``window_ms`` long, in any unit of value."""

    def __init__(self, window_ms: int) -> None:
        self._day = max(2.0, DAY / window_ms)
        self._hour = max(1.0, HOUR / window_ms)
        self._usual = array("f", bytes(4 * clock.HOURS))
        self._seen = array("f", bytes(4 * clock.HOURS))
        self._scales = array("f", bytes(4 * (_SCALES + 1)))
        self._scale_seen = array("f", bytes(4 * (_SCALES + 1)))
        self._windows = 0
        self._quick = self._slow = self._drift = self._shadow = 0.0
        self._errors = [0.0, 0.0, 0.0]
        self._judged = [0.0, 0.0, 0.0]

    def begin(self, seen: float) -> None:
        """Take the first value as the first forecast; later ones change nothing here."""
        if not self._windows:
            self._quick = self._slow = self._shadow = seen

    def knows(self, place: Place) -> bool:
        """Whether the usual value of this hour was seen often enough to be spoken of."""
        return self._passes(place) >= _PASSES

    def say(self, place: Place, *, stale: bool = False) -> Forecast:
        """Return what is expected at ``place``.

        ``stale``: the means stood still for so long that only the hour's usual value counts.
        """
        ready = self.knows(place)
        if stale:
            speaker = _SEASON if ready else _SLOW
        else:
            among = (_QUICK, _SLOW, _SEASON) if ready else (_QUICK, _SLOW)
            speaker = min(among, key=lambda which: self._errors[which] * _FAVOUR[which])
        return Forecast(self._all(place)[speaker], self._sigma(place))

    def follow(self, seen: float, sigma: float, *, held: bool) -> None:
        """Let the quick mean take ``seen``; while ``held`` only what would replace it does."""
        self._windows += 1
        gain = max(_QUICK_GAIN, 1 / self._windows)
        self._shadow += gain * (seen - self._shadow)
        if not held:
            self._quick += gain * _within(seen - self._quick, self._room(sigma))

    def learn(self, place: Place, seen: float, forecast: Forecast) -> None:
        """Let everything slow take ``seen``, for which ``forecast`` was said, before `follow`."""
        self._judge(place, seen, forecast.sigma)
        self._learn_scale(place, abs(seen - forecast.value))
        room = self._room(forecast.sigma)
        gain = max(1 / self._day, 1 / (self._windows + 1))
        self._slow += gain * _within(seen - self._slow, room)
        self._learn_hour(place, seen, room)

    def adopt(self, *, held: bool) -> None:
        """Take what was seen of late as the new normal."""
        self._drift += self._shadow - self._slow if held else 0.0
        self._quick = self._slow = self._shadow

    def _all(self, place: Place) -> tuple[float, float, float]:
        first, second, share = place
        usual = (1 - share) * self._usual[first] + share * self._usual[second]
        return self._quick, self._slow, usual + self._drift

    def _passes(self, place: Place) -> float:
        first, second, share = place
        return ((1 - share) * self._seen[first] + share * self._seen[second]) / self._hour

    def _sigma(self, place: Place) -> float:
        own = _scale_of(place)
        return _SIGMA * self._scales[own if self._scale_seen[own] >= _UNCLIPPED else _SCALES]

    def _room(self, sigma: float) -> float:
        return _HUBER * sigma if self._windows > _UNCLIPPED else float("inf")

    def _judge(self, place: Place, seen: float, sigma: float) -> None:
        for which, forecast in enumerate(self._all(place)):
            if which == _SEASON and self._passes(place) < _PASSES / 2:
                continue
            self._judged[which] = min(self._judged[which] + 1, self._day)
            wrong = min(abs(seen - forecast), 3 * sigma)
            self._errors[which] += (wrong - self._errors[which]) / self._judged[which]

    def _learn_scale(self, place: Place, wrong: float) -> None:
        for which in (_scale_of(place), _SCALES):
            self._scale_seen[which] = min(self._scale_seen[which] + 1, _SCALE_MEMORY)
            known = self._scales[which]
            taken = wrong
            if self._scale_seen[which] > _UNCLIPPED and known > 0.0:
                taken = min(wrong, 3 * _SIGMA * known)
            self._scales[which] = known + (taken - known) / self._scale_seen[which]

    def _learn_hour(self, place: Place, seen: float, room: float) -> None:
        first, second, share = place
        miss = seen - self._all(place)[_SEASON]
        if self._passes(place) >= _PASSES / 2:
            miss = _within(miss, room)
            self._drift += miss / self._day
        norm = (1 - share) ** 2 + share**2
        most = _PASSES_KEPT * self._hour
        for hour, weight in ((first, 1 - share), (second, share)):
            if not self._seen[hour]:
                self._usual[hour] = seen - self._drift
                self._seen[hour] = weight
                continue
            self._seen[hour] = min(self._seen[hour] + weight, most)
            self._usual[hour] += miss * weight / norm / max(self._seen[hour], 1.0)

    def state(self) -> Saved:
        """Return what has to be saved."""
        return Saved(
            usual=self._usual.tobytes(),
            seen=self._seen.tobytes(),
            scales=(self._scales + self._scale_seen).tobytes(),
            numbers=(self._windows, self._quick, self._slow, self._drift, self._shadow),
            errors=(*self._errors, *self._judged),
        )

    @classmethod
    def restored(cls, window_ms: int, saved: Saved) -> "Forecasts":
        """Return the forecasters that were saved."""
        forecasts = cls(window_ms)
        forecasts._usual = array("f", saved.usual)
        forecasts._seen = array("f", saved.seen)
        scales = array("f", saved.scales)
        forecasts._scales, forecasts._scale_seen = scales[: _SCALES + 1], scales[_SCALES + 1 :]
        windows, *means = saved.numbers
        forecasts._windows = int(windows)
        forecasts._quick, forecasts._slow, forecasts._drift, forecasts._shadow = means
        forecasts._errors, forecasts._judged = list(saved.errors[:3]), list(saved.errors[3:])
        return forecasts


def _scale_of(place: Place) -> int:
    return place[0] % 24 * _SCALES // 24


def _within(error: float, room: float) -> float:
    return min(max(error, -room), room)
