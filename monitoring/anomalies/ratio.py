"""A share of events (bounces of sends, orders of visits) against its usual share at this hour.

The parts are counted, never divided first: each window adds to two sums how much likelier its
k of n is under a higher (a lower) share than under the usual one. A sum that returns to 0 is
nothing; one that keeps growing is a change, found with a few events where a z-score of the
ratio sees only noise. Beside them the last half hour is looked at as one, because a change should
be found within it; the larger of both is what the series' own tail scores. The share is learned
slowly, and not at all while a sum says change.
"""

from array import array
from math import log
from typing import Final, Literal

import msgspec

from engine.times import DAY, HOUR, MINUTE
from monitoring.anomalies import clock
from monitoring.anomalies.evidence import Look, Sum, edge
from monitoring.anomalies.hold import Hold
from monitoring.anomalies.kpi import OPENS_AT, Kpi
from monitoring.anomalies.tail import Tail
from monitoring.anomalies.verdict import Verdict

VERSION: Final = 2
# Version 1 lacks the last half hour, the sums' trials and the suspicion: they start empty.
_READ: Final = (1, VERSION)

# The change looked for, in odds. A rise of less than about 1.5 times, a fall to more than 0.75,
# is none: its windows speak for the usual share as much.
_UP: Final = 2.4
_DOWN: Final = 0.56
# The time within which a change should be found; of longer windows the last one, and never more
# than 30 of them (the state stays below 1 kB).
_LOOK: Final = 30 * MINUTE
_MOST_WINDOWS: Final = 30
# A sum chooses its beginning among the windows of such a time and pays for it; the look has one.
_BEGINNINGS: Final = log(6)
# Such evidence passes its edge by h with e ** -h while nothing changes: one nat on average.
_EXCESS: Final = 1.0
# From here on the windows may be of a change and teach the share no further: but for a day, after
# which it is the share that is wrong, and not before the series can be judged. A share that began
# wrong by chance (1 of 200 simulated ones) else took all that followed for a change, for ever.
_SUSPECT: Final = 3.0
_SUSPECTED_FOR: Final = DAY
_HOURS: Final = 24
_MEMORY: Final = 14 * DAY
# An hour's own share counts as much as the share of all hours once it has so many successes.
_PRIOR_EVENTS: Final = 40.0
# Successes (and failures) before a share is known well enough to be compared with.
_KNOWN_EVENTS: Final = 20.0
_RARE: Final = 1e-6


class _State(msgspec.Struct, array_like=True):
    version: int
    kpi: tuple[str, int]
    hits: bytes
    trials: bytes
    numbers: tuple[float, ...]
    tail: tuple[float, ...]
    hold: tuple[int | None, int, int | None, int]
    summed: tuple[float, float] = (0.0, 0.0)
    look: bytes = b""
    suspected_at: int | None = None


class Ratio:
    """The series of a `Kpi` of kind ratio. Feed every closed window once, in order."""

    def __init__(self, kpi: Kpi) -> None:
        self.kpi = kpi
        self._hits = array("f", bytes(4 * _HOURS))
        self._trials = array("f", bytes(4 * _HOURS))
        self._all_hits = self._all_trials = 0.0
        self._recent = 0.0
        self._counted_in = 1.0  # trials behind the share of the last window
        self._up, self._down = Sum(_UP), Sum(_DOWN)
        self._look = Look(min(max(1, _LOOK // kpi.window_ms), _MOST_WINDOWS))
        self._nats = (0.0, 0.0)  # of the last window: for a rise, for a fall
        self._suspected_at: int | None = None
        self._suspects = False
        self._shadow_hits = self._shadow_trials = 0.0
        self._tail = Tail(log=False, least=_EXCESS)
        self._hold = Hold()

    def update(self, window_end_ms: int, k: float, n: float) -> Verdict:
        """Judge the ``k`` of ``n`` of the window that ended at ``window_end_ms``; then learn it.

        Raises ValueError when ``k`` is not between 0 and ``n``.
        """
        if not 0 <= k <= n:
            message = f"{self.kpi.name}: {k} of {n} is no share"
            raise ValueError(message)
        place = self._place(window_end_ms)
        share, self._counted_in = self._share(place)
        hour = max(1.0, HOUR / self.kpi.window_ms)
        self._recent += n - self._recent / hour
        if self._known():
            self._up.add(share, k, n)
            self._down.add(share, k, n)
            self._look.add(share, k, n)
        self._nats = self._sides()
        verdict = self._verdict(window_end_ms, share, k, n)
        self._hold.step(window_end_ms, verdict.score)
        self._suspect(window_end_ms)
        self._learn(place, k, n)
        if self._hold.outlasted():
            self._adopt()
        return verdict

    def settle(self, answer: Literal["true", "false", "expected"]) -> None:
        """Take an operator's verdict: both sums start again; what is no fault is learned."""
        if answer != "true":
            self._adopt()
        self._begin_sums()

    def _begin_sums(self) -> None:
        self._up, self._down = Sum(_UP), Sum(_DOWN)
        self._look.clear()

    def _place(self, at: int) -> tuple[int, int, float]:
        first, second, share = clock.place(at - self.kpi.window_ms // 2, self.kpi.zone)
        return first % _HOURS, second % _HOURS, share

    def _share(self, place: tuple[int, int, float]) -> tuple[float, float]:
        """Return the usual share of an hour and in how many trials it was counted."""
        first, second, weight = place
        overall = (self._all_hits + 0.5) / (self._all_trials + 1.0)
        prior = _PRIOR_EVENTS / overall
        hits = (1 - weight) * self._hits[first] + weight * self._hits[second]
        trials = (1 - weight) * self._trials[first] + weight * self._trials[second]
        share = (hits + prior * overall) / (trials + prior)
        counted_in = max(trials + min(prior, self._all_trials), 1.0)
        return min(max(share, _RARE), 1 - _RARE), counted_in

    def _known(self) -> bool:
        return min(self._all_hits, self._all_trials - self._all_hits) >= _KNOWN_EVENTS

    def _sides(self) -> tuple[float, float]:
        """Return the evidence for a rise and for a fall, in nats."""
        more, less = self._look.sides(self._counted_in)
        up = self._up.worth(self._counted_in) - _BEGINNINGS
        down = self._down.worth(self._counted_in) - _BEGINNINGS
        return max(up, more, 0.0), max(down, less, 0.0)

    def _sum(self) -> float:
        up, down = self._nats
        match self.kpi.direction:
            case "up":
                return up
            case "down":
                return down
            case "both":
                return max(up, down)

    def _suspect(self, at: int) -> None:
        worth = max(self._up.worth(self._counted_in), self._down.worth(self._counted_in))
        odd = self._tail.warm and worth > _SUSPECT
        self._suspected_at = (self._suspected_at or at) if odd else None
        self._suspects = self._suspected_at is not None and at - self._suspected_at < _SUSPECTED_FOR

    def _verdict(self, at: int, share: float, k: float, n: float) -> Verdict:
        enough = self._tail.warm and self._known() and self._recent >= self.kpi.minimum
        room = self._tail.at(OPENS_AT) + _BEGINNINGS
        up, down = self._nats
        return Verdict(
            at=at,
            value=k / n if n else share,
            expected=share,
            low=edge(share, _DOWN, n, room),
            high=edge(share, _UP, n, room),
            score=self._tail.score(self._sum()) if enough else 0.0,
            direction="up" if up >= down else "down",
            enough=enough,
            n=n,
        )

    def _learn(self, place: tuple[int, int, float], k: float, n: float) -> None:
        gain = self.kpi.window_ms / HOUR
        self._shadow_hits += k - self._shadow_hits * min(gain, 1.0)
        self._shadow_trials += n - self._shadow_trials * min(gain, 1.0)
        if self._known() and self._hold.teaches:
            self._tail.learn(self._sum())
        if not self._hold.teaches:
            return
        if self._suspects:
            return
        kept = 1 - self.kpi.window_ms / _MEMORY
        self._all_hits = self._all_hits * kept + k
        self._all_trials = self._all_trials * kept + n
        # An hour is seen once a day: its memory has to fade 24 times as fast per window of it.
        faded = max(0.0, 1 - _HOURS * self.kpi.window_ms / _MEMORY)
        first, second, weight = place
        for hour, part in ((first, 1 - weight), (second, weight)):
            keep = 1 - (1 - faded) * part
            self._hits[hour] = self._hits[hour] * keep + k * part
            self._trials[hour] = self._trials[hour] * keep + n * part

    def _adopt(self) -> None:
        if self._hold.held and self._shadow_trials:
            now = (self._shadow_hits + 0.5) / (self._shadow_trials + 1.0)
            before = (self._all_hits + 0.5) / (self._all_trials + 1.0)
            for hour in range(_HOURS):
                self._hits[hour] = min(self._hits[hour] * now / before, self._trials[hour])
            self._all_hits = self._all_trials * now
        self._begin_sums()
        self._hold.release()

    def state(self) -> bytes:
        """Return the whole series in less than 1 kB; `Ratio.restored` goes on from there."""
        return msgspec.msgpack.encode(
            _State(
                version=VERSION,
                kpi=(self.kpi.direction, self.kpi.window_ms),
                hits=self._hits.tobytes(),
                trials=self._trials.tobytes(),
                numbers=(
                    self._all_hits,
                    self._all_trials,
                    self._recent,
                    *self._up.state(),
                    *self._down.state(),
                    self._shadow_hits,
                    self._shadow_trials,
                ),
                tail=self._tail.state(),
                hold=self._hold.state(),
                summed=(self._up.trials, self._down.trials),
                look=self._look.state(),
                suspected_at=self._suspected_at,
            )
        )

    @classmethod
    def restored(cls, kpi: Kpi, state: bytes) -> "Ratio | None":
        """Return the series that was saved, also by version 1.

        None when ``state`` is of a version not known here, or another KPI's.
        """
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
        except msgspec.MsgspecError:
            return None
        if saved.version not in _READ or saved.kpi != (kpi.direction, kpi.window_ms):
            return None
        series = cls(kpi)
        series._hits, series._trials = array("f", saved.hits), array("f", saved.trials)
        (
            series._all_hits,
            series._all_trials,
            series._recent,
            series._up.nats,
            series._up.height,
            series._down.nats,
            series._down.height,
            series._shadow_hits,
            series._shadow_trials,
        ) = saved.numbers
        series._tail = Tail.restored(saved.tail, log=False, least=_EXCESS)
        series._hold = Hold(*saved.hold)
        series._up.trials, series._down.trials = saved.summed
        series._look.restore(saved.look)
        series._suspected_at = saved.suspected_at
        return series
