"""Decides about the due triggers of one user: guards, score, worth, choice, and its record.

Pure: a decision is a function of profile, trigger, what is in force and the tick's time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from engine import draws
from engine.actions import (
    MAX_BYTES,
    Action,
    CampaignRef,
    ConsentRef,
    Delivery,
    Quiet,
    Recipient,
    TriggerRef,
)
from engine.actions import encode as encode_action
from engine.controls import Held
from engine.draws import fingerprint
from engine.policy import Campaign, Policy, QuietHours
from engine.ports import (
    CapState,
    Case,
    Guard,
    InForce,
    ModelRef,
    Objection,
    Score,
    TemplateFailed,
)
from engine.profile import Addresses, Profile, Trigger
from engine.sends import fatigue
from engine.times import iso

VERSION: Final = 1
STEP: Final = 1
Result = Literal["send", "defer", "suppress", "disarm"]

# Orders of her own that weigh as much as the model's mean order in her expected basket.
_SHRINK: Final = 3.0
_MICRO: Final = 6  # digits to which p0 and worth are rounded before they are compared or logged
# A score at the very edge would make odds infinite.
_EDGE: Final = 1e-6


class ChannelView(Struct, frozen=True, kw_only=True):
    """How one channel stood in a decision; figures are None where a guard objected first.

    ``lift`` is the odds ratio that was used: measured, or assumed by the campaign.
    """

    objection: str | None = None
    p0: float | None = None
    lift: float | None = None
    uplift: float | None = None
    worth: float | None = None
    propensity: float = 0.0


class DecisionTrigger(Struct, frozen=True, kw_only=True):
    """The trigger a decision is about; times in ISO 8601."""

    kind: str
    key: str
    episode: str
    armed_at: str
    due_at: str


class HeldBack(Struct, frozen=True, kw_only=True):
    """Who paused or throttled what a decision was silenced by; ``share`` of it that was sent."""

    target: str
    share: float
    by: str
    reason: str
    since: str
    until: str | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """One record of ``decisions``; ``at`` is the tick's now, or the event's arrival.

    ``held``: only where a pause or a throttle that says by whom it is was the reason.
    """

    v: int = VERSION
    decision_id: str
    pos: str
    at: str
    user_id: str
    campaign: str
    campaign_version: int | None
    trigger: DecisionTrigger
    attempt: int
    outcome: Result
    reason: str
    until: str | None = None
    channel: str | None = None
    currency: str = ""
    channels: dict[str, ChannelView] = {}
    none_propensity: float = 1.0
    draw: float | None = None
    explored: bool = False
    withheld: bool = False
    tester: bool = False
    features: Mapping[str, float | None] = {}
    schema_hash: str = ""
    model: ModelRef | None = None
    settings_hash: str = ""
    caps: list[CapState] = []
    basket: float | None = None
    action_id: str | None = None
    held: HeldBack | UnsetType = UNSET


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Decision).decode


def encode(decision: Decision) -> bytes:
    """Write a decision as JSON; equal decisions give equal bytes."""
    return _encode(decision)


def decode(value: bytes) -> Decision:
    """Read a decision; unknown fields are ignored."""
    return _decode(value)


# --- weighing -----------------------------------------------------------------------------------


class Weighed(NamedTuple):
    """A case with the objection, lift, uplift and worth of each channel of its campaign."""

    case: Case
    objections: dict[str, tuple[int, Objection]]
    score: Score | None
    lift: dict[str, float]
    uplift: dict[str, float]
    worth: dict[str, float]
    basket: float | None

    @property
    def eligible(self) -> bool:
        """Return whether at least one channel may speak."""
        return bool(self.worth)

    @property
    def leading(self) -> str | None:
        """Return the channel of largest worth, ties to the cheaper; None = none may speak."""
        channels, found, best = self.case.policy.channels, None, (0.0, 0.0)
        for name, worth in self.worth.items():
            rank = -worth, channels[name].cost
            if found is None or rank < best:
                found, best = name, rank
        return found

    @property
    def best(self) -> str | None:
        """Return the channel of largest worth if that is above 0; None = silence is best."""
        leading = self.leading
        return leading if leading is not None and self.worth[leading] > 0 else None

    @property
    def spoken(self) -> Objection:
        """Return the objection that speaks: of the channel that came furthest in guard order."""
        return max(self.objections.values(), key=lambda found: found[0])[1]


def weigh(case: Case, force: InForce) -> Weighed:
    """Ask every guard for every channel; score and price what is left."""
    objections: dict[str, tuple[int, Objection]] = {}
    eligible = []
    asked = force.guards_of(tester=case.tester, handover=False)
    for channel in case.campaign.channels:
        objection = _first(case, channel, asked)
        if objection is None:
            eligible.append(channel)
        else:
            objections[channel] = objection
    if not eligible:
        return Weighed(case, objections, None, {}, {}, {}, None)
    score = force.scorer.score(case)
    basket = expected_basket(case, score)
    tired = 1.0 + fatigue(case.profile, case.now)
    p0 = round(score.p0, _MICRO)  # what is logged must reproduce what was compared
    lifts = {name: score.lifts.get(name, case.campaign.lift.get(name, 1.0)) for name in eligible}
    uplifts = {name: uplift(p0, lift) for name, lift in lifts.items()}
    worths = {
        name: worth(uplifts[name], case.campaign, basket, case.policy, name, tired)
        for name in eligible
    }
    return Weighed(case, objections, score, lifts, uplifts, worths, basket)


def object_to(
    case: Case, channel: str, force: InForce, *, handover: bool = False
) -> tuple[int, Objection] | None:
    """Return the first objection in guard order, with its place in that order."""
    return _first(case, channel, force.guards_of(tester=case.tester, handover=handover))


def _first(
    case: Case, channel: str, asked: Sequence[tuple[int, Guard]]
) -> tuple[int, Objection] | None:
    for place, guard in asked:
        objection = guard(case, channel)
        if objection is not None:
            return place, objection
    return None


def uplift(p0: float, odds_ratio: float) -> float:
    """Return sigma(logit p0 + ln odds_ratio) - p0, without logarithms: odds multiply."""
    p0 = min(max(p0, _EDGE), 1.0 - _EDGE)
    return round(p0 * odds_ratio / (1.0 - p0 + p0 * odds_ratio) - p0, _MICRO)


def worth(
    gain: float, campaign: Campaign, basket: float, policy: Policy, channel: str, tired: float
) -> float:
    """Return uplift x margin x basket - cost - patience x (1 + F), in the shop's currency."""
    price = policy.channels[channel]
    value = gain * campaign.margin * basket - price.cost - price.patience * tired
    return round(value, _MICRO) + 0.0


def expected_basket(case: Case, score: Score) -> float:
    """Return the order value at stake: open cart, else own mean order shrunken, else assumed."""
    cart = case.profile.cart(case.trigger.key)
    value = cart.value(case.policy.currency) if cart is not None else None
    if value is not None:
        return value
    prior = score.mean_order or case.policy.basket
    seen = case.profile.orders_seen
    return (case.profile.orders_value + _SHRINK * prior) / (seen + _SHRINK) if seen else prior


# --- choosing -----------------------------------------------------------------------------------


class Choice(NamedTuple):
    """What was chosen and with which probability each alternative would have been."""

    channel: str | None
    propensities: dict[str | None, float]
    draw: float | None
    explored: bool


def choose(weighed: Weighed, decision_id: str) -> Choice:
    """Take the best, or with the exploration share one of {none, best, exploring channels}.

    pi(a) = share/|A| + (1 - share)[a = best]; the draw is a keyed hash of the decision's id.
    """
    policy, best = weighed.case.policy, weighed.best
    share = 0.0 if weighed.case.tester else policy.exploration.share
    open_to = [
        channel
        for channel in weighed.case.campaign.channels
        if channel == best or (channel in policy.exploration.channels and channel in weighed.worth)
    ]
    actions: list[str | None] = [None, *open_to]
    # Rounded, so that the record reads 0.95 and not 0.9500000000000001.
    chances = {a: round(share / len(actions) + (1.0 - share) * (a == best), 12) for a in actions}
    lot = draws.draw(policy.app, policy.holdout.epoch, "explore", decision_id)
    chosen, below = actions[-1], 0.0
    for action in actions:
        below += chances[action]
        if lot < below:
            chosen = action
            break
    if chances[chosen] == 0.0:  # rounding left a gap at the top of [0, 1)
        chosen = best
    return Choice(chosen, chances, lot, explored=chosen != best)


def in_holdout(policy: Policy, user_id: str) -> bool:
    """Return whether the user is withheld: the same answer in every campaign and on any day."""
    if user_id in policy.testers:
        return False
    lot = draws.draw(policy.app, policy.holdout.epoch, "holdout", user_id)
    return lot < policy.holdout.share


# --- recording ----------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What is decided about one candidate, before its record is written."""

    outcome: Result
    reason: str
    until: int | None = None
    channel: str | None = None
    choice: Choice | None = None
    withheld: str = ""
    action: Action | None = None
    encoded: bytes = b""
    held: Held | None = None


def judge(weighed: Weighed, addresses: Addresses, force: InForce, *, outranked: bool) -> Verdict:
    """Decide about one weighed case. ``outranked``: it could have spoken before another did."""
    if not weighed.eligible:
        return _silenced(weighed, outranked=outranked)
    case = weighed.case
    choice = choose(weighed, ids(case)[1])
    if choice.channel is None:
        reason = "explored_none" if choice.explored else "not_worth_it"
        return Verdict("suppress", reason, choice=choice)
    try:
        action, encoded = an_action(case, choice.channel, addresses, force)
    except TemplateFailed:
        return Verdict("suppress", "template_failed", channel=choice.channel, choice=choice)
    if in_holdout(case.policy, case.user_id):
        return _withheld("holdout", choice)
    if case.dry_run:
        return _withheld("dry_run", choice)
    return Verdict(
        "send", "sent", channel=choice.channel, choice=choice, action=action, encoded=encoded
    )


def _withheld(why: str, choice: Choice) -> Verdict:
    return Verdict(
        "suppress", f"would_send_{why}", channel=choice.channel, choice=choice, withheld=why
    )


def _silenced(weighed: Weighed, *, outranked: bool) -> Verdict:
    objection = weighed.spoken
    reason = "outranked" if outranked else objection.reason
    until, trigger = objection.until, weighed.case.trigger
    in_time = until is not None and until <= trigger.due_at + weighed.case.campaign.stale_after
    if in_time:
        return Verdict("defer", reason, until)
    return Verdict("suppress", reason, held=None if outranked else objection.held)


def ids(case: Case) -> tuple[str, str]:
    """Return (action id, decision id) of a case."""
    action = action_id(case.policy.app, case.user_id, case.trigger)
    return action, draws.decision_id(action, case.trigger.attempt)


def action_id(app: str, user_id: str, trigger: Trigger) -> str:
    """Return the id of what this episode would say."""
    return draws.action_id(
        app, user_id, trigger.campaign, STEP, trigger.kind, trigger.key, trigger.episode
    )


def record(
    weighed: Weighed, verdict: Verdict, force: InForce, pos: str, caps: list[CapState]
) -> Decision:
    """Write down what was decided, with everything it rested on."""
    case, score, choice = weighed.case, weighed.score, verdict.choice
    spoken: dict[str | None, float] = choice.propensities if choice else {None: 1.0}
    action, decision = ids(case)
    return Decision(
        decision_id=decision,
        pos=pos,
        at=iso(case.now),
        user_id=case.user_id,
        campaign=case.trigger.campaign,
        campaign_version=case.campaign.version,
        trigger=_told(case.trigger),
        attempt=case.trigger.attempt,
        outcome=verdict.outcome,
        reason=verdict.reason,
        settings_hash=force.settings_hash,
        until=None if verdict.until is None else iso(verdict.until),
        channel=verdict.channel,
        currency=case.policy.currency,
        channels=_views(weighed, spoken),
        none_propensity=spoken.get(None, 0.0),
        draw=choice.draw if choice else None,
        explored=choice.explored if choice else False,
        withheld=bool(verdict.withheld),
        tester=case.tester,
        features=score.features if score else {},
        schema_hash=score.schema_hash if score else "",
        model=score.model if score else None,
        caps=caps,
        basket=None if weighed.basket is None else round(weighed.basket, _MICRO),
        action_id=action if verdict.outcome == "send" or verdict.withheld else None,
        held=_held_back(verdict.held),
    )


def _held_back(held: Held | None) -> HeldBack | UnsetType:
    if held is None or not held.by:
        return UNSET
    return HeldBack(
        target=held.target,
        share=held.share,
        by=held.by,
        reason=held.reason,
        since=iso(held.since),
        until=None if held.until is None else iso(held.until),
    )


def _views(weighed: Weighed, propensities: dict[str | None, float]) -> dict[str, ChannelView]:
    views = {}
    for channel in weighed.case.campaign.channels:
        if channel in weighed.objections:
            objection = weighed.objections[channel][1].reason
            views[channel] = ChannelView(objection=objection)
        else:
            views[channel] = ChannelView(
                p0=round(weighed.score.p0, _MICRO) if weighed.score else None,
                lift=weighed.lift[channel],
                uplift=weighed.uplift[channel],
                worth=weighed.worth[channel],
                propensity=propensities.get(channel, 0.0),
            )
    return views


def closing(
    user_id: str,
    trigger: Trigger,
    at: int,
    force: InForce,
    pos: str,
    *,
    outcome: Result = "disarm",
    reason: str,
) -> Decision:
    """Return the record that ends a trigger without weighing it."""
    policy = force.policy
    campaign = policy.campaigns.get(trigger.campaign) if policy else None
    app = policy.app if policy else ""
    return Decision(
        decision_id=draws.decision_id(action_id(app, user_id, trigger), trigger.attempt),
        pos=pos,
        at=iso(at),
        user_id=user_id,
        campaign=trigger.campaign,
        campaign_version=campaign.version if campaign else None,
        trigger=_told(trigger),
        attempt=trigger.attempt,
        outcome=outcome,
        reason=reason,
        currency=policy.currency if policy else "",
        settings_hash=force.settings_hash,
    )


def _told(trigger: Trigger) -> DecisionTrigger:
    return DecisionTrigger(
        kind=trigger.kind,
        key=trigger.key,
        episode=trigger.episode,
        armed_at=iso(trigger.armed_at),
        due_at=iso(trigger.due_at),
    )


# --- the action ---------------------------------------------------------------------------------


def an_action(
    case: Case, channel: str, addresses: Addresses, force: InForce
) -> tuple[Action, bytes]:
    """Return what the channel is to carry, also as bytes; raises TemplateFailed."""
    items = force.triggers[case.trigger.kind].items(case.profile, case.trigger)
    content = force.renderer.render(case, channel, items)
    address, _ = addresses.by_channel.get(channel, ("", 0))
    action, decision = ids(case)
    policy, trigger, profile = case.policy, case.trigger, case.profile
    consent = profile.consent("marketing", channel)
    zone = profile.zones[0] if profile.zones else policy.timezone
    built = Action(
        action_id=action,
        channel=channel,
        user_id=case.user_id,
        campaign=CampaignRef(id=case.campaign.id, version=case.campaign.version, step=STEP),
        trigger=TriggerRef(
            kind=trigger.kind,
            key=trigger.key,
            episode=trigger.episode,
            armed_at=iso(trigger.armed_at),
            due_at=iso(trigger.due_at),
        ),
        decision_id=decision,
        to=Recipient(
            address=address,
            address_hash=fingerprint(address).hex(),
            locale=profile.locale,
            timezone=zone,
        ),
        content=content,
        delivery=Delivery(
            created_at=iso(case.now),
            expires_at=iso(case.now + policy.channels[channel].deliver_within),
            collapse_key=f"{case.campaign.id}:{trigger.key}",
            quiet=_quiet(policy.quiet_hours, zone),
        ),
        consent=ConsentRef(basis="opt_in", source=consent.basis if consent else ""),
    )
    encoded = encode_action(built)
    if len(encoded) > MAX_BYTES:
        message = f"the action is larger than {MAX_BYTES} bytes"
        raise TemplateFailed(message)
    return built, encoded


@lru_cache(maxsize=1024)
def _quiet(hours: QuietHours, zone: str) -> Quiet:
    start, end = hours.start, hours.end
    return Quiet(
        tz=zone, start=f"{start // 60:02d}:{start % 60:02d}", end=f"{end // 60:02d}:{end % 60:02d}"
    )


def a_case(
    user_id: str,
    profile: Profile,
    trigger: Trigger,
    campaign: Campaign,
    force: InForce,
    now: int,
) -> Case:
    """Build the question for one trigger under what is in force."""
    policy = force.policy
    assert policy is not None
    dry_run = policy.mode == "dry_run" or campaign.status == "dry_run"
    standing = force.settings.standing(now)
    return Case(user_id, profile, trigger, campaign, policy, now, dry_run, standing)


def judge_again(case: Case, channel: str, force: InForce) -> Objection | None:
    """Judge an action once more before hand-over, by the same guards but the caps."""
    found = object_to(replace(case, handing_over=True), channel, force, handover=True)
    return found[1] if found else None


__all__ = [
    "Choice",
    "Decision",
    "HeldBack",
    "Verdict",
    "Weighed",
    "a_case",
    "an_action",
    "choose",
    "closing",
    "decode",
    "encode",
    "in_holdout",
    "judge",
    "judge_again",
    "record",
    "weigh",
]
