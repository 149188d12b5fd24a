"""When a channel is stopped or slowed without anybody asking: complaints, bounces, overpace.

Pure: closed windows of figures in, at most one control out. It pauses and lowers only, with no end:
whatever it did, a person looks at its evidence and lets go, and is then judged by new figures.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from engine import controls
from engine.controls import CHANNEL, LOWEST, Standing
from engine.events import Control
from engine.times import DAY, HOUR, MINUTE

ACTOR: Final = "brake"
# Parts a rule's window is counted in: what leaves it leaves in steps of a thirtieth.
_PARTS: Final = 30
# A pace is corrected when it is off by more than this, and by no more than that at once.
_SLACK: Final = 0.05
_STEP: Final = 0.2
# What was done is given so long to take effect before more is done.
_SETTLES: Final = 5 * MINUTE


class Rule(Struct, frozen=True, kw_only=True):
    """A share of the accepted messages that must not be exceeded, over ``window`` ms.

    It is not judged before ``least`` messages were accepted in the window.
    """

    name: str
    words: str
    limit: float
    window: int
    least: int


# In the order in which they are judged: what costs the sender's name, and people, comes first.
# Limits of mailbox providers: complaints 0.3 %, hard bounces 5 %.
COMPLAINTS: Final = Rule(
    name="complaints", words="complaints", limit=0.003, window=7 * DAY, least=1_000
)
UNSUBSCRIBES: Final = Rule(
    name="unsubscribes", words="unsubscribes", limit=0.02, window=DAY, least=200
)
HARD_BOUNCES: Final = Rule(
    name="hard_bounces", words="hard bounces", limit=0.05, window=30 * MINUTE, least=200
)
RULES: Final = (COMPLAINTS, UNSUBSCRIBES, HARD_BOUNCES)


class Figures(Struct, frozen=True, kw_only=True):
    """What one closed window of one channel and provider came to; ``end`` ms, exclusive.

    ``planned`` and ``projected``: what is left of the plan, and what will go out until its end at
    the pace of now, in the same unit; None = there is no plan, or nothing to say of it.
    ``violations``: what the audit found, by verdict.
    """

    channel: str
    end: int
    provider: str = ""
    accepted: int = 0
    complaints: int = 0
    unsubscribes: int = 0
    hard_bounces: int = 0
    planned: float | None = None
    projected: float | None = None
    violations: dict[str, int] = {}

    def of(self, rule: Rule) -> int:
        """Return how often this window saw what a rule counts."""
        found: int = getattr(self, rule.name)
        return found


class _Part(NamedTuple):
    """A part of a rule's window: its number, messages accepted, and what the rule counts."""

    number: int
    accepted: int
    found: int


class _Tally(Struct):
    """The figures of one rule on one channel and provider; ``acted``: when it last did (ms)."""

    parts: list[_Part] = []
    acted: int | None = None

    def take(self, rule: Rule, figures: Figures) -> None:
        size = rule.window // _PARTS
        number = (figures.end - 1) // size
        accepted, found = figures.accepted, figures.of(rule)
        if self.parts and self.parts[-1].number == number:
            last = self.parts.pop()
            accepted, found = accepted + last.accepted, found + last.found
        self.parts.append(_Part(number, accepted, found))
        while self.parts[0].number <= number - _PARTS:
            self.parts.pop(0)

    def accepted(self) -> int:
        return sum(part.accepted for part in self.parts)

    def found(self) -> int:
        return sum(part.found for part in self.parts)


class State(Struct):
    """What brakes remember.

    ``tallies`` by ``channel|provider|rule``; ``taken`` ends of windows by ``channel|provider``;
    ``stepped`` last steps of pace; ``paused`` channels that were so when last looked at.
    """

    tallies: dict[str, _Tally] = {}
    taken: dict[str, int] = {}
    stepped: dict[str, int] = {}
    paused: set[str] = set()


class Brakes:
    """Judges each closed window; remembers as much of the past as its rules look back."""

    def __init__(self, state: bytes | None = None, rules: tuple[Rule, ...] = RULES) -> None:
        """Go on from what :meth:`state` returned, or begin; raises ValueError for other bytes."""
        self._rules = rules
        self._state = State() if state is None else msgspec.json.decode(state, type=State)

    def state(self) -> bytes:
        """Return what must be kept to go on after a restart."""
        return msgspec.json.encode(self._state)

    def judge(self, figures: Figures, standing: Standing) -> Control | None:
        """Take a window in, and return what must be held back because of it.

        ``standing`` is what is held back at its end. A window that was taken before, or ends before
        one that was, is left out: a restarted observer repeats some.
        """
        place = f"{figures.channel}|{figures.provider}"
        if figures.end <= self._state.taken.get(place, 0):
            return None
        self._state.taken[place] = figures.end
        self._look(figures.channel, standing)
        for rule in self._rules:
            self._tally(place, rule).take(rule, figures)
        held = standing.paused.get(CHANNEL + figures.channel)
        if held is not None and held.until is None:
            return None  # nothing is left to hold back
        return next(self._judged(place, figures, standing), None)

    def released(self, target: str) -> None:
        """Forget what was counted against a channel: a person looked at it and let go.

        Noticed by itself from one window to the next. What comes from now on is judged by itself,
        or the same evidence would stop it again.
        """
        channel = target.removeprefix(CHANNEL)
        for place in [key for key in self._state.tallies if key.split("|")[0] == channel]:
            del self._state.tallies[place]

    def _look(self, channel: str, standing: Standing) -> None:
        """Notice that a pause has been lifted since the last window."""
        if CHANNEL + channel in standing.paused:
            self._state.paused.add(channel)
        elif channel in self._state.paused:
            self._state.paused.discard(channel)
            self.released(CHANNEL + channel)

    # --- rules ----------------------------------------------------------------------------------

    def _judged(self, place: str, figures: Figures, standing: Standing) -> Iterator[Control]:
        violation = _violation(figures)
        if violation is not None:
            yield violation
        for rule in self._rules:
            stopped = self._stopped(place, rule, figures)
            if stopped is not None:
                yield stopped
        slowed = self._slowed(figures, standing)
        if slowed is not None:
            yield slowed

    def _tally(self, place: str, rule: Rule) -> _Tally:
        return self._state.tallies.setdefault(f"{place}|{rule.name}", _Tally())

    def _stopped(self, place: str, rule: Rule, figures: Figures) -> Control | None:
        tally = self._tally(place, rule)
        accepted, found = tally.accepted(), tally.found()
        if accepted < rule.least:
            return None
        rate = found / accepted
        # Still not paused so long after it was asked for: then that was lost on the way.
        waits = tally.acted is not None and figures.end - tally.acted < _SETTLES
        if rate <= rule.limit or waits:
            return None
        tally.acted = figures.end
        return controls.pause(
            CHANNEL + figures.channel,
            actor=ACTOR,
            at=figures.end,
            reason=(
                f"{rule.words} {_percent(rate)} of {accepted} accepted in {_span(rule.window)}, "
                f"limit {_percent(rule.limit)}"
            ),
            evidence=_told(figures)
            | {
                "rule": rule.name,
                "rate": round(rate, 6),
                "limit": rule.limit,
                "accepted": accepted,
                "found": found,
                "window_s": rule.window // 1000,
            },
        )

    # --- pace -----------------------------------------------------------------------------------

    def _slowed(self, figures: Figures, standing: Standing) -> Control | None:
        """Return the next step down towards the plan, if the pace is beyond it."""
        if figures.planned is None or not figures.projected:
            return None
        target = CHANNEL + figures.channel
        now, since = standing.share(target), self._state.stepped.get(figures.channel)
        if not now or (since is not None and figures.end - since < _SETTLES):
            return None
        wanted = paced(figures.planned, figures.projected, now)
        if wanted >= now * (1.0 - _SLACK):
            return None
        self._state.stepped[figures.channel] = figures.end
        return controls.throttle(
            target,
            wanted,
            actor=ACTOR,
            at=figures.end,
            reason=(
                f"{figures.projected:.0f} would go out by the plan's end, "
                f"{figures.planned:.0f} of it are left"
            ),
            evidence=_told(figures)
            | {
                "rule": "pace",
                "planned": figures.planned,
                "projected": figures.projected,
                "share": now,
            },
        )


def paced(planned: float, projected: float, share: float) -> float:
    """Return the share to send at, one step from ``share`` towards plan / projected, never above.

    At most a fifth less at once, and never below a tenth.
    """
    wanted = min(max(share * max(planned, 0.0) / projected, LOWEST), 1.0)
    return min(share, round(max(wanted, share * (1.0 - _STEP), LOWEST), 4))


def _violation(figures: Figures) -> Control | None:
    found = {verdict: count for verdict, count in figures.violations.items() if count > 0}
    if not found:
        return None
    told = ", ".join(f"{verdict} {count}" for verdict, count in sorted(found.items()))
    return controls.pause(
        CHANNEL + figures.channel,
        actor=ACTOR,
        at=figures.end,
        reason=f"the audit found what must never be sent: {told}",
        evidence=_told(figures) | {"rule": "violations"} | dict[str, float | str](found),
    )


def _told(figures: Figures) -> dict[str, float | str]:
    return {"provider": figures.provider} if figures.provider else {}


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %"


def _span(ms: int) -> str:
    for unit, word in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if ms % unit == 0:
            return f"{ms // unit} {word}"
    return f"{ms / 1000:g} s"


__all__ = [
    "ACTOR",
    "COMPLAINTS",
    "HARD_BOUNCES",
    "RULES",
    "UNSUBSCRIBES",
    "Brakes",
    "Figures",
    "Rule",
    "paced",
]
