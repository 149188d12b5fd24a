"""The dialect of the apps: Segment and RudderStack messages into events.

Total: any bytes either give events or raise InvalidEvent. A message tells one main event first;
what its device and person say beside it (address, zone, consent) follows as events of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid5

from engine import events as ev
from engine.draws import NAMESPACE
from engine.events import Event, Position
from streams.sources import contacts, event_times, ids, names
from streams.sources.event_times import Clock
from streams.sources.lenient_json import loads
from streams.sources.lines import (
    count,
    currency_of,
    line,
    listed,
    money,
    product_of,
    required_product,
)
from streams.sources.reasons import UNREAD, Notes, invalid
from streams.sources.values import (
    MAX_ID,
    MAX_WORD,
    identifier,
    mapping,
    number_as_text,
    text,
    truth,
)

MAX_BYTES: Final = 32 * 1024

# Of an id made up because the message had none, and of one made shorter.
GENERATED: Final = "gen:"
CUT: Final = "cut:"


def parse(
    value: bytes,
    position: Position,
    received_at: int,
    notes: Notes | None = None,
    *,
    clock: Clock = "live",
) -> list[Event]:
    """Return the events of one message, ordinals of ``position`` counting up from its own.

    ``received_at``: ms at our door; with ``clock="source"`` the message's own time is the arrival.
    Mended things are counted in ``notes``. Raises InvalidEvent and nothing else.
    """
    notes = UNREAD if notes is None else notes
    if len(value) > MAX_BYTES:
        raise invalid("oversize", f"{len(value)} bytes; one message may have {MAX_BYTES}")
    message = loads(value, notes)
    if type(message) is not dict:
        raise invalid("not_object", "a message is a JSON object")
    told = _Told.of(message, position, received_at, notes, clock)
    reader = _TYPES.get(_type(message))
    if reader is None:
        raise invalid("unknown_type", f"there is no message type {text(message.get('type'))!r}")
    reader(told)
    return told.events


def _type(message: dict[str, Any]) -> str:
    told = message.get("type")
    if told is None:
        # A track by hand often forgets to say so; nothing else has a name of its own.
        return "track" if "event" in message else ""
    return told.lower() if type(told) is str else ""


@dataclass(slots=True)
class _Told:
    """One message being read: what all its events share, and the events so far."""

    message: dict[str, Any]
    properties: dict[str, Any]
    user_id: str
    message_id: str
    occurred_at: int
    received_at: int
    position: Position
    notes: Notes
    events: list[Event]

    @classmethod
    def of(
        cls,
        message: dict[str, Any],
        position: Position,
        received_at: int,
        notes: Notes,
        clock: Clock,
    ) -> "_Told":
        user_id = ids.key(message, notes)
        occurred_at, received_at = event_times.of_message(message, received_at, notes, clock)
        return cls(
            message,
            mapping(message.get("properties")),
            user_id,
            _message_id(message.get("messageId"), position, notes),
            occurred_at,
            received_at,
            position,
            notes,
            [],
        )

    def shared(self) -> dict[str, Any]:
        """Return the fields every event has; the first carries the message's id as it is."""
        ordinal = len(self.events)
        event_id, position = self.message_id, self.position
        if ordinal:
            event_id = f"{event_id}#{ordinal}"
            position = Position(
                position.source,
                position.generation,
                position.partition,
                position.offset,
                position.ordinal + ordinal,
            )
        return {
            "event_id": event_id,
            "user_id": self.user_id,
            "occurred_at": self.occurred_at,
            "received_at": self.received_at,
            "source": position,
        }


def _message_id(told: object, position: Position, notes: Notes) -> str:
    if type(told) is str and told:
        found = told if len(told) <= MAX_ID else CUT + str(uuid5(NAMESPACE, told))
    else:
        found = number_as_text(told)
    if found:
        return found
    notes["generated_id"] += 1
    return GENERATED + str(uuid5(NAMESPACE, "|".join(str(part) for part in _parts(position))))


def _parts(position: Position) -> tuple[object, ...]:
    return (
        position.source,
        position.generation,
        position.partition,
        position.offset,
        position.ordinal,
    )


# --- types of messages --------------------------------------------------------------------------


def _track(told: _Told) -> None:
    raw = text(told.message.get("event"))
    if not raw:
        raise invalid("no_event_name", "a track names its event in the field event")
    name = names.normal(raw)
    meaning = names.MEANINGS.get(name)
    if meaning is not None:
        _MEANINGS[meaning](told)
    elif name in names.REPORTS:
        _report(told, name, raw)
    else:
        told.events.append(ev.Active(**told.shared(), name=raw))
    if meaning in names.TELLING or name in names.TELLING_NAMES:
        _device(told)
        _stamped_consent(told, by_herself=name in names.PREFERENCE)


def _identify(told: _Told) -> None:
    traits = contacts.traits_of(told.message)
    known = contacts.person(traits, mapping(told.message.get("context")), told.notes)
    told.events.append(_identified(told, known))
    for consent in contacts.opt_ins(traits, told.notes):
        _consent(told, consent)
    _stamped_consent(told, by_herself=True)


def _alias(told: _Told) -> None:
    told.notes["refused_link"] += 1
    told.events.append(ev.Active(**told.shared(), name="alias"))


def _sign_of_life(name: str) -> Callable[[_Told], None]:
    def read(told: _Told) -> None:
        told.events.append(ev.Active(**told.shared(), name=name))

    return read


_TYPES: Final[dict[str, Callable[[_Told], None]]] = {
    "track": _track,
    "identify": _identify,
    "page": _sign_of_life("page"),
    "screen": _sign_of_life("screen"),
    "group": _sign_of_life("group"),
    "alias": _alias,
}


# --- beside the main event ----------------------------------------------------------------------


def _identified(told: _Told, known: contacts.Known) -> ev.Identified:
    return ev.Identified(
        **told.shared(), addresses=known.addresses, zones=known.zones, locale=known.locale
    )


def _device(told: _Told) -> None:
    """Tell what the context of an event says about the device, if it says anything."""
    context = told.message.get("context")
    if type(context) is not dict:
        return
    known = contacts.device(context, told.notes)
    if known.says_something:
        told.events.append(_identified(told, known))


def _stamped_consent(told: _Told, *, by_herself: bool) -> None:
    """Tell the preference stamped on a message.

    Web clients stamp it on everything. A stamped yes counts only where she or her log-in speaks:
    on any later event it would undo an unsubscribe as if she had changed her mind.
    """
    said = contacts.stamped_consent(mapping(told.message.get("context")))
    if said is False or (said and by_herself):
        _consent(told, contacts.Said("*", said, "context"))


def _consent(told: _Told, said: contacts.Said) -> None:
    told.events.append(
        ev.ConsentChanged(
            **told.shared(),
            purpose=said.purpose,
            channel=said.channel,
            granted=said.granted,
            basis=said.basis,
            text_version=said.text_version,
        )
    )


# --- meanings of tracks -------------------------------------------------------------------------


def _product_viewed(told: _Told) -> None:
    product = product_of(told.properties)
    told.events.append(ev.ProductViewed(**told.shared(), product_id=product))


def _product_added(told: _Told) -> None:
    properties, cart = told.properties, identifier(told.properties.get("cart_id"))
    several = listed(properties, told.notes) if "product_id" not in properties else None
    if several:
        for added in several:
            told.events.append(ev.ProductAdded(**told.shared(), line=added, cart_id=cart))
        return
    product = required_product(properties)
    added = line(product, properties, currency_of(properties), told.notes)
    told.events.append(ev.ProductAdded(**told.shared(), line=added, cart_id=cart))


def _product_removed(told: _Told) -> None:
    properties = told.properties
    told.events.append(
        ev.ProductRemoved(
            **told.shared(),
            product_id=required_product(properties),
            quantity=count(properties, told.notes),
            cart_id=identifier(properties.get("cart_id")),
        )
    )


def _cart_viewed(told: _Told) -> None:
    cart = identifier(told.properties.get("cart_id"))
    lines = listed(told.properties, told.notes)
    told.events.append(ev.CartViewed(**told.shared(), cart_id=cart, lines=lines))


def _checkout_started(told: _Told) -> None:
    properties = told.properties
    # Checkout Started names the order, its later steps the checkout: link on either.
    checkout = identifier(properties.get("checkout_id")) or identifier(properties.get("order_id"))
    told.events.append(
        ev.CheckoutStarted(
            **told.shared(),
            checkout_id=checkout,
            cart_id=identifier(properties.get("cart_id")),
            lines=listed(properties, told.notes),
        )
    )


def _order_completed(told: _Told) -> None:
    properties = told.properties
    checkout = identifier(properties.get("checkout_id"))
    order = identifier(properties.get("order_id"))
    if not order:
        # A purchase must silence its cart even if the shop forgot to number it.
        told.notes["no_order_id"] += 1
        order = checkout or told.message_id
    total = money(properties, "total", told.notes)
    if total is None:
        total = money(properties, "revenue", told.notes)
    told.events.append(
        ev.OrderCompleted(
            **told.shared(),
            order_id=order,
            cart_id=identifier(properties.get("cart_id")),
            checkout_id=checkout,
            lines=listed(properties, told.notes) or [],
            total=total,
            currency=currency_of(properties),
        )
    )


def _order_id(told: _Told) -> str:
    found = identifier(told.properties.get("order_id"))
    if not found:
        raise invalid("no_order_id", "order_id does not name an order")
    return found


def _order_refunded(told: _Told) -> None:
    order = _order_id(told)
    lines = listed(told.properties, told.notes) or []
    # With products the total may be the whole order's (Segment's own example): the lines decide.
    total = None if lines else money(told.properties, "total", told.notes)
    told.events.append(ev.OrderRefunded(**told.shared(), order_id=order, lines=lines, total=total))


def _order_cancelled(told: _Told) -> None:
    told.events.append(ev.OrderCancelled(**told.shared(), order_id=_order_id(told)))


def _order_delivered(told: _Told) -> None:
    told.events.append(ev.OrderDelivered(**told.shared(), order_id=_order_id(told)))


def _searched(told: _Told) -> None:
    told.events.append(ev.Searched(**told.shared()))


def _wishlisted(told: _Told) -> None:
    product = product_of(told.properties)
    told.events.append(ev.Wishlisted(**told.shared(), product_id=product))


def _consent_changed(told: _Told) -> None:
    properties = told.properties
    granted = truth(properties.get("granted"))
    channel = contacts.channel(properties.get("channel"))
    purpose = contacts.purpose(properties.get("purpose"))
    if granted is None or channel is None or purpose is None:
        raise invalid(
            "bad_consent", "granted is true or false, channel and purpose are words or left out"
        )
    basis = text(properties.get("source"), MAX_WORD)
    version = text(properties.get("text_version"), MAX_WORD)
    _consent(told, contacts.Said(channel, granted, basis, purpose, version))


_MEANINGS: Final[dict[str, Callable[[_Told], None]]] = {
    "product_viewed": _product_viewed,
    "product_added": _product_added,
    "product_removed": _product_removed,
    "cart_viewed": _cart_viewed,
    "checkout_started": _checkout_started,
    "order_completed": _order_completed,
    "order_refunded": _order_refunded,
    "order_cancelled": _order_cancelled,
    "order_delivered": _order_delivered,
    "searched": _searched,
    "wishlisted": _wishlisted,
    "consent_changed": _consent_changed,
}


def _report(told: _Told, name: str, raw: str) -> None:
    """Read what became of a message: an outcome of ours, or a send of another system."""
    channel, outcome = names.REPORTS[name]
    properties = told.properties
    action = identifier(properties.get("action_id"))
    if action:
        told.events.append(
            ev.Outcome(
                **told.shared(),
                action_id=action,
                channel=channel,
                outcome=outcome,
                permanent=truth(properties.get("permanent")) is True,
                reason=text(properties.get("reason")),
            )
        )
    elif name in names.SPOKEN:
        campaign = text(properties.get("campaign_id") or properties.get("campaign_name"))
        told.events.append(ev.SentElsewhere(**told.shared(), channel=channel, campaign=campaign))
    elif outcome in names.REFUSED:
        _consent(told, contacts.Said(channel, granted=False, basis=outcome))
    else:
        told.events.append(ev.Active(**told.shared(), name=raw))
