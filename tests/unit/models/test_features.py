"""Vectors: pinned, pure, blind to the future, and the same by name as by place."""

from dataclasses import replace
from math import isnan
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import events as ev
from engine.profile import Profile, decode, encode
from engine.times import DAY, HOUR
from models.features import (
    CHANNEL_AT,
    NAMES,
    REGISTRY,
    SCHEMA_HASH,
    as_dict,
    from_dict,
    vector,
)
from tests.unit.models.golden_cases import PATH, cases, golden
from tests.unit.models.shop import (
    LOCAL,
    NOW,
    POLICY,
    SHANGHAI,
    TwoZones,
    ask,
    frozen,
    line,
    remember,
    told,
)


def _same(left: list[float], right: list[float]) -> bool:
    """Return whether two vectors are equal, missing values included."""
    return as_dict(left) == as_dict(right)


def test_golden_vectors_have_not_moved() -> None:
    """A difference is a new transform: raise its version, then rewrite the file (golden_cases)."""
    assert msgspec.json.decode(PATH.read_bytes()) == golden()


@pytest.mark.parametrize("name", sorted(cases()))
def test_a_vector_by_name_is_the_same_vector(name: str) -> None:
    values = vector(cases()[name], None, LOCAL)
    on_the_wire = msgspec.json.decode(msgspec.json.encode(as_dict(values)))
    assert _same(from_dict(on_the_wire), values)


@pytest.mark.parametrize("name", sorted(cases()))
def test_reading_a_vector_does_not_change_the_profile(name: str) -> None:
    case = cases()[name]
    before = encode(case.profile)
    vector(case, "push", LOCAL)
    assert encode(case.profile) == before


def test_of_a_stranger_every_feature_has_its_default() -> None:
    values = vector(ask(Profile()), None, LOCAL)
    known = [(f, v) for f, v in zip(REGISTRY, values, strict=True) if f.source != "case"]
    assert {f.name: None if isnan(v) else v for f, v in known} == {
        f.name: f.default for f, _ in known
    }


def test_only_the_channel_tells_what_is_sent() -> None:
    case = cases()["with_cart"]
    silent = vector(case, None, LOCAL)
    for channel, code in (("push", 1), ("email", 2), ("sms", 3), ("carrier_pigeon", 4)):
        spoken = vector(case, channel, LOCAL)
        assert spoken[CHANNEL_AT] == code
        spoken[CHANNEL_AT] = 0.0
        assert _same(spoken, silent)


def test_the_registry_is_well_formed() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(f.meaning and f.unit and f.version >= 1 for f in REGISTRY)
    assert len(SCHEMA_HASH) == 64


@pytest.mark.parametrize("change", ["gone", "new"])
def test_features_of_another_schema_are_told_apart(change: str) -> None:
    features = as_dict(vector(ask(Profile()), None, LOCAL))
    if change == "gone":
        del features["fatigue"]
    else:
        features["shoe_size"] = 38.0
    with pytest.raises(ValueError, match=r"fatigue|shoe_size"):
        from_dict(features)


def test_a_window_longer_than_the_memory_of_sends_is_missing_not_short() -> None:
    case = replace(cases()["spoken_to"], policy=msgspec.structs.replace(POLICY, caps=()))
    features = as_dict(vector(case, None, LOCAL))
    assert case.policy.longest_window == 3 * DAY
    assert features["push_7d"] is None
    assert features["sends_24h"] == 0.0


def test_a_withheld_message_counts_as_the_caps_count_it() -> None:
    at = NOW - 2 * HOUR
    queued = told(
        ev.ActionQueued, at, "a", action_id="a", campaign="cart", channel="push", withheld="holdout"
    )
    features = as_dict(vector(ask(remember([queued])), None, LOCAL))
    assert features["push_7d"] == features["sends_24h"] == 1.0
    assert features["since_send_s"] == 7200.0
    assert features["ignored_in_a_row"] == 0.0  # nothing was there to ignore


def test_a_return_to_the_first_cart_does_not_hide_the_triggers_cart() -> None:
    carts = [
        told(ev.ProductAdded, NOW - 2 * HOUR, "a", cart_id="c-1", line=line("p", 10.0)),
        told(ev.ProductAdded, NOW - HOUR, "b", cart_id="c-2", line=line("p", 30.0)),
    ]
    mine = vector(ask(remember(carts), key="c-1"), None, LOCAL)
    other = vector(ask(remember(carts), key="o-9", kind="post_purchase_7d"), None, LOCAL)
    assert as_dict(mine)["cart_value"] == 10.0
    assert as_dict(other)["cart_value"] == 30.0


# --- the future ---------------------------------------------------------------------------------

_products = st.sampled_from(["p-1", "p-2", "p-3"])
_carts = st.sampled_from(["", "c-1", "c-2"])
_orders = st.sampled_from(["o-1", "o-2", "o-3"])
_channels = st.sampled_from(["push", "email", "sms"])
_actions = st.sampled_from(["a-1", "a-2", "a-3"])
_lines = st.builds(
    line,
    _products,
    st.none() | st.floats(1, 500),
    st.integers(1, 3),
)
_acts: dict[type[ev.Event], dict[str, st.SearchStrategy[object]]] = {
    ev.ProductViewed: {"product_id": _products},
    ev.Searched: {},
    ev.ProductAdded: {"line": _lines, "cart_id": _carts},
    ev.ProductRemoved: {"product_id": _products, "cart_id": _carts},
    ev.CartViewed: {"cart_id": _carts, "lines": st.none() | st.lists(_lines, max_size=2)},
    ev.CheckoutStarted: {"cart_id": _carts, "checkout_id": st.just("k-1")},
    ev.OrderCompleted: {
        "order_id": _orders,
        "cart_id": _carts,
        "lines": st.lists(_lines, max_size=2),
        "total": st.none() | st.floats(1, 500),
        "currency": st.sampled_from(["CNY", "EUR", ""]),
    },
    ev.OrderRefunded: {"order_id": _orders},
    ev.OrderCancelled: {"order_id": _orders},
    ev.OrderDelivered: {"order_id": _orders},
    ev.Identified: {
        "zones": st.lists(st.sampled_from(["UTC", SHANGHAI]), max_size=1),
        "locale": st.sampled_from(["zh-CN", "en"]),
    },
    ev.ActionQueued: {
        "action_id": _actions,
        "campaign": st.just("cart"),
        "channel": _channels,
        "withheld": st.sampled_from(["", "holdout"]),
    },
    ev.Outcome: {
        "action_id": _actions,
        "channel": _channels,
        "outcome": st.sampled_from(["accepted", "rejected", "opened", "clicked", "complained"]),
    },
    ev.SentElsewhere: {"channel": _channels},
    ev.Erased: {},
}


@st.composite
def _history(draw: st.DrawFn, first: int, last: int, prefix: str) -> list[ev.Event]:
    kinds = draw(st.lists(st.sampled_from(list(_acts)), max_size=14))
    return [
        told(
            kind,
            draw(st.integers(first, last)),
            f"{prefix}{number}",
            **{name: draw(value) for name, value in _acts[kind].items()},
        )
        for number, kind in enumerate(kinds)
    ]


@given(
    past=_history(NOW - 20 * DAY, NOW, "past-"),
    future=_history(NOW + 1, NOW + 9 * DAY, "future-"),
    kind=st.sampled_from(["cart_abandonment", "post_purchase_7d"]),
    key=st.sampled_from(["", "c-1", "o-1"]),
)
def test_what_happens_later_is_never_in_a_vector(
    past: list[ev.Event], future: list[ev.Event], kind: str, key: str
) -> None:
    case = ask(remember(past), kind=kind, key=key)
    then = frozen(case)
    logged = vector(case, None, LOCAL)
    remember(future, case.profile)
    # the profile as it was when she was decided about gives what was logged, bit for bit
    assert _same(vector(then, None, LOCAL), logged)
    # and from the one that has gone on, nothing of the future can be read: as logged, or missing
    assert not _leaked(logged, vector(case, None, LOCAL))


def _leaked(logged: list[float], poisoned: list[float]) -> list[str]:
    pairs = zip(NAMES, logged, poisoned, strict=True)
    return [name for name, before, after in pairs if not isnan(after) and after != before]


def _everything() -> list[ev.Event]:
    """Return a past in which every feature rests on something."""
    sent = {"campaign": "cart", "channel": "push"}
    return [
        told(ev.Identified, NOW - 9 * DAY, "i", zones=["UTC"], locale="en"),
        told(ev.ProductViewed, NOW - DAY, "v", product_id="p-1"),
        told(ev.OrderCompleted, NOW - 8 * DAY, "o", order_id="o-1", total=50.0, lines=[]),
        told(ev.ProductAdded, NOW - HOUR, "a", cart_id="c-1", line=line("p-1", 10.0)),
        told(ev.ActionQueued, NOW - 6 * DAY, "q", action_id="a-1", **sent),
        told(ev.Outcome, NOW - 6 * DAY, "r", action_id="a-1", channel="push", outcome="accepted"),
        told(ev.ActionQueued, NOW - 500, "q2", action_id="a-2", **sent),
    ]


_LATER: dict[str, tuple[type[ev.Event], int, dict[str, Any]]] = {
    "a view": (ev.ProductViewed, 1, {"product_id": "p-1"}),
    "an order": (ev.OrderCompleted, 1, {"order_id": "o-2", "total": 9.0}),
    "a refund": (ev.OrderRefunded, 1, {"order_id": "o-1"}),
    "a move": (ev.Identified, 1, {"zones": [SHANGHAI]}),
    "a language": (ev.Identified, 1, {"locale": "zh-CN"}),
    "a send that makes old ones forgotten": (
        ev.ActionQueued,
        4 * DAY,
        {"action_id": "a-3", "campaign": "cart", "channel": "push"},
    ),
    "a send by others": (ev.SentElsewhere, 1, {"channel": "push"}),
    "an open": (ev.Outcome, 1, {"action_id": "a-1", "channel": "push", "outcome": "opened"}),
    "a refusal within the second": (
        ev.Outcome,
        300,
        {"action_id": "a-2", "channel": "push", "outcome": "rejected"},
    ),
    "her erasure": (ev.Erased, 1, {}),
}


@pytest.mark.parametrize("what", _LATER)
def test_one_later_event_is_never_in_a_vector(what: str) -> None:
    case = ask(remember(_everything()))
    logged = vector(case, None, LOCAL)
    kind, after, fields = _LATER[what]
    remember([told(kind, NOW + after, "later", **fields)], case.profile)
    poisoned = vector(case, None, LOCAL)
    assert not _leaked(logged, poisoned)
    assert not _same(logged, poisoned)  # it would have shown


@given(past=_history(NOW - 20 * DAY, NOW, "past-"))
def test_the_past_is_read_in_full(past: list[ev.Event]) -> None:
    """The law above would hold for a vector that is always missing."""
    case = ask(remember(past))
    features = as_dict(vector(case, None, LOCAL))
    assert features["views_1d"] is not None
    assert features["orders_known"] is not None
    # reports are kept in whole seconds after their send: one of the running second, or one of a
    # send of the running second, is not told from a later one
    running = ev.Outcome | ev.ActionQueued
    if not any(isinstance(e, running) and e.occurred_at > NOW - 1000 for e in past):
        assert features["fatigue"] is not None


def test_equal_cases_give_equal_bits_from_packed_profiles_too() -> None:
    for case in cases().values():
        again = replace(case, profile=decode(encode(case.profile)))
        assert _same(vector(again, None, TwoZones()), vector(case, None, LOCAL))
