"""What the engine asks of the outside: six small protocols, each with its meaning, not its client.

Memory twins of all of them ship in :mod:`engine.memory` and pass the same contract suites.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

from engine.actions import Content
from engine.changes import Memory
from engine.controls import FREE, Held, Standing
from engine.events import Line, Position
from engine.policy import Campaign, Policy, Settings
from engine.profile import Profile, Trigger
from engine.triggers import Context, LocalTime, TriggerRule

# --- judging ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One question: may this campaign speak to this user now, because of this trigger?

    ``dry_run`` whether the answer would only be recorded; ``standing`` what is paused
    (``channel:push``, ``campaign:cart``) and throttled at ``now``; ``handing_over`` whether it is
    asked once more because a decided action is about to be handed to its gateway.
    """

    user_id: str
    profile: Profile
    trigger: Trigger
    campaign: Campaign
    policy: Policy
    now: int
    dry_run: bool
    standing: Standing = FREE
    handing_over: bool = False

    @property
    def tester(self) -> bool:
        """Return whether she is one of the operator's testers."""
        return self.user_id in self.policy.testers


@dataclass(frozen=True, slots=True)
class Objection:
    """A guard's no: defer ``until`` (ms, later than now), or suppress when that is None.

    ``held``: who paused or throttled it, where that is why.
    """

    reason: str
    until: int | None = None
    held: Held | None = None


class Guard(Protocol):
    """A rule that may object. Pure; guards know nothing of each other.

    ``at_handover``: judged once more before hand-over (not the caps: they hold its own charge).
    ``for_testers``: whether it binds the operator's testers too.
    """

    at_handover: bool
    for_testers: bool

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection to speaking on ``channel``, or None."""
        ...


class CapState(NamedTuple):
    """One cap as it stands before the decision."""

    name: str
    used: int
    limit: int


class CapCounter(Protocol):
    """Counts the caps of a case, for the record."""

    def __call__(self, case: Case) -> list[CapState]:
        """Return every cap of the policy with what is used of it now."""
        ...


class ModelRef(NamedTuple):
    """Which model spoke."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Score:
    """``p0`` = probability of an order within the conversion window if nothing is sent.

    ``lifts`` = odds ratio by channel as measured in this shop, in the place of what the campaign
    assumes; ``mean_order`` = mean order value the model's manifest knows, in the shop's currency;
    ``failed`` = the model could not answer and the prior spoke.
    """

    p0: float
    features: Mapping[str, float | None]
    schema_hash: str
    model: ModelRef | None = None
    lifts: Mapping[str, float] = field(default_factory=dict)
    mean_order: float | None = None
    failed: bool = False


class Scorer(Protocol):
    """Says how likely an order is. Never raises: it falls back to the campaign's prior."""

    def score(self, case: Case) -> Score:
        """Return the score of a case; equal cases give equal scores on any machine."""
        ...


class TemplateFailed(ValueError):
    """The words could not be made: the reason says which template and why."""


class Renderer(Protocol):
    """Makes the words. Pure: template set and context give the text."""

    def render(self, case: Case, channel: str, items: Sequence[Line]) -> Content:
        """Return the content for one channel; raises TemplateFailed."""
        ...


# --- what is in force ---------------------------------------------------------------------------


@dataclass(frozen=True)
class InForce:
    """Everything the settings of a partition put in force, resolved from artefacts by hash.

    ``policy`` None = no campaigns file yet: events fold, nothing arms, ticks only move time.
    """

    settings: Settings
    settings_hash: str
    policy: Policy | None
    triggers: Mapping[str, TriggerRule]
    guards: Sequence[Guard]
    count_caps: CapCounter
    scorer: Scorer
    renderer: Renderer
    local: LocalTime

    def guards_of(self, *, tester: bool, handover: bool) -> Sequence[tuple[int, Guard]]:
        """Return the guards that bind, each with its place in the order of all."""
        return self._guards_of[tester, handover]

    @cached_property
    def _guards_of(self) -> Mapping[tuple[bool, bool], Sequence[tuple[int, Guard]]]:
        return {
            (tester, handover): [
                (place, guard)
                for place, guard in enumerate(self.guards)
                if (guard.at_handover or not handover) and (guard.for_testers or not tester)
            ]
            for tester in (False, True)
            for handover in (False, True)
        }

    @cached_property
    def memory(self) -> Memory:
        """Return what the fold needs of these settings."""
        policy = self.policy
        if policy is None:
            return Memory()
        zone, local = policy.timezone, self.local
        return Memory(
            keep_sends=policy.longest_window,
            hour=lambda zones, at: local.hour(zones, zone, at),
            currency=policy.currency,
        )

    @cached_property
    def reactions(self) -> Mapping[type, Sequence[tuple[TriggerRule, Context]]]:
        """Return, per kind of event, the rules of all campaigns that react to it."""
        found: dict[type, list[tuple[TriggerRule, Context]]] = {}
        if self.policy is None:
            return found
        for campaign in self.policy.campaigns.values():
            rule = self.triggers[campaign.trigger]
            for kind in rule.reacts_to:
                context = Context(campaign, self.policy, self.local)
                found.setdefault(kind, []).append((rule, context))
        return found


class Artefacts(Protocol):
    """Resolves settings into what is in force."""

    def resolve(self, settings: Settings) -> InForce | None:
        """Return what is in force, or None while an artefact has not arrived yet.

        Raises Refused, with a sentence, when an artefact can never be used.
        """
        ...


# --- state --------------------------------------------------------------------------------------


class OutboxId(NamedTuple):
    """The position of the cause in the log: offset of the record, ordinal from 1."""

    offset: int
    ordinal: int

    def __str__(self) -> str:
        """Return it as it travels in the header ``x-pos``."""
        return f"{self.offset}.{self.ordinal}"


class Outgoing(NamedTuple):
    """A record that leaves through the outbox; ``topic`` without prefix."""

    id: OutboxId
    topic: str
    key: str
    value: bytes


@dataclass(slots=True)
class Head:
    """The state of one partition beside its users, as the last commit left it.

    ``offset`` next offset to fold; ``crc`` of the record before it; ``now`` of the last tick;
    ``positions`` highest seen per source and source partition; ``kept``: it is what a store was
    given, and not the beginning of a partition nobody committed yet.
    """

    offset: int = 0
    crc: int = 0
    now: int = 0
    positions: dict[str, Position] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    kept: bool = field(default=False, compare=False)


@dataclass(slots=True)
class Commit:
    """All one step changes, applied at once or not at all; consumes ``offset`` to ``head.offset``.

    ``wakes``: 0 takes the wake-up away; ``addresses``: None takes the key away; ``trim``: outbox
    entries at or below it, new ones included, are acknowledged and leave; ``begins``: it may be the
    first of its partition. Without it a store that holds no head has fallen back behind us.
    """

    offset: int
    head: Head
    profiles: dict[str, bytes] = field(default_factory=dict)
    addresses: dict[str, bytes | None] = field(default_factory=dict)
    wakes: dict[str, int] = field(default_factory=dict)
    outbox: list[Outgoing] = field(default_factory=list)
    trim: OutboxId | None = None
    begins: bool = True

    def check(self) -> None:
        """Raise ValueError for what no store could apply: a bug of the caller, never a doubt.

        It consumes at least one record; outbox ids increase and name records it consumes.
        """
        if self.head.offset <= self.offset:
            message = f"a commit from {self.offset} to {self.head.offset} consumes nothing"
            raise ValueError(message)
        before = OutboxId(self.offset, 0)
        for entry in self.outbox:
            if entry.id <= before or entry.id.offset >= self.head.offset:
                message = f"outbox id {entry.id} after {before}, consuming to {self.head.offset}"
                raise ValueError(message)
            before = entry.id


class Stored(NamedTuple):
    """A user as stored; None = no such key."""

    profile: bytes | None
    addresses: bytes | None


class Store(Protocol):
    """Keeps the state of partitions; one owner per partition writes, named by a random token.

    Every method raises Unavailable when the outcome is unknown; then only ``acquire`` tells.
    """

    async def acquire(
        self, partition: int, token: str, expected: str | None = None
    ) -> tuple[Head | None, list[Outgoing]]:
        """Write the token and return head and outbox, oldest first; head None = never used.

        With ``expected`` (after a doubt) only if that token still stands, or ``token`` itself does
        because an acquire with a lost reply came through; else raises Fenced.
        Raises Refused, and writes nothing, if a newer release wrote the state.
        """
        ...

    async def head(self, partition: int) -> Head | None:
        """Return the head without owning the partition; None = never committed. Raises Refused."""
        ...

    async def load(
        self, partition: int, users: Sequence[str], with_addresses: Collection[str]
    ) -> dict[str, Stored]:
        """Return what is stored of these users; addresses only of ``with_addresses``."""
        ...

    async def due(self, partition: int, now: int, limit: int) -> list[str]:
        """Return users whose wake-up is at or before ``now``, in (wake-up, user) order.

        ``limit`` 0 = all of them.
        """
        ...

    async def earliest(self, partition: int) -> int | None:
        """Return the earliest wake-up (ms), None if there is none."""
        ...

    async def commit(self, partition: int, token: str, commit: Commit) -> int | None:
        """Apply all of it, or raise Fenced (other token) or Stale (other offset) and apply none.

        Returns the earliest wake-up (ms) of the partition after it, None if there is none.
        Stale also when the outbox already holds an id at or above the first of this commit, or held
        one before it was trimmed. A partition never committed takes any offset.
        """
        ...


class HandOver(NamedTuple):
    """An action handed to a gateway and not answered yet."""

    action_id: str
    value: bytes


class Claims(Protocol):
    """Remembers which actions were handed over: the one thing the log cannot rebuild.

    Raises Unavailable when the outcome is unknown; an unknown claim counts as made.
    """

    async def claim(self, partition: int, channel: str, hand_over: HandOver, keep: int) -> bool:
        """Claim an action for ``keep`` ms and note it as begun, at once; False = claimed before."""
        ...

    async def answered(self, partition: int, channel: str, action_id: str) -> None:
        """Note that the gateway has answered; the claim itself stays."""
        ...

    async def begun(self, partition: int, channel: str) -> list[HandOver]:
        """Return what was begun and never answered, in order of action id."""
        ...

    async def claimed(self, partition: int, action_id: str) -> bool:
        """Return whether an action is claimed."""
        ...
