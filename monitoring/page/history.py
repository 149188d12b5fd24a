"""The last half hour of a whole deployment, put together from what each process says of itself.

Counters of processes are added up by their increases: one that starts anew begins at 0, one that
is seen for the first time in the middle of its life brings what it counts from then on. Buckets of
histograms are counters like all others, so a percentile is that of all processes together.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from engine.times import HOUR, MINUTE, SECOND
from monitoring.summary import Summary, taken_apart

# ms of wall time after which a process that says nothing is shown as stale: three of its summaries.
STALE_AFTER: Final = 3 * SECOND
# ms for which a process that left is remembered, so that it does not count twice when it returns.
_REMEMBERED: Final = HOUR
_COUNTED: Final = ("_total", "_bucket", "_count", "_sum")

Point = tuple[int, float]
# By name of a family, and then by series: a question about one family looks at no other.
Increases = dict[str, dict[str, float]]


class Axis(Struct, frozen=True):
    """The time the page is about; all in ms.

    ``width`` of one point, how far back points are ``kept``, and over which ``window`` a rate is
    told. In a simulation these are simulated.
    """

    width: int
    kept: int
    window: int


LIVE: Final = Axis(10 * SECOND, 30 * MINUTE, 15 * SECOND)
SIMULATED: Final = Axis(HOUR, 7 * 24 * HOUR, 24 * HOUR)


class _Frame(Struct, frozen=True):
    """What was counted between two looks."""

    begin: int
    end: int
    increases: Increases


class History:
    """Fed with all summaries at each look, in any rhythm; asked for rates, counts and points."""

    def __init__(self) -> None:
        """Empty; the first look is a beginning and no increase."""
        self.axis = LIVE
        self.now = 0
        self.since = 0
        self.summaries: list[Summary] = []
        self._seen: dict[tuple[str, str], Summary] = {}
        self._looked_at = 0
        self._frames: deque[_Frame] = deque()
        self._bins: dict[int, Increases] = {}
        self._highest: dict[int, dict[str, float]] = {}

    def add(self, summaries: Iterable[Summary], wall: int) -> None:
        """Take in how all processes stand at ``wall`` (ms)."""
        self.summaries = list(summaries)
        increases: Increases = {}
        for summary in self.summaries:
            for series, more in self._increases(summary):
                family = increases.setdefault(taken_apart(series)[0], {})
                family[series] = family.get(series, 0.0) + more
        self._looked_at = wall
        self._forget(wall)
        now = self._time(wall)
        if self.now and now > self.now:
            self._put_in(_Frame(self.now, now, increases))
        elif self._frames and increases:  # simulated time stood still, counting did not
            _add(self._frames[-1].increases, increases)
            self._add_to_bins(_Frame(now - 1, now, increases))
        self.since = self.since or now
        self.now = max(self.now, now)

    def note(self, gauges: Mapping[str, float]) -> None:
        """Keep how high gauges stand now, for their points: the highest of each width counts."""
        kept = self._highest.setdefault(self.now // self.axis.width, {})
        for name, value in gauges.items():
            kept[name] = max(kept.get(name, value), value)

    @property
    def simulated(self) -> bool:
        """Return whether the time of the page is simulated."""
        return self.axis is SIMULATED

    @property
    def expected(self) -> int:
        """Return how many workers were seen within what is kept of live time."""
        return sum(
            kind == "worker" and self._looked_at - last.at <= LIVE.kept
            for (kind, _), last in self._seen.items()
        )

    # --- taking in ------------------------------------------------------------------------------

    def _increases(self, summary: Summary) -> Iterator[tuple[str, float]]:
        """Yield what a process counted since it was last seen."""
        who = summary.kind, summary.name
        before = self._seen.get(who)
        if before is not None and summary.at == before.at:
            return
        self._seen[who] = summary
        if before is None:
            # Born before we looked: its past is not known to be ours. Born since: all of it is.
            known = 0 < self._looked_at <= summary.started_at
            base: Mapping[str, float] | None = {} if known else None
        else:
            base = before.samples if before.started_at == summary.started_at else {}
        if base is None:
            return
        for series, value in summary.samples.items():
            if not taken_apart(series)[0].endswith(_COUNTED):
                continue
            last = base.get(series, 0.0)
            more = value - last if value >= last else value
            if more:
                yield series, more

    def _forget(self, wall: int) -> None:
        gone = [who for who, last in self._seen.items() if wall - last.at > _REMEMBERED]
        for who in gone:
            del self._seen[who]

    def _time(self, wall: int) -> int:
        """Return the time of the page: simulated as soon as one worker says so."""
        simulated = [
            int(summary.facts.get("now") or 0)
            for summary in self.summaries
            if summary.kind == "worker" and summary.facts.get("clock") == "source"
        ]
        axis = SIMULATED if simulated else LIVE
        if not self.summaries and self.axis is SIMULATED:
            return self.now  # the worker of the simulation is away for a moment
        if axis is not self.axis:
            self.axis = axis
            self._frames.clear()
            self._bins.clear()
            self._highest.clear()
            self.now = self.since = 0
        return max(self.now, *simulated) if simulated else wall

    def _put_in(self, frame: _Frame) -> None:
        self._frames.append(frame)
        while self._frames[0].end <= frame.end - self.axis.window:
            self._frames.popleft()
        self._add_to_bins(frame)
        oldest = (frame.end - self.axis.kept) // self.axis.width
        for kept in (self._bins, self._highest):
            for number in [number for number in kept if number < oldest]:
                del kept[number]

    def _add_to_bins(self, frame: _Frame) -> None:
        """Spread a frame over the widths it covers: looks come in another rhythm than points."""
        width = self.axis.width
        begin = max(frame.begin, frame.end - self.axis.kept)
        length = frame.end - begin
        for number in range(begin // width, (frame.end - 1) // width + 1):
            inside = min(frame.end, (number + 1) * width) - max(begin, number * width)
            share = inside / length
            _add(self._bins.setdefault(number, {}), frame.increases, share)

    # --- asked ----------------------------------------------------------------------------------

    def rates(self, name: str) -> dict[str, float] | None:
        """Return increases per second of the page's time, by series; None before a second look."""
        if not self._frames:
            return None
        elapsed = (self.now - self._frames[0].begin) / SECOND
        found: dict[str, float] = {}
        for frame in self._frames:
            for series, more in frame.increases.get(name, {}).items():
                found[series] = found.get(series, 0.0) + more / elapsed
        return found

    def counts(self, name: str, over: int | None = None) -> dict[str, float]:
        """Return increases over the last ``over`` ms (None = all that is kept), by series."""
        first = 0 if over is None else (self.now - over) // self.axis.width + 1
        found: dict[str, float] = {}
        for number, kept in self._bins.items():
            if number >= first:
                for series, more in kept.get(name, {}).items():
                    found[series] = found.get(series, 0.0) + more
        return found

    def rate_points(self, name: str, **labels: str) -> list[Point]:
        """Return one rate per width, oldest first; the width in progress is left out."""
        width = self.axis.width
        points = []
        for number in self._whole():
            kept = self._bins.get(number, {}).get(name, {})
            total = sum(more for series, more in kept.items() if has(series, labels))
            points.append(((number + 1) * width, total * SECOND / width))
        return points

    def quantile_points(self, name: str, bounds: Iterable[float], share: float) -> list[Point]:
        """Return one quantile per width; a width in which nothing was observed has no point."""
        points = []
        for number in self._whole():
            kept = self._bins.get(number, {}).get(f"{name}_bucket", {})
            found = quantile(buckets(kept, bounds), share)
            if found is not None:
                points.append(((number + 1) * self.axis.width, found))
        return points

    def gauge_points(self, name: str) -> list[Point]:
        """Return the points of a gauge that was noted."""
        return [
            ((number + 1) * self.axis.width, self._highest[number][name])
            for number in self._whole()
            if name in self._highest.get(number, {})
        ]

    def _whole(self) -> range:
        width = self.axis.width
        first = max(self.since, self.now - self.axis.kept)
        return range(-(-first // width), self.now // width)


def has(series: str, labels: Mapping[str, str]) -> bool:
    """Return whether a series has these labels among its own."""
    return not labels or all(pair in taken_apart(series)[1] for pair in labels.items())


def _add(to: Increases, more: Increases, share: float = 1.0) -> None:
    for name, family in more.items():
        kept = to.setdefault(name, {})
        for series, value in family.items():
            kept[series] = kept.get(series, 0.0) + value * share


# --- histograms ----------------------------------------------------------------------------------


def buckets(
    increases: Mapping[str, float], bounds: Iterable[float], **labels: str
) -> dict[float, float]:
    """Return what the buckets of a histogram counted, cumulated, by upper bound.

    ``bounds``: all finite ones, because empty buckets are not said. Labels not named are added up:
    adding buckets is the one way to put percentiles together.
    """
    found = dict.fromkeys(bounds, 0.0)
    for series, more in increases.items():
        if has(series, labels):
            bound = float(dict(taken_apart(series)[1])["le"])
            found[bound] = found.get(bound, 0.0) + more
    return found


def quantile(cumulated: Mapping[float, float], share: float) -> float | None:
    """Return the value below which ``share`` lies, as Prometheus interpolates; None = no data.

    Beyond the last finite bound it is that bound: more is not known.
    """
    bounds = sorted(cumulated)
    total = cumulated[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    rank, below, lower = share * total, 0.0, 0.0
    for bound in bounds:
        # An empty bucket may be missing: cumulated counts never fall.
        count = max(cumulated[bound], below)
        if count >= rank and count > below:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - below) / (count - below)
        below, lower = count, bound
    return lower
