"""What a strategy came to in money: margin, less messages, less the people who were lost."""

from typing import Final

from msgspec import Struct

from engine import decisions
from engine.policy import Policy
from engine.ports import Case
from streams.demo.shop import Ledger, Shop

# What losing one person's consent costs, in CNY. She would have had about 40 messages in a year, of
# which one in a hundred brings an order of 180 with a margin of 0.3: 22, rounded. The campaigns'
# own price of patience (0.02 to 0.30 a message) says the same where one in 200 to 1,000 leaves.
LOST: Final = 20.0


class Outcome(Struct, frozen=True, kw_only=True):
    """A strategy in one world: money in CNY, of all shoppers together.

    ``value`` = ``margin`` - ``cost`` - LOST x ``lost``, of everything that happened. ``worth`` is
    what the messages are worth on average over their lots: few orders make a value jump, and a
    worth does not; what weariness costs later is in ``value`` alone. ``messages`` handed over,
    ``lost``: how often somebody unsubscribed or complained because of one; ``orders`` placed,
    ``caused``: those that would not be without a message.
    """

    value: float
    worth: float
    margin: float
    cost: float
    messages: int
    by_channel: dict[str, int]
    lost: int
    orders: int
    caused: int


def outcome(ledger: Ledger, policy: Policy) -> Outcome:
    """Price what a span of time came to."""
    cost = sum(policy.channels[name].cost * n for name, n in ledger.messages.items())
    lost = ledger.unsubscribed + ledger.complained
    return Outcome(
        value=round(ledger.margin - cost - LOST * lost, 2),
        worth=round(ledger.brought - cost - LOST * ledger.refusing, 2),
        margin=ledger.margin,
        cost=round(cost, 2),
        messages=sum(ledger.messages.values()),
        by_channel=dict(ledger.messages),
        lost=lost,
        orders=ledger.orders,
        caused=ledger.caused,
    )


def foreseen(shop: Shop, case: Case, channel: str) -> float:
    """Return what this message would truly be worth if it were handed over now, in CNY."""
    action, _ = decisions.ids(case)
    truth = shop.foresee(
        case.user_id, case.campaign.id, case.trigger.key, channel, case.now, action
    )
    return truth.value - case.policy.channels[channel].cost - LOST * truth.leaves


__all__ = ["LOST", "Outcome", "foreseen", "outcome"]
