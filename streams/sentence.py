"""Tells one decision as one sentence, in the words of the person who asked why."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import UNSET

from engine.controls import OPERATOR
from engine.decisions import ChannelView, Decision, HeldBack
from engine.policy import Campaign, Policy
from engine.reasons import CAP

_MINUS: Final = "\N{MINUS SIGN}"
_TIMES: Final = "\N{MULTIPLICATION SIGN}"

# One per reason of the closed list; {channel} and {until} are filled where a decision has them.
SENTENCES: Final[Mapping[str, str]] = {
    "sent": "sent by {channel}",
    "would_send_holdout": "not sent: she is in the holdout group, who are never spoken to; "
    "{channel} would have been next",
    "would_send_dry_run": "not sent: dry run; {channel} would have been next",
    "converted": "ended: she bought before the reminder was due",
    "emptied": "ended: she emptied the cart",
    "superseded": "ended: a newer reason to speak took its place",
    "refunded": "ended: the order was refunded or cancelled",
    "opted_out": "ended: she took her consent back",
    "erased": "ended: she asked to be forgotten",
    "no_consent": "not sent: she has not allowed it",
    "personalisation_off": "not sent: she switched personalisation off",
    "unreachable": "not sent: no address of hers is known",
    "suppressed_address": "not sent: her address bounced for good",
    "not_in_segment": "not sent: she is not in the campaign's segment",
    "cooldown": "not sent: this campaign spoke to her a short while ago",
    "quiet_hours": "not sent: it is night where she is",
    "campaign_paused": "not sent: the campaign is paused",
    "campaign_removed": "not sent: the campaign is no longer in the campaigns file",
    "channel_paused": "not sent: the channel is paused",
    "outside_dates": "not sent: the campaign's dates do not include today",
    "outranked": "not sent: something worth more was said at the same time",
    "not_worth_it": "not sent: not worth it",
    "explored_none": "not sent: this share of decisions stays silent by lot, so that effects "
    "can be measured",
    "stale": "not sent: it came too late to be of use",
    "template_failed": "not sent: the words could not be made; rekindle campaigns check says why",
    "out_of_stock": "not sent: what it speaks of is sold out",
    "budget": "not sent: the budget is spent",
    "rate_brake": "not sent: the channel is throttled, and the lot left this message out",
}


def sentence(
    decision: Decision,
    policy: Policy | None = None,
    minute: Callable[[str | None], str] | None = None,
) -> str:
    """Return the decision as one sentence; ``minute`` writes an ISO time, without it in UTC.

    With the ``policy`` it was made under the worth is taken apart: uplift x margin x basket, cost,
    patience. A policy of another campaign version cannot tell them, and is not used.
    """
    said = _reason(decision, minute or _minute)
    if decision.outcome == "defer":
        said = (
            said.replace("not sent", "held back", 1)
            + f" (until {(minute or _minute)(decision.until)})"
        )
    weighed = _weighed(decision, policy)
    if not weighed:
        return said
    if decision.reason == "not_worth_it":
        return f"not sent: {weighed}"
    return f"{said}: {weighed}" if decision.reason == "sent" else f"{said} ({weighed})"


def line(decision: Decision, policy: Policy | None = None) -> str:
    """Return the sentence with its time, campaign and what it was about."""
    about = f" {decision.trigger.key}" if decision.trigger.key else ""
    return f"{_minute(decision.at)} {decision.campaign}{about}: {sentence(decision, policy)}"


def _reason(decision: Decision, minute: Callable[[str | None], str]) -> str:
    if decision.reason.startswith(CAP):
        return f"not sent: {_cap(decision)}"
    if decision.held is not UNSET:
        return f"not sent: {_held(decision.held, minute)}"
    return SENTENCES[decision.reason].format(channel=decision.channel or "a channel")


def _held(held: HeldBack, minute: Callable[[str | None], str]) -> str:
    """Return who paused or throttled it, since when, and why if they said so."""
    by = f"{target_name(held.target)} is {held_to(held.share)} by {actor_name(held.by)}"
    until = f" until {minute(held.until)}" if held.until else ""
    because = f": {held.reason}" if held.reason else ""
    return f"{by} since {minute(held.since)}{until}{because}"


def held_to(share: float) -> str:
    """Return what a share that may be sent means: ``paused``, ``throttled to 60 %``."""
    return f"throttled to {share * 100:.0f} %" if share > 0 else "paused"


def done_word(action: str, after: float | None) -> str:
    """Return what a control did: ``paused``, ``resumed``, ``throttled to 60 %``."""
    return {"pause": "paused", "resume": "resumed"}.get(action) or (
        "no longer throttled" if after == 1.0 else held_to(after or 0.0)
    )


def target_name(target: str) -> str:
    """Return what is held back as people call it: ``SMS``, ``the campaign cart``."""
    kind, _, name = target.partition(":")
    return channel_name(name) if kind == "channel" else f"the campaign {name}"


def actor_name(actor: str) -> str:
    """Return who held it back: a person by name, else ``the audit`` or ``the brake``."""
    person = actor.startswith(OPERATOR)
    return actor.removeprefix(OPERATOR) if person else f"the {actor}"


def _cap(decision: Decision) -> str:
    name = decision.reason.removeprefix(CAP)
    for cap in decision.caps:
        if cap.name == name:
            return f"the cap {name} allows {cap.limit}, and {cap.used} had been sent"
    return f"the cap {name} is used up"


def _minute(at: str | None) -> str:
    return f"{at[:10]} {at[11:16]} UTC" if at else "later"


# --- what it was worth ---------------------------------------------------------------------------


def _weighed(decision: Decision, policy: Policy | None) -> str:
    """Return the arithmetic of the channel that mattered; empty when none was weighed."""
    channel, view = _of_interest(decision)
    if view is None or view.worth is None or view.uplift is None:
        return ""
    more, currency = _percent(view.uplift), decision.currency
    campaign = _campaign(decision, policy)
    if policy is None or campaign is None or decision.basket is None:
        return f"{more} more orders by {channel}, worth {_money(view.worth, currency)}"
    price = policy.channels.get(channel)
    value = campaign.margin * decision.basket
    if price is None:
        return f"{more} more orders by {channel}, worth {_money(view.worth, currency)}"
    patience = view.uplift * value - price.cost - view.worth
    if patience < price.patience - 1e-5:  # other prices were in force than this file has
        return f"{more} more orders by {channel}, worth {_money(view.worth, currency)}"
    cost = f" {_MINUS} {number(price.cost)} {channel_name(channel)}" if price.cost else ""
    return (
        f"{more} more orders {_TIMES} {number(value)} {currency}{cost} "
        f"{_MINUS} {number(patience)} patience = {_money(view.worth, currency)}"
    )


def _of_interest(decision: Decision) -> tuple[str, ChannelView | None]:
    """Return the channel that was chosen, else the one that came nearest to being worth it."""
    if decision.channel is not None:
        return decision.channel, decision.channels.get(decision.channel)
    if decision.reason not in ("not_worth_it", "explored_none"):
        return "", None
    worths = {
        name: view.worth for name, view in decision.channels.items() if view.worth is not None
    }
    best = max(worths, key=lambda name: worths[name], default="")
    return best, decision.channels.get(best)


def _campaign(decision: Decision, policy: Policy | None) -> Campaign | None:
    campaign = policy.campaigns.get(decision.campaign) if policy is not None else None
    same = campaign is not None and campaign.version == decision.campaign_version
    return campaign if same else None


def channel_name(channel: str) -> str:
    """Return a channel as people write it."""
    return {"sms": "SMS", "email": "e-mail"}.get(channel, channel)


def _percent(share: float) -> str:
    return f"{_signed(share * 100, 1)} %"


def number(amount: float) -> str:
    """Return an amount with as many digits as it needs, 2 to 4; whole ones from 10 on as such."""
    if amount >= 10 and abs(amount - round(amount)) < 0.005:
        return f"{amount:.0f}"
    digits = 2 if amount >= 0.01 or amount == 0 else 4
    return f"{amount:.{digits}f}"


def _money(amount: float, currency: str) -> str:
    digits = 2 if abs(amount) >= 0.005 or amount == 0 else 4
    return f"{_signed(amount, digits)} {currency}".rstrip()


def _signed(amount: float, digits: int) -> str:
    text = f"{abs(amount):.{digits}f}"
    return f"{_MINUS}{text}" if amount < 0 and float(text) else text
