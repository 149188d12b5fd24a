"""What the figures are folded from: one small fact per record of a topic, without personal data.

People, actions and orders are known by a hash of 8 bytes. ``at``: when the broker appended the
record; ``occurred_at``: when it happened, as its teller says. Both ms UTC.
"""

from typing import Final, Literal

from msgspec import Struct

from engine.draws import fingerprint
from engine.events import SettingsRecord

# The steps of the funnel, in order; a visit that reached one has passed those before it.
VISIT, PRODUCT, CART, CHECKOUT, PURCHASE = range(5)
STEPS: Final = ("visit", "product", "cart", "checkout", "purchase")


def hashed(text: str) -> int:
    """Return the number under which a person, an action or an order is known here."""
    return int.from_bytes(fingerprint(text), "big")


class Sold(Struct, frozen=True, array_like=True, gc=False):
    """One line of an order; ``value`` in the order's currency, None = not told."""

    product_id: str
    name: str
    category: str
    quantity: int
    value: float | None


class Order(Struct, frozen=True, array_like=True, gc=False):
    """An order as an app told it; ``value`` in ``currency``, None = not told."""

    id: int
    occurred_at: int
    value: float | None
    currency: str
    lines: tuple[Sold, ...] = ()


class Message(Struct, frozen=True, gc=False):
    """One message of an app. ``acquisition`` "" = it says nothing of where she came from.

    ``user`` 0 = it tells of nobody who came to the shop: it belongs to no visit.
    """

    at: int
    topic: str
    user: int
    acquisition: str = ""
    step: int = VISIT
    views: int = 0
    adds: int = 0
    checkouts: int = 0
    order: Order | None = None


class Unreadable(Struct, frozen=True, gc=False):
    """A record of a source topic that nobody can read: intake sends it to the dead letters."""

    at: int
    topic: str


class Decided(Struct, frozen=True, gc=False):
    """One record of ``decisions``; ``p0`` of its channel, or of the first that was scored.

    ``action`` 0 = it made none. ``decided_at``: the tick's time; ``due_at``: when it was due.
    """

    at: int
    decision: int
    user: int
    action: int
    campaign: str
    channel: str
    outcome: str
    reason: str
    decided_at: int
    due_at: int
    first: bool = True
    tester: bool = False
    p0: float | None = None
    features: dict[str, float | None] = {}
    schema: str = ""


class Reported(Struct, frozen=True, gc=False):
    """One outcome of an action, from a gateway or from an app."""

    at: int
    action: int
    channel: str
    provider: str
    type: str
    occurred_at: int
    permanent: bool = False
    machine: bool = False


class Terms(Struct, frozen=True):
    """What the campaigns file in force says of money and time; windows in ms by campaign."""

    currency: str = ""
    costs: dict[str, float] = {}
    windows: dict[str, int] = {}


class Ruled(Struct, frozen=True):
    """A settings record; ``terms`` of the campaigns file it puts in force, None = it names none."""

    at: int
    record: SettingsRecord
    terms: Terms | None = None


class Judged(Struct, frozen=True, gc=False):
    """An operator's verdict on an episode."""

    at: int
    anomaly_id: str
    value: Literal["true", "false", "expected"]
    by: str
    note: str = ""


Seen = Message | Unreadable | Decided | Reported | Ruled | Judged

__all__ = [
    "CART",
    "CHECKOUT",
    "PRODUCT",
    "PURCHASE",
    "STEPS",
    "VISIT",
    "Decided",
    "Judged",
    "Message",
    "Order",
    "Reported",
    "Ruled",
    "Seen",
    "Sold",
    "Terms",
    "Unreadable",
    "hashed",
]
