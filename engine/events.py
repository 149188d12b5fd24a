"""What may stand in the log: events of a user, ticks and settings records; a closed union.

Times are milliseconds since the epoch, UTC. ``occurred_at`` is the event's own time,
``received_at`` the time it reached our door. Every record is JSON on the wire, tagged by ``type``.
"""

from typing import Literal

from msgspec import Struct

VERSION = 1

ChannelName = str
OutcomeType = Literal[
    "accepted",
    "delivered",
    "deferred",
    "bounced",
    "rejected",
    "failed",
    "expired",
    "cancelled",
    "unknown",
    "opened",
    "clicked",
    "complained",
    "unsubscribed",
    "resubscribed",
]


class Position(Struct, frozen=True, array_like=True, gc=False):
    """Where in a source a record came from; compared lexicographically within its source.

    ``ordinal`` counts the records made from one source record.
    """

    source: str
    generation: int
    partition: int
    offset: int
    ordinal: int = 0


class Line(Struct, array_like=True, omit_defaults=True, gc=False):
    """One product in a cart or an order; ``price`` is per unit, in ``currency``."""

    product_id: str
    quantity: int = 1
    price: float | None = None
    name: str = ""
    currency: str = ""


class UserEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """What every event of a user carries. ``history``: imported, never arms."""

    event_id: str
    user_id: str
    occurred_at: int
    received_at: int
    source: Position | None = None
    history: bool = False
    v: int = VERSION


class ProductViewed(UserEvent, frozen=True, kw_only=True, tag="product_viewed"):
    """She looked at a product."""

    product_id: str = ""


class ProductAdded(UserEvent, frozen=True, kw_only=True, tag="product_added"):
    """She put a product into a cart; ``cart_id`` empty = the unnamed cart."""

    line: Line
    cart_id: str = ""


class ProductRemoved(UserEvent, frozen=True, kw_only=True, tag="product_removed"):
    """She took a product out; ``quantity`` None = all of it."""

    product_id: str
    quantity: int | None = None
    cart_id: str = ""


class CartViewed(UserEvent, frozen=True, kw_only=True, tag="cart_viewed"):
    """What the cart held at that moment: replaces what we knew of it before. None = not told."""

    cart_id: str = ""
    lines: list[Line] | None = None


class CheckoutStarted(UserEvent, frozen=True, kw_only=True, tag="checkout_started"):
    """She began to pay; links ``checkout_id`` to the cart, lines as in a viewed cart."""

    checkout_id: str = ""
    cart_id: str = ""
    lines: list[Line] | None = None


class OrderCompleted(UserEvent, frozen=True, kw_only=True, tag="order_completed"):
    """She bought. Sent again for the same order (Order Updated), the later content stands."""

    order_id: str
    cart_id: str = ""
    checkout_id: str = ""
    lines: list[Line] = []
    total: float | None = None
    currency: str = ""


class OrderRefunded(UserEvent, frozen=True, kw_only=True, tag="order_refunded"):
    """Money went back. No lines and no total, or all of them = the whole order."""

    order_id: str
    lines: list[Line] = []
    total: float | None = None


class OrderCancelled(UserEvent, frozen=True, kw_only=True, tag="order_cancelled"):
    """The order does not stand."""

    order_id: str


class OrderDelivered(UserEvent, frozen=True, kw_only=True, tag="order_delivered"):
    """The goods arrived."""

    order_id: str


class Searched(UserEvent, frozen=True, kw_only=True, tag="searched"):
    """She searched; the words themselves are not kept."""


class Wishlisted(UserEvent, frozen=True, kw_only=True, tag="wishlisted"):
    """She put a product on a wish list."""

    product_id: str = ""


class Active(UserEvent, frozen=True, kw_only=True, tag="active"):
    """Any other sign of life: app opened, page seen, an event of the shop's own."""

    name: str = ""


class Identified(UserEvent, frozen=True, kw_only=True, tag="identified"):
    """Who she is and where she can be reached; None = not told.

    ``zones``: IANA names she may be in; one = known, several = candidates. ``addresses``: by
    channel; an empty string takes the address away.
    """

    addresses: dict[ChannelName, str] = {}
    zones: list[str] | None = None
    locale: str | None = None


class ConsentChanged(UserEvent, frozen=True, kw_only=True, tag="consent_changed"):
    """She allowed or forbade one purpose on one channel; ``*`` = every channel."""

    purpose: str = "marketing"
    channel: ChannelName = "*"
    granted: bool = False
    basis: str = ""
    text_version: str = ""


class ActionQueued(UserEvent, frozen=True, kw_only=True, tag="action_queued"):
    """We decided to speak: charged to caps and patience. ``withheld``: "", holdout or dry_run."""

    action_id: str
    campaign: str
    channel: ChannelName
    withheld: str = ""


class Outcome(UserEvent, frozen=True, kw_only=True, tag="outcome"):
    """What a gateway reports about one action."""

    action_id: str
    channel: ChannelName
    outcome: OutcomeType
    permanent: bool = False
    reason: str = ""
    machine: bool = False


class SentElsewhere(UserEvent, frozen=True, kw_only=True, tag="sent_elsewhere"):
    """Another system spoke to her: charged, so that caps are true for the person."""

    channel: ChannelName
    campaign: str = ""


class Erased(UserEvent, frozen=True, kw_only=True, tag="erased"):
    """She asked to be forgotten."""


Event = (
    ProductViewed
    | ProductAdded
    | ProductRemoved
    | CartViewed
    | CheckoutStarted
    | OrderCompleted
    | OrderRefunded
    | OrderCancelled
    | OrderDelivered
    | Searched
    | Wishlisted
    | Active
    | Identified
    | ConsentChanged
    | ActionQueued
    | Outcome
    | SentElsewhere
    | Erased
)


class Tick(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="tick"):
    """Carries time into one partition. ``limit`` 0 = none; ``origin``: worker id or loader."""

    now: int
    limit: int = 0
    origin: str = ""
    v: int = VERSION


class Control(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who held what back, or let it go, and why.

    ``actor`` ``operator:<name>``, ``audit`` or ``brake``; ``target`` ``channel:sms`` or
    ``campaign:cart``; ``before`` and ``after`` the share of it that may be sent (0 = paused,
    1 = free, None = not known); ``at`` and ``expires_at`` ms of the shop's clock.
    """

    id: str
    at: int
    actor: str
    action: Literal["pause", "resume", "throttle"]
    target: str
    reason: str = ""
    before: float | None = None
    after: float | None = None
    evidence: dict[str, float | str] = {}
    expires_at: int | None = None


class SettingsRecord(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="settings"
):
    """A delta of what is in force, by content hash; ``pause`` maps a name to on or off.

    Names in ``pause`` are ``channel:push`` or ``campaign:cart``. A ``control`` says who and why,
    and rules its own target: ``pause`` beside it is for releases that do not read it.
    """

    campaigns: str | None = None
    templates: str | None = None
    model: str | None = None
    pause: dict[str, bool] = {}
    control: Control | None = None
    origin: str = ""
    v: int = VERSION


Record = Event | Tick | SettingsRecord
