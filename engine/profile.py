"""What we know about one user: a versioned, packed value; changed only by ``fold``.

Bounds are part of the type: where one is reached the oldest entry gives way, counted by the fold.
Times are ms since the epoch, UTC. Nothing in it points back, so the garbage collector need not know
of its structs (``gc=False``): every chunk makes and forgets thousands of them.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.errors import Refused
from engine.events import Line
from engine.times import DAY

# The version this release writes. What it reads: see READ_AHEAD and MIGRATIONS below.
VERSION: Final = 1
# Addresses have a version of their own: a newer form of the profile leaves them as they are.
ADDRESSES_VERSION: Final = 1

MAX_CARTS: Final = 8
MAX_LINES: Final = 16
MAX_ORDERS: Final = 16
MAX_TRIGGERS: Final = 32
MAX_SENDS: Final = 64
MAX_EVENT_IDS: Final = 32
MAX_CHANGES: Final = 8
MAX_ZONES: Final = 8
# Only these newest orders keep their lines: a day-30 reminder never speaks of an older one.
ORDERS_WITH_LINES: Final = 4

SHORT_HALF_LIFE: Final = DAY
LONG_HALF_LIFE: Final = 30 * DAY
FATIGUE_HALF_LIFE: Final = 7 * DAY

COUNTED: Final = ("views", "adds", "orders", "searches")
BINS: Final = 6  # four-hour bins of the local day

ANONYMOUS: Final = "anon:"

# Bases of consents that an app repeats from its own database.
IN_PASSING: Final = frozenset({"trait", "context"})

# Codes of outcomes in the send log; the set of codes of one action is its state.
REFUSALS: Final = frozenset({"rejected", "expired", "cancelled", "failed"})
PROOFS: Final = frozenset({"accepted", "delivered", "opened", "clicked", "unknown"})


class Counters(Struct, array_like=True, gc=False):
    """Decayed sums of :data:`COUNTED` with two half-lives, as of ``at``."""

    at: int = 0
    short: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(COUNTED))
    long: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(COUNTED))


class CartLine(Struct, array_like=True, gc=False):
    """One product of a cart: ``changes`` are (time, quantity added or taken), newest last.

    Kept as changes, so that any order of arrival gives the same quantity; a change of 0 says that
    all of it was taken out at that time.
    """

    product_id: str
    changes: list[tuple[int, int]]
    price: float | None = None
    name: str = ""
    currency: str = ""

    @property
    def quantity(self) -> int:
        """Return what is in the cart now."""
        total = 0
        for _, quantity in self.changes:
            # Never below none: what is taken out may have been put in before we looked.
            total = max(total + quantity, 0) if quantity else 0
        return total

    @property
    def changed_at(self) -> int:
        """Return the time of the newest change."""
        return self.changes[-1][0]


class Cart(Struct, array_like=True, gc=False):
    """An open cart; ``cleared_at``: changes before it do not count any more."""

    cart_id: str
    lines: list[CartLine] = []
    cleared_at: int = 0
    checkout_id: str = ""
    changed_at: int = 0
    checkout_at: int = 0

    def held(self) -> list[CartLine]:
        """Return the lines with something in them."""
        return [line for line in self.lines if line.quantity > 0]

    def value(self, currency: str) -> float | None:
        """Return the cart's value in ``currency``; None when a price or the currency is unknown."""
        total = 0.0
        for line in self.held():
            if line.price is None or (line.currency and line.currency != currency):
                return None
            total += line.price * line.quantity
        return total or None


class Order(Struct, array_like=True, gc=False):
    """One order, told by several events in any order. ``at`` 0 = its completion not yet seen.

    ``ended``: ids of carts it ended through their checkout.
    """

    order_id: str
    at: int = 0
    told_at: int = 0
    cart_id: str = ""
    checkout_id: str = ""
    lines: list[Line] = []
    products: list[str] = []
    total: float | None = None
    currency: str = ""
    delivered_at: int = 0
    cancelled: bool = False
    refunded: bool = False
    refunded_total: float = 0.0
    refunded_lines: dict[str, int] = {}
    spoken: list[str] = []
    ended: list[str] = []

    @property
    def stands(self) -> bool:
        """Return whether it was completed and neither cancelled nor wholly refunded."""
        return self.at > 0 and not self.cancelled and not self.refunded

    def kept(self) -> list[Line]:
        """Return the lines that were not refunded."""
        kept = []
        for line in self.lines:
            left = line.quantity - self.refunded_lines.get(line.product_id, 0)
            if left > 0:
                kept.append(msgspec.structs.replace(line, quantity=left))
        return kept


class Trigger(Struct, array_like=True, gc=False):
    """A reason to speak, armed. Its identity is (campaign, kind, key).

    ``armed_at`` first arming, ``edited_at`` last event, both by event time; ``told_at`` when the
    last event was received; ``due_at`` fixed by these; ``wake_at`` when to look next (later than
    ``due_at`` after a deferral); ``attempt`` counts decisions already made.
    """

    campaign: str
    kind: str
    key: str
    episode: str
    armed_at: int
    edited_at: int
    told_at: int
    due_at: int
    wake_at: int
    attempt: int = 0

    @property
    def identity(self) -> tuple[str, str, str]:
        """Return (campaign, kind, key)."""
        return self.campaign, self.kind, self.key


class Send(Struct, array_like=True, gc=False):
    """One charge to caps: ``withheld`` is "", holdout or dry_run.

    ``outcomes`` maps an outcome to the seconds between the charge and its first report.
    """

    at: int
    campaign: str
    channel: str
    action_id: str = ""
    withheld: str = ""
    outcomes: dict[str, int] = {}

    @property
    def charged(self) -> bool:
        """Return whether it counts: given back iff refused and nothing proves a hand-over."""
        if not self.outcomes:
            return True
        told = self.outcomes.keys()
        return bool(told & PROOFS) or not told & REFUSALS


class Consent(Struct, array_like=True, gc=False):
    """The last word on one purpose and channel."""

    purpose: str
    channel: str
    granted: bool
    at: int
    basis: str = ""

    @property
    def in_passing(self) -> bool:
        """Return whether an app said so about her, in a trait or a stamp, and not she herself."""
        return self.basis in IN_PASSING


class Reach(Struct, array_like=True, gc=False):
    """Whether an address is known (8-byte hash) and whether it bounced for good."""

    address: bytes = b""
    at: int = 0
    suppressed: bool = False


class Profile(Struct, array_like=True, gc=False):
    """One user. ``wake`` = earliest due time armed since the last tick looked; 0 = nothing due."""

    v: int = VERSION
    first_seen: int = 0
    last_seen: int = 0
    wake: int = 0
    erased_at: int = 0
    event_ids: bytes = b""
    counters: Counters = msgspec.field(default_factory=Counters)
    carts: list[Cart] = []
    orders: list[Order] = []
    triggers: list[Trigger] = []
    sends: list[Send] = []
    sends_lost_at: int = 0
    fatigue: float = 0.0
    fatigue_at: int = 0
    consents: list[Consent] = []
    reach: dict[str, Reach] = {}
    zones: list[str] = []
    zones_at: int = 0
    locale: str = ""
    locale_at: int = 0
    engagement: dict[str, list[int]] = {}
    orders_seen: int = 0
    orders_value: float = 0.0

    def cart(self, cart_id: str) -> Cart | None:
        """Return the cart with this id."""
        for cart in self.carts:
            if cart.cart_id == cart_id:
                return cart
        return None

    def order(self, order_id: str) -> Order | None:
        """Return the order with this id."""
        for order in self.orders:
            if order.order_id == order_id:
                return order
        return None

    def trigger(self, campaign: str, kind: str, key: str) -> Trigger | None:
        """Return the armed trigger of this identity."""
        for trigger in self.triggers:
            if trigger.key == key and trigger.campaign == campaign and trigger.kind == kind:
                return trigger
        return None

    def consent(self, purpose: str, channel: str) -> Consent | None:
        """Return the word that counts for the channel; None = she was never asked.

        Her own last word; what an app says in passing counts where she never spoke herself, or
        where it is a later refusal. It never lifts a refusal of hers: apps repeat what their
        own database holds, and it does not know of an unsubscribe.
        """
        hers = said = None
        for word in self.consents:
            if word.purpose != purpose or word.channel not in (channel, "*"):
                continue
            if word.in_passing:
                said = _last_word(said, word)
            else:
                hers = _last_word(hers, word)
        if hers is None or said is None:
            return hers or said
        refused_later = not said.granted and said.at >= hers.at
        return said if hers.granted and refused_later else hers

    def standing_orders(self) -> list[Order]:
        """Return the orders that stand, oldest first."""
        return [order for order in self.orders if order.stands]


def _last_word(known: Consent | None, word: Consent) -> Consent:
    """Return the later of two words; of two equally old ones, the refusal."""
    if known is None or (word.at, not word.granted) > (known.at, not known.granted):
        return word
    return known


class Addresses(Struct, array_like=True, gc=False):
    """Where she can be reached, by channel: (address, when told). Kept under a key of its own."""

    v: int = ADDRESSES_VERSION
    by_channel: dict[str, tuple[str, int]] = {}


class _Carrying(Profile, array_like=True, gc=False):
    """A profile with fields that a newer release added at its end: kept, packed as they came."""

    more: list[msgspec.Raw] = []


_encoder = msgspec.msgpack.Encoder()
_profiles = msgspec.msgpack.Decoder(Profile)
_packed_fields = msgspec.msgpack.Decoder(list[msgspec.Raw])
_addresses = msgspec.msgpack.Decoder(Addresses)

# One step per entry: fields of version n in, fields of version n + 1 out. Fields that are only
# added at the end need no step: they take their defaults.
Migration = Callable[[list[Any]], list[Any]]
MIGRATIONS: dict[int, Migration] = {}

# Versions that are read and not yet written: the decoder of the next one ships a release before
# anything writes it, so that workers of both releases can share a shop while it is upgraded.
ReadAhead = Callable[[bytes], Profile]
READ_AHEAD: dict[int, ReadAhead] = {}

# A packed profile is a msgpack array of more than 15 fields: 0xdc, two bytes of length, then the
# version, which stays below 128 and is therefore one byte.
_VERSION_AT: Final = 3
_LENGTH_AT: Final = 2  # the low byte of the length; the high one is 0 below 256 fields
_FIELDS: Final = len(Profile.__struct_fields__)
# Packed addresses are an array of fewer than 16 fields: one byte, then the version.
_ADDRESSES_VERSION_AT: Final = 1


def encode(value: Profile | Addresses) -> bytes:
    """Pack a profile or addresses; equal values give equal bytes."""
    if type(value) is _Carrying:
        *known, more = msgspec.structs.astuple(value)
        return _encoder.encode([*known, *more])
    return _encoder.encode(value)


def decode(
    packed: bytes,
    migrations: dict[int, Migration] = MIGRATIONS,
    ahead: dict[int, ReadAhead] = READ_AHEAD,
) -> Profile:
    """Unpack a profile; older ones are migrated, the next one is read as far as it is known.

    What a newer release has added at the end is carried along and written back. A version that is
    not known is refused with one sentence.
    """
    version = packed[_VERSION_AT]
    if version == VERSION:
        if packed[_LENGTH_AT] <= _FIELDS:
            return _profiles.decode(packed)
        return appended(packed)
    if version in ahead:
        return ahead[version](packed)
    fields: list[Any] = msgspec.msgpack.decode(packed)
    while fields[0] != VERSION:
        step = migrations.get(fields[0])
        if step is None:
            raise Refused(_newer(fields[0]))
        fields = step(fields)
    return msgspec.convert(fields, Profile)


def appended(packed: bytes) -> Profile:
    """Unpack a profile of a version that only adds fields at the end: the decoder of such a one.

    It will be written as :data:`VERSION`, with these fields behind its own. Within its carts,
    orders and sends nothing can be added so: msgspec drops what an array holds beyond its fields.
    """
    known = msgspec.structs.asdict(_profiles.decode(packed)) | {"v": VERSION}
    more = _packed_fields.decode(packed)[_FIELDS:]
    # copies: a Raw holds on to all it was cut out of
    return _Carrying(**known, more=[msgspec.Raw(bytes(field)) for field in more])


def decode_addresses(packed: bytes) -> Addresses:
    """Unpack addresses; a newer version is refused with one sentence."""
    if packed[_ADDRESSES_VERSION_AT] != ADDRESSES_VERSION:
        raise Refused(_newer(packed[_ADDRESSES_VERSION_AT]))
    return _addresses.decode(packed)


def _newer(version: int) -> str:
    return (
        f"The store holds a profile of version {version}, this program reads version {VERSION}: "
        "start the release of rekindle that wrote it."
    )
