"""Holds every closed window against the series it belongs to, and keeps the episodes.

One series per KPI and dimension, from its first event on. While a known cause is in force a series
is not fed: it would learn the silence of a paused channel, or call it a fault. An episode that is
open by then says what explains it, and closes.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from engine.times import DAY, HOUR, MINUTE
from monitoring.anomalies import episodes as courses
from monitoring.anomalies import series as detectors
from monitoring.anomalies.absence import Absence
from monitoring.anomalies.episodes import Tracker
from monitoring.anomalies.kpi import Kind
from monitoring.anomalies.level import Level
from monitoring.anomalies.ratio import Ratio
from monitoring.anomalies.verdict import Verdict
from monitoring.figures.catalogue import Dimension, Known, Share, Value, Window
from monitoring.figures.counts import Counts
from monitoring.figures.parts import Parts
from monitoring.figures.ruling import Ruling
from monitoring.figures.seen import Judged
from monitoring.figures.told import (
    Cause,
    Contributor,
    Episode,
    OperatorVerdict,
    Point,
    Series,
)
from monitoring.figures.watched import Table, Watched

# Series in all: each has six gauges and a kilobyte of state.
MOST_SERIES: Final = 300
_POINTS: Final = 60
# Up to so many times what is expected is no expectation.
_VAGUE: Final = 10.0
_CLOSED: Final = 20

Place = tuple[str, Dimension]


class Saved(Struct, array_like=True):
    """One series as it is kept."""

    kpi: str
    dimension: Dimension
    detector: bytes
    tracker: bytes
    points: list[Point]
    score: float
    enough: bool
    last_event: int
    suppressed_by: str
    contributors: list[Contributor]
    causes: list[Cause]
    told: int


class WatchState(Struct):
    """All series, the windows that run, and the episodes that closed last."""

    series: list[Saved] = field(default_factory=list)
    windows: dict[int, Window] = field(default_factory=dict)
    parts: Parts = field(default_factory=Parts)
    closed: list[Episode] = field(default_factory=list)
    left_out: int = 0


class Change(NamedTuple):
    """One change of an episode, the ``number``-th of it; ``window`` in ms."""

    episode: Episode
    number: int
    window: tuple[int, int]
    kind: Kind
    n: float


class _Tracked:
    """One series at work."""

    __slots__ = (
        "causes",
        "contributors",
        "detector",
        "dimension",
        "enough",
        "last_event",
        "points",
        "score",
        "suppressed_by",
        "told",
        "tracker",
        "watched",
    )

    def __init__(self, watched: Watched, dimension: Dimension) -> None:
        self.watched, self.dimension = watched, dimension
        self.detector = detectors.build(watched.kpi)
        self.tracker = Tracker(watched.kpi, "/".join(dimension))
        self.points: list[Point] = []
        self.score, self.enough = 0.0, False
        self.last_event = 0
        self.suppressed_by = ""
        self.contributors: list[Contributor] = []
        self.causes: list[Cause] = []
        self.told = 0

    @property
    def labels(self) -> dict[str, str]:
        """Return the dimension by label."""
        return dict(zip(self.watched.of.labels, self.dimension, strict=True))

    def judge(self, end: int, value: Value) -> Verdict:
        """Feed one closed window."""
        match self.detector:
            case Ratio() if isinstance(value, Share):
                return self.detector.update(end, value.k, value.n)
            case Absence() if not isinstance(value, Share):
                self.detector.learn(end, value)
                if value:
                    self.last_event = end
                return self.detector.check(end, self.last_event)
            case Level() if not isinstance(value, Share):
                return self.detector.update(end, value)
        message = f"{self.watched.name}: a {self.watched.of.kind} is nothing for its detector"
        raise TypeError(message)

    def shown(self, episode: courses.Episode) -> Episode:
        """Return an episode of its own as it is told."""
        verdict = episode.verdict
        return Episode(
            anomaly_id=episode.id,
            kpi=episode.kpi,
            title=self.watched.title,
            dimension=self.labels,
            state=episode.state,
            severity=episode.severity,
            direction=episode.direction,
            unit=self.watched.kpi.unit,
            opened_at=episode.opened_at,
            last_seen_at=episode.last_seen_at,
            closed_at=episode.closed_at,
            value=episode.value,
            expected=episode.expected,
            low=episode.low,
            high=_finite(episode.high),
            score=episode.score,
            suppressed_by=episode.suppressed_by.ref if episode.suppressed_by else "",
            contributors=self.contributors,
            causes=self.causes,
            verdict=None
            if verdict is None
            else OperatorVerdict(verdict.value, verdict.by, verdict.at, verdict.note),
        )

    def saved(self) -> Saved:
        """Return it as it is kept."""
        return Saved(
            self.watched.name,
            self.dimension,
            self.detector.state(),
            self.tracker.state(),
            self.points,
            self.score,
            self.enough,
            self.last_event,
            self.suppressed_by,
            self.contributors,
            self.causes,
            self.told,
        )

    @classmethod
    def of(cls, watched: Watched, saved: Saved) -> "_Tracked":
        """Return it as it was kept; a detector that was set otherwise begins anew."""
        found = cls(watched, saved.dimension)
        detector = detectors.restored(watched.kpi, saved.detector)
        if detector is not None:
            found.detector = detector
        tracker = Tracker.restored(watched.kpi, found.tracker.dimension, saved.tracker)
        if tracker is not None:
            found.tracker = tracker
        found.points, found.score, found.enough = saved.points, saved.score, saved.enough
        found.last_event, found.suppressed_by = saved.last_event, saved.suppressed_by
        found.contributors, found.causes = saved.contributors, saved.causes
        found.told = saved.told
        return found


class Watch:
    """All series of one KPI table."""

    def __init__(self, table: Table, state: WatchState | None = None, *, by: int = MINUTE) -> None:
        """Go on from a state; series of KPIs that the table no longer has are left behind.

        ``by``: MINUTE, or HOUR where the shop's time ticks by the hour: what an episode is made of
        is counted in such windows, and looked for so much further back.
        """
        state = WatchState() if state is None else state
        self._table = table
        self._by_name = {one.name: one for one in table.watched}
        self._by, self._suspected = by, HOUR if by == MINUTE else DAY
        lengths = {one.kpi.window_ms for one in table.watched} | ({by} - {MINUTE})
        self._windows = {length: state.windows.get(length, Window()) for length in lengths}
        self._parts = state.parts
        self._closed = state.closed
        self.left_out = state.left_out
        self._series: dict[Place, _Tracked] = {}
        for saved in state.series:
            watched = self._by_name.get(saved.kpi)
            if watched is not None and len(saved.dimension) == len(watched.of.labels):
                place = (saved.kpi, saved.dimension)
                self._series[place] = _Tracked.of(watched, saved)

    def state(self) -> WatchState:
        """Return all of it."""
        series = [one.saved() for one in self._series.values()]
        return WatchState(series, self._windows, self._parts, self._closed, self.left_out)

    # --- one minute -------------------------------------------------------------------------------

    def close(
        self, end: int, counts: Counts, judged: Iterable[Judged], known: Known, ruling: Ruling
    ) -> list[Change]:
        """Take the minute that ended at ``end`` (ms); returns the changes of episodes."""
        changes = []
        for one in judged:
            changes += self._answer(one, counts)
        for window in self._windows.values():
            window.add(counts)
        # A simulation tells all its people in its first hour: 4,000 of them widened the band of
        # what came later to 10 ** 18 times, for weeks of its time.
        first = self._by != MINUTE and not self._parts.minutes
        if end % self._by == 0:
            self._parts.add(counts.sums if self._by == MINUTE else self._windows[self._by].sums)
        for length, window in self._windows.items():
            if end % length:
                continue
            for watched in () if first else self._table.watched:
                if watched.kpi.window_ms == length:
                    changes += self._evaluate(watched, end, window, known, ruling)
            self._windows[length] = Window()
        return changes

    def _evaluate(
        self, watched: Watched, end: int, window: Window, known: Known, ruling: Ruling
    ) -> list[Change]:
        changes = []
        for dimension, value in watched.of.read(window, known).items():
            tracked = self._tracked(watched, dimension, value)
            if tracked is not None:
                change = self._feed(tracked, end, value, ruling)
                changes += [] if change is None else [change]
        return changes

    def _tracked(self, watched: Watched, dimension: Dimension, value: Value) -> _Tracked | None:
        """Return the series, made when it has its first event; None = it has none yet."""
        place = (watched.name, dimension)
        found = self._series.get(place)
        if found is not None or not (value.n if isinstance(value, Share) else value):
            return found
        if len(self._series) >= MOST_SERIES:
            self.left_out += 1
            return None
        found = self._series[place] = _Tracked(watched, dimension)
        return found

    def _feed(self, tracked: _Tracked, end: int, value: Value, ruling: Ruling) -> Change | None:
        number = (value.k / value.n if value.n else None) if isinstance(value, Share) else value
        cause = self._cause(tracked, end, ruling)
        tracked.suppressed_by = "" if cause is None else cause.ref
        if cause is None:
            verdict = tracked.judge(end, value)
        else:
            verdict = _unjudged(end, number)
            tracked.last_event = end  # its silence is explained up to here
        tracked.score, tracked.enough = verdict.score, verdict.enough
        point = Point(end, number, None, None, None)
        if self._by != MINUTE and _vague(tracked.watched, verdict):
            tracked.enough = False
        if tracked.enough:
            point = Point(end, number, verdict.expected, verdict.low, _finite(verdict.high))
        tracked.points = [*tracked.points[1 - _POINTS :], point]
        before = tracked.tracker.episode
        changed = tracked.tracker.observe(verdict, () if cause is None else (cause,))
        if changed is None:
            return None
        if before is None:
            self._begin(tracked, verdict.at, ruling)
        return self._tell(tracked, changed, end)

    def _cause(self, tracked: _Tracked, end: int, ruling: Ruling) -> courses.Cause | None:
        """Return the known cause that is in force in a window."""
        kpi = tracked.watched.kpi
        begin = end - kpi.window_ms
        for day in self._table.days:
            if day.covers(kpi.name, begin, end):
                return courses.Cause("calendar", day.what)
        channel = tracked.labels.get("channel")
        held = ruling.held(f"channel:{channel}", begin, end) if channel else ""
        return courses.Cause("control", held) if held else None

    # --- episodes ---------------------------------------------------------------------------------

    def _begin(self, tracked: _Tracked, at: int, ruling: Ruling) -> None:
        """Note what an episode that opens is made of, and what it may come from."""
        tracked.told = 0
        tracked.contributors = self._parts.contributors(tracked.watched.figure, tracked.dimension)
        # An hour of simulated time may bring a model and the campaigns that go with it.
        most = 1 if self._by == MINUTE else 2
        tracked.causes = _causes(ruling, at - self._suspected, most)

    def _answer(self, judged: Judged, counts: Counts) -> list[Change]:
        """Take an operator's verdict on an open episode, or on one that closed lately."""
        for tracked in self._series.values():
            episode = tracked.tracker.episode
            if episode is not None and episode.id == judged.anomaly_id:
                counts.add(("verdicts", episode.kpi, judged.value))
                tracked.tracker.settle(judged.value, by=judged.by, at=judged.at, note=judged.note)
                tracked.detector.settle(judged.value)
                settled = tracked.tracker.episode
                end = episode.last_seen_at
                return [] if settled is None else [self._tell(tracked, settled, end)]
        said = OperatorVerdict(judged.value, judged.by, judged.at, judged.note)
        for place, closed in enumerate(self._closed):
            if closed.anomaly_id == judged.anomaly_id:
                self._closed[place] = replace(closed, verdict=said)
                counts.add(("verdicts", closed.kpi, judged.value))
        return []

    def _tell(self, tracked: _Tracked, changed: courses.Episode, end: int) -> Change:
        tracked.told += 1
        episode = tracked.shown(changed)
        if episode.state == "closed":
            self._closed = [episode, *self._closed][:_CLOSED]
        kpi = tracked.watched.kpi
        return Change(episode, tracked.told, (end - kpi.window_ms, end), kpi.kind, changed.n)

    # --- telling ----------------------------------------------------------------------------------

    def series(self) -> list[Series]:
        """Return every series as the page shows it."""
        return [_shown(one) for _, one in sorted(self._series.items())]

    def episodes(self) -> list[Episode]:
        """Return open episodes, then those that closed last; newest first."""
        there = [
            one.shown(one.tracker.episode)
            for one in self._series.values()
            if one.tracker.episode is not None
        ]
        return [*sorted(there, key=lambda one: -one.opened_at), *self._closed]


def _unjudged(end: int, value: float | None) -> Verdict:
    """Return what is said of a window whose cause is known: nothing."""
    seen = 0.0 if value is None else value
    return Verdict(
        at=end,
        value=seen,
        expected=seen,
        low=seen,
        high=seen,
        score=0.0,
        direction="up",
        enough=False,
    )


def _vague(watched: Watched, verdict: Verdict) -> bool:
    """Return whether a band is so wide that it says nothing.

    By the hour there are few windows and an hour of the day has been seen once or twice: for the
    first weeks the widest errors are those of a beginner.
    """
    logged = watched.kpi.kind == "level" and watched.kpi.log
    return logged and 1 + verdict.high > _VAGUE * (1 + verdict.expected)


def _finite(value: float) -> float | None:
    return None if value == float("inf") else value


def _causes(ruling: Ruling, since: int, most: int) -> list[Cause]:
    """Return the last control and the ``most`` last deploys after ``since`` (ms)."""
    found = []
    for one in ruling.controls[-1:]:
        if one.at > since:
            control = one.control
            what = f"{control.action} {control.target}"
            found.append(Cause("control", one.at, what, control.actor))
    found += [
        Cause("deploy", deploy.at, deploy.what, deploy.by)
        for deploy in ruling.deploys[-most:]
        if deploy.at > since
    ]
    return found


def _shown(tracked: _Tracked) -> Series:
    watched = tracked.watched
    return Series(
        kpi=watched.name,
        title=watched.title,
        dimension=tracked.labels,
        unit=watched.kpi.unit,
        kind=watched.kpi.kind,
        direction=watched.kpi.direction,
        window_s=watched.kpi.window_ms // 1_000,
        score=round(tracked.score, 3),
        active=tracked.tracker.active,
        enough=tracked.enough,
        suppressed_by=tracked.suppressed_by,
        points=tracked.points,
    )


__all__ = ["MOST_SERIES", "Change", "Saved", "Watch", "WatchState"]
