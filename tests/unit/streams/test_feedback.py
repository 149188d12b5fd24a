"""Gateways' reports into outcomes."""

from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidEvent
from engine.events import Outcome, OutcomeType, Position
from engine.times import HOUR, SECOND, iso
from streams.log import codec
from streams.sources import feedback
from streams.sources.reasons import INVALID, Notes

NOW = 1_763_868_808_000
POSITION = Position("feedback", 0, 3, 7)
REPORT = {
    "v": 1,
    "feedback_id": "f-1",
    "action_id": "a-1",
    "user_id": "u-1",
    "channel": "sms",
    "provider": "twilio",
    "type": "bounced",
    "permanent": True,
    "reason": "unreachable",
    "provider_code": "30003",
    "occurred_at": iso(NOW - SECOND),
}


def parse(report: dict[str, Any], notes: Notes | None = None) -> Outcome:
    (event,) = feedback.parse(orjson.dumps(report), POSITION, NOW, notes)
    assert isinstance(event, Outcome)
    return event


def without(*names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in REPORT.items() if name not in names} | more


def test_a_report_becomes_an_outcome() -> None:
    assert parse(REPORT) == Outcome(
        event_id="f-1",
        user_id="u-1",
        occurred_at=NOW - SECOND,
        received_at=NOW,
        source=POSITION,
        action_id="a-1",
        channel="sms",
        outcome="bounced",
        permanent=True,
        reason="unreachable",
    )


@pytest.mark.parametrize("outcome", get_args(OutcomeType))
def test_every_outcome_is_known(outcome: str) -> None:
    assert parse(without(type=outcome)).outcome == outcome


def test_a_machine_that_opened_says_so() -> None:
    assert parse(without(type="opened", machine=True)).machine
    assert not parse(without(type="opened", machine="true")).machine


def test_copies_of_a_report_without_id_have_the_same_id() -> None:
    assert parse(without("feedback_id")).event_id == parse(without("feedback_id")).event_id
    other = parse(without("feedback_id", type="delivered"))
    assert other.event_id != parse(without("feedback_id")).event_id


def test_a_report_from_the_future_is_clamped_and_counted() -> None:
    notes = Notes()
    assert parse(without(occurred_at=iso(NOW + HOUR)), notes).occurred_at == NOW
    assert notes["future"] == 1


@pytest.mark.parametrize("told", [None, "soon", {}])
def test_a_report_without_a_readable_time_is_as_of_its_arrival(told: object) -> None:
    assert parse(without(occurred_at=told)).occurred_at == NOW


def test_where_the_source_is_the_clock_the_report_carries_the_time() -> None:
    (event,) = feedback.parse(orjson.dumps(REPORT), POSITION, NOW + HOUR, clock="source")
    assert (event.occurred_at, event.received_at) == (NOW - SECOND, NOW - SECOND)


def test_fields_we_do_not_know_are_ignored() -> None:
    assert parse(without(raw={"x": 1}, link_id="l1")) == parse(REPORT)


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (without("user_id"), "no_user"),
        (without(user_id="null"), "no_user"),
        (without("action_id"), "no_action_id"),
        (without("channel"), "no_channel"),
        (without(channel="*"), "no_channel"),
        (without(channel={}), "no_channel"),
        (without("type"), "unknown_outcome"),
        (without(type="eaten"), "unknown_outcome"),
        (without(v=2), "newer_version"),
        (without(v="1"), "newer_version"),
        (without(reason="x" * 40_000), "oversize"),
    ],
)
def test_a_report_that_cannot_be_used_is_refused_with_its_reason(
    report: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidEvent) as refused:
        parse(report)
    assert refused.value.reason == why


WORDS: st.SearchStrategy[Any] = st.sampled_from(
    ["delivered", "push", "u-1", "", None, -1, 1e300, [], {}, True]
)


@given(st.binary(max_size=80) | st.dictionaries(st.sampled_from(list(REPORT)), WORDS))
def test_anything_is_an_outcome_or_refused(told: bytes | dict[str, Any]) -> None:
    value = told if isinstance(told, bytes) else orjson.dumps(told)
    refused = None
    try:
        (event,) = feedback.parse(value, POSITION, NOW)
    except InvalidEvent as error:
        refused = error.reason
    else:
        assert codec.read(codec.write(event)) == event
        assert 0 < event.occurred_at <= event.received_at
    assert refused is None or refused in INVALID
