"""What shoppers of the fault run do: Segment messages, made from a seed as time goes by.

70 % views, 15 % adds, 3 % orders, 12 % other. Somebody who puts a thing into her cart often buys
within the last second before her reminder is due, or right after. Phones send late and out of
order, apps send nonsense, and an SDK sends again what it has sent already.
"""

import heapq
import json
import random
from collections import deque
from typing import Any, Final, NamedTuple

# What the campaigns file of the run says, ms: a reminder's delay (see ``world.settings``).
DELAY: Final = 5_000

_CHANNELS: Final = (("push",), ("email",), ("sms",), ("push", "email"), ("push", "email", "sms"))
_NONSENSE: Final = (
    b"\xff\xfe not json",
    b'{"type":"track","userId":"u1"',
    b"[1,2,3]",
    b'{"type":"track","userId":"","event":"Product Added"}',
    b'{"type":"no_such","userId":"u2"}',
    b'{"type":"track","userId":"u3","event":"Product Added","properties":{"price":"x"}}',
)
# Shares of all messages.
_REPEATED: Final = 0.01
_POISON: Final = 0.001
_LATE: Final = 0.05
_CONSENT: Final = 0.002
_BUYS_IN_TIME: Final = 0.35
_FIRST_CART: Final = 0.7


class Message(NamedTuple):
    """One message as an app publishes it."""

    key: str
    value: bytes


class Shoppers:
    """Makes messages; everything is drawn from ``seed``."""

    def __init__(self, seed: int, users: int) -> None:
        """Nobody has been seen yet."""
        self._draws = random.Random(seed)
        self._users = users
        self._met: set[int] = set()
        self._buying: list[tuple[int, int]] = []
        self._recent: deque[Message] = deque(maxlen=2_000)
        self._number = 0
        self._prefix = f"m{seed}-"

    def next(self, now: int) -> list[Message]:
        """Return what is sent next, at ``now`` (ms): mostly one message, two of a newcomer."""
        draws = self._draws
        if self._buying and self._buying[0][0] <= now:
            _, user = heapq.heappop(self._buying)
            return [self._kept(self._order(user, now))]
        chance = draws.random()
        if chance < _REPEATED and self._recent:
            return [draws.choice(self._recent)]
        if chance < _REPEATED + _POISON:
            return [Message(self._name(self._somebody()), draws.choice(_NONSENSE))]
        user = self._somebody()
        first = [] if user in self._met else [self._kept(self._hello(user, now))]
        self._met.add(user)
        return [*first, self._kept(self._act(user, now))]

    def _somebody(self) -> int:
        """Return a shopper; some come far more often than others, as in any shop."""
        return min(int(self._users * self._draws.random() ** 3), self._users - 1)

    def _act(self, user: int, now: int) -> Message:
        chance = self._draws.random()
        if chance < 0.70:
            return self._track(user, now, "Product Viewed", product_id=self._product())
        if chance < 0.85:
            return self._add(user, now)
        if chance < 0.88:
            return self._order(user, now)
        if chance < 0.88 + _CONSENT:
            granted = self._draws.random() < 0.5
            channel = self._draws.choice(["push", "email", "sms"])
            return self._track(user, now, "Consent Changed", channel=channel, granted=granted)
        name = self._draws.choice(["Product Removed", "Cart Viewed", "Products Searched", "Opened"])
        return self._track(user, now, name, product_id=self._product(), cart_id=f"c{user}")

    def _add(self, user: int, now: int) -> Message:
        if self._draws.random() < _BUYS_IN_TIME:
            # Around the moment her reminder is due, mostly shortly before.
            at = now + DELAY - int(self._draws.triangular(-1_000, 2_500, 300))
            heapq.heappush(self._buying, (at, user))
        price = round(20 + 400 * self._draws.random(), 2)
        thing = {"product_id": self._product(), "name": "Shoe", "price": price, "currency": "CNY"}
        # Some keep a second cart: two reminders may be due at once, and be arbitrated.
        cart = f"c{user}" if self._draws.random() < _FIRST_CART else f"d{user}"
        return self._track(user, now, "Product Added", cart_id=cart, quantity=1, **thing)

    def _order(self, user: int, now: int) -> Message:
        self._number += 1
        return self._track(
            user,
            now,
            "Order Completed",
            order_id=f"o{self._prefix}{self._number}",
            cart_id=f"c{user}",
            total=round(30 + 500 * self._draws.random(), 2),
            currency="CNY",
            products=[{"product_id": self._product(), "price": 99.0, "quantity": 1}],
        )

    def _hello(self, user: int, now: int) -> Message:
        """Let her say who she is, where she can be reached and that she may be spoken to."""
        reached = self._draws.choice(_CHANNELS)
        addresses: dict[str, Any] = {f"{channel}_opt_in": True for channel in reached}
        if "email" in reached:
            addresses["email"] = f"{self._name(user)}@example.com"
        if "sms" in reached:
            addresses["phone"] = f"+86138{user:08d}"
        context: dict[str, Any] = {"timezone": "Asia/Shanghai"}
        if "push" in reached:
            context["device"] = {"token": f"token-{user}"}
        return self._message(user, now, type="identify", traits=addresses, context=context)

    def _track(self, user: int, now: int, event: str, **properties: Any) -> Message:
        return self._message(user, now, type="track", event=event, properties=properties)

    def _message(self, user: int, now: int, **told: Any) -> Message:
        self._number += 1
        at = now
        if self._draws.random() < _LATE:
            at -= int(self._draws.random() * 20_000)
        name = self._name(user)
        told |= {
            "messageId": f"{self._prefix}{self._number}",
            "userId": name,
            "timestamp": _iso(at),
            "sentAt": _iso(now),
        }
        return Message(name, json.dumps(told).encode())

    def _kept(self, message: Message) -> Message:
        self._recent.append(message)
        return message

    def _name(self, user: int) -> str:
        return f"u{user}"

    def _product(self) -> str:
        return f"p{int(500 * self._draws.random() ** 2)}"


def _iso(ms: int) -> str:
    seconds, rest = divmod(ms, 1_000)
    day, second = divmod(seconds, 86_400)
    return f"{_date(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{rest:03}Z"


def _date(day: int) -> str:
    from datetime import date, timedelta  # noqa: PLC0415 - once a day

    if day not in _DATES:
        _DATES[day] = (date(1970, 1, 1) + timedelta(days=day)).isoformat()
    return _DATES[day]


_DATES: dict[int, str] = {}
