"""Simulated shops with a hand at the mouthpiece: who is sent what, without the engine."""

from collections.abc import Callable, Iterator

from engine.actions import (
    Action,
    CampaignRef,
    ConsentRef,
    Content,
    Delivery,
    Item,
    Quiet,
    Recipient,
    TriggerRef,
)
from engine.times import HOUR, from_iso, iso
from streams.demo.shop import Shop, Told

START = from_iso("2026-10-05T00:00:00Z")
IDLE = 2 * HOUR

Left = tuple[str, str]
"""A person and the id of the cart she left."""


def an_action(
    user: str,
    key: str,
    at: int,
    *,
    channel: str = "push",
    number: int = 0,
    campaign: str = "cart",
    template: str = "cart/zh-CN/12345678",
) -> Action:
    return Action(
        action_id=f"action-{user}-{key}-{number}",
        channel=channel,
        user_id=user,
        campaign=CampaignRef(id=campaign, version=1),
        trigger=TriggerRef(
            kind="cart_abandonment", key=key, episode="e", armed_at=iso(at), due_at=iso(at)
        ),
        decision_id="d",
        to=Recipient(address="t", address_hash="h", locale="zh-CN", timezone="Asia/Shanghai"),
        content=Content(template=template, items=[Item(product_id="p", name="n", price="1")]),
        delivery=Delivery(
            created_at=iso(at),
            expires_at=iso(at + HOUR),
            collapse_key="k",
            quiet=Quiet(tz="Asia/Shanghai", start="21:00", end="08:00"),
        ),
        consent=ConsentRef(basis="opt_in", source="trait"),
    )


def hers(shop: Shop, user: str) -> str:
    """Return the name of a template in her language."""
    return f"cart/{shop.people[user].locale}/12345678"


def hours(shop: Shop, first: int, last: int) -> Iterator[tuple[int, list[Told]]]:
    """Play the hours ``first`` .. ``last`` - 1 of a shop, counted from 1."""
    for number in range(first, last):
        now = START + number * HOUR
        yield now, shop.hour(now)


def told_in(shop: Shop, days: int) -> list[Told]:
    return [one for _, told in hours(shop, 1, 24 * days + 1) for one in told]


def is_event(told: Told, event: str) -> bool:
    return told.message.get("event") == event


def carts_of(told: list[Told]) -> Iterator[Left]:
    """Return the carts that people we know filled."""
    seen = set()
    for one in told:
        if is_event(one, "Product Added") and "userId" in one.message:
            cart = one.message["properties"]["cart_id"]
            if cart not in seen:
                seen.add(cart)
                yield one.key, cart


def remind(
    shop: Shop, days: int, send: Callable[[Shop, int, Left], None], idle: int = IDLE
) -> list[Told]:
    """Play ``days``; hand each cart that is not paid for after ``idle`` ms to ``send``."""
    told: list[Told] = []
    waiting: dict[int, list[Left]] = {}
    paid: set[str] = set()
    for now, these in hours(shop, 1, 24 * days + 1):
        told += these
        paid |= {
            one.message["properties"].get("cart_id", "")
            for one in these
            if is_event(one, "Order Completed")
        }
        waiting[now + idle] = list(carts_of(these))
        for left in waiting.pop(now, ()):
            if left[1] not in paid:
                send(shop, now, left)
    return told
