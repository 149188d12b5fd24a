"""One campaign of a campaigns file in plain English: what arms it, judges it, prices it, ends it.

Every number comes from the file; the order of judging is the one in which the guards are asked.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from engine.decisions import uplift, worth
from engine.errors import Refused
from engine.policy import Campaign, Cap, Policy
from engine.profile import FATIGUE_HALF_LIFE
from engine.times import DAY, HOUR, MINUTE, SECOND
from rules.guards import (
    GUARDS,
    caps,
    consent,
    cooldown,
    dates,
    pause,
    personalisation,
    quiet_hours,
    reachability,
    staleness,
    suppression,
    throttle,
)
from rules.triggers import TRIGGERS
from rules.triggers.post_purchase import PostPurchase
from rules.zones import wall

# The part whose sentences stand in an order that matters.
IN_ORDER: Final = "Who may object, in this order; the first objection counts"

_TIMES: Final = "\N{MULTIPLICATION SIGN}"
_MINUS: Final = "\N{MINUS SIGN}"


class Priced(Struct, frozen=True, kw_only=True):
    """One channel at the campaign's prior; ``tired``: its worth just after another message."""

    channel: str
    p0: float
    lift: float
    uplift: float
    value: float
    cost: float
    patience: float
    worth: float
    tired: float


class Explanation(Struct, frozen=True, kw_only=True):
    """A campaign in words: ``parts`` by question; ``example`` in the campaign's channel order."""

    campaign: str
    version: int
    file: str
    parts: dict[str, list[str]]
    example: list[Priced]


def explained(policy: Policy, campaign_id: str, file: str) -> Explanation:
    """Explain one campaign; ``file`` is what its reader calls it. Raises Refused for another id."""
    campaign = policy.campaigns.get(campaign_id)
    if campaign is None:
        known = ", ".join(policy.campaigns)
        message = f"There is no campaign {campaign_id!r} in {file}: it has {known}."
        raise Refused(message)
    example = [_priced(policy, campaign, name) for name in campaign.channels]
    return Explanation(
        campaign=campaign.id,
        version=campaign.version,
        file=file,
        parts={
            "What arms it, and when it is due": list(_arming(policy, campaign)),
            "What ends it before that": list(_ending(campaign)),
            IN_ORDER: list(_guards(policy, campaign)),
            "What a message is worth": list(_worth(policy, campaign, example)),
            "What chance does": list(_chance(policy)),
            "At night, and when a cap is full": list(_waiting(policy, campaign)),
            "When it gives up": list(_giving_up(policy, campaign)),
        },
        example=example,
    )


def status(policy: Policy, campaign: Campaign) -> str:
    """Return in one sentence whether it speaks at all."""
    if campaign.status == "paused":
        return "It is paused: what becomes due is silenced, and nothing is kept for later."
    if policy.mode == "dry_run":
        return 'The file says mode = "dry_run": it decides and records, and sends nothing.'
    if campaign.status == "dry_run":
        return 'It has status = "dry_run": it decides and records, and sends nothing.'
    return "It is live."


# --- arming and ending ---------------------------------------------------------------------------


def _arming(policy: Policy, campaign: Campaign) -> Iterator[str]:
    rule = TRIGGERS[campaign.trigger]
    if isinstance(rule, PostPurchase):
        yield (
            f"Her newest order that still stands arms it. It is due {rule.days} calendar days "
            "later at the same time of her own clock, counted from the delivery instead when that "
            "is told before the message is due."
        )
        yield "It speaks once per order. A newer order takes the older one's place."
    else:
        yield (
            "Something in a cart arms it: put in, seen there, or taken to the checkout. It is due "
            f"{spoken(campaign.delay)} after her last change of that cart; changes start the delay "
            f"anew, but never beyond {spoken(campaign.hard_limit)} after the first."
        )
        yield (
            "Each cart is a reason of its own. Once it has spoken, a later change of that cart is "
            "a new one, which meets the cooldown."
        )
    yield (
        f"Never sooner than {spoken(policy.settle)} after the last event about it reached us, so "
        "that an order still on its way can silence it."
    )


def _ending(campaign: Campaign) -> Iterator[str]:
    if isinstance(TRIGGERS[campaign.trigger], PostPurchase):
        yield "The order is refunded or cancelled (refunded), or a newer one comes (superseded)."
    else:
        yield "She buys what is in the cart (converted), or takes all of it out (emptied)."
    yield "She takes her consent back (opted_out), or asks to be forgotten (erased)."


# --- guards --------------------------------------------------------------------------------------


def _guards(policy: Policy, campaign: Campaign) -> Iterator[str]:
    for guard in GUARDS:
        yield SENTENCES[type(guard)](policy, campaign)


def _dates(policy: Policy, campaign: Campaign) -> str:
    def day(at: int) -> str:
        return f"{wall(policy.timezone, at):%Y-%m-%d}"

    first = f"from {day(campaign.starts)}" if campaign.starts is not None else ""
    last = f"until the end of {day(campaign.ends - 1)}" if campaign.ends is not None else ""
    named = " ".join(part for part in (first, last) if part)
    return f"Its dates: it speaks {named} only." if named else "Its dates: it has none."


def _pause(_: Policy, campaign: Campaign) -> str:
    now = " It is paused in the file." if campaign.status == "paused" else ""
    return f"A pause of the campaign or of the channel: silenced, never kept for later.{now}"


def _staleness(_: Policy, campaign: Campaign) -> str:
    return f"Lateness: more than {spoken(campaign.stale_after)} after it was due it is not said."


def _consent(_: Policy, campaign: Campaign) -> str:
    return f"Consent: she said yes to marketing by {_or(campaign.channels)}; no word is a no."


def _personalisation(_: Policy, __: Campaign) -> str:
    return "Personalisation: she has not switched it off."


def _reachability(_: Policy, __: Campaign) -> str:
    return "Reach: she is known, and her address on the channel too."


def _suppression(_: Policy, __: Campaign) -> str:
    return "Bounces: the address has not bounced for good."


def _cooldown(_: Policy, campaign: Campaign) -> str:
    if campaign.cooldown <= 0:
        return "Cooldown: it has none."
    return (
        f"Cooldown: it leaves her alone for {spoken(campaign.cooldown)} after it has spoken; what "
        "becomes due meanwhile is not said."
    )


def _caps(policy: Policy, campaign: Campaign) -> str:
    binding = [cap for cap in policy.caps if cap.channel in (None, *campaign.channels)]
    if not binding:
        return "Caps: there are none."
    return f"Caps over all campaigns: {'; '.join(_cap(cap) for cap in binding)}."


def _cap(cap: Cap) -> str:
    by = f" by {_name(cap.channel)}" if cap.channel is not None else ""
    messages = f"{cap.limit} message{'' if cap.limit == 1 else 's'}{by}"
    match cap.kind:
        case "rolling":
            return f"{cap.name}, at most {messages} in {spoken(cap.window)}"
        case "calendar_day":
            return f"{cap.name}, at most {messages} on one day of her own calendar"
        case "gap":
            return f"{cap.name}, {spoken(cap.window)} between two messages{by}"


def _throttle(_: Policy, __: Campaign) -> str:
    return "A throttle of the channel: the lot decides who is silenced; nothing is kept for later."


def _quiet(policy: Policy, _: Campaign) -> str:
    hours = policy.quiet_hours
    if hours.start == hours.end:
        return "Night: there are no quiet hours."
    return (
        f"Night: it is not between {_clock(hours.start)} and {_clock(hours.end)} on her own clock "
        f"({policy.timezone} if nobody told us hers)."
    )


# A guard that is added without its sentence here is found by a test.
SENTENCES: Final[Mapping[type, Callable[[Policy, Campaign], str]]] = {
    dates.Dates: _dates,
    pause.Pause: _pause,
    staleness.Staleness: _staleness,
    consent.Marketing: _consent,
    personalisation.Personalisation: _personalisation,
    reachability.Reachability: _reachability,
    suppression.Suppression: _suppression,
    cooldown.Cooldown: _cooldown,
    caps.Caps: _caps,
    throttle.Throttle: _throttle,
    quiet_hours.Quiet: _quiet,
}


# --- worth ---------------------------------------------------------------------------------------


def _priced(policy: Policy, campaign: Campaign, name: str) -> Priced:
    price, lift = policy.channels[name], campaign.lift.get(name, 1.0)
    gain = uplift(campaign.prior_order_rate, lift)
    return Priced(
        channel=name,
        p0=campaign.prior_order_rate,
        lift=lift,
        uplift=gain,
        value=round(campaign.margin * policy.basket, 6),
        cost=price.cost,
        patience=price.patience,
        worth=worth(gain, campaign, policy.basket, policy, name, 1.0),
        tired=worth(gain, campaign, policy.basket, policy, name, 2.0),
    )


def _worth(policy: Policy, campaign: Campaign, example: list[Priced]) -> Iterator[str]:
    prices = "; ".join(
        f"{_name(one.channel)} costs {_amount(one.cost)} and {_amount(one.patience)} of her "
        "patience"
        for one in example
    )
    yield f"In {policy.currency}, per message: {prices}."
    yield (
        f"worth = more orders {_TIMES} margin {_TIMES} basket {_MINUS} cost {_MINUS} patience "
        f"{_TIMES} (1 + F). F counts the messages she had lately, from any campaign; each weighs "
        f"half after {spoken(FATIGUE_HALF_LIFE)}."
    )
    yield (
        "The basket is what lies in her cart, else the mean of her own orders, else "
        f"{_amount(policy.basket)} {policy.currency}. An order within "
        f"{spoken(campaign.conversion_window)} counts."
    )
    yield (
        f"ASSUMED until measured: {_share(campaign.prior_order_rate)} order without any message "
        "(a model in force says it for each person), and a message multiplies the odds by "
        + ", ".join(f"{one.lift:g} ({_name(one.channel)})" for one in example)
        + "."
    )
    yield f"Somebody average, with a basket of {_amount(policy.basket)} {policy.currency}:"
    for one in example:
        yield _example(one, policy.currency)
    yield _best(policy, example)


def _example(one: Priced, currency: str) -> str:
    cost = f" {_MINUS} {_amount(one.cost)}" if one.cost else ""
    return (
        f"{_name(one.channel)}: {_share(one.p0)} become {_share(one.p0 + one.uplift)}; "
        f"{one.uplift:.4f} {_TIMES} {_amount(one.value)}{cost} {_MINUS} {_amount(one.patience)} = "
        f"{_money(one.worth)} {currency}; just after another message {_money(one.tired)}."
    )


def _best(policy: Policy, example: list[Priced]) -> str:
    best = min(example, key=lambda one: (-one.worth, policy.channels[one.channel].cost))
    if best.worth <= 0:
        return "Nothing is worth more than 0, so she would hear nothing."
    return f"She would hear by {_name(best.channel)}; the largest worth above 0 speaks."


# --- chance, waiting, giving up ------------------------------------------------------------------


def _chance(policy: Policy) -> Iterator[str]:
    holdout, exploration = policy.holdout, policy.exploration
    if holdout.share:
        yield (
            f"Holdout: {_share(holdout.share)} (drawn once for {holdout.epoch}) hear nothing, "
            "although everything is decided about them too: how much more the others order is "
            "what the messages did."
        )
    else:
        yield "Holdout: there is none, so nobody can say what the messages are worth."
    if exploration.share:
        names = ["silence", "the best channel", *map(_name, exploration.channels)]
        yield (
            f"Exploration: in {exploration.share * 100:g} of 100 decisions chance chooses among "
            f"{_and(names)}, as far as they may speak, so that the model can learn."
        )
    else:
        yield "Exploration: there is none; the best channel always speaks."
    count = len(policy.testers)
    if count:
        people = f"{count} tester has" if count == 1 else f"{count} testers have"
        yield f"{people} no holdout, no chance, no caps and no cooldown."


def _waiting(policy: Policy, campaign: Campaign) -> Iterator[str]:
    hours = policy.quiet_hours
    if hours.start != hours.end:
        if campaign.when_quiet == "hold":
            yield (
                f"At night it waits for {_clock(hours.end)} on her clock, spread over the hour "
                "that follows, and is then judged wholly anew."
            )
        else:
            yield "At night it is dropped."
    if campaign.when_capped == "hold":
        yield "When a cap is full it waits until the cap has room, and is then judged wholly anew."
    else:
        yield "When a cap is full it is dropped."
    yield (
        f"Campaigns that are due for her within {spoken(policy.arbitration_window)} compete: the "
        "one of largest worth speaks, and the others meet the caps."
    )


def _giving_up(policy: Policy, campaign: Campaign) -> Iterator[str]:
    yield (
        f"It waits for nothing that comes later than {spoken(campaign.stale_after)} after it was "
        "due: then it is silent at once."
    )
    drops = ", ".join(
        f"{_name(name)} {spoken(policy.channels[name].deliver_within)}"
        for name in campaign.channels
    )
    yield f"What was sent and has not reached her is dropped: {drops} after the decision."


# --- words ---------------------------------------------------------------------------------------


def spoken(ms: int) -> str:
    """Return a duration in the largest unit that holds it exactly, such as ``3 days``.

    A window of 24 hours is no day of the calendar, so it is not called one.
    """
    for unit, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")):
        if ms >= unit and ms % unit == 0 and (unit, ms) != (DAY, DAY):
            count = ms // unit
            return f"{count} {word}{'' if count == 1 else 's'}"
    return f"{ms / SECOND:g} seconds"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _name(channel: str | None) -> str:
    return {"sms": "SMS", "email": "e-mail"}.get(channel or "", channel or "")


def _or(channels: tuple[str, ...]) -> str:
    names = [_name(channel) for channel in channels]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _and(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _share(share: float) -> str:
    return f"{share * 100:.3g} of 100 people"


def _amount(amount: float) -> str:
    return f"{amount:,.6f}".rstrip("0").rstrip(".")


def _money(amount: float) -> str:
    digits = 2 if abs(amount) >= 0.005 or amount == 0 else 4
    return f"{_MINUS if amount < 0 else ''}{abs(amount):.{digits}f}"


__all__ = ["IN_ORDER", "SENTENCES", "Explanation", "Priced", "explained", "spoken", "status"]
