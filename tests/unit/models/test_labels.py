"""Labels: an order inside the window, known at no other time than its own."""

from typing import Any

import numpy as np
import pytest

from engine import events as ev
from engine.decisions import Result
from engine.errors import Refused
from engine.profile import Profile
from engine.times import DAY, HOUR
from models.features import CHANNEL_AT, as_dict, vector
from models.training.labels import Labelled, label
from tests.unit.models.shop import LOCAL, NOW, ask, decided, told

FEATURES = as_dict(vector(ask(Profile()), None, LOCAL))
WINDOWS = {"cart": DAY}
END = told(ev.Active, NOW + 10 * DAY, "end")


def _order(at: int, order_id: str = "o-1", **fields: object) -> ev.Event:
    return told(ev.OrderCompleted, at, f"{order_id}-{at}", order_id=order_id, **fields)


def _label(decisions: list[bytes], events: list[ev.Event], **more: Any) -> Labelled:
    return label(decisions, events, WINDOWS, **more)


def _converted(*orders: ev.Event) -> bool:
    labelled = _label([decided(1, NOW, FEATURES)], [*orders, END])
    assert len(labelled.converted) == 1
    return bool(labelled.converted[0])


@pytest.mark.parametrize(
    ("at", "converted"),
    [
        (NOW - 1, False),
        (NOW, False),  # a tick folds what has its own time before it decides
        (NOW + 1, True),
        (NOW + DAY, True),
        (NOW + DAY + 1, False),
    ],
)
def test_an_order_counts_after_the_decision_and_up_to_the_edge_of_the_window(
    at: int, *, converted: bool
) -> None:
    assert _converted(_order(at)) is converted


def test_an_order_told_again_stays_where_it_was() -> None:
    assert not _converted(_order(NOW - HOUR), _order(NOW + HOUR))
    assert not _converted(_order(NOW + HOUR), _order(NOW - HOUR))
    assert _converted(_order(NOW - HOUR), _order(NOW + HOUR, "o-2"))


def test_somebody_elses_order_is_not_hers() -> None:
    other = ev.OrderCompleted(
        event_id="x", user_id="u-2", occurred_at=NOW + 1, received_at=NOW + 1, order_id="o"
    )
    assert not _converted(other)


def test_an_open_window_is_left_out_whatever_happened_in_it() -> None:
    decisions = [decided(1, NOW, FEATURES), decided(2, NOW + 1, FEATURES)]
    events = [_order(NOW + HOUR), told(ev.Active, NOW + DAY, "end")]
    labelled = _label(decisions, events)
    assert labelled.at.tolist() == [NOW]
    assert labelled.left_out == {"open_window": 1}


def test_who_knows_how_far_the_events_reach_may_say_so() -> None:
    decisions = [decided(1, NOW, FEATURES)]
    assert len(_label(decisions, [], until=NOW + DAY).at) == 1
    assert len(_label(decisions, [], until=NOW + DAY - 1).at) == 0


@pytest.mark.parametrize(
    ("outcome", "reason", "channel", "code"),
    [
        ("send", "sent", "sms", 3.0),
        ("suppress", "would_send_holdout", "push", 0.0),
        ("suppress", "would_send_dry_run", "push", 0.0),
        ("suppress", "not_worth_it", None, 0.0),
        ("suppress", "explored_none", None, 0.0),
        ("suppress", "template_failed", "push", 0.0),
    ],
)
def test_the_channel_of_a_row_is_what_was_really_sent(
    outcome: Result, reason: str, channel: str | None, code: float
) -> None:
    value = decided(1, NOW, FEATURES, outcome=outcome, reason=reason, channel=channel)
    labelled = _label([value], [END])
    assert labelled.vectors[0, CHANNEL_AT] == code
    assert labelled.sent.tolist() == [code > 0]


def test_what_cannot_be_learned_from_is_left_out_and_counted() -> None:
    decisions = [
        decided(1, NOW, {}, outcome="disarm", reason="converted"),
        decided(2, NOW, FEATURES, outcome="defer", reason="quiet_hours"),
        decided(3, NOW, {}, reason="cooldown", schema_hash=""),
        decided(4, NOW, FEATURES, tester=True),
        decided(5, NOW, FEATURES, schema_hash="0" * 64),
        decided(6, NOW, FEATURES, campaign="gone"),
        decided(7, NOW, FEATURES),
        decided(7, NOW, FEATURES),
    ]
    labelled = _label(decisions, [END])
    assert len(labelled.at) == 1
    assert labelled.left_out == {
        "defer": 1,
        "disarm": 1,
        "not_weighed": 1,
        "other_schema": 1,
        "repeated": 1,
        "tester": 1,
        "unknown_campaign": 1,
    }


def test_rows_are_in_order_of_time_whatever_the_order_of_partitions() -> None:
    decisions = [
        decided(n, NOW + n % 5 * HOUR, FEATURES | {"views_1d": float(n)}) for n in range(20)
    ]
    forwards, backwards = _label(decisions, [END]), _label(decisions[::-1], [END])
    assert np.array_equal(forwards.vectors, backwards.vectors, equal_nan=True)
    assert (np.diff(forwards.at) >= 0).all()
    assert forwards.users == backwards.users
    assert np.array_equal(forwards.user, backwards.user)


def test_more_rows_than_fit_are_thinned_blindly_and_the_same_each_time() -> None:
    decisions = [decided(n, NOW + n, FEATURES) for n in range(1_000)]
    thinned, again = (
        _label(decisions, [END], max_rows=100),
        _label(decisions[::-1], [END], max_rows=100),
    )
    assert 25 <= len(thinned.at) <= 100
    assert thinned.left_out["thinned"] == 1_000 - len(thinned.at)
    assert thinned.at.tolist() == again.at.tolist()


def test_the_mean_order_is_of_the_shops_currency_and_winsorised() -> None:
    orders = [_order(NOW - n, f"o-{n}", total=100.0, currency="CNY") for n in range(1, 200)]
    orders += [
        _order(NOW, "euro", total=9.0, currency="EUR"),
        _order(NOW, "slip", total=9e6, currency="CNY"),
    ]
    labelled = _label([decided(1, NOW, FEATURES)], [*orders, END])
    assert labelled.currency == "CNY"
    assert labelled.mean_order is not None
    assert labelled.mean_order < 600  # without it: 45,099
    few = _label([decided(1, NOW, FEATURES)], [*orders[:19], END])
    assert few.mean_order is None


def test_no_decisions_are_no_rows() -> None:
    labelled = _label([], [END])
    assert len(labelled.at) == 0
    assert labelled.left_out == {}


def test_a_record_that_is_no_decision_is_refused_with_its_number() -> None:
    with pytest.raises(Refused, match="Decision 2 cannot be read"):
        _label([decided(1, NOW, FEATURES), b'{"v":1}'], [END])
