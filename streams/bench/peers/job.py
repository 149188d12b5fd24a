"""The reduced job that every engine of the comparison does, in plain functions.

Per user: drop repeated message ids, count what she did, keep her address and her word on e-mail,
keep the lines of her cart. What she puts in arms a reminder: three minutes after her last change,
at most nine after the first; an order empties the cart and ends it, a "no" ends it. Time passes per
partition in full minutes of the events' own time: before the first event of a minute is taken,
everything due by its beginning is decided. A reminder needs an address and a yes, and nobody gets
more than two within seven days.

What is kept is a dict of plain values, so that each engine may store it as it likes. Times are ms.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND

DELAY: Final = 3 * MINUTE
HARD_LIMIT: Final = 9 * MINUTE
SETTLE: Final = SECOND
TICK: Final = MINUTE
WINDOW: Final = 7 * 24 * 60 * MINUTE
LIMIT: Final = 2

# As rekindle bounds a profile: the last ids seen, and the lines of a cart that were touched last.
IDS: Final = 32
LINES: Final = 16

State = dict[str, Any]
Message = dict[str, Any]


class Reminder(NamedTuple):
    """What all engines must agree on: who, by which first event, due when, worth what."""

    user: str
    episode: str
    due: int
    value: float


def blank() -> State:
    """Return what is known of somebody never seen."""
    return {
        "ids": [],
        "views": 0,
        "adds": 0,
        "orders": 0,
        "seen": 0,
        "email": "",
        "yes": False,
        "cart": {},
        "armed": 0,
        "edited": 0,
        "due": 0,
        "episode": "",
        "sent": [],
    }


def time_of(message: Message) -> int:
    """Return when the event happened."""
    return round(datetime.fromisoformat(message["timestamp"]).timestamp() * SECOND)


def minute_of(at: int) -> int:
    """Return the beginning of the minute, which is the time that has passed for sure."""
    return at - at % TICK


def fold(state: State, message: Message, at: int) -> None:
    """Change what is known of a user by one message that happened at ``at``."""
    if message["messageId"] in state["ids"]:
        return
    state["ids"] = [*state["ids"], message["messageId"]][-IDS:]
    state["seen"] = at
    if message["type"] == "identify":
        _told(state, message["traits"])
    elif message["event"] == "Product Viewed":
        state["views"] += 1
    elif message["event"] == "Product Added":
        state["adds"] += 1
        _put(state["cart"], message["properties"], at)
        _arm(state, message["messageId"], at)
    elif message["event"] == "Order Completed":
        state["orders"] += 1
        state["cart"] = {}
        _disarm(state)


def _told(state: State, traits: dict[str, Any]) -> None:
    state["email"], state["yes"] = traits["email"], traits["email_opt_in"]
    if not state["yes"]:
        _disarm(state)


def _put(cart: dict[str, list[Any]], product: dict[str, Any], at: int) -> None:
    name = product["product_id"]
    held = cart.get(name, [0])[0]
    cart[name] = [held + product["quantity"], product["price"], at]
    if len(cart) > LINES:
        del cart[min(cart, key=lambda line: (cart[line][2], line))]


def _arm(state: State, episode: str, at: int) -> None:
    if not state["due"]:
        state["armed"], state["episode"] = at, episode
    state["edited"] = at
    state["due"] = max(min(at + DELAY, state["armed"] + HARD_LIMIT), at + SETTLE)


def _disarm(state: State) -> None:
    state["due"], state["armed"], state["edited"], state["episode"] = 0, 0, 0, ""


def decide(state: State, user: str, now: int) -> dict[str, Any] | None:
    """Decide about a user at ``now``; return the action, None when nothing is to be said."""
    if not state["due"] or state["due"] > now:
        return None
    due, episode = state["due"], state["episode"]
    _disarm(state)
    recent = [at for at in state["sent"] if at > now - WINDOW]
    if not state["email"] or not state["yes"] or len(recent) >= LIMIT:
        return None
    state["sent"] = [*recent, now]
    return {
        "action_id": f"cart:{user}:{episode}",
        "channel": "email",
        "user_id": user,
        "to": state["email"],
        "episode": episode,
        "due": due,
        "at": now,
        "value": value(state),
        "title": "Something is still in your cart",
        "items": [
            {"product_id": name, "quantity": quantity, "price": price}
            for name, (quantity, price, _) in state["cart"].items()
        ],
    }


def value(state: State) -> float:
    """Return what the cart is worth."""
    worth: float = sum(quantity * price for quantity, price, _ in state["cart"].values())
    return round(worth, 2)


def reminder(action: dict[str, Any]) -> Reminder:
    """Return what must agree of an action of this module."""
    return Reminder(action["user_id"], action["episode"], action["due"], action["value"])


def replay(messages: Iterable[Message]) -> list[Reminder]:
    """Return the reminders of one partition by nothing but these rules, in dicts."""
    states: dict[str, State] = {}
    now, found = 0, []
    for message in messages:
        at = time_of(message)
        if minute_of(at) > now:
            now = minute_of(at)
            for user, state in states.items():
                action = decide(state, user, now)
                if action is not None:
                    found.append(reminder(action))
        fold(states.setdefault(message["userId"], blank()), message, at)
    return found
