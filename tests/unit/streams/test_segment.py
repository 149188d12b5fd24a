"""Messages as shipped SDKs send them, and as nobody should, into events."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import events as ev
from engine.changes import Memory
from engine.errors import InvalidEvent
from engine.events import Event, Line, Position
from engine.fold import fold
from engine.profile import Profile
from engine.times import HOUR, MINUTE, SECOND, iso
from streams.log import codec
from streams.sources import event_times, segment
from streams.sources.reasons import INVALID, MENDED, Notes

AT = 1_763_868_807_070  # 2025-11-23T03:33:27.070Z
NOW = AT + 2 * SECOND
POSITION = Position("events.raw", 1, 2, 345)

SEGMENT_BROWSER: dict[str, Any] = {
    "timestamp": "2025-11-23T03:33:27.070Z",
    "sentAt": "2025-11-23T03:33:27.075Z",
    "integrations": {},
    "type": "track",
    "event": "Product Added",
    "userId": None,
    "anonymousId": "5f2c7f5e-4b0c-4dc1-a5a8-8d2c7a5d6b11",
    "properties": {"cart_id": "c-77", "product_id": "p-1", "price": 59.9, "currency": "CNY"},
    "context": {
        "page": {"path": "/p/1", "url": "https://shop.example/p/1"},
        "userAgent": "Mozilla/5.0",
        "locale": "zh-CN",
        "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
        "timezone": "Asia/Shanghai",
    },
    "messageId": "ajs-next-1763868807070-5f2c",
    "writeKey": "k",
    "_metadata": {"bundled": [], "unbundled": []},
}
RUDDER_NODE: dict[str, Any] = {
    "type": "identify",
    "userId": "u-1029",
    "context": {
        "traits": {"email": "li@example.com", "phone": "+86 138-0000-0000", "plan": "gold"},
        "library": {"name": "@rudderstack/rudder-sdk-node", "version": "3.0.13"},
        "timezone": "GMT+0800",
        "locale": "en-US@posix",
    },
    "originalTimestamp": "2025-11-23T03:33:27.070Z",
    "timestamp": "2025-11-23T03:35:00.000Z",
    "sentAt": "2025-11-23T03:33:27.464Z",
    "messageId": "d6b1f0a2-0000-4000-8000-000000000001",
    "_metadata": {"nodeVersion": "20.20.0"},
}
PYTHON_SERVER: dict[str, Any] = {
    "integrations": {},
    "anonymousId": None,
    "timestamp": "2025-11-23T03:33:27.070446+00:00",
    "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
    "type": "track",
    "userId": 4217,
    "event": "Order Completed",
    "properties": {"order_id": 99, "total": "118.80", "products": [{"sku": "p-1", "quantity": 2}]},
    "messageId": "3f1d",
}


def parse(
    message: dict[str, Any] | bytes, received_at: int = NOW, notes: Notes | None = None
) -> list[Event]:
    value = message if isinstance(message, bytes) else orjson.dumps(message)
    return segment.parse(value, POSITION, received_at, notes)


def one(message: dict[str, Any], received_at: int = NOW, notes: Notes | None = None) -> Event:
    (event,) = parse(message, received_at, notes)
    return event


def track(event: str, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": event,
        "userId": "u-1",
        "messageId": "m-1",
        "timestamp": "2025-11-23T03:33:27.070Z",
        "properties": properties or {},
    } | more


def identify(traits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": "u-1", "messageId": "m-1", "traits": traits} | more


def reason(message: dict[str, Any] | bytes) -> str:
    with pytest.raises(InvalidEvent) as refused:
        parse(message)
    assert refused.value.reason in INVALID
    assert str(refused.value)
    return refused.value.reason


# --- shipped SDKs -------------------------------------------------------------------------------


def test_a_browser_message_becomes_what_happened_and_what_its_device_tells() -> None:
    added, told = parse(SEGMENT_BROWSER)
    assert added == ev.ProductAdded(
        event_id="ajs-next-1763868807070-5f2c",
        user_id="anon:5f2c7f5e-4b0c-4dc1-a5a8-8d2c7a5d6b11",
        occurred_at=AT,
        received_at=NOW,
        source=POSITION,
        line=Line("p-1", 1, 59.9, "", "CNY"),
        cart_id="c-77",
    )
    assert told == ev.Identified(
        event_id="ajs-next-1763868807070-5f2c#1",
        user_id=added.user_id,
        occurred_at=AT,
        received_at=NOW,
        source=Position("events.raw", 1, 2, 345, 1),
        zones=["Asia/Shanghai"],
        locale="zh-CN",
    )


def test_rudderstack_puts_time_and_traits_elsewhere() -> None:
    told = one(RUDDER_NODE)
    assert isinstance(told, ev.Identified)
    assert told.occurred_at == AT
    assert told.addresses == {"email": "li@example.com", "sms": "+8613800000000"}
    assert told.zones == ["UTC+08:00"]
    assert told.locale == "en-US"


def test_a_server_message_needs_neither_anonymous_id_nor_text_ids() -> None:
    order = one(PYTHON_SERVER)
    assert isinstance(order, ev.OrderCompleted)
    assert (order.user_id, order.order_id, order.total) == ("4217", "99", 118.8)
    assert order.lines == [Line("p-1", 2)]
    assert order.occurred_at == AT


@pytest.mark.parametrize("nobody", [None, "", " ", "null", "undefined", "guest", 0, False, {}])
def test_anonymous_is_spelled_in_many_ways_that_all_mean_the_same(nobody: object) -> None:
    assert one(track("Coupon Entered", userId=nobody, anonymousId="d-1")).user_id == "anon:d-1"


def test_a_message_without_the_key_of_a_user_id_is_anonymous() -> None:
    message = track("Coupon Entered", anonymousId="d-1")
    del message["userId"]
    assert one(message).user_id == "anon:d-1"


@pytest.mark.parametrize(
    "placeholder",
    ["null", '"null"', "NONE", "000", "0-0", "[object Object]", "x" * 201, "a\x00b", "anon:d-2"],
)
def test_a_placeholder_names_nobody_and_is_counted(placeholder: str) -> None:
    notes = Notes()
    message = track("Coupon Entered", userId=placeholder, anonymousId="d-1")
    assert one(message, notes=notes).user_id == "anon:d-1"
    assert notes["blocked_user_id"] == 1
    assert reason(track("x", userId=placeholder)) == "no_user"


@pytest.mark.parametrize(("told", "key"), [(4217, "4217"), (4217.0, "4217"), (" u-1 ", "u-1")])
def test_ids_are_text(told: object, key: str) -> None:
    assert one(track("Coupon Entered", userId=told)).user_id == key


# --- ids of messages ----------------------------------------------------------------------------


def test_a_message_without_id_gets_one_from_its_position_every_time_the_same() -> None:
    notes = Notes()
    first = one(track("x", messageId=None), notes=notes)
    again = one(track("x", messageId=""))
    assert first.event_id == again.event_id
    assert first.event_id.startswith(segment.GENERATED)
    assert UUID(first.event_id.removeprefix(segment.GENERATED)).version == 5
    assert notes["generated_id"] == 1


def test_an_overlong_message_id_still_recognises_its_repetition() -> None:
    first = one(track("x", messageId="x" * 500)).event_id
    assert one(track("x", messageId="x" * 500)).event_id == first
    assert one(track("x", messageId="x" * 501)).event_id != first
    assert len(first) <= 200


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "2025-11-23T03:33:27.070Z",
        "2025-11-23T03:33:27.070446+00:00",
        "2025-11-23T11:33:27.070999999+08:00",
        AT,
        AT / 1000,
    ],
)
def test_times_are_read_in_every_form_that_was_seen(written: object) -> None:
    assert one(track("x", timestamp=written)).occurred_at == AT


@pytest.mark.parametrize(
    "written",
    ["2015-2-02T00:30:08.276Z", "yesterday", "0001-01-01T00:00:00Z", -5, 1e300, True, [], {}],
)
def test_a_bad_time_is_the_arrival_and_counted(written: object) -> None:
    notes = Notes()
    assert one(track("x", timestamp=written), notes=notes).occurred_at == NOW
    assert notes["bad_time"] == 1


def test_no_time_at_all_is_the_arrival() -> None:
    notes = Notes()
    assert one(track("x", timestamp=None), notes=notes).occurred_at == NOW
    assert not notes["bad_time"]


def test_a_client_clock_that_is_an_hour_wrong_is_corrected_by_what_it_says_of_sending() -> None:
    behind = track("x", timestamp=iso(AT - HOUR), sentAt=iso(AT - HOUR + SECOND))
    assert one(behind, AT + SECOND).occurred_at == AT
    ahead = track("x", timestamp=iso(AT + HOUR), sentAt=iso(AT + HOUR + SECOND))
    assert one(ahead, AT + SECOND).occurred_at == AT


def test_the_way_through_the_network_is_no_skew() -> None:
    assert one(track("x", sentAt=iso(AT + SECOND)), AT + 4 * SECOND).occurred_at == AT


def test_an_event_from_an_offline_queue_keeps_its_own_time() -> None:
    sent = AT + 3 * HOUR
    assert one(track("x", sentAt=iso(sent)), sent + SECOND).occurred_at == AT


def test_the_future_is_clamped_to_the_arrival() -> None:
    notes = Notes()
    event = one(track("x", timestamp=iso(NOW + HOUR)), notes=notes)
    assert (event.occurred_at, event.received_at) == (NOW, NOW)
    assert notes["future"] == 1


def test_where_the_source_is_the_clock_nothing_is_corrected() -> None:
    value = orjson.dumps(track("x", timestamp=iso(NOW + HOUR), sentAt=iso(NOW - HOUR)))
    (event,) = segment.parse(value, POSITION, NOW, clock="source")
    assert (event.occurred_at, event.received_at) == (NOW + HOUR, NOW + HOUR)


def test_nothing_from_the_wire_is_history() -> None:
    assert not one(track("Coupon Entered", {"history": True}, history=True)).history


@given(st.integers(event_times.EARLIEST * 1000, event_times.LATEST * 1000), st.integers(-840, 840))
def test_every_time_is_read_to_the_millisecond(microseconds: int, minutes: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    local = at.astimezone(timezone(timedelta(minutes=minutes)))
    event = one(track("x", timestamp=local.isoformat()), 2**43)
    assert event.occurred_at == microseconds // 1000


# --- what happened ------------------------------------------------------------------------------

PRODUCT = {"product_id": "p-1", "name": "Runner", "price": "59.90", "quantity": 2}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (
            ("Product Viewed", "product viewed", "PRODUCT VIEWED", "Viewed Product"),
            ev.ProductViewed,
        ),
        (("Product Added", "Added Product", "product_added"), ev.ProductAdded),
        (("Product Removed", "Removed Product"), ev.ProductRemoved),
        (("Cart Viewed",), ev.CartViewed),
        (("Checkout Started", "Checkout Step Viewed", "Payment Info Entered"), ev.CheckoutStarted),
        (("Order Completed", "Completed Order", "Order Updated"), ev.OrderCompleted),
        (("Order Refunded",), ev.OrderRefunded),
        (("Order Cancelled", "Order Canceled"), ev.OrderCancelled),
        (("Order Delivered", "Order Fulfilled", "Package Delivered"), ev.OrderDelivered),
        (("Products Searched",), ev.Searched),
        (("Product Added to Wishlist",), ev.Wishlisted),
        (("Product List Viewed", "Coupon Entered", "Level 7 reached", "演示"), ev.Active),
    ],
)
def test_names_are_known_in_any_case_and_in_their_older_form(
    names: tuple[str, ...], kind: type[Event]
) -> None:
    for name in names:
        assert type(one(track(name, PRODUCT | {"order_id": "o-1"}))) is kind


def test_a_name_we_do_not_know_is_a_sign_of_life_under_its_own_name() -> None:
    assert one(track("Level 7 Reached")) == ev.Active(
        event_id="m-1",
        user_id="u-1",
        occurred_at=AT,
        received_at=NOW,
        source=POSITION,
        name="Level 7 Reached",
    )


@pytest.mark.parametrize("kind", ["page", "screen", "group", "alias"])
def test_other_messages_are_signs_of_life(kind: str) -> None:
    message = {"type": kind, "userId": "u-1", "name": "Home", "groupId": "g", "previousId": "d-1"}
    event = one(message)
    assert isinstance(event, ev.Active)
    assert event.name == kind


def test_an_alias_links_nobody_and_is_counted() -> None:
    notes = Notes()
    one({"type": "alias", "userId": "u-1", "previousId": "u-2"}, notes=notes)
    assert notes["refused_link"] == 1


def test_a_track_by_hand_may_leave_out_its_type() -> None:
    assert isinstance(one({"event": "Cart Viewed", "userId": "u-1"}), ev.CartViewed)


@pytest.mark.parametrize(
    ("told", "price"),
    [
        (59.9, 59.9),
        ("59.90", 59.9),
        (60, 60.0),
        (0, 0.0),
        ("NaN", None),
        ("inf", None),
        (-1, None),
        ("1,299", None),
        (1e300, None),
        (True, None),
        ([], None),
    ],
)
def test_a_price_is_a_finite_amount_or_unknown(told: object, price: float | None) -> None:
    notes = Notes()
    event = one(track("Product Added", PRODUCT | {"price": told}), notes=notes)
    assert isinstance(event, ev.ProductAdded)
    assert event.line.price == price
    assert notes["bad_amount"] == (price is None)


@pytest.mark.parametrize(
    ("told", "quantity"),
    [(3, 3), ("3", 3), (3.0, 3), (9999, 9999), (0, 1), (-2, 1), (2.5, 1), (10_000, 1), ("many", 1)],
)
def test_a_quantity_is_a_whole_number_in_bounds(told: object, quantity: int) -> None:
    event = one(track("Product Added", PRODUCT | {"quantity": told}))
    assert isinstance(event, ev.ProductAdded)
    assert event.line.quantity == quantity


def test_names_are_cut_and_currencies_written_in_capitals() -> None:
    properties = PRODUCT | {"name": "x" * 500, "currency": "cny"}
    event = one(track("Product Added", properties))
    assert isinstance(event, ev.ProductAdded)
    assert (len(event.line.name), event.line.currency) == (120, "CNY")


def test_products_added_in_one_message_are_several_events() -> None:
    products = {"cart_id": "c", "products": [{"product_id": "a"}, {"product_id": "b"}]}
    events = parse(track("Product Added", products))
    added = [event for event in events if isinstance(event, ev.ProductAdded)]
    assert [event.line.product_id for event in added] == ["a", "b"]
    assert [event.event_id for event in added] == ["m-1", "m-1#1"]
    assert [event.source and event.source.ordinal for event in added] == [0, 1]


def test_a_viewed_cart_tells_its_content_only_if_it_has_a_list() -> None:
    told = one(track("Cart Viewed", {"cart_id": "c", "products": [PRODUCT, {}, "x"]}))
    empty = one(track("Cart Viewed", {"cart_id": "c", "products": []}))
    silent = one(track("Cart Viewed", {"cart_id": "c"}))
    assert isinstance(told, ev.CartViewed)
    assert told.lines == [Line("p-1", 2, 59.9, "Runner")]
    assert isinstance(empty, ev.CartViewed)
    assert empty.lines == []
    assert isinstance(silent, ev.CartViewed)
    assert silent.lines is None


def test_a_product_in_quantity_nought_is_not_in_the_cart() -> None:
    event = one(track("Cart Viewed", {"products": [PRODUCT | {"quantity": 0}]}))
    assert isinstance(event, ev.CartViewed)
    assert event.lines == []


def test_of_many_lines_the_first_64_are_kept() -> None:
    notes = Notes()
    products = [{"product_id": f"p-{n}"} for n in range(100)]
    event = one(track("Order Completed", {"order_id": "o", "products": products}), notes=notes)
    assert isinstance(event, ev.OrderCompleted)
    assert [line.product_id for line in event.lines] == [f"p-{n}" for n in range(64)]
    assert notes["skipped_lines"] == 36


def test_a_checkout_is_linked_by_either_of_its_names() -> None:
    by_order = one(track("Checkout Started", {"order_id": "o-1", "cart_id": "c"}))
    by_checkout = one(track("Checkout Step Completed", {"checkout_id": "k-1"}))
    assert isinstance(by_order, ev.CheckoutStarted)
    assert isinstance(by_checkout, ev.CheckoutStarted)
    assert (by_order.checkout_id, by_order.cart_id) == ("o-1", "c")
    assert by_checkout.checkout_id == "k-1"


def test_a_purchase_counts_even_if_the_shop_forgot_to_number_it() -> None:
    notes = Notes()
    event = one(track("Order Completed", {"products": [PRODUCT]}), notes=notes)
    assert isinstance(event, ev.OrderCompleted)
    assert event.order_id == "m-1"
    assert notes["no_order_id"] == 1


def test_the_lines_of_a_refund_outweigh_its_total() -> None:
    partial = one(track("Order Refunded", {"order_id": "o", "total": 118.8, "products": [PRODUCT]}))
    by_total = one(track("Order Refunded", {"order_id": "o", "total": 20}))
    assert isinstance(partial, ev.OrderRefunded)
    assert (partial.total, len(partial.lines)) == (None, 1)
    assert isinstance(by_total, ev.OrderRefunded)
    assert (by_total.total, by_total.lines) == (20.0, [])


# --- who she is ---------------------------------------------------------------------------------


def test_an_identify_tells_the_person_first_and_then_her_consents() -> None:
    traits = {
        "email": "li@example.com",
        "phone": "13800000000",
        "email_opt_in": True,
        "sms_opt_in": "no",
        "push_opt_in": None,
        "timezone": "Europe/Berlin",
    }
    context = {"device": {"token": "tok"}, "consent": {"categoryPreferences": {"marketing": False}}}
    told, *consents = parse(identify(traits, context=context))
    assert isinstance(told, ev.Identified)
    assert told.addresses == {"push": "tok", "email": "li@example.com", "sms": "13800000000"}
    assert told.zones == ["Europe/Berlin"]
    said = [c for c in consents if isinstance(c, ev.ConsentChanged)]
    assert [(c.channel, c.granted, c.basis) for c in said] == [
        ("sms", False, "trait"),
        ("email", True, "trait"),
        ("*", False, "context"),
    ]
    positions = [event.source and event.source.ordinal for event in (told, *consents)]
    assert positions == [0, 1, 2, 3]
    assert len({event.event_id for event in (told, *consents)}) == 4


@pytest.mark.parametrize(
    ("traits", "context", "zones"),
    [
        ({"timezone": "Asia/Kolkata"}, {"timezone": "Europe/Paris"}, ["Asia/Kolkata"]),
        ({"timezone": "Mars/Base"}, {"timezone": "Europe/Paris"}, ["Europe/Paris"]),
        ({}, {"timezone": "GMT+0530"}, ["UTC+05:30"]),
        ({}, {"timezone": "GMT+0000"}, ["UTC"]),
        ({}, {"timezone": "UTC"}, ["UTC"]),
        ({"address": {"country": "Germany"}}, {}, ["Europe/Berlin"]),
        ({"country": "CN"}, {}, None),
        ({}, {"location": {"country": "de"}}, ["Europe/Berlin"]),
        ({}, {"timezone": 8}, None),
        ({}, {}, None),
    ],
)
def test_a_zone_is_looked_for_in_traits_context_and_country(
    traits: dict[str, Any], context: dict[str, Any], zones: list[str] | None
) -> None:
    (told,) = parse(identify(traits, context=context))
    assert isinstance(told, ev.Identified)
    if traits.get("country") == "CN":
        assert told.zones is not None
        assert set(told.zones) == {"Asia/Shanghai", "Asia/Urumqi"}
    else:
        assert told.zones == zones


def test_an_unknown_zone_is_counted() -> None:
    notes = Notes()
    parse(identify({"timezone": "Mars/Base"}), notes=notes)
    assert notes["bad_zone"] == 1


@pytest.mark.parametrize(
    ("written", "locale"),
    [
        ("zh_CN", "zh-CN"),
        ("en-US@posix", "en-US"),
        ("de_DE.UTF-8", "de-DE"),
        ("zh-hant-hk", "zh-Hant-HK"),
        ("fr", "fr"),
        ("posix!", None),
        ("", None),
        (7, None),
    ],
)
def test_locales_are_written_one_way(written: object, locale: str | None) -> None:
    (told,) = parse(identify({}, context={"locale": written}))
    assert isinstance(told, ev.Identified)
    assert told.locale == locale


@pytest.mark.parametrize(
    "traits",
    [
        {"email": "nobody"},
        {"email": "a@b"},
        {"email": "x" * 300 + "@example.com"},
        {"phone": "call me"},
        {"email": 5, "phone": []},
        {"email": None},
    ],
)
def test_what_cannot_be_an_address_is_not_told(traits: dict[str, Any]) -> None:
    (told,) = parse(identify(traits))
    assert isinstance(told, ev.Identified)
    assert told.addresses == {}


def test_an_empty_address_takes_the_old_one_away() -> None:
    (told,) = parse(identify({"email": ""}))
    assert isinstance(told, ev.Identified)
    assert told.addresses == {"email": ""}


def test_an_ordinary_event_tells_nothing_of_its_device() -> None:
    context = SEGMENT_BROWSER["context"]
    assert len(parse(track("Product Viewed", PRODUCT, context=context))) == 1
    assert len(parse(track("Application Opened", context=context))) == 2


def test_a_new_push_token_arrives_when_the_app_is_opened() -> None:
    _, told = parse(track("Application Opened", context={"device": {"token": "new"}}))
    assert isinstance(told, ev.Identified)
    assert told.addresses == {"push": "new"}


# --- what she allows ----------------------------------------------------------------------------


def test_a_consent_says_purpose_channel_source_and_text() -> None:
    properties = {
        "purpose": "marketing",
        "channel": "SMS",
        "granted": True,
        "source": "checkout",
        "text_version": "2026-01",
    }
    event = one(track("Consent Changed", properties))
    assert isinstance(event, ev.ConsentChanged)
    assert (event.purpose, event.channel, event.granted) == ("marketing", "sms", True)
    assert (event.basis, event.text_version) == ("checkout", "2026-01")


def test_a_consent_without_channel_covers_all_of_them() -> None:
    event = one(track("Consent Changed", {"granted": False}))
    assert isinstance(event, ev.ConsentChanged)
    assert (event.purpose, event.channel, event.granted) == ("marketing", "*", False)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"granted": "maybe"},
        {"granted": None},
        {"granted": True, "channel": "?"},
        {"granted": True, "channel": ["sms"]},
        {"granted": True, "purpose": "!"},
    ],
)
def test_an_unclear_consent_is_refused_and_never_taken_as_given(properties: dict[str, Any]) -> None:
    assert reason(track("Consent Changed", properties)) == "bad_consent"


def test_an_unclear_opt_in_changes_nothing_and_is_counted() -> None:
    notes = Notes()
    assert len(parse(identify({"sms_opt_in": "perhaps", "_opt_in": True}), notes=notes)) == 1
    assert notes["bad_consent"] == 2


@pytest.mark.parametrize(
    ("preferences", "granted"),
    [({"marketing": True}, True), ({"marketing": False}, False), ({}, False)],
)
def test_a_stamped_preference_covers_every_channel(
    preferences: dict[str, bool], granted: bool
) -> None:
    context = {"consent": {"categoryPreferences": preferences}}
    _, said = parse(track("Segment Consent Preference Updated", context=context))
    assert isinstance(said, ev.ConsentChanged)
    assert (said.channel, said.granted) == ("*", granted)


@pytest.mark.parametrize("consent", [None, {}, {"categoryPreferences": {"analytics": True}}, 1])
def test_preferences_that_do_not_name_marketing_say_nothing(consent: object) -> None:
    assert len(parse(identify({}, context={"consent": consent}))) == 1


def test_a_stamp_on_an_ordinary_event_undoes_no_unsubscribe_but_a_stamped_no_counts() -> None:
    profile = Profile()

    def say(message: dict[str, Any]) -> None:
        for event in parse(message, NOW + HOUR):
            fold(profile, None, event, Memory())

    def granted() -> bool:
        word = profile.consent("marketing", "email")
        return word is not None and word.granted

    def stamp(at: int, *, marketing: bool) -> dict[str, Any]:
        context = {"consent": {"categoryPreferences": {"marketing": marketing}}}
        message_id = f"m-{at}"
        added = track("Product Added", PRODUCT, messageId=message_id, context=context)
        return added | {"timestamp": iso(at)}

    say(identify({"email_opt_in": True}, timestamp=iso(AT)))
    say(stamp(AT + 1, marketing=True))
    assert granted()
    say(track("Unsubscribed", messageId="m-2", timestamp=iso(AT + 2)))
    say(stamp(AT + 3, marketing=True))
    assert not granted()
    say(track("Consent Changed", {"granted": True}, messageId="m-4", timestamp=iso(AT + 4)))
    assert granted()
    say(stamp(AT + 5, marketing=False))
    assert not granted()


# --- messages of others, and of ours ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channel"),
    [("Email Delivered", "email"), ("Push Notification Received", "push"), ("SMS Sent", "sms")],
)
def test_a_message_of_another_system_is_charged(name: str, channel: str) -> None:
    event = one(track(name, {"campaign_name": "spring"}))
    assert isinstance(event, ev.SentElsewhere)
    assert (event.channel, event.campaign) == (channel, "spring")


@pytest.mark.parametrize(
    ("name", "channel", "outcome"),
    [
        ("Email Delivered", "email", "delivered"),
        ("Email Link Clicked", "email", "clicked"),
        ("Email Bounced", "email", "bounced"),
        ("Push Notification Tapped", "push", "clicked"),
        ("Unsubscribed", "email", "unsubscribed"),
    ],
)
def test_a_message_of_ours_is_an_outcome(name: str, channel: str, outcome: str) -> None:
    event = one(track(name, {"action_id": "a-1", "permanent": True}))
    assert isinstance(event, ev.Outcome)
    assert (event.action_id, event.channel, event.outcome) == ("a-1", channel, outcome)
    assert event.permanent


def test_an_opening_of_anothers_message_is_only_a_sign_of_life() -> None:
    assert isinstance(one(track("Email Opened")), ev.Active)


@pytest.mark.parametrize("name", ["Unsubscribed", "Email Marked as Spam"])
def test_a_refusal_of_anothers_message_is_a_refusal_of_ours(name: str) -> None:
    event = one(track(name))
    assert isinstance(event, ev.ConsentChanged)
    assert (event.channel, event.granted) == ("email", False)


# --- poison -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (b"\x00\x01", "not_json"),
        (b"[" * 20_000, "not_json"),
        (b'{"a":' * 5_000, "not_json"),
        (b"9" * 5_000, "not_json"),
        (b"[]", "not_object"),
        (b"null", "not_object"),
        (b'{"type":"track","userId":"u-1"}', "no_event_name"),
        (b'{"type":"track","event":"x"}', "no_user"),
        (b'{"type":"track","event":{},"userId":"u-1"}', "no_event_name"),
        (b'{"type":"nonsense","userId":"u-1"}', "unknown_type"),
        (b'{"type":7,"userId":"u-1"}', "unknown_type"),
        (b'{"userId":"u-1"}', "unknown_type"),
        (orjson.dumps(track("x", {"pad": "x" * segment.MAX_BYTES})), "oversize"),
        (orjson.dumps(track("Product Added", {"name": "Runner"})), "no_product_id"),
        (orjson.dumps(track("Product Removed")), "no_product_id"),
        (orjson.dumps(track("Order Cancelled")), "no_order_id"),
    ],
)
def test_poison_is_refused_with_a_reason_of_the_closed_list(value: bytes, why: str) -> None:
    assert reason(value) == why


@pytest.mark.parametrize(
    "value",
    [
        b'{"event":"Product Added","userId":"u-1","properties":{"product_id":"p","price":NaN}}',
        b'{"event":"Product Added","userId":"u-1","properties":{"product_id":"p","price":1e400}}',
        b'{"event":"Product Added","userId":"u","properties":{"product_id":"p","price":-Infinity}}',
    ],
)
def test_numbers_json_does_not_know_are_unknown_prices(value: bytes) -> None:
    notes = Notes()
    (event,) = parse(value, notes=notes)
    assert isinstance(event, ev.ProductAdded)
    assert event.line.price is None
    assert notes["lenient_json"] == 1


def test_lone_surrogates_and_broken_utf8_are_replaced_and_pairs_kept() -> None:
    value = (
        b'\xef\xbb\xbf{"event":"Product Added","userId":"u-1","properties":{"product_id":"p",'
        b'"name":"\\ud83d \\ud83d\\ude00 \xff"}}'
    )
    (event,) = parse(value)
    assert isinstance(event, ev.ProductAdded)
    assert event.line.name == "\ufffd 😀 \ufffd"
    assert codec.read(codec.write(event)) == event


# --- laws ---------------------------------------------------------------------------------------

ODD: list[Any] = [
    None,
    "",
    "null",
    "u-1",
    "é",
    "\x00",
    -1,
    0,
    1e308,
    2**70,
    True,
    [],
    {},
    [{}],
    "NaN",
    "*",
]
KEYS = [
    *("type", "event", "userId", "anonymousId", "messageId", "timestamp", "originalTimestamp"),
    *("sentAt", "context", "properties", "traits", "products", "product_id", "quantity", "price"),
    *("currency", "device", "token", "timezone", "locale", "consent", "categoryPreferences"),
    *("marketing", "granted", "channel", "purpose", "email", "phone", "sms_opt_in", "order_id"),
    *("total", "action_id", "location", "country", "address", "cart_id", "name"),
]
WORDS = [
    *("track", "identify", "page", "alias", "Product Added", "Cart Viewed", "Order Completed"),
    *("Order Refunded", "Consent Changed", "Email Delivered", "Email Bounced", "Checkout Started"),
    *("Application Opened", "2025-11-23T03:33:27.070Z", "GMT+9900", "a@example.com", "+8613"),
]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([*ODD, *WORDS]) | st.text(max_size=12) | st.floats() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=6), inner, max_size=5)
    ),
    max_leaves=12,
)
MESSAGES = st.builds(
    lambda told, more: more | told,
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["track", "identify", "page", "alias"]),
            "userId": st.just("u-1"),
            "event": st.sampled_from(WORDS),
        }
    ),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8),
)


def _written(value: object) -> bytes:
    """Write as sloppy clients do: NaN, Infinity, lone surrogates and numbers of any length."""
    return json.dumps(value).encode()


def _judge(value: bytes) -> None:
    notes, refused = Notes(), None
    try:
        events = segment.parse(value, POSITION, NOW, notes)
    except InvalidEvent as error:
        refused = error.reason
    else:
        assert events
        assert [e.source and e.source.ordinal for e in events] == list(range(len(events)))
        assert len({e.event_id for e in events}) == len(events)
        assert all(0 < e.occurred_at <= e.received_at == NOW for e in events)
        assert all(not e.history and 0 < len(e.user_id) <= 205 for e in events)
        assert [codec.read(codec.write(e)) for e in events] == events
    assert refused is None or refused in INVALID
    assert set(notes) <= set(MENDED)


@given(st.binary(max_size=200))
@example(b'{"type":"track","event":"\\udc00","userId":"u-1"}')
def test_any_bytes_are_events_or_refused(value: bytes) -> None:
    _judge(value)


@given(VALUES)
def test_any_json_is_events_or_refused(value: object) -> None:
    _judge(_written(value))


@given(MESSAGES)
def test_any_message_is_events_or_refused(message: dict[str, Any]) -> None:
    _judge(_written(message))


@given(MESSAGES, st.integers(0, 200), st.binary(max_size=3))
def test_a_damaged_message_is_events_or_refused(
    message: dict[str, Any], at: int, damage: bytes
) -> None:
    value = _written(message)
    _judge(value[:at] + damage + value[at + len(damage) :])


@given(MESSAGES)
def test_reading_twice_gives_the_same(message: dict[str, Any]) -> None:
    value = _written(message)
    try:
        first = segment.parse(value, POSITION, NOW + MINUTE)
    except InvalidEvent:
        return
    assert segment.parse(value, POSITION, NOW + MINUTE) == first
