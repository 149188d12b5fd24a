"""A life as a page of 80 columns and as one object: days, her own clock, similar things folded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from textwrap import wrap
from typing import Any, Final, TypeVar

from engine.decisions import Decision
from engine.events import (
    Active,
    ConsentChanged,
    Event,
    Identified,
    OrderCompleted,
    Outcome,
    ProductViewed,
    Searched,
    Wishlisted,
)
from engine.profile import IN_PASSING
from engine.reasons import CAP
from engine.times import MINUTE, from_iso, iso
from rules.zones import instant, known, wall
from streams.sentence import SENTENCES, channel_name, sentence
from streams.settings import duration
from streams.timeline.life import Armed, Decided, Happened, Life, Moment
from streams.timeline.words import Browsing, Words, consents

WIDTH: Final = 80
_TEXT_AT: Final = 9
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_UTC: Final = "UTC+00:00"
# A pause longer than this ends one look around the shop.
_PAUSE: Final = 30 * MINUTE
# A look around the shop longer than this says when it ended.
_LONG: Final = 5 * MINUTE

Since = int | date
Identity = tuple[str, str, str]
M = TypeVar("M", bound=Moment)


def since(text: str) -> Since:
    """Read ``14d`` or ``6h`` (ms before the end), or a date; raises ValueError saying so."""
    if text.strip().endswith("d") and text.strip()[:-1].isdecimal():
        return int(text.strip()[:-1]) * 24 * 60 * MINUTE
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        pass
    try:
        return duration(text)
    except ValueError as wrong:
        message = "write 14d, 6h or a day such as 2026-10-20"
        raise ValueError(message) from wrong


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline with what stands under it; ``kind`` is event, trigger or decision."""

    at: int
    kind: str
    text: str
    details: Sequence[str] = ()
    decisions: Sequence[Decision] = ()


class Clock:
    """Wall clocks of the zone a life is told in."""

    def __init__(self, life: Life) -> None:
        """Take her zone, else that of the campaigns file, else UTC."""
        zones = [name for name in life.zones if known(name)]
        self.zone = zones[0] if zones else life.fallback or _UTC
        if not known(self.zone):
            self.zone = _UTC
        if len(zones) > 1:
            self.whose = f"one of {len(zones)} zones she may be in"
        elif zones:
            self.whose = "her zone"
        elif life.fallback:
            self.whose = "the campaigns file's zone: hers is not known"
        else:
            self.whose = "her zone is not known"

    def day(self, at: int) -> str:
        """Return the heading of a day."""
        clock = self._wall(at)
        return f"{clock:%a} {clock.day} {clock:%b %Y}"

    def minute(self, at: int) -> str:
        """Return the time of day."""
        return f"{self._wall(at):%H:%M}"

    def when(self, at: int, under: int | None = None) -> str:
        """Return a time as told ``under`` the heading of another: of the same day without it."""
        clock, heading = self._wall(at), self._wall(at if under is None else under)
        if under is not None and clock.date() == heading.date():
            return f"{clock:%H:%M}"
        year = f" {clock.year}" if clock.year != heading.year else ""
        return f"{clock:%a} {clock.day} {clock:%b}{year} {clock:%H:%M}"

    def start(self, of: Since, now: int) -> int:
        """Return the ms from which something is told."""
        if isinstance(of, int):
            return now - of
        return instant(self.zone, datetime.combine(of, time()))

    def _wall(self, at: int) -> datetime:
        return wall(self.zone, at)


class Page:
    """The entries of one life, from ``since`` on."""

    def __init__(self, life: Life, since: Since | None = None) -> None:
        """``since`` counts back from the last moment of her log, or names a day of her zone."""
        self.life = life
        self.clock = Clock(life)
        moments = life.moments
        campaigns = {
            moment.decision.action_id: moment.decision.campaign
            for moment in moments
            if isinstance(moment, Decided) and moment.decision.action_id
        }
        self._words = Words(life.names, campaigns)
        every = list(self._entries(_telling(moments)))
        end = max([life.now, *(moment.at for moment in moments)])
        start = 0 if since is None else self.clock.start(since, end)
        self.entries = [entry for entry in every if entry.at >= start]
        self.left_out = len(every) - len(self.entries)

    # --- entries --------------------------------------------------------------------------------

    def _entries(self, moments: Sequence[Moment]) -> Iterator[Entry]:
        orders: set[str] = set()
        for together in self._runs(moments):
            match together[0]:
                case Happened():
                    yield self._happened(_all(together, Happened), orders)
                case Armed():
                    yield self._armed(_all(together, Armed))
                case Decided():
                    yield self._decided(_all(together, Decided))

    def _runs(self, moments: Sequence[Moment]) -> Iterator[list[Moment]]:
        """Cut into runs of what is told together."""
        run: list[Moment] = []
        for moment in moments:
            if run and not self._folds(run[-1], moment):
                yield run
                run = []
            run.append(moment)
        if run:
            yield run

    def _folds(self, one: Moment, other: Moment) -> bool:
        match one, other:
            case Happened(), Happened():
                return self._alike(one, other)
            case Armed(), Armed():
                return (one.at, one.moved, one.key) == (other.at, other.moved, other.key)
            case Decided(decision=mine), Decided(decision=theirs):
                return mine.outcome == theirs.outcome == "disarm" and (
                    (mine.at, mine.reason, mine.trigger.key)
                    == (theirs.at, theirs.reason, theirs.trigger.key)
                )
        return False

    def _alike(self, one: Happened, other: Happened) -> bool:
        if (one.late, one.event.history) != (other.late, other.event.history):
            return False
        if isinstance(one.event, Browsing) and isinstance(other.event, Browsing):
            same_day = self.clock.day(one.at) == self.clock.day(other.at)
            return same_day and other.at - one.at <= _PAUSE
        match one.event, other.event:
            case (ConsentChanged(), ConsentChanged()):
                return one.at == other.at
            case (Outcome(action_id=mine), Outcome(action_id=theirs)):
                return mine == theirs and other.at // MINUTE == one.at // MINUTE
        return False

    def _happened(self, together: Sequence[Happened], orders: set[str]) -> Entry:
        first, last = together[0], together[-1]
        events = [one.event for one in together]
        text = self._told(events)
        if isinstance(first.event, OrderCompleted):
            if first.event.order_id in orders:
                text = f"order {first.event.order_id} was told anew: {text}"
            orders.add(first.event.order_id)
        if last.at - first.at > _LONG:
            text += f" (until {self.clock.minute(last.at)})"
        if first.late:
            done = self.clock.when(first.event.occurred_at, first.at)
            text += f" (at {done}; it reached us only now)"
        if first.event.history:
            text += " (imported)"
        return Entry(first.at, "event", text)

    def _told(self, events: Sequence[Event]) -> str:
        match events[0]:
            case ProductViewed() | Searched() | Wishlisted() | Active():
                return self._words.browsing([e for e in events if isinstance(e, Browsing)])
            case ConsentChanged():
                return consents([e for e in events if isinstance(e, ConsentChanged)])
            case Outcome():
                return self._words.outcomes([e for e in events if isinstance(e, Outcome)])
        return self._words.one(events[0])

    def _armed(self, together: Sequence[Armed]) -> Entry:
        first = together[0]
        verb, due = ("moved", "now due") if first.moved else ("armed", "due")
        about = f" for {first.key}" if first.key else ""
        each = [
            f"{armed.campaign}, {due} {self.clock.when(armed.due_at, armed.at)}"
            for armed in together
        ]
        return Entry(first.at, "trigger", f"{verb}{about}: {'; '.join(each)}")

    def _decided(self, together: Sequence[Decided]) -> Entry:
        first = together[0]
        decision = first.decision
        campaigns = ", ".join(moment.decision.campaign for moment in together)
        key = f" {decision.trigger.key}" if decision.trigger.key else ""

        def minute(until: str | None) -> str:
            return self.clock.when(from_iso(until), first.at) if until else "later"

        said = sentence(decision, first.policy, minute)
        text = f"{campaigns}{key}: {said}"
        every = [moment.decision for moment in together]
        return Entry(first.at, "decision", text, list(_details(decision)), every)

    # --- for people and for machines ------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """Yield the page."""
        life = self.life
        zone = "UTC" if self.clock.zone == _UTC else self.clock.zone
        yield from wrap(f"{life.user_id}: times in {zone} ({self.clock.whose})", WIDTH)
        if life.forgotten_at:
            day = self.clock.day(life.forgotten_at)
            yield from wrap(
                f"She asked to be forgotten on {day}: what was before that is not told.", WIDTH
            )
        if self.left_out:
            yield f"{self.left_out:,} earlier entries are left out: ask without --since"
        heading = ""
        for entry in self.entries:
            if self.clock.day(entry.at) != heading:
                heading = self.clock.day(entry.at)
                yield f"\n{heading}"
            yield from _hung(f"  {self.clock.minute(entry.at)}  ", entry.text)
            for detail in entry.details:
                yield from _hung(" " * _TEXT_AT, detail)
        closing = [*self._closing(), *life.notes]
        if closing:
            yield ""
        for note in closing:
            yield from _hung("", note)

    def _closing(self) -> Iterator[str]:
        """Yield what is still armed, and whether anything was ever decided."""
        life = self.life
        for armed in _open(life.moments):
            key = f" {armed.key}" if armed.key else ""
            due = self.clock.when(armed.due_at)
            yield f"Still armed: {armed.campaign}{key}, due {due}."
        if not any(isinstance(moment, Decided) for moment in life.moments):
            yield (
                f"There is no decision about {life.user_id}: nothing of hers became due or "
                "was ended."
            )

    def as_json(self) -> dict[str, Any]:
        """Return the page as one object; times in ISO 8601, UTC."""
        life = self.life
        return {
            "user_id": life.user_id,
            "zone": self.clock.zone,
            "whose_zone": self.clock.whose,
            "forgotten_at": iso(life.forgotten_at) if life.forgotten_at else None,
            "entries": [
                {
                    "at": iso(entry.at),
                    "kind": entry.kind,
                    "text": entry.text,
                    "details": list(entry.details),
                    "decisions": list(entry.decisions),
                }
                for entry in self.entries
            ],
            "left_out": self.left_out,
            "armed": [
                {
                    "campaign": armed.campaign,
                    "kind": armed.kind,
                    "key": armed.key,
                    "due_at": iso(armed.due_at),
                }
                for armed in _open(life.moments)
            ],
            "notes": life.notes,
        }


# --- what is worth telling ----------------------------------------------------------------------


def _telling(moments: Sequence[Moment]) -> list[Moment]:
    """Leave out what says nothing new: repeated traits, and moves that were moved again."""
    kept: list[Moment] = []
    moves: dict[Identity, int] = {}
    told: dict[str, object] = {}
    for moment in moments:
        match moment:
            case Happened(event=event) if _repeats(event, told):
                continue
            case Armed():
                identity = moment.campaign, moment.kind, moment.key
                before = moves.pop(identity, None)
                if moment.moved and before is not None:
                    _take(kept, before, moves)
                if moment.moved:
                    moves[identity] = len(kept)
            case Decided(decision=decision):
                moved = moves.pop(_identity(decision), None)
                if moved is not None and decision.outcome == "disarm":
                    _take(kept, moved, moves)  # it came to nothing
        kept.append(moment)
    return kept


def _take(kept: list[Moment], place: int, moves: dict[Identity, int]) -> None:
    """Take a move out again, and let the places of the others follow."""
    del kept[place]
    for other, at in moves.items():
        moves[other] = at - (at > place)


def _identity(decision: Decision) -> Identity:
    return decision.campaign, decision.trigger.kind, decision.trigger.key


def _all(moments: Sequence[Moment], kind: type[M]) -> list[M]:
    """Return a run as what all of it is."""
    return [moment for moment in moments if isinstance(moment, kind)]


def _repeats(event: Event, told: dict[str, object]) -> bool:
    """Return whether an app only repeats what it said before, and remember what it says."""
    match event:
        case Identified():
            about = "who"
            new: object = (event.zones, event.locale, sorted(event.addresses.items()))
        case ConsentChanged() if event.basis in IN_PASSING:
            about, new = f"consent {event.purpose} {event.channel}", event.granted
        case _:
            return False
    repeats = about in told and told[about] == new
    told[about] = new
    return repeats


def _open(moments: Sequence[Moment]) -> list[Armed]:
    """Return what is armed at the end, with the time it was last due."""
    armed: dict[Identity, Armed] = {}
    for moment in moments:
        match moment:
            case Armed():
                armed[moment.campaign, moment.kind, moment.key] = moment
            case Decided(decision=decision):
                held = armed.pop(_identity(decision), None)
                if held is not None and decision.outcome == "defer" and decision.until:
                    armed[_identity(decision)] = replace(held, due_at=from_iso(decision.until))
    return list(armed.values())


def _details(decision: Decision) -> Iterator[str]:
    """Yield what stood around a decision: caps, the lot, the other channels."""
    if decision.explored and decision.channel is not None:
        yield "the channel was drawn by lot, so that effects can be measured"
    if decision.tester:
        yield "she is a tester: no holdout, no lot, no caps"
    if decision.channel is None and decision.reason != "outranked":
        objections = [
            f"{channel_name(name)}: {_objection(view.objection)}"
            for name, view in decision.channels.items()
            if view.objection is not None and view.objection != decision.reason
        ]
        if objections:
            yield f"other channels: {'; '.join(objections)}"
    if decision.caps:
        caps = ", ".join(f"{cap.name} {cap.used} of {cap.limit}" for cap in decision.caps)
        yield f"caps then: {caps}"


def _objection(reason: str) -> str:
    if reason.startswith(CAP):
        return f"the cap {reason.removeprefix(CAP)} is used up"
    return SENTENCES[reason].removeprefix("not sent: ")


def _hung(lead: str, text: str) -> list[str]:
    """Wrap a text whose later lines stand under its first word; a figure keeps its per cent."""
    lines = wrap(
        text.replace(" %", f"{_NO_BREAK}%"),
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]
