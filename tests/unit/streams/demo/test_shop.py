"""The simulated shop is one world per seed, keeps to its hours, and speaks as a real shop would."""

import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256

import orjson
import pytest

from engine.events import OrderCompleted, Outcome, Position
from engine.times import DAY, HOUR, from_iso, iso
from rules.zones import ZONES
from streams.demo.shop import Shop, Told
from streams.sources import feedback, segment
from streams.sources.reasons import Notes
from tests.support.shops import (
    START,
    Left,
    an_action,
    carts_of,
    hers,
    hours,
    is_event,
    remind,
    told_in,
)

HERE = Position("rekindle.events.raw", 0, 0, 0)
# Of 200 shoppers and 8 days of seed 7: the same on every machine. It changes whenever what the shop
# tells or how it draws is changed, and then every figure about it that is written down is old.
DIGEST = "ccef0d5c6b05e4caa4f54290aa4bbeae9d77aa04046b44b315e59378f76c391b"


def digest(told: list[Told]) -> str:
    return sha256(orjson.dumps([[one.key, one.message] for one in told])).hexdigest()


# --- one seed, one world ------------------------------------------------------------------------


def test_a_seed_is_one_world_and_another_seed_another() -> None:
    first, again = (told_in(Shop(7, 60, 3, START), 3) for _ in range(2))
    other = told_in(Shop(8, 60, 3, START), 3)
    assert first == again
    assert first != other


def test_the_world_of_a_seed_is_that_of_every_machine() -> None:
    assert digest(told_in(Shop(7, 200, 8, START), 8)) == DIGEST


def test_no_order_of_a_set_or_dict_leaks_into_the_world() -> None:
    program = (
        "from hashlib import sha256\nimport orjson\n"
        "from streams.demo.shop import Shop\nfrom tests.support.shops import START, told_in\n"
        "told = told_in(Shop(7, 200, 8, START), 8)\n"
        "print(sha256(orjson.dumps([[one.key, one.message] for one in told])).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {DIGEST}


@pytest.mark.parametrize("copied", [deepcopy, lambda shop: pickle.loads(pickle.dumps(shop))])
def test_a_copy_goes_on_by_itself_as_the_shop_would_have(copied: Callable[[Shop], Shop]) -> None:
    shop = Shop(7, 80, 6, START)
    left = next(carts_of(told_in(shop, 3)))
    fork, reminded = copied(shop), copied(shop)
    for number in range(3):
        reminded.react(an_action(left[0], left[1], START + 3 * DAY, number=number), START + 3 * DAY)
    now = START + 3 * DAY
    assert reminded.ledger(now - HOUR, now).messages == {"push": 3}
    assert not shop.ledger(now - HOUR, now).messages
    assert list(hours(fork, 73, 145)) == list(hours(shop, 73, 145))


# --- what it tells ------------------------------------------------------------------------------


def test_what_is_told_lies_in_its_hour_and_in_order() -> None:
    for now, told in hours(Shop(7, 300, 12, START), 1, 24 * 16):
        times = [from_iso(one.message["timestamp"]) for one in told]
        assert times == sorted(times)
        assert all(now - HOUR < at <= now for at in times), iso(now)


def test_what_a_message_causes_lies_in_its_hour_too() -> None:
    def send(shop: Shop, now: int, left: Left) -> None:
        shop.react(an_action(*left, now, template=hers(shop, left[0])), now)

    shop = Shop(3, 900, 4, START)
    told = remind(shop, 4, send)
    assert [from_iso(one.message["timestamp"]) for one in told] == sorted(
        from_iso(one.message["timestamp"]) for one in told
    )
    assert shop.ledger(START, START + 4 * DAY).caused > 5


def test_every_message_is_one_the_intake_reads_without_mending() -> None:
    notes, kinds = Notes(), Counter[str]()
    for told in told_in(Shop(7, 900, 9, START), 20):
        at = from_iso(told.message["timestamp"])
        events = segment.parse(orjson.dumps(told.message), HERE, at, notes, clock="source")
        assert len(events) == 1 or told.message["type"] == "identify", "an event too many is dear"
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
        "CheckoutStarted",
        "Searched",
        "Active",
    ):
        assert kinds[kind], kind


def test_message_ids_are_unique() -> None:
    ids = [told.message["messageId"] for told in told_in(Shop(7, 400, 10, START), 12)]
    assert len(set(ids)) == len(ids)


def test_an_order_is_for_what_lay_in_the_cart_and_was_in_stock() -> None:
    shop = Shop(7, 600, 6, START)
    told = told_in(shop, 7)
    added: dict[str, set[str]] = {}
    checked = 0
    for one in told:
        said = one.message.get("properties", {})
        if is_event(one, "Product Added"):
            added.setdefault(said["cart_id"], set()).add(said["product_id"])
        if is_event(one, "Order Completed"):
            at = from_iso(one.message["timestamp"])
            bought = {line["product_id"] for line in said["products"]}
            assert all(shop._stock.has(product, at) for product in bought)
            if "cart_id" in said:
                checked += 1
                assert bought <= added[said["cart_id"]]
    assert checked > 50


def test_amounts_are_in_the_currency_of_the_campaigns() -> None:
    orders = 0
    for told in told_in(Shop(7, 300, 3, START), 3):
        if is_event(told, "Order Completed"):
            (order, *_) = segment.parse(orjson.dumps(told.message), HERE, 0, clock="source")
            assert isinstance(order, OrderCompleted)
            assert order.currency == "CNY"
            assert order.total == sum((x.price or 0) * x.quantity for x in order.lines)
            orders += 1
    assert orders > 10


def test_reports_about_an_action_are_feedback_the_intake_reads() -> None:
    shop = Shop(7, 800, 2, START)
    kinds = Counter[str]()
    for number, person in enumerate(one for one in shop.people.values() if not one.anonymous):
        at = START + DAY
        action = an_action(person.id, "no cart", at, number=number, template=hers(shop, person.id))
        for report in shop.react(action, at):
            (outcome,) = feedback.parse(orjson.dumps(report), HERE, at, clock="source")
            assert isinstance(outcome, Outcome)
            assert outcome.action_id == action.action_id
            assert outcome.occurred_at >= at
            kinds[outcome.outcome] += 1
    assert kinds["delivered"] > 400
    assert kinds["delivered"] > kinds["opened"] > kinds["clicked"] > 0
    assert kinds["bounced"]
    assert kinds["unsubscribed"]


def test_nobody_can_tell_whether_an_sms_was_read() -> None:
    shop = Shop(7, 400, 2, START)
    kinds = Counter(
        report["type"]
        for person in shop.people.values()
        for report in shop.react(an_action(person.id, "-", START, channel="sms"), START)
    )
    assert kinds["clicked"]
    assert not kinds["opened"]


# --- how they live ------------------------------------------------------------------------------


def visits_of(shop: Shop, days: int) -> list[tuple[str, int]]:
    """Return who began to look at something, and when."""
    found, last = [], dict[str, int]()
    for one in told_in(shop, days):
        if is_event(one, "Product Viewed"):
            at = from_iso(one.message["timestamp"])
            if at - last.get(one.key, -HOUR) >= HOUR // 2:
                found.append((one.key, at))
            last[one.key] = at
    return found


def test_people_visit_at_the_hours_they_like_where_they_are_and_never_in_their_sleep() -> None:
    shop = Shop(5, 400, 14, START)
    near = asleep = total = 0
    for user, at in visits_of(shop, 14):
        person = shop.people[user]
        hour = ZONES.hour([person.zone], person.zone, at)
        total += 1
        near += min((hour - person.favourite_hour) % 24, (person.favourite_hour - hour) % 24) <= 2
        asleep += 2 <= hour < 7
    assert near > 0.55 * total
    assert not asleep


def test_about_one_visit_a_week_more_of_the_loyal() -> None:
    shop = Shop(5, 350, 21, START)
    visits = Counter(shop.people[user].temper for user, _ in visits_of(shop, 21))
    people = Counter(person.temper for person in shop.people.values())
    weekly = {temper: visits[temper] / people[temper] / 3 for temper in people}
    assert weekly["loyal"] > 1.4 * weekly["deliberate"]
    assert 0.6 < sum(visits.values()) / len(shop.people) / 3 < 1.4


def test_weekends_are_as_each_likes_them() -> None:
    shop = Shop(5, 500, 21, START)
    share: dict[bool, list[int]] = {True: [0, 0], False: [0, 0]}
    for user, at in visits_of(shop, 21):
        person = shop.people[user]
        counted = share[person.weekend > 1]
        counted[0] += ZONES.weekday([person.zone], person.zone, at) >= 5
        counted[1] += 1
    fond, not_fond = (share[key][0] / share[key][1] for key in (True, False))
    assert fond > 2 / 7 > not_fond


def test_the_app_is_used_by_those_who_have_it_and_push_needs_it() -> None:
    shop = Shop(5, 300, 7, START)
    for person in shop.people.values():
        assert "push" not in person.channels or "app" in person.devices
    seen = Counter[str]()
    for one in told_in(shop, 7):
        if is_event(one, "Product Viewed"):
            library = one.message["context"]["library"]["name"]
            device = "web" if library == "analytics.js" else "app"
            assert device in shop.people[one.key].devices
            seen[device] += 1
    assert seen["web"] > 50
    assert seen["app"] > 50


def test_what_is_used_up_is_ordered_again_after_its_time() -> None:
    shop = Shop(5, 400, 45, START)
    told_in(shop, 45)
    course = shop._course
    hourly = {
        (order.user_id, order.at // HOUR + late) for order in course.orders for late in (0, 1)
    }
    over = [need for need in course.needs.values() if need.at < shop.end - DAY]
    again = [need for need in over if (need.user_id, need.at // HOUR + 1) in hourly]
    assert all(need.at - DAY > START for need in over)
    assert 0.15 * len(over) < len(again) < 0.6 * len(over)


def test_a_product_runs_out_and_comes_back() -> None:
    shop = Shop(5, 1, 1, START)
    states = [
        [shop._stock.has(f"p-{number:03d}", START + hour * HOUR) for hour in range(60 * 24)]
        for number in range(1, 36)
    ]
    assert any(False in state and state[-1] for state in states)
    there = sum(sum(state) for state in states) / (35 * 60 * 24)
    assert 0.95 < there < 1
