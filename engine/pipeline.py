"""The order of work, from records of one partition to one commit: the table of contents.

A chunk is a run of events, *or* one tick, *or* one settings record. Only a tick moves time and only
a tick fires; what lies before it in the partition is folded before it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine import decisions, triggers
from engine.actions import Action
from engine.changes import NOTHING, Change
from engine.events import (
    ActionQueued,
    Erased,
    Event,
    Identified,
    Position,
    Record,
    SettingsRecord,
    Tick,
)
from engine.fold import fold
from engine.policy import Policy
from engine.ports import Commit, Head, InForce, OutboxId, Outgoing, Store
from engine.profile import Addresses, Profile, Trigger, decode_addresses, encode
from engine.profile import decode as decode_profile
from engine.report import Report
from engine.triggers import Arm, Context, Disarm, TriggerRule, may_arm

DECISIONS: Final = "decisions"
ACTIONS: Final = "actions."

# Users per commit: a script of 500 users holds the server about 1.2 ms.
CHUNK: Final = 500

# A tuple made once: building the union anew costs more than the check.
_ALONE: Final = (Tick, SettingsRecord)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of one partition that are committed together.

    ``records``: (offset, record). ``first`` is the offset it starts at and ``after`` the one that
    follows it; ``crc`` is that of its last record, by which a re-created log is recognised.
    """

    records: Sequence[tuple[int, Record]]
    first: int
    after: int
    crc: int = 0


@dataclass(slots=True)
class Taken:
    """What one chunk came to: the commit to make, and what to tell those who watch."""

    commit: Commit
    report: Report


def chunks(
    records: Sequence[tuple[int, Record]],
    first: int,
    size: int = CHUNK,
    crc_of: Callable[[int], int] = lambda _: 0,
) -> list[Chunk]:
    """Cut consecutive records into chunks: runs of at most ``size`` events, ticks alone.

    ``first`` is the offset expected next (gaps of the log are allowed); ``crc_of`` gives the crc
    of the record at an index of ``records``.
    """
    ends: list[int] = []
    start = 0
    for index, (_, record) in enumerate(records):
        if type(record) in _ALONE:
            ends += [index, index + 1] if index > start else [index + 1]
        elif index + 1 - start >= size:
            ends.append(index + 1)
        else:
            continue
        start = index + 1
    if start < len(records):
        ends.append(len(records))
    return _cut(records, first, ends, crc_of)


def _cut(
    records: Sequence[tuple[int, Record]],
    first: int,
    ends: Sequence[int],
    crc_of: Callable[[int], int],
) -> list[Chunk]:
    cut, start = [], 0
    for end in ends:
        after = records[end - 1][0] + 1
        cut.append(Chunk(records[start:end], first, after, crc_of(end - 1)))
        start, first = end, after
    return cut


async def take(store: Store, partition: int, head: Head, chunk: Chunk, force: InForce) -> Taken:
    """Work through one chunk: load, fold or decide, and return what to commit.

    Reads from the store, writes nothing; ``head`` is not changed. Raises Unavailable.
    """
    step = Step(head, chunk, force)
    first = chunk.records[0][1] if chunk.records else None
    if isinstance(first, SettingsRecord):
        step.settings(first)
    elif isinstance(first, Tick):
        if step.moves_time(first):
            users = await store.due(partition, first.now, first.limit)
            await step.load(store, partition, users, users)
            step.tick(first, users)
    else:
        fresh = step.fresh_events()
        users = list(dict.fromkeys(event.user_id for _, event in fresh))
        telling = {event.user_id for _, event in fresh if _tells_addresses(event)}
        await step.load(store, partition, users, telling)
        step.events(fresh)
    return Taken(step.commit(), step.report)


@dataclass(slots=True)
class Loaded:
    """One loaded user and what was stored of her, to write only what changed."""

    profile: Profile
    addresses: Addresses
    wake: int
    knows_addresses: bool
    touched: bool = False


@dataclass(slots=True)
class Ranking:
    """The weighed candidates of one user, and which could have spoken before another did."""

    ranked: list[tuple[Trigger, decisions.Weighed]]
    could_speak: set[tuple[str, str, str]]
    spoke: bool = False

    def could_have(self, trigger: Trigger, weighed: decisions.Weighed) -> bool:
        """Return whether it may not speak now, and could have before."""
        return not weighed.eligible and trigger.identity in self.could_speak


@dataclass(slots=True)
class Step:
    """The pure work on one chunk."""

    head: Head
    chunk: Chunk
    force: InForce
    report: Report = field(default_factory=Report)
    users: dict[str, Loaded] = field(default_factory=dict)
    outbox: list[Outgoing] = field(default_factory=list)
    after: Head = field(init=False)
    offset: int = 0
    ordinal: int = 0

    def __post_init__(self) -> None:
        self.after = Head(
            self.chunk.after,
            self.chunk.crc,
            self.head.now,
            dict(self.head.positions),
            self.head.settings,
            kept=True,
        )

    # --- loading and committing -----------------------------------------------------------------

    async def load(
        self, store: Store, partition: int, users: Sequence[str], telling: Collection[str]
    ) -> None:
        """Load the users of this chunk; addresses only where they are told or may be used."""
        if not users:
            return
        stored = await store.load(partition, users, telling)
        for user in users:
            packed, addresses = stored[user]
            profile = decode_profile(packed) if packed is not None else Profile()
            known = decode_addresses(addresses) if addresses is not None else Addresses()
            self.users[user] = Loaded(profile, known, profile.wake, user in telling)

    def commit(self) -> Commit:
        """Gather what changed."""
        begins = not self.head.kept
        commit = Commit(self.chunk.first, self.after, outbox=self.outbox, begins=begins)
        for name, user in self.users.items():
            if not user.touched:
                continue
            commit.profiles[name] = encode(user.profile)
            if user.profile.wake != user.wake:
                commit.wakes[name] = user.profile.wake
            if user.knows_addresses:
                told = user.addresses.by_channel
                commit.addresses[name] = encode(user.addresses) if told else None
        return commit

    def settings(self, record: SettingsRecord) -> None:
        """Merge a settings record into what is in force."""
        self.after.settings = self.head.settings.merged(record)
        self.report.settings += 1

    # --- events ---------------------------------------------------------------------------------

    def fresh_events(self) -> list[tuple[int, Event]]:
        """Leave out repeated source positions: intake may repeat runs of any length."""
        fresh: list[tuple[int, Event]] = []
        positions = self.after.positions
        lanes: dict[tuple[str, int], str] = {}
        for offset, record in self.chunk.records:
            if isinstance(record, _ALONE):  # chunks() never mixes them in
                continue
            position = record.source
            if position is not None:
                source = position.source, position.partition
                lane = lanes.get(source) or lanes.setdefault(source, f"{source[0]}|{source[1]}")
                highest = positions.get(lane)
                if _repeated(highest, position):
                    self.report.skipped["position"] += 1
                    if highest is not None:
                        self.report.repeated[source] = highest
                    continue
                positions[lane] = position
            fresh.append((offset, record))
        return fresh

    def events(self, fresh: Sequence[tuple[int, Event]]) -> None:
        """Fold each event; let the trigger rules arm or end; record what ended."""
        reactions, memory, users = self.force.reactions, self.force.memory, self.users
        kinds: dict[type, int] = {}
        for offset, event in fresh:
            kind = type(event)
            kinds[kind] = kinds.get(kind, 0) + 1
            user = users[event.user_id]
            user.touched = True
            change = fold(user.profile, user.addresses, event, memory)
            if change is not NOTHING or kind in reactions:
                self._at(offset)
                self._changed(event, user.profile, change, reactions.get(kind, ()))
        for kind, count in kinds.items():
            self.report.events[kind.__name__] += count

    def _changed(
        self,
        event: Event,
        profile: Profile,
        change: Change,
        rules: Sequence[tuple[TriggerRule, Context]],
    ) -> None:
        """Do what follows from a change: end triggers, let the rules answer."""
        if change.ignored:
            self.report.skipped[change.ignored] += 1
            return
        for bound in change.bounded:
            self.report.bounded[bound] += 1
        if change.erased:
            self._end_all(event, profile, "erased")
        elif change.withdrawn:
            self._opted_out(event, profile)
        for rule, context in rules:
            for answer in rule.react(profile, event, change, context):
                self._answer(event, profile, answer)

    def _answer(self, event: Event, profile: Profile, answer: Arm | Disarm) -> None:
        match answer:
            case Arm(trigger):
                if not may_arm(event):
                    return
                new, evicted = triggers.arm(profile, trigger)
                if new:
                    self.report.armed[trigger.campaign] += 1
                if evicted is not None:
                    self.report.bounded["triggers"] += 1
                    self._closed(event, evicted, "superseded")
            case Disarm(campaign, kind, key, reason):
                ended = triggers.end(profile, campaign, kind, key)
                if ended is not None:
                    self._closed(event, ended, reason)

    def _opted_out(self, event: Event, profile: Profile) -> None:
        """End what may not be said on any channel any more."""
        policy = self.force.policy
        for trigger in list(profile.triggers):
            campaign = policy.campaigns.get(trigger.campaign) if policy else None
            if campaign is None:
                continue
            consents = [profile.consent("marketing", name) for name in campaign.channels]
            if not any(consent is not None and consent.granted for consent in consents):
                triggers.end(profile, *trigger.identity)
                self._closed(event, trigger, "opted_out")

    def _end_all(self, event: Event, profile: Profile, reason: str) -> None:
        for trigger in list(profile.triggers):
            triggers.end(profile, *trigger.identity)
            self._closed(event, trigger, reason)

    def _closed(self, event: Event, trigger: Trigger, reason: str) -> None:
        """Record the end of a trigger by an event, at the time it reached our door."""
        self._decided(
            decisions.closing(
                event.user_id, trigger, event.received_at, self.force, self._pos(), reason=reason
            )
        )

    # --- ticks ----------------------------------------------------------------------------------

    def moves_time(self, tick: Tick) -> bool:
        """Take the tick's time unless it lies behind; return whether anything may be due."""
        self.report.ticks += 1
        if tick.now < self.head.now:
            self.report.skipped["tick_behind"] += 1
            return False
        self.after.now = tick.now
        return self.force.policy is not None

    def tick(self, tick: Tick, due: Sequence[str]) -> None:
        """Decide about every user whose wake-up has come."""
        policy = self.force.policy
        if policy is None:
            return
        self._at(self.chunk.records[0][0])
        for name in due:
            user = self.users[name]
            user.touched = True
            user.knows_addresses = False  # read, not told: nothing to write back
            self._decide(name, user, tick.now, policy)
            profile = user.profile
            profile.wake = min((trigger.wake_at for trigger in profile.triggers), default=0)

    def _decide(self, name: str, user: Loaded, now: int, policy: Policy) -> None:
        """Best first: decide, fold the decision itself, judge the next against what is left."""
        waiting = self._candidates(name, user.profile, now, policy)
        ranked = self._weigh(waiting, name, user.profile, now, policy)
        could_speak = {trigger.identity for trigger, weighed in ranked if weighed.eligible}
        self._best_first(name, user, now, policy, Ranking(ranked, could_speak))

    def _best_first(
        self, name: str, user: Loaded, now: int, policy: Policy, ranking: Ranking
    ) -> None:
        ranked, spoke = ranking.ranked, ranking.spoke
        while ranked:
            ranked.sort(key=rank)
            trigger, weighed = ranked.pop(0)
            outranked = spoke and ranking.could_have(trigger, weighed)
            if self._conclude(user, trigger, weighed, outranked=outranked):
                spoke = True
                left = [trigger for trigger, _ in ranked]
                ranked = self._weigh(left, name, user.profile, now, policy)

    def _candidates(self, name: str, profile: Profile, now: int, policy: Policy) -> list[Trigger]:
        """Return the due triggers (and those due within the window) whose reason still holds."""
        if not any(trigger.wake_at <= now for trigger in profile.triggers):
            return []  # the index is lazy: she was looked at too early, and sleeps again
        holding = []
        for trigger in [t for t in profile.triggers if in_window(t, now, policy)]:
            self._became_due(trigger, now)
            ended, outcome = self._ended(profile, trigger, policy)
            if ended is None:
                holding.append(trigger)
                continue
            triggers.end(profile, *trigger.identity)
            self._decided(
                decisions.closing(
                    name, trigger, now, self.force, self._pos(), outcome=outcome, reason=ended
                )
            )
        return holding

    def _became_due(self, trigger: Trigger, now: int) -> None:
        if not trigger.attempt:
            self.report.due[trigger.campaign] += 1
            self.report.lateness.append(max(0, now - trigger.due_at))

    def _ended(
        self, profile: Profile, trigger: Trigger, policy: Policy
    ) -> tuple[str | None, decisions.Result]:
        campaign = policy.campaigns.get(trigger.campaign)
        if campaign is None or campaign.trigger != trigger.kind:
            return "campaign_removed", "suppress"
        return self.force.triggers[trigger.kind].holds(profile, trigger), "disarm"

    def _weigh(
        self, waiting: Sequence[Trigger], name: str, profile: Profile, now: int, policy: Policy
    ) -> list[tuple[Trigger, decisions.Weighed]]:
        weighed = []
        for trigger in waiting:
            campaign = policy.campaigns[trigger.campaign]
            case = decisions.a_case(name, profile, trigger, campaign, self.force, now)
            weighed.append((trigger, decisions.weigh(case, self.force)))
        return weighed

    def _conclude(
        self, user: Loaded, trigger: Trigger, weighed: decisions.Weighed, *, outranked: bool
    ) -> bool:
        """Decide one candidate, write it down and fold it; return whether she was charged."""
        case, profile = weighed.case, user.profile
        verdict, decision = self._made(user, weighed, outranked=outranked)
        if weighed.score is not None and weighed.score.failed:
            self.report.scoring_failures += 1
        self._decided(decision)
        if verdict.action is not None:
            self._acted(verdict.action, verdict.encoded)
            if not trigger.attempt:
                self.report.acted.append((verdict.action.channel, trigger.due_at))
        if verdict.until is not None:
            trigger.wake_at = verdict.until
            trigger.attempt += 1
            return False
        triggers.end(profile, *trigger.identity)
        self._spoken(profile, trigger)
        if not decision.action_id or verdict.channel is None:
            return False
        queued = ActionQueued(
            event_id=decision.decision_id,
            user_id=case.user_id,
            occurred_at=case.now,
            received_at=case.now,
            action_id=decision.action_id,
            campaign=trigger.campaign,
            channel=verdict.channel,
            withheld=verdict.withheld,
        )
        fold(profile, user.addresses, queued, self.force.memory)
        return True

    def _made(
        self, user: Loaded, weighed: decisions.Weighed, *, outranked: bool
    ) -> tuple[decisions.Verdict, decisions.Decision]:
        """Decide one candidate and write its record; nothing is changed."""
        caps = self.force.count_caps(weighed.case)
        verdict = decisions.judge(weighed, user.addresses, self.force, outranked=outranked)
        return verdict, decisions.record(weighed, verdict, self.force, self._pos(), caps)

    def _spoken(self, profile: Profile, trigger: Trigger) -> None:
        """Remember that this order has had its say in this campaign, whatever was decided."""
        if self.force.triggers[trigger.kind].once_per_order:
            order = profile.order(trigger.key)
            if order is not None and trigger.campaign not in order.spoken:
                order.spoken.append(trigger.campaign)

    # --- what leaves ----------------------------------------------------------------------------

    def _at(self, offset: int) -> None:
        self.offset, self.ordinal = offset, 0

    def _pos(self) -> str:
        """Return the position the next outgoing record will have."""
        return str(OutboxId(self.offset, self.ordinal + 1))

    def _decided(self, decision: decisions.Decision) -> None:
        self._out(DECISIONS, decision.user_id, decisions.encode(decision))
        self.report.decisions[decision.campaign, decision.reason] += 1

    def _acted(self, action: Action, encoded: bytes) -> None:
        self._out(ACTIONS + action.channel, action.user_id, encoded)
        self.report.actions[action.channel] += 1

    def _out(self, topic: str, key: str, value: bytes) -> None:
        self.ordinal += 1
        self.outbox.append(Outgoing(OutboxId(self.offset, self.ordinal), topic, key, value))


def _tells_addresses(event: Event) -> bool:
    """Return whether an event can change addresses: most tell zone and locale alone."""
    return isinstance(event, Erased) or (isinstance(event, Identified) and bool(event.addresses))


def _repeated(highest: Position | None, position: Position) -> bool:
    """Return whether a source position is at or below the highest seen of its source."""
    if highest is None:
        return False
    if position.generation == highest.generation and position.offset != highest.offset:
        return position.offset < highest.offset
    mine = position.generation, position.offset, position.ordinal
    return mine <= (highest.generation, highest.offset, highest.ordinal)


def in_window(trigger: Trigger, now: int, policy: Policy) -> bool:
    """Return whether it is due, or due so soon that it competes now; never before it settled."""
    if trigger.wake_at <= now:
        return True
    settled = trigger.told_at + policy.settle <= now
    return settled and trigger.wake_at <= now + policy.arbitration_window


def rank(candidate: tuple[Trigger, decisions.Weighed]) -> tuple[float, float, tuple[str, ...]]:
    """Order candidates: largest worth first, ties to the cheaper, then by identity."""
    trigger, weighed = candidate
    leading = weighed.leading
    if leading is None:
        return float("inf"), 0.0, trigger.identity
    channels = weighed.case.policy.channels
    return -weighed.worth[leading], channels[leading].cost, trigger.identity


__all__ = [
    "ACTIONS",
    "CHUNK",
    "DECISIONS",
    "Chunk",
    "Loaded",
    "Ranking",
    "Step",
    "Taken",
    "chunks",
    "in_window",
    "rank",
    "take",
]
