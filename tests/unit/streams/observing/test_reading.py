"""Records of topics into facts: what the figures need is there, and nobody is."""

import json
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from aiokafka import ConsumerRecord

from engine.decisions import ChannelView, Decision, DecisionTrigger, encode
from engine.events import SettingsRecord, Tick
from monitoring.figures import seen as facts
from monitoring.figures.acquisition import Origin, Origins
from monitoring.figures.seen import hashed
from rules import campaigns
from streams.log import codec
from streams.observing import reading
from streams.observing.tail import told

_AT = 1_796_000_000_000
_ORIGINS = Origins(origins=(Origin(name="paid", utm_medium=("cpc",)),), own=("shop.example",))


@dataclass
class _Record:
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def _of(value: bytes | None) -> ConsumerRecord:
    return cast("ConsumerRecord", _Record(value))


def _message(**told: Any) -> list[facts.Seen]:
    message = {"type": "track", "userId": "anna@example.com", "messageId": "m1"} | told
    read = reading.of_source("app", "segment", _ORIGINS)
    return read(_of(json.dumps(message).encode()), _AT)


def test_a_message_tells_where_she_came_from_and_how_far_she_went() -> None:
    (seen,) = _message(
        event="Product Added",
        properties={"product_id": "p1"},
        context={"campaign": {"source": "google", "medium": "CPC"}},
    )
    assert isinstance(seen, facts.Message)
    assert (seen.acquisition, seen.step, seen.adds) == ("paid", facts.CART, 1)
    assert (seen.user, seen.topic, seen.at) == (hashed("anna@example.com"), "app", _AT)


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ({"page": {"referrer": "https://www.bing.com/search?q=x"}}, "other"),
        ({"page": {"referrer": "https://www.shop.example/cart"}}, ""),
        ({"referrer": {"url": "https://bing.com"}}, "other"),
        ({"page": {"referrer": "http://["}}, ""),
        ({"page": 7, "campaign": "x"}, ""),
        ("rubbish", ""),
    ],
)
def test_any_context_is_read(context: Any, name: str) -> None:
    (seen,) = _message(event="Home", context=context)
    assert isinstance(seen, facts.Message)
    assert seen.acquisition == name


def test_an_order_has_its_value_its_lines_and_their_categories() -> None:
    (seen,) = _message(
        event="Order Completed",
        properties={
            "order_id": "o1",
            "currency": "EUR",
            "products": [
                {"product_id": "p1", "category": "shoes", "price": 10, "quantity": 2},
                {"product_id": "p2", "price": 5},
            ],
        },
    )
    assert isinstance(seen, facts.Message)
    order = seen.order
    assert order is not None
    assert (order.value, order.currency) == (25.0, "EUR")
    assert [(one.category, one.quantity, one.value) for one in order.lines] == [
        ("shoes", 2, 20.0),
        ("", 1, 5.0),
    ]


def test_an_order_without_prices_has_no_value() -> None:
    (seen,) = _message(event="Order Completed", properties={"order_id": "o1"})
    assert isinstance(seen, facts.Message)
    assert seen.order is not None
    assert seen.order.value is None


def test_what_nobody_can_read_is_counted_as_that() -> None:
    read = reading.of_source("app", "segment", _ORIGINS)
    assert read(_of(b"{"), _AT) == [facts.Unreadable(_AT, "app")]
    assert read(_of(None), _AT) == [facts.Unreadable(_AT, "app")]


def test_an_outcome_an_app_tells_is_a_message_and_an_outcome() -> None:
    seen = _message(event="Push Notification Tapped", properties={"action_id": "a1"})
    assert [type(one).__name__ for one in seen] == ["Message", "Reported"]


@pytest.mark.parametrize(
    ("event", "came"), [("Push Notification Tapped", True), ("Push Notification Received", False)]
)
def test_who_tapped_came_to_the_shop_and_who_was_only_sent_something_did_not(
    event: str, came: bool
) -> None:
    message = _message(event=event, properties={"action_id": "a1"})[0]
    assert isinstance(message, facts.Message)
    assert bool(message.user) is came


def test_a_report_names_its_provider() -> None:
    report = {
        "action_id": "a1",
        "user_id": "u1",
        "channel": "sms",
        "provider": "acme",
        "type": "bounced",
        "permanent": True,
        "occurred_at": "2026-11-27T10:00:00.000Z",
    }
    (seen,) = reading.of_feedback()(_of(json.dumps(report).encode()), _AT + 10**9)
    assert isinstance(seen, facts.Reported)
    assert (seen.action, seen.channel, seen.provider) == (hashed("a1"), "sms", "acme")
    assert (seen.type, seen.permanent) == ("bounced", True)
    assert reading.of_feedback()(_of(b"?"), _AT) == []


def _decision(**told: Any) -> Decision:
    trigger = DecisionTrigger(
        kind="cart",
        key="c1",
        episode="1",
        armed_at="2026-11-27T09:00:00.000Z",
        due_at="2026-11-27T10:00:00.000Z",
    )
    fields: dict[str, Any] = {
        "decision_id": "d1",
        "pos": "1.0",
        "at": "2026-11-27T10:00:01.000Z",
        "user_id": "anna@example.com",
        "campaign": "cart",
        "campaign_version": 1,
        "trigger": trigger,
        "attempt": 0,
        "outcome": "send",
        "reason": "sent",
        "channel": "sms",
        "channels": {"sms": ChannelView(p0=0.25), "push": ChannelView(objection="no_consent")},
        "action_id": "a1",
        "features": {"age": 1.0},
    }
    return Decision(**fields | told)


def test_a_decision_keeps_what_is_counted_of_it() -> None:
    (seen,) = reading.of_decisions()(_of(encode(_decision())), _AT)
    assert isinstance(seen, facts.Decided)
    assert (seen.action, seen.channel, seen.reason) == (hashed("a1"), "sms", "sent")
    assert (seen.p0, seen.first, seen.decided_at - seen.due_at) == (0.25, True, 1_000)
    (again,) = reading.of_decisions()(_of(encode(_decision(attempt=1))), _AT)
    assert isinstance(again, facts.Decided)
    assert not again.first
    assert reading.of_decisions()(_of(b"{}"), _AT) == []


def test_what_another_release_wrote_stops_nothing() -> None:
    assert reading.of_decisions()(_of(encode(_decision(at="soon"))), _AT) == []
    newer = _decision(outcome="suppress", reason="moon_phase", channel=None)
    assert told(newer, _AT).text == "moon_phase"


def test_the_tail_names_nobody() -> None:
    row = told(_decision(), _AT)
    assert b"anna" not in msgspec.json.encode(row)
    assert row.user.startswith("u-")
    assert row.text.startswith("sent by sms")


def test_nobody_is_in_a_fact() -> None:
    told = [*_message(event="Home"), *reading.of_decisions()(_of(encode(_decision())), _AT)]
    assert b"anna" not in msgspec.msgpack.encode(told)


def test_a_settings_record_brings_the_prices_of_its_file() -> None:
    files = {"ab": campaigns.shipped()}
    read = reading.of_settings(files)
    (seen,) = read(_of(codec.write(SettingsRecord(campaigns="ab"))), _AT)
    assert isinstance(seen, facts.Ruled)
    assert seen.terms is not None
    assert seen.terms.costs.keys() >= {"push", "sms", "email"}
    assert seen.terms.windows
    with pytest.raises(KeyError):
        read(_of(codec.write(SettingsRecord(campaigns="cd"))), _AT)
    assert read(_of(codec.write(Tick(now=1))), _AT) == []
    files["cd"] = b""
    (unread,) = read(_of(codec.write(SettingsRecord(campaigns="cd"))), _AT)
    assert isinstance(unread, facts.Ruled)
    assert unread.terms is None
