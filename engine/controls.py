"""What is held back by hand or by a brake, by whom and why, and the one rule of how that changes.

Nothing but a person may let more through: whoever does not act as ``operator:<name>`` may pause and
lower, and never resume, raise or shorten.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import uuid5

from msgspec import Struct

from engine.draws import NAMESPACE
from engine.errors import Refused
from engine.events import Control

OPERATOR: Final = "operator:"
CHANNEL: Final = "channel:"
CAMPAIGN: Final = "campaign:"
# Less than a tenth of a channel tells nothing any more of whether it mends: then it is paused.
LOWEST: Final = 0.1

# Characters of a reason or a name: they are written with every commit, and told by decisions.
LONGEST: Final = 200


class Held(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is held back: ``share`` of ``target`` that may be sent, 0 = paused.

    ``by`` and ``reason`` are empty where nobody said; ``since`` and ``until`` ms (None = no end).
    """

    target: str
    share: float = 0.0
    by: str = ""
    reason: str = ""
    since: int = 0
    until: int | None = None

    def holds(self, now: int) -> bool:
        """Return whether it still holds at ``now`` (ms)."""
        return self.until is None or now < self.until


class Standing(NamedTuple):
    """What is held back at one moment, by target: pauses, and throttles of channels."""

    paused: Mapping[str, Held]
    throttled: Mapping[str, Held]

    def share(self, target: str) -> float:
        """Return the share of ``target`` that may be sent: 0 paused, 1 free."""
        if target in self.paused:
            return 0.0
        held = self.throttled.get(target)
        return 1.0 if held is None else held.share


# Nothing is paused and nothing throttled.
FREE: Final = Standing({}, {})


def standing(held: tuple[Held, ...], now: int) -> Standing:
    """Return what of ``held`` still holds at ``now`` (ms)."""
    paused: dict[str, Held] = {}
    throttled: dict[str, Held] = {}
    for one in held:
        if one.holds(now):
            (throttled if one.share > 0.0 else paused)[one.target] = one
    return Standing(paused, throttled)


# --- the rule -----------------------------------------------------------------------------------


def automatic(control: Control) -> bool:
    """Return whether no person acts; an actor nobody knows counts as none."""
    return not control.actor.startswith(OPERATOR)


def applied(held: tuple[Held, ...], control: Control) -> tuple[Held, ...]:
    """Return what is held back after ``control``; twice is the same as once.

    A pause and a throttle of one channel stand beside each other: ``resume`` lifts the pause, a
    throttle of 1 the throttle. A control that is not a person's and would let more through at any
    later moment changes nothing.
    """
    pauses = control.action != "throttle"
    old = next((one for one in held if _is(one, control.target, pauses=pauses)), None)
    new = _asked(control)
    if automatic(control):
        new = _tightened(old, new, control.at)
    if new == old:
        return held
    kept = [one for one in held if one is not old]
    return tuple(sorted([*kept, new] if new else kept, key=_place))


def _is(held: Held, target: str, *, pauses: bool) -> bool:
    return held.target == target and (held.share == 0.0) == pauses


def _place(held: Held) -> tuple[str, bool]:
    return held.target, held.share > 0.0


def _asked(control: Control) -> Held | None:
    """Return what a control asks to hold back; None = nothing any more."""
    share = 0.0
    if control.action == "throttle":
        share = 1.0 if control.after is None else max(control.after, LOWEST)
    if control.action == "resume" or share >= 1.0:
        return None
    return Held(
        target=control.target,
        share=share,
        by=control.actor,
        reason=control.reason,
        since=control.at,
        until=control.expires_at,
    )


def _tightened(old: Held | None, new: Held | None, at: int) -> Held | None:
    """Return ``new`` where it lets less through than ``old`` and never more, else ``old``."""
    if old is None or not old.holds(at):
        return old if new is None else new
    if new is None or new.share > old.share:
        return old
    longer = _longer(old.until, new.until)
    if new.share == old.share and longer == old.until:
        return old
    return Held(
        target=new.target,
        share=new.share,
        by=new.by,
        reason=new.reason,
        since=new.since,
        until=longer,
    )


def _longer(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


# --- making one ---------------------------------------------------------------------------------


def operator(name: str) -> str:
    """Return the actor that a person of this name is."""
    return OPERATOR + name


def pause(
    target: str,
    *,
    actor: str,
    at: int,
    reason: str = "",
    evidence: dict[str, float | str] | None = None,
    expires_at: int | None = None,
) -> Control:
    """Return the control that stops ``channel:sms`` or ``campaign:cart`` from ``at`` on (ms)."""
    return Control(
        id=_id(actor, "pause", target, at),
        at=at,
        actor=actor,
        action="pause",
        target=target,
        reason=reason,
        after=0.0,
        evidence=evidence or {},
        expires_at=expires_at,
    )


def resume(target: str, *, actor: str, at: int, reason: str = "") -> Control:
    """Return the control that lifts a pause; a throttle stays as it is."""
    return Control(
        id=_id(actor, "resume", target, at),
        at=at,
        actor=actor,
        action="resume",
        target=target,
        reason=reason,
    )


def throttle(
    target: str,
    share: float,
    *,
    actor: str,
    at: int,
    reason: str = "",
    evidence: dict[str, float | str] | None = None,
    expires_at: int | None = None,
) -> Control:
    """Return the control that lets ``share`` of a channel's messages through; 1 lifts a throttle.

    Its ``after`` is the share that is asked for.
    """
    return Control(
        id=_id(actor, "throttle", target, at),
        at=at,
        actor=actor,
        action="throttle",
        target=target,
        reason=reason,
        after=share,
        evidence=evidence or {},
        expires_at=expires_at,
    )


def _id(actor: str, action: str, target: str, at: int) -> str:
    return str(uuid5(NAMESPACE, f"control|{actor}|{action}|{target}|{at}"))


def check(control: Control) -> None:
    """Raise Refused, one sentence, for what makes no sense or is a person's alone to do."""
    kind, _, name = control.target.partition(":")
    if f"{kind}:" not in (CHANNEL, CAMPAIGN) or not name:
        message = f"{control.target!r} names nothing: write channel:sms or campaign:cart."
        raise Refused(message)
    if control.action == "throttle":
        _check_share(control, kind)
    if automatic(control) and _asked(control) is None:
        message = f"{control.actor!r} may not let more through: write operator:<name>, a person."
        raise Refused(message)
    if len(control.reason) > LONGEST or len(control.actor) > LONGEST:
        message = f"Reason and name may have {LONGEST} characters each: write them shorter."
        raise Refused(message)
    if control.expires_at is not None and control.expires_at <= control.at:
        message = "A control that ends before it begins does nothing: let it end later."
        raise Refused(message)


def _check_share(control: Control, kind: str) -> None:
    if f"{kind}:" != CHANNEL:
        message = f"{control.target} is no channel, and only a channel can be throttled: pause it."
        raise Refused(message)
    share = control.after
    if share is None or not LOWEST <= share <= 1.0:
        message = f"A throttle lets {LOWEST:g} to 1 through, not {share}: to stop it all, pause."
        raise Refused(message)


__all__ = [
    "CAMPAIGN",
    "CHANNEL",
    "FREE",
    "LONGEST",
    "LOWEST",
    "OPERATOR",
    "Held",
    "Standing",
    "applied",
    "automatic",
    "check",
    "operator",
    "pause",
    "resume",
    "standing",
    "throttle",
]
