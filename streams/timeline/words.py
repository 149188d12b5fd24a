"""Events in the words of somebody who tells what she did; addresses never appear."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, assert_never

from engine.events import (
    ActionQueued,
    Active,
    CartViewed,
    CheckoutStarted,
    ConsentChanged,
    Erased,
    Event,
    Identified,
    Line,
    OrderCancelled,
    OrderCompleted,
    OrderDelivered,
    OrderRefunded,
    Outcome,
    ProductAdded,
    ProductRemoved,
    ProductViewed,
    Searched,
    SentElsewhere,
    Wishlisted,
)
from engine.profile import IN_PASSING
from streams.sentence import SENTENCES, channel_name, number

# What is told together as one look around the shop.
Browsing = ProductViewed | Searched | Wishlisted | Active
_TWICE: Final = 2

_OUTCOMES: Final[Mapping[str, str]] = {
    "accepted": "taken by the gateway",
    "delivered": "delivered",
    "deferred": "delayed by the gateway",
    "bounced": "bounced",
    "rejected": "refused by the gateway",
    "failed": "failed",
    "expired": "came too late and was dropped",
    "cancelled": "cancelled",
    "unknown": "lost sight of: nobody knows whether it arrived",
    "opened": "opened",
    "clicked": "clicked",
    "complained": "called spam by her",
    "unsubscribed": "answered with an opt-out",
    "resubscribed": "answered with an opt-in",
}


class Words:
    """Tells events; ``names`` of products by id, ``campaigns`` of actions by action id."""

    def __init__(self, names: Mapping[str, str], campaigns: Mapping[str, str]) -> None:
        """Both may be empty: then ids are told."""
        self._names = names
        self._campaigns = campaigns

    def one(self, event: Event) -> str:
        """Return what happened, without its time."""
        match event:
            case ProductViewed() | Searched() | Wishlisted() | Active():
                return self.browsing([event])
            case ProductAdded():
                return f"put {self._several(event.line)} into her cart{_price([event.line])}"
            case ProductRemoved():
                some = f"{event.quantity} x " if event.quantity else ""
                return f"took {some}{self._name(event.product_id)} out of her cart"
            case CartViewed():
                return f"looked at her {self._cart(event.lines)}"
            case CheckoutStarted():
                return f"began to pay{self._for(event.lines)}"
            case OrderCompleted():
                return f"ordered {self._things(event.lines)}{_total(event)}"
            case OrderRefunded():
                return f"got {self._back(event)} of order {event.order_id}"
            case OrderCancelled():
                return f"order {event.order_id} was cancelled"
            case OrderDelivered():
                return f"order {event.order_id} arrived"
            case Identified():
                return _identified(event)
            case ConsentChanged():
                return consents([event])
            case Outcome():
                return self.outcomes([event])
            case SentElsewhere():
                about = f" ({event.campaign})" if event.campaign else ""
                return f"heard from another system by {channel_name(event.channel)}{about}"
            case ActionQueued():
                return f"charged for {event.campaign} by {channel_name(event.channel)}"
            case Erased():
                return "asked to be forgotten"
        assert_never(event)

    def browsing(self, events: Sequence[Browsing]) -> str:
        """Return one look around the shop: what she viewed, and how often she did what else."""
        parts = []
        viewed = [event.product_id for event in events if isinstance(event, ProductViewed)]
        if viewed:
            parts.append(f"viewed {self._some(viewed)}")
        wished = [event.product_id for event in events if isinstance(event, Wishlisted)]
        if wished:
            parts.append(f"put {self._some(wished)} on her wish list")
        if searches := sum(isinstance(event, Searched) for event in events):
            parts.append(f"searched{_times(searches)}")
        named = Counter(event.name for event in events if isinstance(event, Active))
        parts += [f"{_sign(name)}{_times(count)}" for name, count in named.items()]
        return ", ".join(parts)

    def outcomes(self, events: Sequence[Outcome]) -> str:
        """Return what the gateway reported of one message."""
        first = events[0]
        campaign = self._campaigns.get(first.action_id)
        about = f" of {campaign}" if campaign else ""
        told = ", ".join(dict.fromkeys(_outcome(event) for event in events))
        return f"{channel_name(first.channel)}{about}: {told}"

    # --- things ---------------------------------------------------------------------------------

    def _name(self, product_id: str) -> str:
        return self._names.get(product_id) or product_id or "a product"

    def _some(self, product_ids: Sequence[str]) -> str:
        different = list(dict.fromkeys(product_ids))
        if len(different) == 1:
            return f"{self._name(different[0])}{_times(len(product_ids))}"
        return f"{len(different)} products"

    def _several(self, line: Line) -> str:
        quantity = f"{line.quantity} x " if line.quantity != 1 else ""
        return f"{quantity}{line.name or self._name(line.product_id)}"

    def _things(self, lines: Sequence[Line]) -> str:
        if len(lines) == 1:
            return self._several(lines[0])
        count = sum(line.quantity for line in lines)
        return f"{count} things" if count else "something"

    def _cart(self, lines: Sequence[Line] | None) -> str:
        if lines is None:
            return "cart"
        return f"cart: {self._things(lines)}{_price(lines)}" if lines else "empty cart"

    def _for(self, lines: Sequence[Line] | None) -> str:
        return f" for {self._things(lines)}{_price(lines)}" if lines else ""

    def _back(self, event: OrderRefunded) -> str:
        if event.total is not None:
            return f"{number(event.total)} back"
        return (
            f"the money for {self._things(event.lines)} back" if event.lines else "all money back"
        )


def _price(lines: Iterable[Line]) -> str:
    """Return what the lines cost together, in brackets; empty where a price is not known."""
    total, currencies = 0.0, set()
    for line in lines:
        if line.price is None:
            return ""
        total += line.price * line.quantity
        currencies.add(line.currency)
    if len(currencies) != 1:
        return ""
    return f" ({number(total)} {currencies.pop()}".rstrip() + ")"


def _total(event: OrderCompleted) -> str:
    return f" for {number(event.total)} {event.currency}".rstrip() if event.total else ""


def _times(count: int) -> str:
    if count == 1:
        return ""
    return " twice" if count == _TWICE else f" {count} times"


def _sign(name: str) -> str:
    if name == "Application Opened":
        return "opened the app"
    return f'did "{name}"' if name else "was there"


# --- who she is, what she allows ----------------------------------------------------------------


def _identified(event: Identified) -> str:
    return f"was identified: {told}" if (told := ", ".join(_known(event))) else "was identified"


def _known(event: Identified) -> Iterator[str]:
    reachable = [channel_name(name) for name, at in sorted(event.addresses.items()) if at]
    gone = [channel_name(name) for name, at in sorted(event.addresses.items()) if not at]
    if reachable:
        yield f"reachable by {_and(reachable)}"
    if gone:
        yield f"no longer reachable by {_and(gone)}"
    if event.zones:
        one = len(event.zones) == 1
        yield f"zone {event.zones[0]}" if one else f"one of {len(event.zones)} zones"
    if event.locale:
        yield f"language {event.locale}"


def consents(events: Sequence[ConsentChanged]) -> str:
    """Return what she allowed and forbade at one time, in one sentence."""
    by_word: dict[tuple[bool, bool, str], list[str]] = {}
    for event in events:
        word = event.basis in IN_PASSING, event.granted, event.purpose
        by_word.setdefault(word, []).append(_every(event.channel))
    parts = []
    for (in_passing, granted, purpose), channels in by_word.items():
        verb = "allowed" if granted else "forbade"
        source = " (so the app says)" if in_passing else ""
        parts.append(f"{verb} {purpose} {_and(list(dict.fromkeys(channels)))}{source}")
    return ", ".join(parts)


def _every(channel: str) -> str:
    return "on every channel" if channel == "*" else f"by {channel_name(channel)}"


def _outcome(event: Outcome) -> str:
    """Return an outcome without the gateway's own words: they may hold her address."""
    told = _OUTCOMES[event.outcome]
    if event.outcome == "cancelled" and event.reason in SENTENCES:
        # ours, from the closed list: judged once more at hand-over
        told = f"cancelled at hand-over: {SENTENCES[event.reason].partition(': ')[2]}"
    if event.outcome == "bounced" and event.permanent:
        told = "bounced for good"
    return f"{told} (by a machine, not by her)" if event.machine else told


def _and(words: Sequence[str]) -> str:
    """Join ``by push, by SMS`` and the like, naming the preposition once."""
    first, *others = words
    return ", ".join([first, *(word.removeprefix("by ") for word in others)])
