"""The records of `anomalies` against the JSON Schema that is published for them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitoring.figures.told import Cause, Contributor, Episode, OperatorVerdict
from monitoring.figures.watch import Change
from streams.observing import messages
from streams.observing.messages import VerdictMessage

_PUBLISHED = Path("docs/reference/anomalies.schema.json")
_EPISODE = Episode(
    anomaly_id="9f2c1f0a4be31d55",
    kpi="send_rate",
    title="Messages sent",
    dimension={"channel": "sms"},
    state="opened",
    severity="warning",
    direction="down",
    unit="messages",
    opened_at=1_796_000_000_000,
    last_seen_at=1_796_000_060_000,
    closed_at=None,
    value=0.0,
    expected=12.5,
    low=6.0,
    high=None,
    score=5.25,
    contributors=[Contributor({"campaign": "cart"}, 0.0, 12.5, 1.0)],
    causes=[Cause("control", 1_796_000_000_000, "pause channel:sms", "brake")],
    verdict=OperatorVerdict("false", "anna", 1_796_000_090_000, "known"),
)
_CHANGE = Change(_EPISODE, 2, (1_796_000_000_000, 1_796_000_060_000), "level", 12.5)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(_PUBLISHED.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _told(change: Change = _CHANGE) -> dict[str, Any]:
    message = messages.of_episode(change, observer="one", kpi_file="abcd")
    told: dict[str, Any] = json.loads(messages.encode(message))
    return told


def _verdict() -> VerdictMessage:
    return VerdictMessage(
        message_id="1",
        anomaly_id="9f2c1f0a4be31d55",
        kpi="send_rate",
        dimension={"channel": "sms"},
        verdict="false",
        by="anna",
        at="2026-11-26T22:24:00.000Z",
    )


def test_what_is_written_is_what_the_schema_says(
    validator: jsonschema.Draft202012Validator,
) -> None:
    validator.validate(_told())
    closed = _EPISODE.__class__(
        **{name: getattr(_EPISODE, name) for name in _EPISODE.__struct_fields__}
        | {"state": "closed", "closed_at": 1_796_000_300_000, "high": 20.0, "verdict": None}
    )
    validator.validate(_told(_CHANGE._replace(episode=closed)))
    validator.validate(json.loads(messages.encode(_verdict())))


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "reopened"},
        {"severity": "page"},
        {"dimension": "sms"},
        {"detector": {"kind": "guess"}},
        {"type": "anomaly", "score": "high"},
        {"band": [1.0, 2.0, 3.0]},
    ],
)
def test_what_is_not_of_the_schema_is_refused_by_it_and_by_us(
    validator: jsonschema.Draft202012Validator, wrong: dict[str, Any]
) -> None:
    told = _told() | wrong
    assert not validator.is_valid(told)
    assert messages.read(json.dumps(told).encode()) is None


@pytest.mark.parametrize("gone", ["anomaly_id", "message_id", "opened_at", "window", "type"])
def test_what_is_always_there_is_asked_for(
    validator: jsonschema.Draft202012Validator, gone: str
) -> None:
    told = _told()
    del told[gone]
    assert not validator.is_valid(told)


def test_what_is_read_is_what_was_written() -> None:
    message = messages.of_episode(_CHANGE, observer="one", kpi_file="abcd")
    assert messages.read(messages.encode(message)) == message
    assert messages.read(messages.encode(_verdict())) == _verdict()
    assert message.message_id == "9f2c1f0a4be31d55-2"
    assert messages.key(message.kpi, message.dimension) == b"send_rate|sms"


def test_a_newer_version_and_rubbish_are_left_alone() -> None:
    newer = _told() | {"schema_version": 2}
    assert messages.read(json.dumps(newer).encode()) is None
    assert messages.read(b"\xff") is None
    assert messages.read(b"") is None
