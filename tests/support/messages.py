"""Raw messages of many kinds as apps send them, good ones and bad ones, the same every time."""

import json
from typing import Any

from engine.draws import draw

Raw = tuple[bytes, bytes]

_LINE = {"product_id": "p1", "name": "Shoe", "price": 120.5, "quantity": 2, "currency": "CNY"}
_CONSENT = {"purpose": "marketing", "channel": "push", "granted": True, "source": "app"}

# Properties by event name; every kind a shop's SDK sends, and one nobody knows.
_TRACKS: dict[str, dict[str, Any]] = {
    "Product Viewed": _LINE,
    "Product List Viewed": {"list_id": "shoes"},
    "Products Searched": {"query": "shoe"},
    "Product Added": _LINE,
    "product added": {**_LINE, "cart_id": "c-1"},
    "Product Removed": _LINE,
    "Cart Viewed": {"cart_id": "c-1", "products": [_LINE, {"product_id": "p2", "price": 3}]},
    "Checkout Started": {"checkout_id": "k-1", "products": [_LINE]},
    "Order Completed": {"order_id": "o-1", "total": 241.0, "currency": "CNY", "products": [_LINE]},
    "Order Updated": {"order_id": "o-1"},
    "Order Refunded": {"order_id": "o-1", "total": 12},
    "Order Cancelled": {"order_id": "o-1"},
    "package delivered": {"order_id": "o-1"},
    "Product Added to Wishlist": {"product_id": "p7"},
    "Application Opened": {},
    "Consent Changed": _CONSENT,
    "Email Delivered": {"campaign_id": "of another system"},
    "Shark Jumped": {"height": 3},
}
_OTHERS: list[dict[str, Any]] = [
    {"type": "page", "name": "Home"},
    {"type": "screen", "name": "Cart"},
    {"type": "group", "groupId": "g"},
    {"type": "alias", "previousId": "x"},
    {
        "type": "identify",
        "traits": {"email": "li@example.com", "timezone": "Asia/Shanghai", "push_opt_in": True},
        "context": {"device": {"token": "t-1"}, "locale": "zh-CN"},
    },
]

# Bytes that tell nothing, and why: they go to the dead letters.
POISON: dict[bytes, str] = {
    b"": "empty",
    b"{": "not_json",
    b"\xff\xfe\x00": "not_json",
    b"[1,2]": "not_object",
    b'{"type":"track","event":"Product Viewed","properties":{"product_id":"p"}}': "no_user",
    b'{"type":"track","userId":"guest","event":"Application Opened"}': "no_user",
    b'{"type":"dance","userId":"u1"}': "unknown_type",
    b'{"type":"track","userId":"u1"}': "no_event_name",
    b'{"type":"track","userId":"u1","event":"Product Added"}': "no_product_id",
    b'{"type":"track","userId":"u1","event":"Order Refunded","properties":{}}': "no_order_id",
    b'{"type":"page","userId":"u1","name":"' + b"x" * 40_000 + b'"}': "oversize",
}

# What shipped SDKs really send, and is read all the same.
_MENDED = [
    (
        b'{"type":"track","userId":"%s","messageId":"n-%d","event":"Product Added",'
        b'"properties":{"product_id":"p9","price":NaN,"quantity":Infinity}}'
    ),
    (
        b'{"type":"track","userId":"%s","messageId":"s-%d","event":"Product Viewed",'
        b'"properties":{"product_id":"p\\ud800"}}'
    ),
    b'{"type":"screen","userId":"%s","messageId":"f-%d","timestamp":"2099-01-01T00:00:00Z"}',
]


def messages(count: int, *, users: int = 40, first: int = 0) -> list[Raw]:
    """Return ``count`` (key, value): three of four good, the others mended or poison."""
    return [_message(number, users) for number in range(first, first + count)]


def _message(number: int, users: int) -> Raw:
    def lot(purpose: str) -> float:
        return draw("messages", "corpus", purpose, str(number))

    user = f"u{int(lot('user') * users)}"
    kind = lot("kind")
    if kind < 0.12:
        # Of one bad client, whose key meets those of good ones in its partition.
        return b"bad-client", _pick(list(POISON), lot("poison"))
    if kind < 0.25:
        return user.encode(), _pick(_MENDED, lot("mended")) % (user.encode(), number)
    body = _good(lot("what"))
    who = {"anonymousId": f"d-{user}"} if lot("anonymous") < 0.2 else {"userId": user}
    if lot("id") < 0.9:
        body["messageId"] = f"m-{number}"
    if lot("timed") < 0.5:
        body |= {"timestamp": "2026-01-05T10:00:00.000Z", "sentAt": "2026-01-05T10:00:01.000Z"}
    return next(iter(who.values())).encode(), json.dumps(body | who).encode()


def _good(lot: float) -> dict[str, Any]:
    kinds = [{"type": "track", "event": name, "properties": p} for name, p in _TRACKS.items()]
    return dict(_pick(kinds + _OTHERS, lot))


def _pick(among: list[Any], lot: float) -> Any:
    return among[int(lot * len(among))]
