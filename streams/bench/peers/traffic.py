"""What the shoppers of the comparison do: the same messages for every engine, by a seed."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from engine.times import HOUR, iso
from streams.log.topics import partition_of

# ms of shop time between two events: 20,000 of them are 7 minutes, in which carts come due; on
# eight partitions 375 of them pass between two full minutes
GAP = 20
# How far back a client that sends twice repeats itself, in events.
_AGAIN = 5


def messages(count: int, users: int, start: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Yield Segment messages in the order of their times, 1 % of them sent twice.

    70 % views, 15 % adds, 3 % orders, 12 % identifies (nine of ten say yes to e-mail); a tenth of
    the users cause a third of the events.
    """
    last: list[dict[str, Any]] = []
    for number in range(count):
        lot = sha256(b"%d.%d" % (seed, number)).digest()
        who, what, kind, twice = (
            int.from_bytes(lot[i : i + 4], "big") / 2**32 for i in (0, 4, 8, 12)
        )
        if twice < 0.01 and len(last) == _AGAIN:
            yield last[0]
            continue
        user = f"u{int(users * who * who)}"
        message = _message(kind, what, number, user, start + number * GAP)
        last = [*last, message][-_AGAIN:]
        yield message


def closing(partitions: int, at: int) -> Iterator[dict[str, Any]]:
    """Yield one view per partition, two hours later: what was due by then is decided."""
    for partition in range(partitions):
        number = 0
        while partition_of(b"closing-%d" % number, partitions) != partition:
            number += 1
        yield _message(0.0, 0.5, -1 - partition, f"closing-{number}", at + 2 * HOUR)


def _message(kind: float, what: float, number: int, user: str, at: int) -> dict[str, Any]:
    common = {
        "messageId": f"peer-{number}",
        "userId": user,
        "timestamp": iso(at),
        "context": {"library": {"name": "analytics-node", "version": "3.1.0"}, "locale": "zh-CN"},
    }
    if kind >= 0.88:
        traits = {"email": f"{user}@example.com", "email_opt_in": what < 0.9}
        return common | {"type": "identify", "traits": traits}
    product = {
        "product_id": f"p{int(what * 5000)}",
        "name": "Trail running shoe, men, blue",
        "price": round(20 + what * 300, 2),
        "currency": "CNY",
        "quantity": 1,
        "category": "shoes/running",
    }
    if kind >= 0.85:
        order = {"order_id": f"o{number}", "total": product["price"], "products": [product]}
        return common | {"type": "track", "event": "Order Completed", "properties": order}
    name = "Product Viewed" if kind < 0.70 else "Product Added"
    return common | {"type": "track", "event": name, "properties": product}
