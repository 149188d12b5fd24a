"""The simulated shop is one world per seed, keeps to its hours, and knows its own truth."""

from collections import Counter
from collections.abc import Callable

import orjson
import pytest

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
from engine.events import OrderCompleted, Outcome, Position
from engine.times import DAY, HOUR, from_iso, iso
from streams.demo.shop import Shop, Told
from streams.sources import feedback, segment
from streams.sources.reasons import Notes

START = from_iso("2026-10-05T00:00:00Z")
HERE = Position("rekindle.events.raw", 0, 0, 0)


def days_of(shop: Shop, days: int) -> list[Told]:
    hours = range(1, 24 * days + 1)
    return [told for number in hours for told in shop.hour(START + number * HOUR)]


def a_left_cart(told: list[Told], bought: bool = False) -> tuple[str, str]:
    """Return (user, cart) of a cart that was not bought within what was told."""
    paid = {t.message["properties"].get("cart_id") for t in told if _is(t, "Order Completed")}
    gone = {t.message["properties"].get("cart_id") for t in told if _is(t, "Product Removed")}
    for one in told:
        if _is(one, "Product Added") and "userId" in one.message:
            cart = one.message["properties"]["cart_id"]
            if cart not in gone and (cart in paid) == bought:
                return one.key, cart
    raise AssertionError("no such cart")


def _is(told: Told, event: str) -> bool:
    return told.message.get("event") == event


def an_action(user: str, cart: str, number: int = 0, at: int = START + DAY) -> Action:
    return Action(
        action_id=f"action-{user}-{number}",
        channel="push",
        user_id=user,
        campaign=CampaignRef(id="cart", version=1),
        trigger=TriggerRef(
            kind="cart_abandonment", key=cart, episode="e", armed_at=iso(at), due_at=iso(at)
        ),
        decision_id="d",
        to=Recipient(address="t", address_hash="h", locale="zh-CN", timezone="Asia/Shanghai"),
        content=Content(
            template="cart/zh-CN/12345678", items=[Item(product_id="p", name="n", price="1")]
        ),
        delivery=Delivery(
            created_at=iso(at),
            expires_at=iso(at + HOUR),
            collapse_key="k",
            quiet=Quiet(tz="Asia/Shanghai", start="21:00", end="08:00"),
        ),
        consent=ConsentRef(basis="opt_in", source="trait"),
    )


def test_a_seed_is_one_world_and_another_seed_another() -> None:
    first, again = (days_of(Shop(7, 60, 3, START), 3) for _ in range(2))
    other = days_of(Shop(8, 60, 3, START), 3)
    assert first == again
    assert first != other


def test_what_is_told_lies_in_its_hour_and_in_order() -> None:
    shop = Shop(7, 120, 12, START)
    for number in range(1, 24 * 14):
        now = START + number * HOUR
        times = [from_iso(told.message["timestamp"]) for told in shop.hour(now)]
        assert times == sorted(times)
        assert all(now - HOUR < at <= now for at in times), iso(now)


def test_every_message_is_one_the_intake_reads_without_mending() -> None:
    notes, kinds = Notes(), Counter[str]()
    for told in days_of(Shop(7, 300, 10, START), 14):
        at = from_iso(told.message["timestamp"])
        events = segment.parse(orjson.dumps(told.message), HERE, at, notes, clock="source")
        assert events
        for event in events:
            kinds[type(event).__name__] += 1
            assert event.received_at == event.occurred_at == at
            assert event.user_id in (told.key, f"anon:{told.key}")
    assert not notes.total(), notes
    for kind in (
        "ProductViewed",
        "ProductAdded",
        "ProductRemoved",
        "OrderCompleted",
        "OrderDelivered",
        "OrderCancelled",
        "OrderRefunded",
        "Identified",
        "ConsentChanged",
        "Active",
    ):
        assert kinds[kind], kind


def test_message_ids_are_unique() -> None:
    ids = [told.message["messageId"] for told in days_of(Shop(7, 200, 10, START), 12)]
    assert len(set(ids)) == len(ids)


def test_an_order_is_for_what_lay_in_the_cart() -> None:
    told = days_of(Shop(7, 100, 3, START), 4)
    user, cart = a_left_cart(told, bought=True)
    added = {
        one.message["properties"]["product_id"]
        for one in told
        if _is(one, "Product Added") and one.message["properties"]["cart_id"] == cart
    }
    (order,) = (
        one
        for one in told
        if _is(one, "Order Completed") and one.message["properties"].get("cart_id") == cart
    )
    assert order.key == user
    assert {line["product_id"] for line in order.message["properties"]["products"]} == added


def test_reports_about_an_action_are_feedback_the_intake_reads() -> None:
    shop = Shop(7, 400, 2, START)
    kinds = Counter[str]()
    for number, person in enumerate(one for one in shop.people.values() if not one.anonymous):
        action = an_action(person.id, "no cart", number)
        for report in shop.react(action, START + DAY):
            (outcome,) = feedback.parse(orjson.dumps(report), HERE, START + DAY, clock="source")
            assert isinstance(outcome, Outcome)
            assert outcome.action_id == action.action_id
            assert outcome.occurred_at >= START + DAY
            kinds[outcome.outcome] += 1
    assert kinds["delivered"] > 100
    assert kinds["delivered"] > kinds["opened"] > kinds["clicked"] > 0


def reminded(react: Callable[[Shop, list[Told]], None]) -> list[Told]:
    shop = Shop(11, 300, 1, START)
    told = days_of(shop, 1)
    react(shop, told)
    return [one for n in range(25, 24 * 4) for one in shop.hour(START + n * HOUR)]


def test_a_message_moves_some_to_buy_and_nobody_to_leave() -> None:
    """Both futures come from the same lots: those who buy unasked buy anyway."""

    def everybody(shop: Shop, told: list[Told]) -> None:
        carts = {
            one.message["properties"]["cart_id"]: one.key
            for one in told
            if _is(one, "Product Added") and "userId" in one.message
        }
        for number, (cart, user) in enumerate(sorted(carts.items())):
            shop.react(an_action(user, cart, number), START + DAY)

    def buyers(told: list[Told]) -> set[str]:
        return {one.key for one in told if _is(one, "Order Completed")}

    unasked, asked = reminded(lambda *_: None), reminded(everybody)
    assert buyers(unasked) < buyers(asked)


def test_the_true_effect_counts_only_what_messages_caused() -> None:
    shop = Shop(11, 300, 1, START)
    told = days_of(shop, 1)
    carts: dict[str, str] = {}
    for one in told:
        if _is(one, "Product Added") and "userId" in one.message:
            carts[one.key] = one.message["properties"]["cart_id"]
    for user, cart in carts.items():
        shop.react(an_action(user, cart), START + DAY)
    for number in range(25, 24 * 4):
        shop.hour(START + number * HOUR)
    effect = shop.effect("cart", DAY)
    assert 0 < effect.messages <= len(carts)
    assert 0 < effect.ordered - effect.without < effect.messages
    assert effect.per_thousand == pytest.approx(
        1000 * (effect.ordered - effect.without) / effect.messages
    )
    assert shop.effect("post-purchase-7d", DAY).per_thousand is None


def test_the_more_she_hears_the_less_she_looks() -> None:
    def opened(messages: int) -> int:
        shop = Shop(3, 300, 1, START)
        shop.hour(START + HOUR)
        count = 0
        for person in shop.people.values():
            for number in range(messages):
                reports = shop.react(an_action(person.id, "none", number), START + DAY)
            count += any(report["type"] == "opened" for report in reports)
        return count

    assert opened(1) > 1.5 * opened(5)


def test_amounts_are_in_the_currency_of_the_campaigns() -> None:
    for told in days_of(Shop(7, 80, 2, START), 2):
        if _is(told, "Order Completed"):
            (order, *_) = segment.parse(orjson.dumps(told.message), HERE, 0, clock="source")
            assert isinstance(order, OrderCompleted)
            assert order.currency == "CNY"
            assert order.total == sum((x.price or 0) * x.quantity for x in order.lines)
