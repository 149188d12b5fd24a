"""The reference mix: what a shop's apps send, as raw messages in the Segment dialect.

70 % views, 15 % things put into carts, 3 % orders, 12 % others; one message in a hundred is sent
again word for word, as phones do. Everything is drawn by keyed hashes from the message's number,
so the same seed gives the same bytes on every machine.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from engine.times import iso

VIEWS: Final = 0.70
ADDS: Final = 0.15
ORDERS: Final = 0.03
DUPLICATES: Final = 0.01

# A sender that heard no answer sends again soon: at most so many messages later.
_AGAIN_WITHIN: Final = 50
# Density 1 / (rank + users / 1000): a tenth of the users sends two thirds of everything, and the
# busiest one 0.14 %. Plain 1 / rank would give one person 8 % of a shop.
_HEAD: Final = 1_000
_CATALOGUE: Final = 5_000
_FAVOURITES: Final = 3
_SPAN: Final = 2**32

_encode = msgspec.json.Encoder().encode


class Message(NamedTuple):
    """One raw message: Kafka key, value and the time it happened (ms)."""

    key: bytes
    value: bytes
    at: int


class _Lots(NamedTuple):
    """What one message is made of, each in [0, 1)."""

    who: float
    kind: float
    what: float
    price: float
    again: float
    back: float


def messages(count: int, users: int, *, start: int, gap: float, seed: str) -> Iterator[Message]:
    """Yield ``count`` messages of ``users`` users, one every ``gap`` ms from ``start`` (ms) on."""
    for number in range(count):
        original = _original(number, seed)
        yield _message(original, users, start + int(original * gap), seed)


def identify(user: str, at: int, seed: str) -> Message:
    """Return the message by which somebody tells her address and that she may be written to."""
    message = {
        "messageId": f"{seed}-{user}",
        "userId": user,
        "timestamp": iso(at),
        **_identify(user, {}),
    }
    return Message(user.encode(), _encode(message), at)


def user_of(lot: float, users: int) -> str:
    """Return whose message it is: small numbers are busy, see ``_HEAD``."""
    head = max(users / _HEAD, 1.0)
    rank = head * ((users + head) / head) ** lot - head
    return f"u{min(int(rank), users - 1)}"


def _original(number: int, seed: str) -> int:
    """Return the message that ``number`` repeats, or itself."""
    while number:
        lots = _draw(number, seed)
        if lots.again >= DUPLICATES:
            break
        number = max(0, number - 1 - int(lots.back * _AGAIN_WITHIN))
    return number


def _draw(number: int, seed: str) -> _Lots:
    drawn = blake2b(b"%d" % number, digest_size=24, key=seed.encode()).digest()
    return _Lots(*(int.from_bytes(drawn[i : i + 4], "big") / _SPAN for i in range(0, 24, 4)))


def _message(number: int, users: int, at: int, seed: str) -> Message:
    lots = _draw(number, seed)
    user = user_of(lots.who, users)
    message = {
        "messageId": f"{seed}-{number}",
        "userId": user,
        "timestamp": iso(at),
        "context": {"library": {"name": "analytics-node", "version": "3.1.0"}, "locale": "zh-CN"},
        **_said(number, user, lots),
    }
    return Message(user.encode(), _encode(message), at)


def _said(number: int, user: str, lots: _Lots) -> dict[str, Any]:
    product = _product(user, lots)
    if lots.kind < VIEWS:
        return _track("Product Viewed", product)
    if lots.kind < VIEWS + ADDS:
        return _track("Product Added", product)
    if lots.kind < VIEWS + ADDS + ORDERS:
        total = {"total": product["price"], "currency": "CNY"}
        order = {"order_id": f"order-{number}", **total, "products": [product]}
        return _track("Order Completed", order)
    left = (lots.kind - VIEWS - ADDS - ORDERS) / (1 - VIEWS - ADDS - ORDERS)
    return _OTHERS[int(left * len(_OTHERS))](user, product)


def _product(user: str, lots: _Lots) -> dict[str, Any]:
    """Return one of the few products this person looks at, puts into her cart and orders."""
    choice = int(lots.what * _FAVOURITES)
    number = int.from_bytes(blake2b(f"{user}|{choice}".encode(), digest_size=4).digest(), "big")
    return {
        "product_id": f"sku-{number % _CATALOGUE}",
        "name": "Trail running shoe, men, blue",
        "price": round(20 + (number % 300) + 0.9, 2),
        "currency": "CNY",
        "quantity": 1,
        "category": "shoes/running",
    }


def _track(event: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "track", "event": event, "properties": properties}


def _identify(user: str, _: dict[str, Any]) -> dict[str, Any]:
    traits = {
        "email": f"{user}@shop-customers.example",
        "email_opt_in": True,
        "timezone": "Asia/Shanghai",
        "address": {"country": "CN", "city": "Shanghai"},
    }
    return {"type": "identify", "traits": traits}


def _page(_: str, product: dict[str, Any]) -> dict[str, Any]:
    url = f"https://www.shop.example/{product['category']}/{product['product_id']}"
    shown = {"url": url, "title": product["name"], "referrer": "https://www.shop.example/"}
    return {"type": "page", "name": "Product", "properties": shown}


def _searched(_: str, product: dict[str, Any]) -> dict[str, Any]:
    found = {"results": 24, "sort": "popularity", "category": product["category"]}
    return _track("Products Searched", {"query": product["name"], **found})


def _removed(_: str, product: dict[str, Any]) -> dict[str, Any]:
    return _track("Product Removed", product)


def _checkout(user: str, product: dict[str, Any]) -> dict[str, Any]:
    checkout = {"checkout_id": f"checkout-{user}", "value": product["price"], "currency": "CNY"}
    return _track("Checkout Started", {**checkout, "products": [product]})


# In equal parts; page and search twice, for they are what people do most.
_OTHERS: Final[tuple[Callable[[str, dict[str, Any]], dict[str, Any]], ...]] = (
    _page,
    _page,
    _searched,
    _searched,
    _identify,
    _removed,
    _checkout,
)

__all__ = ["Message", "identify", "messages", "user_of"]
