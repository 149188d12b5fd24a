"""One partition, audited: each decision and action against what the log says at its position.

A decision names its cause in ``events``; so the events are applied exactly up to it, and what is
known of a person is what the decider could know. Beyond the last decision events wait until one is
read, or until ticks prove that nothing more was decided (see :mod:`monitoring.audit.arrivals`).

Kept in memory is :class:`monitoring.audit.state.State`: people, open triggers, actions until a day
after they expired, and at most 5,000 events, 500 decisions and 500 actions per channel that wait.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from monitoring.audit import reading
from monitoring.audit.actions import Entry, Found
from monitoring.audit.arrivals import SHOPPING, Arrivals
from monitoring.audit.balance import Fault
from monitoring.audit.judging import judge, knows, zones_of
from monitoring.audit.people import Charge
from monitoring.audit.reading import DAY, SECOND, Action, Decision, Event, Position, Report
from monitoring.audit.state import State, pack
from monitoring.audit.terms import Terms
from monitoring.audit.verdicts import Finding
from monitoring.audit.waiting import Taken

# The clocks of broker and auditor differ by less.
SKEW: Final = 5 * SECOND
_ALL: Final = 1 << 62
# Charges are kept so long also where the caps are shorter: an action id may come back.
_CHARGED: Final = 7 * DAY

TermsOf = Callable[[str], Terms | None]


class Lane:
    """The audit of one partition; fed by its caller, it never waits itself.

    ``terms_of``: the campaigns file of a sha256, None while it has not arrived. ``waits_for``:
    sha256 of the file that is missing. ``passed``: right actions by channel, until somebody counts
    and clears them; ``unjudged``: actions whose state was not known, neither right nor wrong.
    """

    def __init__(
        self,
        partition: int,
        channels: tuple[str, ...],
        terms_of: TermsOf,
        state: State | None = None,
    ) -> None:
        """Begin with nothing known, or go on from a checkpoint's ``state``."""
        self.partition = partition
        self.state = state or State()
        self.arrivals = Arrivals(self.state, channels)
        self.passed: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.unjudged = 0
        self.waits_for: str | None = None
        self._terms_of = terms_of

    def snapshot(self) -> bytes:
        """Return all that is known, as a checkpoint holds it; what waits is read again."""
        self.state.queue = list(self.arrivals.events)
        return pack(self.state)

    # --- judging --------------------------------------------------------------------------------

    def work(self, *, end: bool = False) -> list[Finding]:
        """Judge what can be judged now; returns what is wrong.

        ``end``: all that was decided before the last action is in our hands, and nobody asks again.
        """
        self.waits_for = None
        self._decisions(end=end)
        if not self.arrivals.decisions.records:
            self._apply(_ALL if end else self.arrivals.settled)
        findings: list[Finding] = []
        for channel in self.arrivals.actions:
            findings += self._written(channel, end=end)
            findings += self._missing(channel)
        return findings

    def _decisions(self, *, end: bool) -> None:
        state, waiting = self.state, self.arrivals.decisions
        for taken in waiting:
            cause = self.arrivals.wanted
            if cause >= self.arrivals.end:
                # A cause lies in the log before what it led to; what names none was never decided.
                if not end and self.arrivals.end_at < taken.at + SKEW:
                    return
                self.arrivals.unreadable += 1
            elif not self._brought_to(cause):
                return
            elif self.arrivals.fresh("decisions", taken.position):
                self._decided(taken, cause)
                state.decided = cause
                if state.first_decided < 0:
                    state.first_decided = cause
            state.after["decisions"] = taken.offset + 1
            waiting.pop()

    def _brought_to(self, cause: int) -> bool:
        """Apply what lies before a cause; return whether it, and the file in force, are here."""
        ready = self._apply(cause) and self.state.after.get("events", 0) > cause
        if ready:
            self._terms()
        return ready and self.waits_for is None

    # --- what the log says ----------------------------------------------------------------------

    def _apply(self, upto: int) -> bool:
        """Let people, settings and time become what they were before offset ``upto``.

        False = a campaigns file that is needed for that has not arrived.
        """
        state, events = self.state, self.arrivals.events
        while events and events[0].offset < upto:
            terms = self._terms()
            if self.waits_for is not None:
                return False
            event = events.popleft()
            state.applied = event.offset + 1
            if event.type == "tick":
                self._pass_time(event.now, terms)
            elif event.type == "settings":
                state.campaigns = event.campaigns or state.campaigns
                state.whole = state.whole and event.origin != reading.MOVED
            else:
                self._hear(event, terms)
        return True

    def _pass_time(self, now: int, terms: Terms | None) -> None:
        state = self.state
        if now < state.now:
            return
        state.now = now
        self.faults += state.balance.tick(now, state.people, terms)
        state.book.clean(now)

    def _hear(self, event: Event, terms: Terms | None) -> None:
        person = self.state.person(event.user_id)
        if person.hear(event) and event.type in SHOPPING:
            self.state.balance.arm(event, person, terms)

    def _terms(self) -> Terms | None:
        """Return the file in force, and note when it has not arrived."""
        named = self.state.campaigns
        terms = self._terms_of(named) if named is not None else None
        self.waits_for = named if terms is None else None
        return terms

    # --- decisions ------------------------------------------------------------------------------

    def _decided(self, taken: Taken[Decision], cause: int) -> None:
        """Take a decision: its trigger, its charge, and the action it says will be sent."""
        decision, state = taken.record, self.state
        terms = self._terms()
        try:
            at = reading.ms(decision.at)
            fault = state.balance.hear(decision, max(at, state.now), whole=state.whole)
        except reading.Unreadable:
            self.arrivals.unreadable += 1
            return
        if fault is not None:
            self.faults.append(fault)
        channel, action_id = decision.channel, decision.action_id
        if action_id is None or channel is None:
            return
        if decision.outcome == "send":
            self._expected(decision, Entry(channel, decision.user_id, at, taken.at), cause, terms)
        person = state.person(decision.user_id)
        person.forget_before(at - max(_CHARGED, terms.memory if terms is not None else 0))
        person.charge(Charge(at, channel, action_id, decision.reason == "would_send_dry_run"))

    def _expected(self, decision: Decision, entry: Entry, cause: int, terms: Terms | None) -> None:
        """Judge what a decision says will be sent, before it charges her."""
        action_id, book = decision.action_id, self.state.book
        if action_id is None or action_id in book.entries:
            return  # said twice: the action that comes twice is what counts
        self._judged(entry, terms if cause >= self.state.applied - 1 else None)
        if self.state.person(entry.user).charged(action_id):
            entry.found = [("doubled", "it was written long ago")]
        book.expect(action_id, entry)

    def _judged(self, entry: Entry, terms: Terms | None) -> None:
        """Judge a message by what is known now; ``terms`` None = that is not what was known."""
        person = self.state.person(entry.user)
        whole = self.state.whole
        entry.zones = zones_of(person, terms, whole=whole)
        if terms is not None:
            entry.found = judge(person, entry, terms, whole=whole)
        entry.judged = terms is not None and knows(person, entry, whole=whole)
        self.unjudged += not entry.judged

    # --- actions --------------------------------------------------------------------------------

    def _written(self, channel: str, *, end: bool) -> list[Finding]:
        """Judge the actions of a channel that wait for no decision."""
        findings: list[Finding] = []
        waiting, topic = self.arrivals.actions[channel], f"actions.{channel}"
        for taken in waiting:
            entry = self.state.book.entries.get(taken.record.action_id)
            # Its decision was acknowledged before it was written.
            if entry is None and not end and self.arrivals.decisions.through < taken.at + SKEW:
                break
            if self.arrivals.fresh(topic, taken.position):
                found = self._action(taken, entry)
                findings += self._told(channel, taken.record, taken.at, found)
            self.state.after[topic] = taken.offset + 1
            waiting.pop()
        return findings

    def _action(self, taken: Taken[Action], entry: Entry | None) -> list[Found] | None:
        """Return what is wrong with an action; None = that cannot be said."""
        if entry is None and not self._told_of(taken.position):
            self.unjudged += 1
            return None
        try:
            if entry is None:
                return self._undecided(taken)
            found = self.state.book.arrived(taken.record, entry)
        except reading.Unreadable:
            self.arrivals.unreadable += 1
            return [("undecided", "its times cannot be read")]
        return found if found or entry.judged else None

    def _told_of(self, position: Position | None) -> bool:
        """Return whether its decision, if there was one, is in the log that we know."""
        state = self.state
        return state.whole or position is None or 0 <= state.first_decided <= position.offset

    def _undecided(self, taken: Taken[Action]) -> list[Found]:
        """Judge an action that no decision names by what is known now; from here on it counts."""
        action, state = taken.record, self.state
        person = state.person(action.user_id)
        if person.charged(action.action_id):
            return [("doubled", "it was written long ago")]
        at, expires = reading.ms(action.delivery.created_at), reading.ms(action.delivery.expires_at)
        entry = Entry(action.channel, action.user_id, at, taken.at, seen=True, expires_at=expires)
        self._judged(entry, self._terms())
        entry.found = [("undecided", "no decision names it"), *entry.found]
        state.book.entries[action.action_id] = entry
        person.charge(Charge(at, action.channel, action.action_id))
        return entry.found

    def _missing(self, channel: str) -> list[Finding]:
        """Return the actions of a channel that were decided long ago and never came."""
        through = self.arrivals.actions[channel].through
        findings = []
        for action_id, entry in self.state.book.overdue(channel, through):
            finding = self._finding(
                channel, action_id, entry.user, entry.told_at, ("missing", "it was never written")
            )
            findings.append(finding)
        return findings

    # --- hand-overs -----------------------------------------------------------------------------

    def report(self, report: Report, at: int, *, end: bool = False) -> list[Finding] | None:
        """Judge a report of ``feedback`` appended at ``at`` ms; None = it is too early to."""
        entry = self.state.book.entries.get(report.action_id)
        if not end and (entry is None or not entry.seen) and not self._past(report.channel, at):
            return None
        if entry is None or report.type != "accepted":
            return []
        terms = self._terms()
        if terms is None:
            return None if self.waits_for is not None and not end else []
        zones = zones_of(self.state.person(entry.user), terms, whole=self.state.whole)
        try:
            found = self.state.book.reported(entry, report, terms.quiet, zones)
        except reading.Unreadable:
            self.arrivals.unreadable += 1
            return []
        return [
            self._finding(entry.channel, report.action_id, entry.user, at, each) for each in found
        ]

    def _past(self, channel: str, at: int) -> bool:
        """Return whether all that was written by ``at`` is judged: actions precede reports."""
        actions = self.arrivals.actions.get(channel)
        through = self.arrivals.decisions.through
        if actions is not None:
            through = min(through, actions.through)
        return through >= at + SKEW

    # --- telling --------------------------------------------------------------------------------

    def _told(
        self, channel: str, action: Action, at: int, found: list[Found] | None
    ) -> list[Finding]:
        if found is None:
            return []
        if not found:
            self.passed[channel] += 1
        return [
            self._finding(channel, action.action_id, action.user_id, at, each) for each in found
        ]

    def _finding(self, channel: str, action_id: str, user: str, at: int, found: Found) -> Finding:
        verdict, detail = found
        return Finding(
            verdict=verdict,
            channel=channel,
            action_id=action_id,
            user_id=user,
            partition=self.partition,
            at=at,
            detail=detail,
        )


__all__ = ["SKEW", "Lane", "TermsOf"]
