"""What a careful clerk knows of a person, record by record: charges, consents, zones.

Counted anew by brute force and without the engine's rules, so that it can be held against them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from engine import events as ev
from engine.decisions import Decision
from engine.events import Event, Record
from engine.policy import Cap, Policy
from engine.times import utc

_REFUSED = {"rejected", "expired", "cancelled", "failed"}
_PROVEN = {"accepted", "delivered", "opened", "clicked", "unknown"}
_RING = 32


@dataclass
class Charge:
    """One message that counts: ours, or another system's (``decision`` None)."""

    at: int
    channel: str
    action_id: str
    withheld: bool = False
    dry: bool = False
    outcomes: set[str] = field(default_factory=set)

    @property
    def stands(self) -> bool:
        """Return whether it was not given back."""
        return bool(self.outcomes & _PROVEN) or not self.outcomes & _REFUSED


@dataclass
class Person:
    """What a careful clerk would know of one person at one point of the log."""

    charges: list[Charge] = field(default_factory=list)
    consents: dict[str, tuple[int, bool]] = field(default_factory=dict)
    zones: tuple[int, list[str]] = (0, [])
    erased_at: int = 0
    ids: list[str] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        """Take one event as it lies in the log."""
        if self.erased_at:
            back = isinstance(event, ev.ConsentChanged) and event.granted
            if isinstance(event, ev.Erased):
                self.erased_at = max(self.erased_at, event.occurred_at)
            if not back or event.occurred_at <= self.erased_at:
                return
        if event.event_id in self.ids:
            return
        self.remember(event.event_id)
        self.erased_at = 0
        match event:
            case ev.Erased():
                ids = self.ids
                self.__init__()  # type: ignore[misc]  # everything is forgotten
                self.ids, self.erased_at = ids, event.occurred_at
            case ev.SentElsewhere():
                self.charges.append(Charge(event.occurred_at, event.channel, event.event_id))
            case ev.Outcome():
                self._outcome(event)
            case ev.ConsentChanged() if event.purpose == "marketing":
                self._consent(event.channel, event.occurred_at, event.granted)
            case ev.Identified() if event.zones is not None:
                if event.occurred_at >= self.zones[0]:
                    self.zones = event.occurred_at, event.zones

    def remember(self, event_id: str) -> None:
        """Keep the last few ids."""
        self.ids.append(event_id)
        del self.ids[:-_RING]

    def _outcome(self, event: ev.Outcome) -> None:
        for charge in self.charges:
            if charge.action_id == event.action_id:
                charge.outcomes.add(event.outcome)
        if event.outcome in ("complained", "unsubscribed", "resubscribed"):
            granted = event.outcome == "resubscribed"
            self._consent(event.channel, event.occurred_at, granted)

    def _consent(self, channel: str, at: int, granted: bool) -> None:
        before = self.consents.get(channel, (-1, True))
        if (at, not granted) > (before[0], not before[1]):
            self.consents[channel] = at, granted

    def agrees(self, channel: str) -> bool:
        """Return whether her last word that covers the channel was yes."""
        words = [word for key, word in self.consents.items() if key in (channel, "*")]
        return max(words, key=lambda word: (word[0], not word[1]))[1] if words else False

    def homes(self, policy: Policy) -> list[str]:
        """Return the zones she may be in."""
        return self.zones[1] or [policy.timezone]


@dataclass(frozen=True)
class Moment:
    """One decision that charged her, and the person as she stood just before it."""

    decision: Decision
    person: Person
    at: int


def moments(log: Iterable[tuple[int, Record]], made: Iterable[Decision]) -> Iterator[Moment]:
    """Walk the log of one partition in order; stop at each decision that spoke or was withheld.

    The log holds nothing that intake repeated; ``made``: the decisions of its partition.
    """
    by_cause: dict[int, list[Decision]] = defaultdict(list)
    for decision in made:
        by_cause[int(decision.pos.split(".")[0])].append(decision)
    people: dict[str, Person] = defaultdict(Person)
    for offset, record in log:
        if isinstance(record, ev.Tick):
            for decision in by_cause[offset]:
                person = people[decision.user_id]
                if decision.action_id is not None:
                    yield Moment(decision, person, record.now)
                    person.remember(decision.decision_id)
                    person.charges.append(_charge(decision, record.now))
        elif not isinstance(record, ev.SettingsRecord):
            people[record.user_id].hear(record)


def _charge(decision: Decision, at: int) -> Charge:
    dry = decision.reason == "would_send_dry_run"
    assert decision.channel is not None
    assert decision.action_id is not None
    return Charge(at, decision.channel, decision.action_id, decision.withheld, dry)


def broken_cap(moment: Moment, policy: Policy) -> str | None:
    """Return what a message was beyond of when it was decided; None = nothing."""
    assert moment.decision.channel is not None
    counting_dry = policy.mode == "dry_run"
    counted = [c for c in moment.person.charges if c.stands and (counting_dry or not c.dry)]
    for cap in policy.caps:
        if cap.channel not in (None, moment.decision.channel):
            continue
        mine = [c.at for c in counted if cap.channel in (None, c.channel)]
        for zone in moment.person.homes(policy):
            used = sum(_within(cap, at, moment.at, zone) for at in mine)
            if used >= cap.limit:
                return f"{cap.name} held {used} before {moment.decision}"
    return None


def _within(cap: Cap, at: int, now: int, zone: str) -> bool:
    if cap.kind == "calendar_day":
        return clock(at, zone).date() == clock(now, zone).date()
    return now - cap.window < at <= now


def clock(at: int, zone: str) -> datetime:
    """Return the wall clock of a zone."""
    return utc(at).astimezone(ZoneInfo(zone))
