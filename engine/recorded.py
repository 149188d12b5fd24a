"""Folds again what was decided before: below the last recorded position nothing is decided anew.

When the store fell back, the log of decisions may reach further than the state. Up to its end each
recorded decision is carried out as it stands, whatever this engine and what is in force would say.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from engine import decisions, triggers
from engine.actions import Action
from engine.actions import encode as encode_action
from engine.decisions import Decision
from engine.events import ActionQueued, Erased, Event, Identified, SettingsRecord, Tick
from engine.fold import fold
from engine.pipeline import (
    ACTIONS,
    DECISIONS,
    Chunk,
    Loaded,
    Ranking,
    Step,
    Taken,
    in_window,
    rank,
)
from engine.policy import Policy
from engine.ports import Head, InForce, OutboxId, Outgoing, Store, TemplateFailed
from engine.profile import Profile, Trigger
from engine.times import from_iso

# What came of a recorded decision: this engine says the same; it says something else; it does not
# have the trigger. `extra`: a decision of this engine that is not recorded, put off. `unsaid`: a
# recorded message that never reached its topic and cannot be made any more.
RESULTS: Final = ("same", "different", "missing", "extra", "unsaid")


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """One record of ``decisions``: its position, key, and value as bytes and read."""

    id: OutboxId
    key: str
    value: bytes
    decision: Decision


@dataclass(slots=True)
class Recorded:
    """What the log says was decided about one partition, as far as it is needed now.

    ``tail``: the last position in ``decisions``; ``acted``: the same of each topic of actions, None
    where a topic holds nothing. ``since``: what was decided at or below this offset the log does
    not hold any more; there decisions are made again.
    """

    tail: OutboxId
    acted: Mapping[str, OutboxId | None] = field(default_factory=dict)
    since: int = -1
    _kept: dict[int, list[RecordedDecision]] = field(default_factory=dict)
    _put_off: set[tuple[str, ...]] = field(default_factory=set)

    def add(self, at: OutboxId, key: str, value: bytes) -> None:
        """Take in the next record; positions increase. Raises msgspec.DecodeError."""
        found = RecordedDecision(at, key, value, decisions.decode(value))
        self._kept.setdefault(at.offset, []).append(found)

    def at(self, offset: int) -> Sequence[RecordedDecision]:
        """Return what was decided because of the record at ``offset``."""
        return self._kept.get(offset, ())

    def within(self, chunk: Chunk) -> list[RecordedDecision]:
        """Return what was decided because of the records of a chunk, in order."""
        offsets = [at for at in sorted(self._kept) if chunk.first <= at < chunk.after]
        return [found for at in offsets for found in self._kept[at]]

    def forget(self, before: int) -> None:
        """Drop what came of records before this offset."""
        for offset in [offset for offset in self._kept if offset < before]:
            del self._kept[offset]

    def knows(self, offset: int) -> bool:
        """Return whether all that was decided because of this record is known."""
        return self.since < offset <= self.tail.offset

    def closed(self, offset: int) -> bool:
        """Return whether readers would drop a new decision because of this record.

        At the tail's own offset a new one comes after it: its positions may not be complete.
        """
        return self.since < offset < self.tail.offset

    def holds_action(self, topic: str, at: OutboxId) -> bool:
        """Return whether a topic of actions holds what has this position."""
        tail = self.acted.get(topic)
        return tail is not None and at <= tail

    def put_off(self, name: str, trigger: Trigger) -> bool:
        """Note that a decision of ours waits; False = it was noted before."""
        key = (name, *trigger.identity, trigger.episode)
        new = key not in self._put_off
        self._put_off.add(key)
        return new


async def take_recorded(
    store: Store, partition: int, head: Head, chunk: Chunk, force: InForce, recorded: Recorded
) -> Taken:
    """Do as :func:`engine.pipeline.take` where ``recorded`` reaches into or beyond the chunk.

    Under the engine and the settings that decided, the result is the same. What differs is counted
    in ``report.recorded``. Reads from the store, writes nothing. Raises Unavailable.
    """
    step = _Again(head, chunk, force, recorded=recorded)
    found = recorded.within(chunk)
    named = [each.decision.user_id for each in found]
    first = chunk.records[0][1] if chunk.records else None
    if isinstance(first, Tick):
        due: list[str] = []
        moves = step.moves_time(first)
        if moves:
            due = await store.due(partition, first.now, first.limit)
        users = _each(due, named)
        await step.load(store, partition, users, users)
        step.tick_again(first, due, moves=moves)
    else:
        fresh = []
        if isinstance(first, SettingsRecord):
            step.settings(first)
        else:
            fresh = step.fresh_events()
        users = _each([event.user_id for _, event in fresh], named)
        telling = {e.user_id for _, e in fresh if isinstance(e, Identified | Erased)}
        speaking = {each.decision.user_id for each in found if each.decision.outcome == "send"}
        await step.load(store, partition, users, telling | speaking)
        step.events(fresh)
    return Taken(step.commit(), step.report)


def _each(*names: Collection[str]) -> list[str]:
    return list(dict.fromkeys(name for some in names for name in some))


@dataclass
class _Again(Step):
    """The pure work on one chunk of which the log of decisions knows what was decided."""

    recorded: Recorded = field(kw_only=True)
    # What the rules have ended by the event at hand: event, trigger, reason.
    _ending: list[tuple[Event, Trigger, str]] = field(default_factory=list, init=False)

    # --- events ---------------------------------------------------------------------------------

    def events(self, fresh: Sequence[tuple[int, Event]]) -> None:
        """Fold event by event; of what they end, carry out what is recorded."""
        by_offset = dict(fresh)
        recorded = {found.id.offset for found in self.recorded.within(self.chunk)}
        for offset in sorted({*by_offset, *recorded}):
            self._at(offset)
            if offset in by_offset:
                super().events([(offset, by_offset[offset])])
            self._settle(offset)

    def _closed(self, event: Event, trigger: Trigger, reason: str) -> None:
        if self.recorded.knows(self.offset):
            self._ending.append((event, trigger, reason))
        else:
            super()._closed(event, trigger, reason)

    def _settle(self, offset: int) -> None:
        """Hold what the rules ended by one event against what is recorded of it."""
        ending, self._ending = self._ending, []
        if not self.recorded.knows(offset):
            return
        for found in self.recorded.at(offset):
            user = self.users[found.decision.user_id]
            own = self._closing(*ending[0]) if ending else b""
            mine = [each for each in ending if _is_about(found.decision, *each[:2])]
            trigger = mine[0][1] if mine else _armed(user.profile, found.decision)
            self._carry_out(user, found, trigger, own)
            ending = [each for each in ending if each not in mine]
        for event, trigger, reason in ending:
            if self.recorded.closed(offset):
                self._put_back(event, trigger)
            else:
                super()._closed(event, trigger, reason)

    def _closing(self, event: Event, trigger: Trigger, reason: str) -> bytes:
        at, pos = event.received_at, self._pos()
        return decisions.encode(
            decisions.closing(event.user_id, trigger, at, self.force, pos, reason=reason)
        )

    def _put_back(self, event: Event, trigger: Trigger) -> None:
        """Leave a trigger armed whose end is not recorded.

        Where its reason is gone, the next tick looks at it; else it waits for its own time, as if
        nothing had ended it.
        """
        profile = self.users[event.user_id].profile
        newer = triggers.end(profile, *trigger.identity)
        profile.triggers.append(trigger)
        if newer is not None:  # armed anew by the same event: one reason, one trigger
            self.report.armed[trigger.campaign] -= 1
            triggers.arm(profile, newer)
        if self.recorded.put_off(event.user_id, trigger):
            self.report.recorded["extra"] += 1
        rule = self.force.triggers.get(trigger.kind)
        if rule is not None and rule.holds(profile, trigger) is not None:
            trigger.wake_at = max(self.after.now, 1)
        triggers.wake(profile, trigger.wake_at)

    # --- ticks ----------------------------------------------------------------------------------

    def tick_again(self, tick: Tick, due: Sequence[str], *, moves: bool) -> None:
        """Carry out what is recorded of this tick, and decide only what may still be decided."""
        offset = self.chunk.records[0][0]
        policy = self.force.policy if moves else None
        if not self.recorded.knows(offset):
            if policy is not None:
                self.tick(tick, due)
            return
        self._at(offset)
        by_user: dict[str, list[RecordedDecision]] = {}
        for found in self.recorded.at(offset):
            by_user.setdefault(found.decision.user_id, []).append(found)
        for number, (name, known) in enumerate(by_user.items(), 1):
            # The last one's decisions may have been cut off with the log; those of others were not.
            last = number == len(by_user) and not self.recorded.closed(offset)
            self._looked_at(self.users[name])
            self._decide_again(name, known, tick.now, policy, last=last)
            _sleep(self.users[name].profile)
        if policy is None:
            return
        for name in due:
            if name not in by_user:
                self._looked_at(self.users[name])
                self._decide_late(name, tick.now, policy)
                _sleep(self.users[name].profile)

    @staticmethod
    def _looked_at(user: Loaded) -> None:
        user.touched = True
        user.knows_addresses = False  # read, not told: nothing to write back

    def _decide_late(self, name: str, now: int, policy: Policy) -> None:
        """Decide about somebody of whom nothing is recorded, unless readers would drop it."""
        if self.recorded.closed(self.offset):
            self._put_off(name, now)
        else:
            self._decide(name, self.users[name], now, policy)

    def _decide_again(
        self,
        name: str,
        known: Sequence[RecordedDecision],
        now: int,
        policy: Policy | None,
        *,
        last: bool,
    ) -> None:
        """Follow the record of one user; ``last``: what is not in it may be decided after it."""
        user = self.users[name]
        ended, ranking = self._in_question(name, user, now, policy)
        for found in known:
            own = self._own(name, user, now, ended, ranking)
            trigger = _armed(user.profile, found.decision)
            charged = self._carry_out(user, found, trigger, own)
            if trigger is not None:
                self._became_due(trigger, now)
            ended = [each for each in ended if each[0] is not trigger]
            left = [each for each, _ in ranking.ranked if each is not trigger]
            if charged and policy is not None:  # also for a trigger we do not have
                ranking.spoke = True
                ranking.ranked = self._weigh(left, name, user.profile, now, policy)
            else:
                ranking.ranked = [each for each in ranking.ranked if each[0] is not trigger]
        if policy is None:
            return
        if not last:
            self._put_off(name, now)
            return
        for trigger, reason, outcome in ended:
            self._became_due(trigger, now)
            triggers.end(user.profile, *trigger.identity)
            self._decided(self._ending_at(name, trigger, now, reason, outcome))
        for trigger, _ in ranking.ranked:
            self._became_due(trigger, now)
        self._best_first(name, user, now, policy, ranking)

    def _in_question(
        self, name: str, user: Loaded, now: int, policy: Policy | None
    ) -> tuple[list[tuple[Trigger, str, decisions.Result]], Ranking]:
        """Return what this engine would end now, and what it would weigh."""
        ended, holding = [], []
        profile = user.profile
        if policy is not None and any(each.wake_at <= now for each in profile.triggers):
            for trigger in [each for each in profile.triggers if in_window(each, now, policy)]:
                reason, outcome = self._ended(profile, trigger, policy)
                if reason is None:
                    holding.append(trigger)
                else:
                    ended.append((trigger, reason, outcome))
        ranked = self._weigh(holding, name, profile, now, policy) if policy is not None else []
        could_speak = {trigger.identity for trigger, weighed in ranked if weighed.eligible}
        return ended, Ranking(ranked, could_speak)

    def _own(
        self,
        name: str,
        user: Loaded,
        now: int,
        ended: Sequence[tuple[Trigger, str, decisions.Result]],
        ranking: Ranking,
    ) -> bytes:
        """Return the record this engine would write next about her; empty = none."""
        if ended:
            trigger, reason, outcome = ended[0]
            return decisions.encode(self._ending_at(name, trigger, now, reason, outcome))
        if not ranking.ranked:
            return b""
        trigger, weighed = min(ranking.ranked, key=rank)
        outranked = ranking.spoke and ranking.could_have(trigger, weighed)
        return decisions.encode(self._made(user, weighed, outranked=outranked)[1])

    def _ending_at(
        self, name: str, trigger: Trigger, now: int, reason: str, outcome: decisions.Result
    ) -> Decision:
        return decisions.closing(
            name, trigger, now, self.force, self._pos(), outcome=outcome, reason=reason
        )

    def _put_off(self, name: str, now: int) -> None:
        """Leave armed what is due and not in the record; the next tick looks at it again."""
        for trigger in self.users[name].profile.triggers:
            if trigger.wake_at <= now:
                trigger.wake_at = now + 1
                if self.recorded.put_off(name, trigger):
                    self.report.recorded["extra"] += 1

    # --- carrying out ---------------------------------------------------------------------------

    def _carry_out(
        self, user: Loaded, found: RecordedDecision, trigger: Trigger | None, own: bytes
    ) -> bool:
        """Do what is recorded, and count what we would have said; return whether it charged her.

        ``trigger``: the one it is about, None = we have none.
        """
        result = "missing" if trigger is None else "different"
        if own == found.value:
            result = "same"
        self.report.recorded[result] += 1
        user.touched = True
        self._repeat(found)
        stand_in = trigger if trigger is not None else _as_recorded(found.decision)
        if found.decision.outcome == "send":
            self._speak(user, found, stand_in)
        if trigger is not None:
            _advance(user.profile, trigger, found.decision)
        return self._conclude_as(user, found.decision, stand_in)

    def _repeat(self, found: RecordedDecision) -> None:
        """Put the record into the outbox once more, at its own position: the log drops it."""
        self.ordinal = max(self.ordinal, found.id.ordinal - 1)
        if self.ordinal < found.id.ordinal:
            self._out(DECISIONS, found.key, found.value)
        self.report.decisions[found.decision.campaign, found.decision.reason] += 1

    def _speak(self, user: Loaded, found: RecordedDecision, trigger: Trigger) -> None:
        """Make the message of a recorded decision to send, unless its topic holds it."""
        channel = found.decision.channel or ""
        at = OutboxId(found.id.offset, found.id.ordinal + 1)
        if not self.recorded.holds_action(ACTIONS + channel, at):
            encoded = self._message(user, found.decision, channel, trigger)
            if encoded is None:
                self.report.recorded["unsaid"] += 1
            elif not self.outbox or self.outbox[-1].id < at:
                self.outbox.append(Outgoing(at, ACTIONS + channel, found.key, encoded))
                self.report.actions[channel] += 1
        self.ordinal = max(self.ordinal, at.ordinal)  # its place, also where it is not needed

    def _message(
        self, user: Loaded, decision: Decision, channel: str, trigger: Trigger
    ) -> bytes | None:
        """Return the action in the words of today; None = it cannot be made."""
        policy = self.force.policy
        campaign = policy.campaigns.get(decision.campaign) if policy is not None else None
        known = campaign is not None and policy is not None and channel in policy.channels
        reachable = channel in user.addresses.by_channel and trigger.kind in self.force.triggers
        if not known or not reachable or campaign is None:
            return None
        at = from_iso(decision.at)
        case = decisions.a_case(decision.user_id, user.profile, trigger, campaign, self.force, at)
        try:
            built, encoded = decisions.an_action(case, channel, user.addresses, self.force)
        except TemplateFailed:
            return None
        return encoded if _is_of(built, decision) else encode_action(_named(built, decision))

    def _conclude_as(self, user: Loaded, decision: Decision, trigger: Trigger) -> bool:
        """Remember what was decided; return whether it charged her."""
        profile = user.profile
        weighed = decision.outcome in ("send", "suppress")
        if (
            weighed
            and decision.reason != "campaign_removed"
            and trigger.kind in self.force.triggers
        ):
            self._spoken(profile, trigger)
        if not decision.action_id or decision.channel is None:
            return False
        at = from_iso(decision.at)
        queued = ActionQueued(
            event_id=decision.decision_id,
            user_id=decision.user_id,
            occurred_at=at,
            received_at=at,
            action_id=decision.action_id,
            campaign=decision.campaign,
            channel=decision.channel,
            withheld=decision.reason.removeprefix("would_send_") if decision.withheld else "",
        )
        fold(profile, user.addresses, queued, self.force.memory)
        return True


def _is_about(decision: Decision, event: Event, trigger: Trigger) -> bool:
    """Return whether a recorded decision is about this trigger of whom the event is about."""
    told = decision.campaign, decision.trigger.kind, decision.trigger.key
    return decision.user_id == event.user_id and trigger.identity == told


def _armed(profile: Profile, decision: Decision) -> Trigger | None:
    return profile.trigger(decision.campaign, decision.trigger.kind, decision.trigger.key)


def _advance(profile: Profile, trigger: Trigger, decision: Decision) -> None:
    """Move a trigger to where a recorded decision leaves it; it keeps the id under which it spoke.

    Of a trigger that was armed by another event than the recorded one the episode differs: it is
    the same reason to speak, and must not speak a second time under another id.
    """
    if decision.outcome == "defer" and decision.until is not None:
        trigger.episode = decision.trigger.episode
        trigger.wake_at = from_iso(decision.until)
        trigger.attempt = decision.attempt + 1
    else:
        profile.triggers = [each for each in profile.triggers if each is not trigger]


def _as_recorded(decision: Decision) -> Trigger:
    """Return the trigger a recorded decision was about, as far as the record tells."""
    told = decision.trigger
    armed_at, due_at = from_iso(told.armed_at), from_iso(told.due_at)
    return Trigger(
        campaign=decision.campaign,
        kind=told.kind,
        key=told.key,
        episode=told.episode,
        armed_at=armed_at,
        edited_at=armed_at,
        told_at=armed_at,
        due_at=due_at,
        wake_at=due_at,
        attempt=decision.attempt,
    )


def _is_of(action: Action, decision: Decision) -> bool:
    ids = action.action_id, action.decision_id
    return ids == (decision.action_id, decision.decision_id)


def _named(action: Action, decision: Decision) -> Action:
    """Return an action under the ids the record gave it."""
    return structs.replace(
        action,
        action_id=decision.action_id or action.action_id,
        decision_id=decision.decision_id,
    )


def _sleep(profile: Profile) -> None:
    profile.wake = min((trigger.wake_at for trigger in profile.triggers), default=0)


__all__ = ["RESULTS", "Recorded", "RecordedDecision", "take_recorded"]
