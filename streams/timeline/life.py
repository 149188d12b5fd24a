"""One person's log folded again by the engine: what she did, what it armed, what was decided.

She alone, in memory, with the ticks and the settings of her partition: the same pure step that the
worker takes, so that an armed trigger is what the engine armed and no guess.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine import decisions as log
from engine.decisions import Decision
from engine.errors import Refused
from engine.events import (
    CartViewed,
    CheckoutStarted,
    Erased,
    Event,
    Identified,
    Line,
    OrderCompleted,
    OrderRefunded,
    ProductAdded,
    Record,
    SettingsRecord,
    Tick,
)
from engine.pipeline import DECISIONS
from engine.policy import Mode, Policy
from engine.ports import InForce, Outgoing
from engine.profile import Profile, Trigger, decode
from engine.times import MINUTE, from_iso
from rules.campaigns import load
from streams.replay.placed import Origin, Placed
from streams.replay.rehearsal import Rehearsal

# What reached us later than this is told when it reached us: that is when the engine knew.
LATE: Final = 2 * MINUTE
_DECISIONS_ONLY: Final = "Only decisions were read: what she did herself is not in that file."


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something at ``at`` (ms); ``place`` in her partition orders what has the same time."""

    at: int
    place: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened(Moment):
    """An event of hers that changed what is known; ``late``: it reached us after ``LATE``."""

    event: Event
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed(Moment):
    """A reason to speak came up, or moved to another time (``moved``); ``due_at`` in ms.

    ``guessed``: known only from the decision about it.
    """

    campaign: str
    kind: str
    key: str
    episode: str
    due_at: int
    moved: bool = False
    guessed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(Moment):
    """A decision about her, and the campaigns file it was made under if that is known."""

    decision: Decision
    policy: Policy | None


@dataclass(kw_only=True)
class Life:
    """Everything known about one person; ``moments`` oldest first.

    ``zones`` she may be in, ``fallback`` the zone of the campaigns file; ``forgotten_at``: when she
    last asked to be forgotten (ms, 0 = never), and nothing earlier is in ``moments``; ``names`` of
    products by id; ``now`` the last moment of her partition (ms), 0 = not known.
    """

    user_id: str
    moments: list[Moment] = field(default_factory=list)
    zones: Sequence[str] = ()
    fallback: str = ""
    forgotten_at: int = 0
    names: dict[str, str] = field(default_factory=dict)
    now: int = 0
    notes: list[str] = field(default_factory=list)


async def lived(
    origin: Origin,
    user_id: str,
    recorded: Sequence[Decision] | None,
    *,
    campaigns: bytes | None = None,
    mode: Mode | None = None,
) -> Life | None:
    """Fold her part of a log; None when there is nothing of hers in it.

    ``recorded``: her decisions as the log has them, None = none were recorded, and those the engine
    makes now are told. ``campaigns`` replaces the files of the log, ``mode`` what they say of it.
    Raises Refused, Unavailable.
    """
    found = _Folding(user_id, origin, campaigns, mode)
    async for placed in origin.log:
        await found.take(placed)
    life = found.life(recorded, origin.notes)
    return life if life.moments else None


def decided(user_id: str, recorded: Iterable[Decision], policy: Policy | None) -> Life:
    """Return what decisions alone tell: no event of hers is at hand."""
    life = Life(user_id=user_id, notes=[_DECISIONS_ONLY])
    life.moments = [_decided(decision, policy) for decision in _once(recorded)]
    life.fallback = policy.timezone if policy is not None else ""
    _finish(life)
    return life


class _Folding:
    """Feeds the engine her events, and of the ticks only those at which she could be due."""

    def __init__(
        self, user_id: str, origin: Origin, campaigns: bytes | None, mode: Mode | None
    ) -> None:
        self._user = user_id
        self._rehearsal = Rehearsal(
            origin.files, self._left, campaigns=campaigns, mode=mode, chunk=1
        )
        self._moments: list[Moment] = []
        self._anew: list[Decided] = []
        self._policies: dict[str, Policy] = {}
        self._policy = load(campaigns, "the campaigns file") if campaigns is not None else None
        self._names: dict[str, str] = {}
        self._hers_named: dict[str, str] = {}
        self._profile = Profile()
        self._ticked = 0
        self._seen = 0
        self._place = (0, 0)
        self._broken = ""

    def _left(self, _: int, outgoing: Outgoing, force: InForce) -> None:
        if outgoing.topic == DECISIONS:
            place = outgoing.id.offset, outgoing.id.ordinal
            self._note(force)
            decision = log.decode(outgoing.value)
            moment = Decided(
                at=from_iso(decision.at), place=place, decision=decision, policy=force.policy
            )
            self._anew.append(moment)

    def _note(self, force: InForce) -> None:
        if force.policy is not None:
            self._policies[force.settings_hash] = self._policy = force.policy

    # --- one record -----------------------------------------------------------------------------

    async def take(self, placed: Placed) -> None:
        record = placed.record
        self._place = placed.offset, 0
        match record:
            case Tick():
                await self._tick(placed, record)
            case SettingsRecord():
                await self._feed(placed)
                force = None if self._broken else self._rehearsal.world.in_force(placed.partition)
                if force is not None:
                    self._note(force)
            case _:
                self._learn(record)
                self._seen = max(self._seen, record.received_at)
                if record.user_id == self._user:
                    await self._hers(placed, record)

    async def _feed(self, placed: Placed) -> None:
        """Let the engine take a record; without its artefacts only what is recorded is told."""
        if self._broken:
            return
        try:
            await self._rehearsal.feed(placed)
        except Refused as missing:
            self._broken = str(missing)

    async def _tick(self, placed: Placed, tick: Tick) -> None:
        """A tick at which she is not due changes nothing of hers, and is most ticks."""
        self._seen = max(self._seen, tick.now)
        if tick.now < self._ticked:
            return
        self._ticked = tick.now
        earliest = await self._rehearsal.world.store.earliest(placed.partition)
        if earliest is not None and earliest <= tick.now:
            await self._feed(placed)
            if not self._broken:
                self._profile = self._stored(placed.partition)

    async def _hers(self, placed: Placed, event: Event) -> None:
        report = self._rehearsal.world.report
        skipped = report.skipped.total()
        await self._feed(placed)
        if report.skipped.total() > skipped:
            return  # repeated, or after she asked to be forgotten: nobody took notice of it
        late = not event.history and event.received_at - event.occurred_at > LATE
        at = event.received_at if late else event.occurred_at
        self._moments.append(Happened(at=at, place=self._place, event=event, late=late))
        if self._broken:
            if isinstance(event, Identified) and event.zones is not None:
                self._profile.zones = event.zones
            return
        before, self._profile = self._profile, self._stored(placed.partition)
        for trigger in self._profile.triggers:
            self._compare(before.trigger(*trigger.identity), trigger, at)

    def _compare(self, old: Trigger | None, new: Trigger, at: int) -> None:
        known = old is not None and old.episode == new.episode
        if known and old is not None and old.due_at == new.due_at:
            return
        self._moments.append(
            Armed(
                at=at,
                place=self._place,
                campaign=new.campaign,
                kind=new.kind,
                key=new.key,
                episode=new.episode,
                due_at=new.due_at,
                moved=known,
            )
        )

    def _stored(self, partition: int) -> Profile:
        packed = self._rehearsal.world.store.partitions[partition].users.get(self._user)
        return decode(packed) if packed is not None else Profile()

    def _learn(self, event: Event) -> None:
        """Learn what products are called: who only looks at them tells their ids.

        What she was shown herself, in her language, goes before what others were shown.
        """
        names = self._hers_named if event.user_id == self._user else self._names
        for line in _lines(event):
            if line.name:
                names[line.product_id] = line.name

    # --- the whole ------------------------------------------------------------------------------

    def life(self, recorded: Sequence[Decision] | None, notes: Iterable[str]) -> Life:
        recorded = None if recorded is None else _once(recorded)
        made = self._anew if recorded is None else [self._known(one) for one in recorded]
        life = Life(
            user_id=self._user,
            moments=_ordered([*self._moments, *made]),
            zones=self._profile.zones,
            fallback=self._policy.timezone if self._policy is not None else "",
            names=self._names | self._hers_named,
            now=self._seen,
            notes=list(notes),
        )
        if self._broken:
            life.notes.append(f"Nothing could be folded anew: {self._broken}")
        elif recorded is None and self._anew:
            life.notes.append("No decisions were recorded: these are what the engine makes of it.")
        elif recorded is not None:
            life.notes += _otherwise(recorded, [moment.decision for moment in self._anew])
        _finish(life)
        return life

    def _known(self, decision: Decision) -> Decided:
        return _decided(decision, self._policies.get(decision.settings_hash, self._policy))


def _lines(event: Record) -> Sequence[Line]:
    match event:
        case ProductAdded(line=line):
            return [line]
        case CartViewed(lines=lines) | CheckoutStarted(lines=lines):
            return lines or []
        case OrderCompleted(lines=lines) | OrderRefunded(lines=lines):
            return lines
    return []


def _decided(decision: Decision, policy: Policy | None) -> Decided:
    offset, _, ordinal = decision.pos.partition(".")
    place = int(offset or 0), int(ordinal or 0)
    return Decided(at=from_iso(decision.at), place=place, decision=decision, policy=policy)


def _once(recorded: Iterable[Decision]) -> list[Decision]:
    """Leave out what a killed worker wrote twice: it has the same position."""
    return list({(one.decision_id, one.pos): one for one in recorded}.values())


def _ordered(moments: Iterable[Moment]) -> list[Moment]:
    """Sort by time; at one time as they stand in the log, events before what they led to."""
    return sorted(moments, key=lambda moment: (moment.at, moment.place))


def _otherwise(recorded: Sequence[Decision], anew: Sequence[Decision]) -> list[str]:
    """Return a sentence where folding again decides otherwise than what was recorded."""
    mine = {one.decision_id: (one.outcome, one.reason, one.channel) for one in anew}
    differ = [
        one
        for one in recorded
        if mine.get(one.decision_id, ()) != (one.outcome, one.reason, one.channel)
    ]
    if not differ:
        return []
    note = (
        f"{len(differ)} of {len(recorded)} decisions come out otherwise when her log is folded "
        "again: it does not go back to her beginning, or another release or model decided."
    )
    return [note]


def _finish(life: Life) -> None:
    """Add what is missing of the moments, and leave out what she asked to be forgotten."""
    life.moments = _ordered([*life.moments, *_guessed(life.moments)])
    erasures = [moment for moment in life.moments if _erases(moment)]
    if erasures:
        last = erasures[-1]
        life.forgotten_at = last.at
        life.moments = [
            moment
            for moment in life.moments
            if (moment.at, moment.place) >= (last.at, (last.place[0], 0))
        ]


def _erases(moment: Moment) -> bool:
    match moment:
        case Happened(event=event):
            return isinstance(event, Erased)
        case Decided(decision=decision):
            return decision.reason == "erased"
    return False


def _guessed(moments: Sequence[Moment]) -> list[Moment]:
    """Return the arming of triggers that only a decision tells of."""
    seen: set[tuple[str, str, str, str]] = {
        (moment.campaign, moment.kind, moment.key, moment.episode)
        for moment in moments
        if isinstance(moment, Armed)
    }
    guessed: list[Moment] = []
    for moment in moments:
        if not isinstance(moment, Decided):
            continue
        decision, trigger = moment.decision, moment.decision.trigger
        identity = decision.campaign, trigger.kind, trigger.key, trigger.episode
        if identity in seen:
            continue
        seen.add(identity)
        armed_at = from_iso(trigger.armed_at)
        guessed.append(
            Armed(
                at=min(armed_at, moment.at),
                place=(0, 0),
                campaign=decision.campaign,
                kind=trigger.kind,
                key=trigger.key,
                episode=trigger.episode,
                due_at=from_iso(trigger.due_at),
                guessed=True,
            )
        )
    return guessed
