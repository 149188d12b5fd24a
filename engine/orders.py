"""How orders change: completed, told anew, refunded, cancelled, delivered, in any order."""

from typing import Final

from engine import events as ev
from engine.carts import bounded, take_out
from engine.changes import Change, Memory
from engine.counters import ORDERS, count
from engine.profile import MAX_LINES, MAX_ORDERS, ORDERS_WITH_LINES, Order, Profile

_MAX_COUNT: Final = 1_000_000
# Refunds of 33.33, 33.33 and 33.34 sum to 100 only up to rounding.
_HALF_A_CENT: Final = 0.005


def completed(profile: Profile, event: ev.OrderCompleted, memory: Memory) -> Change:
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
        count(profile, ORDERS, at)
        _value(profile, event, memory)
    touched = take_out(profile, order)
    return Change(carts=touched, orders=True, bounded=_place(profile))


def refunded(profile: Profile, event: ev.OrderRefunded) -> Change:
    order = _order(profile, event.order_id)
    order.told_at = max(order.told_at, event.occurred_at) if order.at == 0 else order.told_at
    if not event.lines and event.total is None:
        order.refunded = True
    for line in event.lines:
        had = order.refunded_lines.get(line.product_id, 0)
        if had or len(order.refunded_lines) < MAX_LINES:
            order.refunded_lines[line.product_id] = had + bounded(line.quantity)
    order.refunded_total += event.total or 0.0
    _judge_refund(order)
    return Change(orders=True, bounded=_place(profile))


def fact(
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


def _value(profile: Profile, event: ev.OrderCompleted, memory: Memory) -> None:
    """Sum order values in the shop's currency: the mean order is the assumed basket."""
    if event.total is not None and event.currency in ("", memory.currency):
        profile.orders_seen = min(profile.orders_seen + 1, _MAX_COUNT)
        profile.orders_value += event.total


def _judge_refund(order: Order) -> None:
    """Mark an order as wholly refunded once its lines or its total have all gone back."""
    if order.at == 0 or order.refunded:
        return
    total = order.total or 0.0
    by_total = total > 0 and order.refunded_total > total - _HALF_A_CENT
    by_lines = bool(order.refunded_lines) and bool(order.lines) and not order.kept()
    order.refunded = by_total or by_lines
