"""Verdicts become episodes: one alarm from the first rare windows to the last, with a severity.

An episode opens after a few rare windows in a row, stays open until several quiet ones, grows
more severe with its score and its length, and alerts nobody while a known cause explains it.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

import msgspec

from engine.times import HOUR
from monitoring.anomalies.kpi import (
    CRITICAL_AT,
    OPENS_AT,
    QUIET_BELOW,
    QUIET_WINDOWS,
    Kpi,
)
from monitoring.anomalies.verdict import Direction, Verdict

Severity: TypeAlias = Literal["info", "warning", "critical"]
Answer: TypeAlias = Literal["true", "false", "expected"]

VERSION: Final = 1
# What stands open so long is critical however mild: an hour, for long windows six of them.
CRITICAL_AFTER: Final = HOUR
_CRITICAL_WINDOWS: Final = 6
# Three false alarms in a row make a series speak one step later, ten times as rare; at most
# three steps, or nobody would ever hear of it again.
FALSE_IN_A_ROW: Final = 3
STEP: Final = 1.0
MOST_STEPS: Final = 3
_ACTIVE: Final = {"info": 0, "warning": 1, "critical": 2}


class Cause(msgspec.Struct, frozen=True):
    """A known reason for odd numbers: a paused channel, a deploy, a sale, a source that lags."""

    kind: Literal["control", "deploy", "calendar", "source"]
    ref: str


class OperatorVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of an episode; ``opens_at`` is the score that opens the next one.

    ``widened`` says that this verdict moved it.
    """

    episode: str
    kpi: str
    dimension: str
    value: Answer
    by: str
    at: int
    note: str = ""
    opens_at: float = OPENS_AT
    widened: bool = False


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One anomaly of one series from its opening on; times are window ends, ms UTC.

    ``score`` is the highest so far; the other numbers are of the last rare window.
    """

    id: str
    kpi: str
    dimension: str
    state: Literal["opened", "updated", "closed"]
    severity: Severity
    direction: Direction
    opened_at: int
    last_seen_at: int
    closed_at: int | None = None
    score: float
    value: float
    expected: float
    low: float
    high: float
    n: float
    suppressed_by: Cause | None = None
    verdict: OperatorVerdict | None = None


class _State(msgspec.Struct, array_like=True):
    version: int
    episode: Episode | None
    rare: int
    quiet: int
    last_at: int
    false_in_a_row: int
    steps: int


class Tracker:
    """The episodes of one series; ``dimension`` names it within its KPI (`channel=sms`)."""

    def __init__(self, kpi: Kpi, dimension: str = "") -> None:
        self.kpi = kpi
        self.dimension = dimension
        self.episode: Episode | None = None
        self._rare = 0
        self._quiet = 0
        self._last_at = 0
        self._false_in_a_row = 0
        self._steps = 0

    @property
    def opens_at(self) -> float:
        """The score that opens an episode, after what operators said."""
        return OPENS_AT + STEP * self._steps

    @property
    def active(self) -> int:
        """0 = nothing to act on (a suppressed episode too), 1 = warning, 2 = critical."""
        return _ACTIVE[self.episode.severity] if self.episode else 0

    def observe(self, verdict: Verdict, causes: Sequence[Cause] = ()) -> Episode | None:
        """Take the next verdict and the causes known now; return the episode if it changed.

        A change is its opening, another severity, cause or direction, and its closing; after the
        closing `episode` is None.
        """
        self._count(verdict)
        if self.episode is None:
            return self._open(verdict, causes)
        if self._over(verdict):
            return self._close(verdict.at)
        return self._go_on(verdict, causes)

    def settle(self, answer: Answer, *, by: str, at: int, note: str = "") -> OperatorVerdict | None:
        """Take an operator's verdict on the open episode; None when none is open.

        `true` confirms it and lets it stand. `false` and `expected` close it with the next
        `observe`; the third `false` in a row widens the series one step. The caller tells the
        series by its own `settle`.
        """
        episode = self.episode
        if episode is None:
            return None
        widened = self._take(answer)
        said = OperatorVerdict(
            episode=episode.id,
            kpi=self.kpi.name,
            dimension=self.dimension,
            value=answer,
            by=by,
            at=at,
            note=note,
            opens_at=self.opens_at,
            widened=widened,
        )
        self.episode = msgspec.structs.replace(episode, state="updated", verdict=said)
        return said

    def _take(self, answer: Answer) -> bool:
        if answer == "true":
            self._false_in_a_row = 0
        if answer != "false":
            return False
        self._false_in_a_row += 1
        if self._false_in_a_row < FALSE_IN_A_ROW or self._steps >= MOST_STEPS:
            return False
        self._false_in_a_row = 0
        self._steps += 1
        return True

    def _count(self, verdict: Verdict) -> None:
        # Windows that were left out do not join two rare ones into a row.
        gap = self.kpi.kind != "absence" and verdict.at - self._last_at > 2 * self.kpi.window_ms
        self._last_at = verdict.at
        rare = verdict.score >= self.opens_at
        self._rare = (1 if gap else self._rare + 1) if rare else 0
        self._quiet = self._quiet + 1 if verdict.score < QUIET_BELOW else 0

    def _open(self, verdict: Verdict, causes: Sequence[Cause]) -> Episode | None:
        if self._rare < self.kpi.opens_after and not self._sure(verdict.score):
            return None
        cause = causes[0] if causes else None
        self.episode = Episode(
            id=_id(self.kpi.name, self.dimension, verdict.at),
            kpi=self.kpi.name,
            dimension=self.dimension,
            state="opened",
            severity="info" if cause else self._severity(verdict.score, 0),
            direction=verdict.direction,
            opened_at=verdict.at,
            last_seen_at=verdict.at,
            score=verdict.score,
            value=verdict.value,
            expected=verdict.expected,
            low=verdict.low,
            high=verdict.high,
            n=verdict.n,
            suppressed_by=cause,
        )
        return self.episode

    def _sure(self, score: float) -> bool:
        """Whether one window is enough: a ratio's sum has several in it, a level may spike."""
        return self.kpi.kind == "ratio" and score >= self.opens_at + STEP

    def _over(self, verdict: Verdict) -> bool:
        episode = self.episode
        if episode is None:
            return False
        if episode.verdict is not None and episode.verdict.value != "true":
            return True
        quiet_for = verdict.at - episode.last_seen_at
        return self._quiet >= QUIET_WINDOWS and quiet_for >= QUIET_WINDOWS * self.kpi.window_ms

    def _close(self, at: int) -> Episode | None:
        episode, self.episode = self.episode, None
        self._rare = 0
        return episode and msgspec.structs.replace(episode, state="closed", closed_at=at)

    def _go_on(self, verdict: Verdict, causes: Sequence[Cause]) -> Episode | None:
        before = self.episode
        if before is None:
            return None
        after = before
        if verdict.score >= QUIET_BELOW:
            after = msgspec.structs.replace(
                after,
                direction=verdict.direction,
                last_seen_at=verdict.at,
                score=max(before.score, verdict.score),
                value=verdict.value,
                expected=verdict.expected,
                low=verdict.low,
                high=verdict.high,
                n=verdict.n,
            )
        cause = causes[0] if causes else None
        reached = self._severity(after.score, verdict.at - before.opened_at)
        after = msgspec.structs.replace(
            after, suppressed_by=cause, severity="info" if cause else reached
        )
        self.episode = after
        if _seen(after) == _seen(before):
            return None
        self.episode = msgspec.structs.replace(after, state="updated")
        return self.episode

    def _severity(self, score: float, open_for: int) -> Severity:
        long = max(CRITICAL_AFTER, _CRITICAL_WINDOWS * self.kpi.window_ms)
        grave = score >= CRITICAL_AT + STEP * self._steps
        return "critical" if grave or open_for >= long else "warning"

    def state(self) -> bytes:
        """Return what `Tracker.restored` goes on from."""
        return msgspec.msgpack.encode(
            _State(
                version=VERSION,
                episode=self.episode,
                rare=self._rare,
                quiet=self._quiet,
                last_at=self._last_at,
                false_in_a_row=self._false_in_a_row,
                steps=self._steps,
            )
        )

    @classmethod
    def restored(cls, kpi: Kpi, dimension: str, state: bytes) -> "Tracker | None":
        """Return the tracker that was saved; None when ``state`` is another version's."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
        except msgspec.MsgspecError:
            return None
        if saved.version != VERSION:
            return None
        tracker = cls(kpi, dimension)
        tracker.episode = saved.episode
        tracker._rare, tracker._quiet = saved.rare, saved.quiet
        tracker._last_at = saved.last_at
        tracker._false_in_a_row, tracker._steps = saved.false_in_a_row, saved.steps
        return tracker


def _seen(episode: Episode) -> tuple[Severity, Direction, Cause | None]:
    return episode.severity, episode.direction, episode.suppressed_by


def _id(kpi: str, dimension: str, opened_at: int) -> str:
    said = f"{kpi}|{dimension}|{opened_at}".encode()
    return blake2b(said, digest_size=8).hexdigest()
