"""The only writer of a profile: what one event does to what we know. Total and idempotent.

Late and out-of-order events are placed by event time, so that any order of arrival within the
bounds gives the same carts, orders and sends. Only + - x / and comparisons: equal on any machine.
"""

from typing import assert_never

from engine import carts, contact, counters, orders, sends
from engine import events as ev
from engine.changes import NOTHING, Change, Memory
from engine.draws import fingerprint
from engine.events import Event
from engine.profile import MAX_EVENT_IDS, Addresses, Consent, Profile, Send

_ID_BYTES = 8
_RING = MAX_EVENT_IDS * _ID_BYTES

# What is not a sign of life of her own.
_NOT_HERS = frozenset({ev.ActionQueued, ev.Outcome, ev.SentElsewhere, ev.Erased})

DUPLICATE = Change(ignored="duplicate")
IGNORED_ERASED = Change(ignored="erased")


def fold(profile: Profile, addresses: Addresses | None, event: Event, memory: Memory) -> Change:
    """Change ``profile`` (and ``addresses``, needed for what tells one) by one event, in place.

    A repeated event id within the user's last 32 changes nothing. Never raises for any event.
    """
    if profile.erased_at and not _returns(profile, event):
        return IGNORED_ERASED
    if _seen(profile, event.event_id):
        return DUPLICATE
    profile.erased_at = 0
    if type(event) not in _NOT_HERS:
        _saw(profile, event.occurred_at)
    return _dispatch(profile, addresses, event, memory)


def _dispatch(
    profile: Profile, addresses: Addresses | None, event: Event, memory: Memory
) -> Change:
    match event:
        case ev.ProductViewed() | ev.Wishlisted():
            counters.count(profile, counters.VIEWS, event.occurred_at)
        case ev.ProductAdded():
            counters.count(profile, counters.ADDS, event.occurred_at)
            return carts.added(profile, event)
        case ev.ProductRemoved():
            return carts.removed(profile, event)
        case ev.CartViewed():
            return carts.viewed(profile, event)
        case ev.CheckoutStarted():
            return carts.checkout(profile, event)
        case ev.OrderCompleted():
            return orders.completed(profile, event, memory)
        case ev.OrderRefunded():
            return orders.refunded(profile, event)
        case ev.OrderCancelled():
            return orders.fact(profile, event, cancelled=True)
        case ev.OrderDelivered():
            return orders.fact(profile, event, cancelled=False)
        case ev.Searched():
            counters.count(profile, counters.SEARCHES, event.occurred_at)
        case ev.Active():
            pass
        case ev.Identified():
            contact.identified(profile, addresses, event)
        case ev.ConsentChanged():
            told = Consent(
                event.purpose, event.channel, event.granted, event.occurred_at, event.basis
            )
            return contact.consent(profile, told)
        case ev.ActionQueued():
            send = Send(event.occurred_at, event.campaign, event.channel, event.action_id)
            send.withheld = event.withheld
            return sends.charge(profile, send, memory)
        case ev.SentElsewhere():
            send = Send(event.occurred_at, event.campaign or "elsewhere", event.channel)
            send.action_id = event.event_id
            return sends.charge(profile, send, memory)
        case ev.Outcome():
            return _outcome(profile, event, memory)
        case ev.Erased():
            return _erase(profile, addresses, event)
        case _:
            assert_never(event)
    return NOTHING


def _seen(profile: Profile, event_id: str) -> bool:
    """Return whether the id is among the last 32, and remember it."""
    mark, ring = fingerprint(event_id), profile.event_ids
    at = ring.find(mark)
    while at >= 0 and at % _ID_BYTES:
        at = ring.find(mark, at + 1)
    if at >= 0:
        return True
    profile.event_ids = (ring + mark)[-_RING:]
    return False


def _saw(profile: Profile, at: int) -> None:
    profile.last_seen = max(profile.last_seen, at)
    if not profile.first_seen or at < profile.first_seen:
        profile.first_seen = at


def _outcome(profile: Profile, event: ev.Outcome, memory: Memory) -> Change:
    for send in profile.sends:
        if send.action_id == event.action_id:
            sends.report(profile, send, event)
            break
    if event.outcome in ("opened", "clicked") and not event.machine:
        _saw(profile, event.occurred_at)
        sends.engage(profile, event, memory)
    if event.outcome == "bounced" and event.permanent:
        contact.suppress(profile, event)
    if event.outcome in ("complained", "unsubscribed", "resubscribed"):
        granted = event.outcome == "resubscribed"
        told = Consent("marketing", event.channel, granted, event.occurred_at, event.outcome)
        return contact.consent(profile, told)
    return NOTHING


def _returns(profile: Profile, event: Event) -> bool:
    """Return whether an erased person has come back: only a consent given after it says so.

    Erased again, the later time stands: a consent between the two does not bring her back.
    """
    if isinstance(event, ev.Erased):
        profile.erased_at = max(profile.erased_at, event.occurred_at)
    back = isinstance(event, ev.ConsentChanged) and event.granted
    return back and event.occurred_at > profile.erased_at


def _erase(profile: Profile, addresses: Addresses | None, event: ev.Erased) -> Change:
    """Leave a stub that says when; the triggers stay until the pipeline has closed each."""
    # Of its own kind: fields that only a newer release knows are erased with the others.
    blank = type(profile)(erased_at=event.occurred_at, event_ids=profile.event_ids)
    for field in profile.__struct_fields__:
        if field not in ("triggers", "wake"):
            setattr(profile, field, getattr(blank, field))
    if addresses is not None:
        addresses.by_channel.clear()
    return Change(erased=True)
