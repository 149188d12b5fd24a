"""How carts change: by what she puts in and takes out, by what a snapshot shows, by orders.

Every change carries its own time, so that any order of arrival gives the same carts.
"""

from collections.abc import Sequence
from typing import Final

from engine import events as ev
from engine.changes import NOTHING, Change
from engine.events import Line
from engine.profile import (
    MAX_CARTS,
    MAX_CHANGES,
    MAX_LINES,
    Cart,
    CartLine,
    Order,
    Profile,
)

_MAX_COUNT: Final = 1_000_000


def added(profile: Profile, event: ev.ProductAdded) -> Change:
    cart, at = _cart(profile, event.cart_id, event.occurred_at), event.occurred_at
    touched = _change(profile, cart, event.line, at, bounded(event.line.quantity))
    return _kept(profile, cart, touched=touched)


def removed(profile: Profile, event: ev.ProductRemoved) -> Change:
    cart = _cart(profile, event.cart_id, event.occurred_at)
    quantity = bounded(-event.quantity) if event.quantity else 0  # 0 = all of it
    touched = _change(profile, cart, Line(event.product_id), event.occurred_at, quantity)
    return _kept(profile, cart, touched=touched)


def viewed(profile: Profile, event: ev.CartViewed) -> Change:
    if event.lines is None and profile.cart(event.cart_id) is None:
        return NOTHING
    cart = _cart(profile, event.cart_id, event.occurred_at)
    touched = event.lines is None or _snapshot(profile, cart, event.lines, event.occurred_at)
    return _kept(profile, cart, touched=touched)


def checkout(profile: Profile, event: ev.CheckoutStarted) -> Change:
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


def take_out(profile: Profile, order: Order) -> tuple[str, ...]:
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


def _end_cart(order: Order, cart: Cart) -> None:
    """End a cart at its order, and let the order remember it: the cart itself may be forgotten."""
    _clear(cart, order.at + 1)
    linked = _names(order, cart) and not order.cart_id and cart.cart_id not in order.ended
    if linked and cart.cart_id and len(order.ended) < MAX_CARTS:
        order.ended.append(cart.cart_id)


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


def bounded(quantity: int) -> int:
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
        quantity = bounded(quantities[line.product_id])
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
