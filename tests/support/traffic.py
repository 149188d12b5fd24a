"""Traffic with known content: a few hundred shoppers, every kind of event, loader ticks."""

from collections.abc import Iterator
from typing import Any

from engine import events as ev
from engine.draws import draw
from engine.times import MINUTE, SECOND

START = 1_767_229_200_000  # 2026-01-01 01:00 UTC, 09:00 in Shanghai


def traffic(
    count: int, *, users: int = 200, source: str = "traffic", start: int = START
) -> Iterator[ev.Event | ev.Tick]:
    """Yield ``count`` events two seconds apart, a tick every five minutes, and five hours more."""
    at = start
    for number in range(count):
        at += 2 * SECOND
        if number % 150 == 149:
            yield ev.Tick(now=at, origin="loader")
        yield _event(number, users, source, at)
    for _ in range(60):
        at += 5 * MINUTE
        yield ev.Tick(now=at, origin="loader")


def _event(number: int, users: int, source: str, at: int) -> ev.Event:
    def lot(purpose: str) -> float:
        return draw("traffic", source, purpose, str(number))

    user = f"u{int(lot('user') * users)}"
    common: dict[str, Any] = {
        "event_id": f"{source}-{number}",
        "user_id": user,
        "occurred_at": at - (int(lot("late") * 40) * MINUTE if lot("is late") < 0.1 else 0),
        "received_at": at,
        "source": ev.Position(source, 0, 0, number),
    }
    line = ev.Line(f"p{int(lot('product') * 30)}", 1, 19.5 + int(lot("price") * 100), "Shoe", "CNY")
    kind = lot("kind")
    if kind < 0.25:
        return ev.ProductViewed(**common, product_id=line.product_id)
    if kind < 0.6:
        return ev.ProductAdded(**common, line=line, cart_id=f"c{user}" if kind < 0.3 else "")
    if kind < 0.65:
        return ev.ProductRemoved(**common, product_id=line.product_id)
    if kind < 0.75:
        return ev.OrderCompleted(
            **common, order_id=f"o{number}", lines=[line], total=line.price, currency="CNY"
        )
    if kind < 0.85:
        addresses = {"push": f"token-{user}", "email": f"{user}@example.com"}
        return ev.Identified(**common, addresses=addresses, zones=["Asia/Shanghai"], locale="zh-CN")
    if kind < 0.97:
        channel = "push" if kind < 0.91 else "email"
        return ev.ConsentChanged(**common, channel=channel, granted=lot("yes") < 0.9, basis="app")
    return ev.Active(**common, name="Application Opened")
