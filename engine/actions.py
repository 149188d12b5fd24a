"""What one channel is to carry to one person: the JSON that gateways read from ``actions.*``."""

from typing import Final

import msgspec
from msgspec import Struct

VERSION: Final = 1
MAX_BYTES: Final = 64 * 1024


class Item(Struct, frozen=True):
    """One product the message speaks of; ``price`` as a shopper reads it."""

    product_id: str
    name: str
    price: str


class Content(Struct, frozen=True, kw_only=True):
    """The words. ``template`` names template, locale and hash; unused parts are None."""

    template: str
    title: str | None = None
    body: str = ""
    subject: str | None = None
    html: str | None = None
    deep_link: str | None = None
    items: list[Item] = []


class CampaignRef(Struct, frozen=True, kw_only=True):
    """Which campaign speaks, in which version."""

    id: str
    version: int
    step: int = 1
    variant: str | None = None


class TriggerRef(Struct, frozen=True, kw_only=True):
    """Why: the trigger, its episode, and its times in ISO 8601."""

    kind: str
    key: str
    episode: str
    armed_at: str
    due_at: str


class Recipient(Struct, frozen=True, kw_only=True):
    """To whom: address in clear, its hash, language and zone."""

    address: str
    address_hash: str
    locale: str
    timezone: str


class Quiet(Struct, frozen=True, kw_only=True):
    """The quiet hours the gateway must respect too, in local wall-clock time."""

    tz: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")


class Delivery(Struct, frozen=True, kw_only=True):
    """How to carry it; after ``expires_at`` it must not reach anybody."""

    created_at: str
    expires_at: str
    collapse_key: str
    quiet: Quiet
    max_attempts: int = 3


class ConsentRef(Struct, frozen=True, kw_only=True):
    """On what consent it rests."""

    basis: str
    source: str


class Action(Struct, frozen=True, kw_only=True):
    """One message to one person on one channel."""

    v: int = VERSION
    action_id: str
    kind: str = "send"
    channel: str
    purpose: str = "marketing"
    user_id: str
    campaign: CampaignRef
    trigger: TriggerRef
    decision_id: str
    to: Recipient
    content: Content
    delivery: Delivery
    consent: ConsentRef


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Action).decode


def encode(action: Action) -> bytes:
    """Write an action as JSON; fields in declared order, so equal actions give equal bytes."""
    return _encode(action)


def decode(value: bytes) -> Action:
    """Read an action; unknown fields are ignored."""
    return _decode(value)
