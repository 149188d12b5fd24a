"""The only writer of a profile: what one event does to what we know. Total and idempotent.

Late and out-of-order events are placed by event time, so that any order of arrival within the
bounds gives the same carts, orders and sends. Only + - x / and comparisons: equal on any machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from engine import events as ev
from engine.decay import decayed
from engine.draws import fingerprint
from engine.events import Event, Line
from engine.profile import (
    BINS,
    COUNTED,
    FATIGUE_HALF_LIFE,
    LONG_HALF_LIFE,
    MAX_CARTS,
    MAX_CHANGES,
    MAX_EVENT_IDS,
    MAX_LINES,
    MAX_ORDERS,
    MAX_SENDS,
    MAX_ZONES,
    ORDERS_WITH_LINES,
    SHORT_HALF_LIFE,
    Addresses,
    Cart,
    CartLine,
    Consent,
    Order,
    Profile,
    Reach,
    Send,
)
from engine.times import DAY, SECOND
from engine.triggers import Change

_ID_BYTES = 8
_RING = MAX_EVENT_IDS * _ID_BYTES
_MAX_CONSENTS = 24
_MAX_COUNT = 1_000_000
_MAX_CHANNELS = 16
# Refunds of 33.33, 33.33 and 33.34 sum to 100 only up to rounding.
_HALF_A_CENT = 0.005
_VIEWS, _ADDS, _ORDERS, _SEARCHES = range(len(COUNTED))

# What is not a sign of life of her own. A tuple made once: a union anew costs more than the check.
_NOT_HERS = (ev.ActionQueued, ev.Outcome, ev.SentElsewhere, ev.Erased)

NOTHING = Change()
DUPLICATE = Change(ignored="duplicate")
IGNORED_ERASED = Change(ignored="erased")


@dataclass(frozen=True, slots=True)
class Memory:
    """What the fold needs of the settings in force.

    ``keep_sends``: ms a send is remembered; ``hour``: local hour of (zones, ms);
    ``currency``: in which order values are summed.
    """

    keep_sends: int = 30 * DAY
    hour: Callable[[Sequence[str], int], int] | None = None
    currency: str = ""


def fold(profile: Profile, addresses: Addresses | None, event: Event, memory: Memory) -> Change:
    """Change ``profile`` (and ``addresses``, needed for what tells one) by one event, in place.

    A repeated event id within the user's last 32 changes nothing. Never raises for any event.
    """
    if profile.erased_at and not _returns(profile, event):
        return IGNORED_ERASED
    if _seen(profile, event.event_id):
        return DUPLICATE
    profile.erased_at = 0
    if not isinstance(event, _NOT_HERS):
        _saw(profile, event.occurred_at)
    return _dispatch(profile, addresses, event, memory)


def _dispatch(
    profile: Profile, addresses: Addresses | None, event: Event, memory: Memory
) -> Change:
    match event:
        case ev.ProductViewed() | ev.Wishlisted():
            count(profile, _VIEWS, event.occurred_at)
        case ev.ProductAdded():
            count(profile, _ADDS, event.occurred_at)
            return _added(profile, event)
        case ev.ProductRemoved():
            return _removed(profile, event)
        case ev.CartViewed():
            return _viewed_cart(profile, event)
        case ev.CheckoutStarted():
            return _checkout(profile, event)
        case ev.OrderCompleted():
            return _ordered(profile, event, memory)
        case ev.OrderRefunded():
            return _refunded(profile, event)
        case ev.OrderCancelled():
            return _order_fact(profile, event, cancelled=True)
        case ev.OrderDelivered():
            return _order_fact(profile, event, cancelled=False)
        case ev.Searched():
            count(profile, _SEARCHES, event.occurred_at)
        case ev.Active():
            pass
        case ev.Identified():
            _identified(profile, addresses, event)
        case ev.ConsentChanged():
            told = Consent(
                event.purpose, event.channel, event.granted, event.occurred_at, event.basis
            )
            return _consent(profile, told)
        case ev.ActionQueued():
            send = Send(event.occurred_at, event.campaign, event.channel, event.action_id)
            send.withheld = event.withheld
            return charge(profile, send, memory)
        case ev.SentElsewhere():
            send = Send(event.occurred_at, event.campaign or "elsewhere", event.channel)
            send.action_id = event.event_id
            return charge(profile, send, memory)
        case ev.Outcome():
            return _outcome(profile, event, memory)
        case ev.Erased():
            return _erase(profile, addresses, event)
        case _:
            assert_never(event)
    return NOTHING


# --- identity of events, signs of life, counters ------------------------------------------------


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


def count(profile: Profile, what: int, at: int) -> None:
    """Add one to a decayed counter at event time ``at``; any order gives the same sum."""
    counters = profile.counters
    elapsed = at - counters.at
    if elapsed < 0:
        counters.short[what] += decayed(1.0, -elapsed, SHORT_HALF_LIFE)
        counters.long[what] += decayed(1.0, -elapsed, LONG_HALF_LIFE)
        return
    if elapsed and counters.at:
        short, long = decayed(1.0, elapsed, SHORT_HALF_LIFE), decayed(1.0, elapsed, LONG_HALF_LIFE)
        counters.short = [value * short for value in counters.short]
        counters.long = [value * long for value in counters.long]
    counters.at = at
    counters.short[what] += 1.0
    counters.long[what] += 1.0


# --- carts --------------------------------------------------------------------------------------


def _cart(profile: Profile, cart_id: str, at: int) -> Cart:
    """Return the cart, opened if need be; :func:`_kept` then holds the profile to its bounds."""
    cart = profile.cart(cart_id)
    if cart is None:
        cart = Cart(cart_id)
        profile.carts.append(cart)
    cart.changed_at = max(cart.changed_at, at)
    return cart


def _ordered_since(profile: Profile, cart: Cart, product_id: str, at: int) -> bool:
    """Return whether an order at or after ``at`` already took this line out of this cart."""
    return any(
        order.at >= at and _takes(order, cart, product_id) for order in profile.orders if order.at
    )


def _names(order: Order, cart: Cart) -> bool:
    """Return whether the order names this cart, by its id or by its checkout."""
    if order.cart_id:
        return order.cart_id == cart.cart_id
    checkouts = (order.checkout_id, order.order_id)
    linked = bool(cart.checkout_id) and cart.checkout_id in checkouts
    return linked or cart.cart_id in order.ended


def _ends(order: Order, cart: Cart) -> bool:
    """Return whether the order ends this cart, whatever it holds.

    The cart it names; and the unnamed cart, unless it names another one by id. A checkout that
    links it to another cart does not count here: it may arrive later than the order.
    """
    return _names(order, cart) or (not order.cart_id and not cart.cart_id)


def _takes(order: Order, cart: Cart, product_id: str) -> bool:
    return _ends(order, cart) or (not order.cart_id and product_id in order.products)


def _change(profile: Profile, cart: Cart, line: Line, at: int, quantity: int) -> bool:
    """Apply one change of quantity; False when a later snapshot or order already covers it."""
    if at < cart.cleared_at or _ordered_since(profile, cart, line.product_id, at):
        return False
    held = _held(cart, line.product_id)
    if held is None:
        cart.lines.append(
            CartLine(line.product_id, [(at, quantity)], line.price, line.name, line.currency)
        )
        return True
    if quantity > 0:
        _describe(held, line, at)
    _record_change(held, at, quantity)
    return True


def _held(cart: Cart, product_id: str) -> CartLine | None:
    return next((line for line in cart.lines if line.product_id == product_id), None)


def _describe(held: CartLine, line: Line, at: int) -> None:
    """Take price and name of the newest addition; of two in one millisecond, the larger words."""
    newest = max((when for when, quantity in held.changes if quantity > 0), default=at - 1)
    told = (line.price or 0.0, line.name, line.currency)
    if at > newest or (at == newest and told > (held.price or 0.0, held.name, held.currency)):
        held.price, held.name, held.currency = line.price, line.name, line.currency


def _record_change(held: CartLine, at: int, quantity: int) -> None:
    held.changes.append((at, quantity))
    if len(held.changes) > 1 and held.changes[-2][0] >= at:
        # In one millisecond what takes out comes last, and all of it very last: in doubt be silent.
        held.changes.sort(key=lambda change: (change[0], change[1] == 0, -change[1]))
    if len(held.changes) > MAX_CHANGES:
        (_, first), (second_at, second) = held.changes[:2]
        held.changes[:2] = [(second_at, max(max(first, 0) + second, 0) if second else 0)]


def _bounded(quantity: int) -> int:
    return max(-_MAX_COUNT, min(quantity, _MAX_COUNT))


def _kept(profile: Profile, cart: Cart, *, touched: bool) -> Change:
    """Hold carts and lines to their bounds and forget a cart of which nothing need be known."""
    bounded: list[str] = []
    gave_way: list[str] = []
    if len(cart.lines) > MAX_LINES:
        cart.lines.sort(key=lambda line: (line.changed_at, line.product_id))
        del cart.lines[: len(cart.lines) - MAX_LINES]
        bounded.append("cart_lines")
    if not cart.lines and not cart.cleared_at and not cart.checkout_id:
        profile.carts.remove(cart)
    if len(profile.carts) > MAX_CARTS:
        oldest = min(profile.carts, key=lambda other: (other.changed_at, other.cart_id))
        profile.carts.remove(oldest)
        bounded.append("carts")
        gave_way.append(oldest.cart_id)
    mine = [cart.cart_id] if touched and cart.cart_id not in gave_way else []
    return Change(carts=(*mine, *gave_way), bounded=tuple(bounded))


def _added(profile: Profile, event: ev.ProductAdded) -> Change:
    cart, at = _cart(profile, event.cart_id, event.occurred_at), event.occurred_at
    touched = _change(profile, cart, event.line, at, _bounded(event.line.quantity))
    return _kept(profile, cart, touched=touched)


def _removed(profile: Profile, event: ev.ProductRemoved) -> Change:
    cart = _cart(profile, event.cart_id, event.occurred_at)
    quantity = _bounded(-event.quantity) if event.quantity else 0  # 0 = all of it
    touched = _change(profile, cart, Line(event.product_id), event.occurred_at, quantity)
    return _kept(profile, cart, touched=touched)


def _snapshot(profile: Profile, cart: Cart, lines: Sequence[Line], at: int) -> bool:
    """Replace what the cart held up to ``at``; False when a later snapshot or order stands.

    What was added in the same millisecond is part of it; of two snapshots in one millisecond
    the larger quantity stands, so that their order of arrival does not matter.
    """
    if at + 1 < cart.cleared_at:
        return False
    twin = at + 1 == cart.cleared_at
    _clear(cart, at + 1, sparing=at if twin else None)
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    for line in lines:
        quantity = _bounded(quantities[line.product_id])
        if quantity > 0 and not _ordered_since(profile, cart, line.product_id, at):
            _show(cart, line, at, quantity)
    return True


def _show(cart: Cart, line: Line, at: int, quantity: int) -> None:
    """Put one line of a snapshot into its cart."""
    held = _held(cart, line.product_id)
    if held is None:
        shown = CartLine(line.product_id, [(at, quantity)], line.price, line.name, line.currency)
        cart.lines.append(shown)
        return
    _describe(held, line, at)
    twin = max((shown for when, shown in held.changes if when == at), default=0)
    held.changes = [change for change in held.changes if change[0] != at]
    _record_change(held, at, max(quantity, twin))


def _clear(cart: Cart, before: int, *, sparing: int | None = None) -> None:
    """Forget changes earlier than ``before``, but those at ``sparing``."""
    cart.cleared_at = max(cart.cleared_at, before)
    for line in cart.lines:
        line.changes = [
            change for change in line.changes if change[0] >= before or change[0] == sparing
        ]
    cart.lines = [line for line in cart.lines if line.changes]


def _viewed_cart(profile: Profile, event: ev.CartViewed) -> Change:
    if event.lines is None and profile.cart(event.cart_id) is None:
        return NOTHING
    cart = _cart(profile, event.cart_id, event.occurred_at)
    touched = event.lines is None or _snapshot(profile, cart, event.lines, event.occurred_at)
    return _kept(profile, cart, touched=touched)


def _checkout(profile: Profile, event: ev.CheckoutStarted) -> Change:
    cart, at = _cart(profile, event.cart_id, event.occurred_at), event.occurred_at
    if event.checkout_id and (at, event.checkout_id) > (cart.checkout_at, cart.checkout_id):
        cart.checkout_id, cart.checkout_at = event.checkout_id, at
    touched = True
    if event.lines:
        touched = _snapshot(profile, cart, event.lines, at)
    for order in profile.orders:
        if order.at and _names(order, cart):
            _end_cart(order, cart)
    return _kept(profile, cart, touched=touched)


def _end_cart(order: Order, cart: Cart) -> None:
    """End a cart at its order, and let the order remember it: the cart itself may be forgotten."""
    _clear(cart, order.at + 1)
    linked = _names(order, cart) and not order.cart_id and cart.cart_id not in order.ended
    if linked and cart.cart_id and len(order.ended) < MAX_CARTS:
        order.ended.append(cart.cart_id)


# --- orders -------------------------------------------------------------------------------------


def _order(profile: Profile, order_id: str) -> Order:
    order = profile.order(order_id)
    if order is None:
        order = Order(order_id)
        profile.orders.append(order)
    return order


def _place(profile: Profile) -> tuple[str, ...]:
    """Sort orders by time, keep the newest, and lines only of the newest few."""
    profile.orders.sort(key=lambda order: (order.at or order.told_at, order.order_id))
    bounded: tuple[str, ...] = ()
    if len(profile.orders) > MAX_ORDERS:
        # One whose completion was never seen gives way first: refunds of unknown orders must not
        # push out what she bought.
        profile.orders.remove(min(profile.orders, key=lambda order: order.at > 0))
        bounded = ("orders",)
    for order in profile.orders[:-ORDERS_WITH_LINES]:
        order.lines = []
    return bounded


def _ordered(profile: Profile, event: ev.OrderCompleted, memory: Memory) -> Change:
    order, at = _order(profile, event.order_id), event.occurred_at
    first = order.at == 0
    order.at = at if first else min(order.at, at)
    if first or at >= order.told_at:
        order.told_at = at
        order.cart_id = event.cart_id or order.cart_id
        order.checkout_id = event.checkout_id or order.checkout_id
        order.total, order.currency = event.total, event.currency
        if event.lines or not order.lines:
            order.lines = event.lines[:MAX_LINES]
            order.products = [line.product_id for line in order.lines]
    _judge_refund(order)
    if first:
        count(profile, _ORDERS, at)
        _value(profile, event, memory)
    touched = _take_from_carts(profile, order)
    return Change(carts=touched, orders=True, bounded=_place(profile))


def _value(profile: Profile, event: ev.OrderCompleted, memory: Memory) -> None:
    """Sum order values in the shop's currency: the mean order is the assumed basket."""
    if event.total is not None and event.currency in ("", memory.currency):
        profile.orders_seen = min(profile.orders_seen + 1, _MAX_COUNT)
        profile.orders_value += event.total


def _take_from_carts(profile: Profile, order: Order) -> tuple[str, ...]:
    """Take what was bought out of the carts; returns the ids of carts that lost something.

    An order that names a cart ends that one. Any other ends the cart its checkout is linked to
    and the unnamed one, and takes its products out of every other.
    """
    touched = []
    for cart in list(profile.carts):
        before = [(line.product_id, len(line.changes)) for line in cart.lines]
        if _ends(order, cart):
            _end_cart(order, cart)
            known = cart.cleared_at == order.at + 1 and cart.checkout_at <= order.at
            if known and not cart.lines:
                profile.carts.remove(cart)  # the order itself now remembers that it ended
        elif not order.cart_id:
            _clear_products(cart, order.products, order.at)
            if not cart.lines and not cart.cleared_at and not cart.checkout_id:
                profile.carts.remove(cart)
        if [(line.product_id, len(line.changes)) for line in cart.lines] != before:
            touched.append(cart.cart_id)
    return tuple(touched)


def _clear_products(cart: Cart, products: Sequence[str], at: int) -> None:
    for line in cart.lines:
        if line.product_id in products:
            line.changes = [change for change in line.changes if change[0] > at]
    cart.lines = [line for line in cart.lines if line.changes]


def _refunded(profile: Profile, event: ev.OrderRefunded) -> Change:
    order = _order(profile, event.order_id)
    order.told_at = max(order.told_at, event.occurred_at) if order.at == 0 else order.told_at
    if not event.lines and event.total is None:
        order.refunded = True
    for line in event.lines:
        had = order.refunded_lines.get(line.product_id, 0)
        if had or len(order.refunded_lines) < MAX_LINES:
            order.refunded_lines[line.product_id] = had + _bounded(line.quantity)
    order.refunded_total += event.total or 0.0
    _judge_refund(order)
    return Change(orders=True, bounded=_place(profile))


def _judge_refund(order: Order) -> None:
    """Mark an order as wholly refunded once its lines or its total have all gone back."""
    if order.at == 0 or order.refunded:
        return
    total = order.total or 0.0
    by_total = total > 0 and order.refunded_total > total - _HALF_A_CENT
    by_lines = bool(order.refunded_lines) and bool(order.lines) and not order.kept()
    order.refunded = by_total or by_lines


def _order_fact(
    profile: Profile, event: ev.OrderCancelled | ev.OrderDelivered, *, cancelled: bool
) -> Change:
    order = _order(profile, event.order_id)
    if order.at == 0:
        order.told_at = max(order.told_at, event.occurred_at)
    if cancelled:
        order.cancelled = True
    elif not order.delivered_at or event.occurred_at < order.delivered_at:
        order.delivered_at = event.occurred_at
    return Change(orders=True, bounded=_place(profile))


# --- who she is, where she can be reached, what she allows --------------------------------------


def _identified(profile: Profile, addresses: Addresses | None, event: ev.Identified) -> None:
    at = event.occurred_at
    if event.zones is not None and at >= profile.zones_at:
        profile.zones, profile.zones_at = event.zones[:MAX_ZONES], at
    if event.locale is not None and at >= profile.locale_at:
        profile.locale, profile.locale_at = event.locale, at
    for channel, address in sorted(event.addresses.items()):
        _address(profile, addresses, channel, address, at)


def _address(
    profile: Profile, addresses: Addresses | None, channel: str, address: str, at: int
) -> None:
    """Keep the newest address of a channel; a new one is not suppressed any more."""
    reach = profile.reach.get(channel)
    if reach is None and len(profile.reach) >= _MAX_CHANNELS:
        return
    mark = fingerprint(address) if address else b""
    # In one millisecond an address taken away stays away: in doubt be silent.
    if reach is not None and (at, not mark, mark) < (reach.at, not reach.address, reach.address):
        return
    suppressed = reach is not None and reach.suppressed and reach.address == mark
    profile.reach[channel] = Reach(mark, at, suppressed)
    if addresses is not None:
        addresses.by_channel.pop(channel, None)
        if address:
            addresses.by_channel[channel] = (address, at)


def _consent(profile: Profile, told: Consent) -> Change:
    """Keep the last word per purpose and channel; of two at the same time, the refusal."""
    for known in profile.consents:
        about = known.purpose == told.purpose and known.channel == told.channel
        if about and known.in_passing == told.in_passing:
            if (told.at, not told.granted) <= (known.at, not known.granted):
                return NOTHING
            profile.consents.remove(known)
            break
    profile.consents.append(told)
    if len(profile.consents) > _MAX_CONSENTS:
        # A grant gives way before a refusal: forgetting a grant is silence.
        profile.consents.remove(
            min(profile.consents, key=lambda known: (not known.granted, known.at))
        )
    return Change(withdrawn=told.purpose == "marketing" and not told.granted)


# --- what was said to her, and what came of it --------------------------------------------------


def charge(profile: Profile, send: Send, memory: Memory) -> Change:
    """Put a send into the log and onto her patience; the oldest give way."""
    profile.sends.append(send)
    profile.sends.sort(key=lambda sent: (sent.at, sent.action_id))
    horizon = profile.sends[-1].at - memory.keep_sends
    kept = [sent for sent in profile.sends if sent.at > horizon]
    bounded = ("sends",) if len(kept) > MAX_SENDS else ()
    kept = kept[-MAX_SENDS:]
    if len(kept) < len(profile.sends):
        # A cap whose window reaches back beyond a forgotten send cannot be counted: it objects.
        # Also where the send was old: a campaigns file with a longer window may come.
        forgotten = profile.sends[-len(kept) - 1]
        profile.sends_lost_at = max(profile.sends_lost_at, forgotten.at)
    profile.sends = kept
    _tire(profile, send.at, 1.0)
    return Change(bounded=bounded)


def _tire(profile: Profile, at: int, amount: float) -> None:
    """Add to the decayed sum of sends at event time ``at``."""
    elapsed = at - profile.fatigue_at
    if elapsed >= 0:
        profile.fatigue = decayed(profile.fatigue, elapsed, FATIGUE_HALF_LIFE) + amount
        profile.fatigue_at = at
    else:
        profile.fatigue += decayed(amount, -elapsed, FATIGUE_HALF_LIFE)
    profile.fatigue = max(profile.fatigue, 0.0)


def fatigue(profile: Profile, now: int) -> float:
    """Return F, the sum over all sends of 2**(-age / 7 d), at ``now``."""
    return decayed(profile.fatigue, now - profile.fatigue_at, FATIGUE_HALF_LIFE)


def _outcome(profile: Profile, event: ev.Outcome, memory: Memory) -> Change:
    for send in profile.sends:
        if send.action_id == event.action_id:
            _report(profile, send, event)
            break
    if event.outcome in ("opened", "clicked") and not event.machine:
        _saw(profile, event.occurred_at)
        _engage(profile, event, memory)
    if event.outcome == "bounced" and event.permanent:
        _suppress(profile, event)
    if event.outcome in ("complained", "unsubscribed", "resubscribed"):
        granted = event.outcome == "resubscribed"
        told = Consent("marketing", event.channel, granted, event.occurred_at, event.outcome)
        return _consent(profile, told)
    return NOTHING


def _report(profile: Profile, send: Send, event: ev.Outcome) -> None:
    """Note the first time of an outcome; give the charge back, or take it again."""
    before = send.charged
    after = max(0, (event.occurred_at - send.at) // SECOND)
    known = send.outcomes.get(event.outcome)
    send.outcomes[event.outcome] = after if known is None else min(known, after)
    send.outcomes = dict(sorted(send.outcomes.items()))
    if send.charged != before:
        _tire(profile, send.at, 1.0 if send.charged else -1.0)


def _engage(profile: Profile, event: ev.Outcome, memory: Memory) -> None:
    if event.channel not in profile.engagement and len(profile.engagement) >= _MAX_CHANNELS:
        return
    bins = profile.engagement.setdefault(event.channel, [0] * BINS)
    hour = memory.hour(profile.zones, event.occurred_at) if memory.hour else 0
    slot = hour * BINS // 24
    bins[slot] = min(bins[slot] + 1, _MAX_COUNT)


def _suppress(profile: Profile, event: ev.Outcome) -> None:
    reach = profile.reach.get(event.channel)
    if reach is not None and reach.at <= event.occurred_at:
        reach.suppressed = True


# --- erasure ------------------------------------------------------------------------------------


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
    blank = Profile(erased_at=event.occurred_at, event_ids=profile.event_ids)
    for field in profile.__struct_fields__:
        if field not in ("triggers", "wake"):
            setattr(profile, field, getattr(blank, field))
    if addresses is not None:
        addresses.by_channel.clear()
    return Change(erased=True)
