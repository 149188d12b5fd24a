"""The book of actions: expected by a decision, seen in a topic, handed over to a person.

An entry is kept until a day after the action may no longer reach anybody.
"""

from typing import Final

from msgspec import Struct

from monitoring.audit.clocks import quiet
from monitoring.audit.reading import DAY, HOUR, SECOND, Action, Report, ms
from monitoring.audit.verdicts import Verdict

# An action follows its decision within this, by the broker's clock.
BOUND: Final = 60 * SECOND
_REMEMBERED: Final = DAY
_LONGEST: Final = 3 * DAY
# Gateways of ours that say a message as often as they are asked.
_SAY_ANEW: Final = frozenset({"console", "jsonl"})

Found = tuple[Verdict, str]


class Accepted(Struct, frozen=True, array_like=True, gc=False):
    """One report that a gateway took it."""

    feedback_id: str
    code: str
    at: int

    def same(self, other: "Accepted", provider: str) -> bool:
        """Return whether both tell of one hand-over.

        Our own report has the same id each time; only where the gateway says it anew every time,
        another moment is another hand-over. Of other gateways the same code is the same message.
        """
        if self.feedback_id and self.feedback_id == other.feedback_id:
            return provider not in _SAY_ANEW or self.at == other.at
        return bool(self.code) and self.code == other.code


class Entry(Struct, array_like=True):
    """One action. ``at``: when it was decided, ``told_at``: broker time of that decision (ms).

    ``found``: what is wrong with it by the state it was decided on; ``expires_at`` 0 until seen.
    ``judged`` False: that state was not known.
    """

    channel: str
    user: str
    at: int
    told_at: int
    zones: list[str] = []
    found: list[Found] = []
    seen: bool = False
    missed: bool = False
    expires_at: int = 0
    accepted: list[Accepted] = []
    judged: bool = True


class Book(Struct):
    """The actions of one partition by id."""

    entries: dict[str, Entry] = {}
    awaited: dict[str, int] = {}
    cleaned_at: int = 0

    def expect(self, action_id: str, entry: Entry) -> None:
        """Note what a decision says will be sent."""
        self.entries[action_id] = entry
        self.awaited[action_id] = entry.told_at

    def arrived(self, action: Action, entry: Entry) -> list[Found]:
        """Note that an expected action stands in its topic; returns what is wrong with it."""
        if entry.seen:
            return [("doubled", "it stands in the topic twice")]
        if (action.channel, action.user_id) != (entry.channel, entry.user):
            return [("undecided", "its decision names another channel or person")]
        entry.seen, entry.expires_at = True, ms(action.delivery.expires_at)
        self.awaited.pop(action.action_id, None)
        return entry.found

    def overdue(self, channel: str, through: int) -> list[tuple[str, Entry]]:
        """Return actions that never came; ``through``: the topic is known up to here (ms)."""
        found = []
        for action_id, told_at in list(self.awaited.items()):
            if told_at + BOUND > through:
                break  # they are in the order of their decisions
            entry = self.entries[action_id]
            if entry.channel == channel:
                entry.missed = True
                del self.awaited[action_id]
                found.append((action_id, entry))
        return found

    def reported(
        self, entry: Entry, report: Report, hours: tuple[int, int], zones: list[str]
    ) -> list[Found]:
        """Judge a report that a gateway took it; ``zones``: where she may be by what is known now.

        Quiet is what was quiet where she was at the decision and still is where she is known to be:
        a move in between is for the hand-over to find out.
        """
        at = ms(report.occurred_at) if report.occurred_at else 0
        told = Accepted(report.feedback_id, report.provider_code, at)
        if any(told.same(before, report.provider) for before in entry.accepted):
            return []
        found: list[Found] = []
        if entry.accepted:
            found.append(("doubled", "two hand-overs were accepted"))
        entry.accepted = [*entry.accepted, told]
        if entry.expires_at and at > entry.expires_at:
            found.append(("expired", f"{at - entry.expires_at} ms after it had expired"))
        known = ("quiet_hours", _DECIDED) in entry.found
        if at and not known and quiet(hours, entry.zones, at) and quiet(hours, zones, at):
            found.append(("quiet_hours", "handed over at night"))
        return found

    def clean(self, now: int) -> None:
        """Forget what can no longer reach anybody at ``now`` (ms of ticks), once an hour."""
        if now - self.cleaned_at <= HOUR:
            return
        self.cleaned_at = now
        self.entries = {
            action_id: entry
            for action_id, entry in self.entries.items()
            if now <= max(entry.expires_at + _REMEMBERED, entry.at + _LONGEST)
            or action_id in self.awaited
        }


_DECIDED: Final = "decided at night"
AT_NIGHT: Final[Found] = ("quiet_hours", _DECIDED)
