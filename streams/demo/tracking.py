"""How the simulated shop's apps and gateway tell what happens: Segment messages, and reports."""

from typing import Any, Final, NamedTuple

from engine.times import iso
from streams.demo.goods import BY_ID, CURRENCY, Lines, worth
from streams.demo.people import Shopper
from streams.demo.truth import Heard

Message = dict[str, Any]
Report = dict[str, Any]

_BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/142.0"
_SITE: Final = "web"
SERVER: Final = "server"


class Told(NamedTuple):
    """One message of the shop: the key of its record, and the Segment message."""

    key: str
    message: Message


def identify(person: Shopper, at: int) -> Told:
    """Tell who she is, where she is, how she can be reached and what she allows."""
    digits = person.id.rpartition("-")[2]
    traits: Message = {"timezone": person.zone, "locale": person.locale}
    traits |= {f"{channel}_opt_in": channel in person.allowed for channel in person.channels}
    if "email" in person.channels:
        traits["email"] = f"{person.id}@example.com"
    if "sms" in person.channels:
        traits["phone"] = f"+8613000{digits:0>6}"
    if not person.personalised:
        traits["personalisation_opt_in"] = False
    message = _message(person, at, "identify", f"identify-{person.id}")
    message["traits"] = traits
    if "push" in person.channels:
        message["context"] = {"device": {"type": person.phone, "token": f"token-{digits}"}}
    return Told(person.id, message)


def track(person: Shopper, at: int, event: str, properties: Message, device: str) -> Told:
    """Tell what she did; ``device`` = app, web, or the shop's own server."""
    ident = f"{event.lower().replace(' ', '-')}-{person.id}-{at}"
    message = _message(person, at, "track", ident)
    message |= {"event": event, "properties": properties, "context": _context(person, device)}
    return Told(person.id, message)


def _context(person: Shopper, device: str) -> Message:
    """Return what an SDK says about where it runs; no token: only a log-in tells that."""
    if device == "app":
        library = {"name": f"analytics-{person.phone}"}
        return {"library": library, "device": {"type": person.phone}}
    if device == _SITE:
        return {"library": {"name": "analytics.js"}, "userAgent": _BROWSER}
    return {"library": {"name": "analytics-node"}}


def _message(person: Shopper, at: int, kind: str, ident: str) -> Message:
    who = "anonymousId" if person.anonymous else "userId"
    when = iso(at)
    return {"messageId": ident, "type": kind, who: person.id, "timestamp": when, "sentAt": when}


def product(person: Shopper, product_id: str, count: int = 1) -> Message:
    """Return the properties of a product in her language."""
    about = BY_ID[product_id]
    return {
        "product_id": about.id,
        "name": about.name(person.locale),
        "category": about.category,
        "price": about.price,
        "quantity": count,
        "currency": CURRENCY,
    }


def purchase(
    person: Shopper, order_id: str, lines: Lines, cart_id: str, amount: str = "value"
) -> Message:
    """Return the properties of a checkout, or with ``amount`` = total of an order."""
    said: Message = {"order_id": order_id, "currency": CURRENCY, "products": listed(person, lines)}
    if cart_id:
        said["cart_id"] = cart_id
    said[amount] = worth(lines)
    return said


def listed(person: Shopper, lines: Lines) -> list[Message]:
    """Return lines as products with their quantities."""
    return [product(person, product_id, count) for product_id, count in lines]


def feedback(heard: Heard, at: int, kind: str, *, permanent: bool = False) -> Report:
    """Return a gateway's report about an action."""
    return {
        "v": 1,
        "feedback_id": f"{heard.action_id}:{kind}",
        "action_id": heard.action_id,
        "user_id": heard.user_id,
        "channel": heard.channel,
        "provider": "demo",
        "type": kind,
        "permanent": permanent,
        "reason": "",
        "provider_code": "",
        "occurred_at": iso(at),
    }


__all__ = ["SERVER", "Message", "Report", "Told", "feedback", "identify", "listed", "product"]
__all__ += ["purchase", "track"]
