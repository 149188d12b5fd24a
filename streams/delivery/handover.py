"""The hand-over of one action: judged once more, called, reported. The agent claims in between.

Order of the agent: :meth:`HandOvers.judge`, claim, commit the consumer's offset,
:meth:`HandOvers.call`, write the feedback, note the answer. So whatever crashes, a message of a
gateway without idempotency keys is never sent twice, and what is in doubt is reported ``unknown``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol

import msgspec

from engine.actions import Action
from engine.actions import decode as decode_action
from engine.controls import Standing
from engine.decisions import a_case, judge_again
from engine.draws import fingerprint
from engine.errors import InvalidEvent, Unavailable
from engine.ports import Artefacts, HandOver, Head, InForce, Store
from engine.profile import Addresses, Profile, Trigger, decode_addresses
from engine.profile import decode as decode_profile
from engine.times import HOUR, from_iso
from rules.triggers import OFFERING
from streams.delivery.clocks import Clock
from streams.delivery.feedback import Feedback, about
from streams.delivery.gateways import Accepted, Answer, Failed, Gateway, Rejected, Unknown

_log = logging.getLogger(__name__)

# A claim outlives its action by so much: clocks differ, and a consumer may lag behind.
_SPARE: Final = HOUR
# Seconds between two tries of one action.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """A record of ``actions.*``: ``value`` as read, ``cause`` the offset in ``events`` behind it.

    ``cause`` None = not known (the action was found among those begun).
    """

    partition: int
    action: Action
    value: bytes
    created_at: int
    expires_at: int
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class Proceed:
    """Nothing objects at ``at`` (ms): claim it for ``keep`` ms, then call."""

    record: ActionRecord
    at: int
    keep: int

    @property
    def hand_over(self) -> HandOver:
        """Return what is claimed."""
        return HandOver(self.record.action.action_id, self.record.value)


@dataclass(frozen=True, slots=True)
class Refusal:
    """It must not be handed over (any more); ``feedback`` says so and gives the charge back."""

    at: int
    feedback: Feedback


def read(partition: int, value: bytes, cause: int | None = None) -> ActionRecord:
    """Read a record of ``actions.*``; raises InvalidEvent for one that is no action."""
    try:
        action = decode_action(value)
        created = from_iso(action.delivery.created_at)
        expires = from_iso(action.delivery.expires_at)
        from_iso(action.trigger.armed_at)
        from_iso(action.trigger.due_at)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidEvent("bad_action", f"this is no action: {error}") from error
    return ActionRecord(partition, action, value, created, expires, cause)


class Switch(Protocol):
    """What is paused besides the log; see :class:`streams.delivery.kill.KillSwitch`."""

    async def standing(self, now: int) -> Standing:
        """Return what is paused at ``now`` (ms); raises Unavailable."""
        ...


class SoldOut(Protocol):
    """What of the shop is sold out; see :class:`streams.products.sold_out.SoldOut`."""

    async def all_of(self, product_ids: Collection[str]) -> bool:
        """Return whether all of some products are known to be; raises Unavailable."""
        ...


class NothingSoldOut:
    """Nobody tells what is left, so nothing is known to be sold out."""

    async def all_of(self, product_ids: Collection[str]) -> bool:  # noqa: ARG002 - port
        """Return False."""
        return False


NOTHING_SOLD_OUT: Final = NothingSoldOut()


@dataclass(frozen=True, slots=True)
class HandOvers:
    """Judges and calls with what is in force and stored at that moment; keeps nothing itself."""

    store: Store
    artefacts: Artefacts
    clock: Clock
    switch: Switch
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    # told how long each call of a channel's gateway took, whatever came of it (s)
    called: Callable[[str, float], None] = lambda _channel, _seconds: None
    sold_out: SoldOut = NOTHING_SOLD_OUT

    async def judge(self, record: ActionRecord) -> Proceed | Refusal:
        """Ask once more whether this may be said to this person now.

        Raises Unavailable while the state is away, behind the decision, or lacks an artefact.
        """
        action = record.action
        now = await self.clock.now(record.partition)
        if now > record.expires_at:
            return Refusal(now, about(action, "expired", now, reason="expired"))
        reason = stopped(action, await self.switch.standing(now))
        reason = reason or await self._objection(record, now)
        # Last: that she bought it, or said no, is the better reason.
        reason = reason or await self._gone(action)
        if reason is not None:
            return Refusal(now, about(action, "cancelled", now, reason=reason))
        keep = record.expires_at - record.created_at + _SPARE
        return Proceed(record, now, keep)

    async def call(self, gateway: Gateway, proceed: Proceed) -> Feedback:
        """Hand over what was claimed, and return what came of it.

        An absent gateway is waited for as long as the action lives, and before each further try
        all is judged again. ``max_attempts`` counts answers that it failed.
        """
        return await self._call(gateway, proceed, in_doubt=False)

    async def settle(self, gateway: Gateway, partition: int, begun: HandOver) -> Feedback:
        """Finish what was begun before a crash: ask again where that is safe, else ``unknown``.

        Raises Unavailable while it cannot be judged.
        """
        record = read(partition, begun.value)
        if not gateway.idempotent:
            now = await self.clock.now(partition)
            return _unknown(record.action, gateway, now, "interrupted")
        judged = await self.judge(record)
        if isinstance(judged, Refusal):
            return _unknown(record.action, gateway, judged.at, judged.feedback.reason)
        return await self._call(gateway, judged, in_doubt=True)

    # --- calling --------------------------------------------------------------------------------

    async def _call(self, gateway: Gateway, proceed: Proceed, *, in_doubt: bool) -> Feedback:
        """Try until there is an answer; ``in_doubt``: an earlier try may have come through."""
        action, failures, pause = proceed.record.action, 0, _FIRST_PAUSE
        while True:
            try:
                answer = await self._sent(gateway, proceed)
            except Unavailable as away:
                _log.warning("%s: %s", action.channel, away)
            except Unknown as lost:
                _log.warning("%s: %s", action.channel, lost)
                in_doubt = True
                if not gateway.idempotent:
                    return _unknown(action, gateway, proceed.at, "no_answer")
            else:
                failures += isinstance(answer, Failed)
                if not isinstance(answer, Failed) or failures >= action.delivery.max_attempts:
                    return _answered(action, gateway, proceed.at, answer)
            await self.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            judged = await self._judge_patiently(proceed.record)
            if isinstance(judged, Refusal):
                return _given_up(judged, action, gateway, in_doubt=in_doubt)
            proceed = judged

    async def _sent(self, gateway: Gateway, proceed: Proceed) -> Answer:
        started = perf_counter()
        try:
            return await gateway.send(proceed.record.action, proceed.at)
        finally:
            self.called(proceed.record.action.channel, perf_counter() - started)

    async def _judge_patiently(self, record: ActionRecord) -> Proceed | Refusal:
        """Judge a claimed action: leaving it while Redis is away would make it ``unknown``."""
        while True:
            try:
                return await self.judge(record)
            except Unavailable as away:
                _log.warning("a hand-over waits to be judged again: %s", away)
                await self.sleep(_LONGEST_PAUSE)

    # --- judging --------------------------------------------------------------------------------

    async def _objection(self, record: ActionRecord, now: int) -> str | None:
        """Return the reason why it must not be said, from the closed list."""
        partition, user = record.partition, record.action.user_id
        head = await self._head(record)
        force = self.artefacts.resolve(head.settings)
        if force is None:
            raise Unavailable("Kafka has not brought an artefact yet that the settings name")
        stored = (await self.store.load(partition, [user], [user]))[user]
        profile = Profile() if stored.profile is None else decode_profile(stored.profile)
        told = Addresses() if stored.addresses is None else decode_addresses(stored.addresses)
        return objection(record.action, profile, told, force, now)

    async def _gone(self, action: Action) -> str | None:
        """Return ``out_of_stock`` where all that a message offers is known to be sold out.

        The message would lead to a page without a button. It is asked here and not when it is
        decided: what a shop tells of its products is not in the log, and a replay knows nothing
        of it. The refusal is, and gives the charge back.
        """
        if action.trigger.kind not in OFFERING:
            return None
        offered = [item.product_id for item in action.content.items]
        return "out_of_stock" if await self.sold_out.all_of(offered) else None

    async def _head(self, record: ActionRecord) -> Head:
        """Return the head; raises Unavailable while the state stands before the decision.

        After a fall-back of Redis it does for a moment, and then knows nothing of a purchase that
        followed.
        """
        head = await self.store.head(record.partition)
        if head is None or (record.cause is not None and head.offset <= record.cause):
            message = f"the state of partition {record.partition} stands before this decision"
            raise Unavailable(message)
        return head


def stopped(action: Action, standing: Standing) -> str | None:
    """Return why this must not be said whoever she is: its campaign or its channel is paused."""
    if f"campaign:{action.campaign.id}" in standing.paused:
        return "campaign_paused"
    return "channel_paused" if f"channel:{action.channel}" in standing.paused else None


def objection(
    action: Action, profile: Profile, addresses: Addresses, force: InForce, now: int
) -> str | None:
    """Return why this must not be said to her at ``now`` (ms), by the same rules as the decision.

    Not by the caps: they hold the action's own charge. Her address must be the one it names.
    """
    if profile.erased_at:
        return "erased"
    policy, channel = force.policy, action.channel
    campaign = policy.campaigns.get(action.campaign.id) if policy is not None else None
    rule = force.triggers.get(action.trigger.kind)
    if campaign is None or rule is None:
        return "campaign_removed"
    if channel not in campaign.channels:
        return "channel_paused"
    trigger = _trigger(action)
    case = a_case(action.user_id, profile, trigger, campaign, force, now)
    ended = rule.holds(profile, trigger)
    if ended is not None:
        return ended
    if case.dry_run:
        return "would_send_dry_run"
    objected = judge_again(case, channel, force)
    if objected is not None:
        return objected.reason
    address, _ = addresses.by_channel.get(channel, ("", 0))
    same = bool(address) and fingerprint(address).hex() == action.to.address_hash
    return None if same else "unreachable"


def _trigger(action: Action) -> Trigger:
    """Return the trigger as it was when it was decided: it left the profile with the decision."""
    said = action.trigger
    armed, due = from_iso(said.armed_at), from_iso(said.due_at)
    return Trigger(
        campaign=action.campaign.id,
        kind=said.kind,
        key=said.key,
        episode=said.episode,
        armed_at=armed,
        edited_at=armed,
        told_at=armed,
        due_at=due,
        wake_at=due,
    )


def _answered(
    action: Action, gateway: Gateway, now: int, answer: Accepted | Rejected | Failed
) -> Feedback:
    match answer:
        case Accepted(code):
            return about(action, "accepted", now, provider=gateway.name, code=code)
        case Rejected(reason, permanent, code):
            return about(
                action,
                "rejected",
                now,
                provider=gateway.name,
                reason=reason,
                code=code,
                permanent=permanent,
            )
        case Failed(reason, code):
            return about(action, "failed", now, provider=gateway.name, reason=reason, code=code)


def _given_up(refusal: Refusal, action: Action, gateway: Gateway, *, in_doubt: bool) -> Feedback:
    """Return the refusal; where a try may have come through only ``unknown`` is true."""
    if in_doubt:
        return _unknown(action, gateway, refusal.at, refusal.feedback.reason)
    return refusal.feedback


def _unknown(action: Action, gateway: Gateway, now: int, reason: str) -> Feedback:
    """Return the report that keeps the charge: she may have got it."""
    return about(action, "unknown", now, provider=gateway.name, reason=reason)


__all__ = [
    "NOTHING_SOLD_OUT",
    "ActionRecord",
    "HandOvers",
    "NothingSoldOut",
    "Proceed",
    "Refusal",
    "SoldOut",
    "Switch",
    "objection",
    "read",
    "stopped",
]
