"""What only the simulated shop knows: what each message truly caused, and what a time was worth."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from streams.demo.goods import Lines


class Heard(NamedTuple):
    """A message as it reached a person; ``understood``: in her language, ``concrete``: with items.

    ``at`` = ms of the hand-over, ``key`` = the trigger's: a cart, an order, or something else.
    ``brings``: the margin in CNY it brings on average over its lots, ``refusing`` the chance that
    she refuses more because of it.
    """

    action_id: str
    campaign: str
    user_id: str
    channel: str
    key: str
    at: int
    understood: bool = True
    concrete: bool = True
    brings: float = 0.0
    refusing: float = 0.0


class Refusal(NamedTuple):
    """``kind`` is "unsubscribed" or "complained", because of the message handed over at ``at``."""

    user_id: str
    kind: str
    at: int


class Bought(NamedTuple):
    """An order as the world knows it.

    ``total`` in CNY as it was paid, ``kept`` what is left of it once all that will be cancelled or
    sent back has been; ``caused_by`` = the action without which it would not be.
    """

    user_id: str
    order_id: str
    at: int
    lines: Lines
    total: float
    kept: float
    caused_by: str = ""


class Effect(NamedTuple):
    """The true effect on those who were sent something: people who ordered within the window.

    Counted over messages; ``without`` are those who would have ordered unasked.
    """

    messages: int
    ordered: int
    without: int

    @property
    def per_thousand(self) -> float | None:
        """Return how many orders more a thousand messages brought; None without messages."""
        return 1000 * (self.ordered - self.without) / self.messages if self.messages else None


class Foreseen(NamedTuple):
    """What one message would cause if it were handed over.

    ``orders``: orders more (0 or 1); ``value``: the shop's margin on them in CNY, without what will
    be cancelled or sent back; ``leaves``: whether she would unsubscribe or complain because of it.
    What her weariness costs later is not in it: that depends on what else she will hear.
    """

    orders: float
    value: float
    leaves: bool


class Ledger(NamedTuple):
    """What a span of time came to, everything included: the measure of a strategy.

    ``orders`` placed in it; ``revenue`` in CNY = what they leave once all that will be cancelled or
    sent back has been, and ``margin`` the shop's part of that; ``messages`` handed over in it by
    channel, and how many people ``unsubscribed`` or ``complained`` because of one; ``caused``:
    orders that a message caused; ``visits`` paid to the shop. ``brought`` and ``refusing``: margin
    and refusals that the messages bring on average over their lots, without what weariness costs
    later.
    """

    orders: int
    revenue: float
    margin: float
    messages: Mapping[str, int]
    unsubscribed: int
    complained: int
    caused: int
    visits: int
    brought: float
    refusing: float


def effect(heard: Iterable[Heard], orders: Iterable[Bought], campaign: str, window: int) -> Effect:
    """Return the true effect of a campaign's messages on orders within ``window`` ms.

    An order knows the message without which it would not be. What weariness takes away later is in
    :class:`Ledger` alone.
    """
    of_user: dict[str, list[Bought]] = defaultdict(list)
    for order in orders:
        of_user[order.user_id].append(order)
    messages = ordered = without = 0
    for one in heard:
        if one.campaign != campaign:
            continue
        messages += 1
        within = [o for o in of_user[one.user_id] if one.at < o.at <= one.at + window]
        ordered += bool(within)
        without += any(order.caused_by != one.action_id for order in within)
    return Effect(messages, ordered, without)


def ledger(
    *,
    heard: Iterable[Heard],
    orders: Iterable[Bought],
    refusals: Sequence[Refusal],
    visits: Iterable[int],
    since: int,
    until: int,
    margin: float,
) -> Ledger:
    """Add up what lies after ``since`` and not after ``until`` (ms)."""
    placed = [order for order in orders if since < order.at <= until]
    revenue = round(sum(order.kept for order in placed), 2)
    within = [one for one in heard if since < one.at <= until]
    messages = Counter(one.channel for one in within)
    kinds = [refusal.kind for refusal in refusals if since < refusal.at <= until]
    return Ledger(
        orders=len(placed),
        revenue=revenue,
        margin=round(revenue * margin, 2),
        messages=dict(sorted(messages.items())),
        unsubscribed=kinds.count("unsubscribed"),
        complained=kinds.count("complained"),
        caused=sum(bool(order.caused_by) for order in placed),
        visits=sum(since < at <= until for at in visits),
        brought=round(sum(one.brings for one in within), 2),
        refusing=round(sum(one.refusing for one in within), 2),
    )


__all__ = ["Bought", "Effect", "Foreseen", "Heard", "Ledger", "Refusal", "effect", "ledger"]
