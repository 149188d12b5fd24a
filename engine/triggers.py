"""What a trigger rule says to the engine, and how arming and disarming change a profile.

Only the fold and the pipeline call :func:`arm` and :func:`end`; rules answer with values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from engine.changes import Change
from engine.events import Event, Line
from engine.policy import Campaign, Policy
from engine.profile import MAX_TRIGGERS, Profile, Trigger
from engine.times import HOUR

# An event more than this late updates history but never arms (offline queues of two days).
LATE: Final = 48 * HOUR


@dataclass(frozen=True, slots=True)
class Arm:
    """Arm this trigger, or move the armed one of the same identity to its new due time."""

    trigger: Trigger


@dataclass(frozen=True, slots=True)
class Disarm:
    """End the armed trigger of this identity, for a reason of the closed list."""

    campaign: str
    kind: str
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a trigger rule may know beside the profile; ``policy`` is the file in force."""

    campaign: Campaign
    policy: Policy
    local: "LocalTime"


class LocalTime(Protocol):
    """Wall clocks of the zones a person may be in; pure, from one pinned zone database."""

    def hour(self, zones: Sequence[str], fallback: str, at: int) -> int:
        """Return the local hour 0-23 at ``at`` (ms) in the first zone, else in ``fallback``."""
        ...

    def weekday(self, zones: Sequence[str], fallback: str, at: int) -> int:
        """Return the local weekday, Monday 0, in the first zone, else in ``fallback``."""
        ...

    def days_later(self, zones: Sequence[str], fallback: str, at: int, days: int) -> int:
        """Return the ms of the same wall-clock time ``days`` calendar days later."""
        ...


class TriggerRule(Protocol):
    """One kind of reason to speak. Pure; rules know nothing of each other."""

    kind: str
    reacts_to: tuple[type, ...]
    # Keyed by an order of which it speaks at most once, whatever the decision was.
    once_per_order: bool

    def react(
        self, profile: Profile, event: Event, change: Change, context: Context
    ) -> Sequence[Arm | Disarm]:
        """Answer one folded event: what to arm, what to end. The profile already holds it."""
        ...

    def holds(self, profile: Profile, trigger: Trigger) -> str | None:
        """Return None while the reason to speak stands, else the reason it does not."""
        ...

    def items(self, profile: Profile, trigger: Trigger) -> list[Line]:
        """Return the products the message would speak of."""
        ...


def may_arm(event: Event) -> bool:
    """Return whether this event is fresh enough to arm: not history, at most 48 h late."""
    return not event.history and event.received_at - event.occurred_at <= LATE


def arm(profile: Profile, new: Trigger) -> tuple[bool, Trigger | None]:
    """Put a trigger into the profile; returns (newly armed, one that had to give way).

    An armed one keeps its episode and attempts and takes the new times; after a deferral it is
    not looked at earlier than the deferral said.
    """
    old = profile.trigger(new.campaign, new.kind, new.key)
    if old is not None:
        old.armed_at, old.edited_at, old.told_at = new.armed_at, new.edited_at, new.told_at
        old.due_at = new.due_at
        old.wake_at = max(old.wake_at, new.due_at) if old.attempt else new.due_at
        wake(profile, old.wake_at)
        return False, None
    evicted = None
    if len(profile.triggers) >= MAX_TRIGGERS:
        evicted = min(profile.triggers, key=lambda trigger: (trigger.armed_at, trigger.identity))
        profile.triggers.remove(evicted)
    profile.triggers.append(new)
    wake(profile, new.wake_at)
    return True, evicted


def end(profile: Profile, campaign: str, kind: str, key: str) -> Trigger | None:
    """Take a trigger out of the profile and return it; None if it was not armed."""
    trigger = profile.trigger(campaign, kind, key)
    if trigger is not None:
        profile.triggers.remove(trigger)
    return trigger


def wake(profile: Profile, at: int) -> None:
    """Make the profile wake at ``at`` or earlier; only a tick makes it wake later."""
    if profile.wake == 0 or at < profile.wake:
        profile.wake = at
