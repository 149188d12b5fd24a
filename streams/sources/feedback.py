"""What gateways report about actions: the JSON of ``feedback`` into outcomes."""

from typing import Any, Final, get_args
from uuid import uuid5

from engine.draws import NAMESPACE
from engine.events import Event, Outcome, OutcomeType, Position
from streams.sources import contacts, event_times, ids
from streams.sources.event_times import Clock
from streams.sources.lenient_json import loads
from streams.sources.reasons import UNREAD, Notes, invalid
from streams.sources.segment import MAX_BYTES
from streams.sources.values import identifier, text

VERSION: Final = 1
OUTCOMES: Final[dict[str, OutcomeType]] = {name: name for name in get_args(OutcomeType)}


def parse(
    value: bytes,
    position: Position,
    received_at: int,
    notes: Notes | None = None,
    *,
    clock: Clock = "live",
) -> list[Event]:
    """Return the outcome one report tells.

    ``received_at``: ms at our door; a report from the future is clamped to it, and with
    ``clock="source"`` its own time is the arrival. Raises InvalidEvent and nothing else.
    """
    notes = UNREAD if notes is None else notes
    if len(value) > MAX_BYTES:
        raise invalid("oversize", f"{len(value)} bytes; one report may have {MAX_BYTES}")
    report = loads(value, notes)
    if type(report) is not dict:
        raise invalid("not_object", "a report is a JSON object")
    version = report.get("v", VERSION)
    if type(version) is not int or version > VERSION:
        raise invalid("newer_version", f"version {version!r}, this program reads up to {VERSION}")
    occurred_at, received_at = _times(report, received_at, notes, clock)
    user_id, action_id, channel, outcome = _about(report)
    return [
        Outcome(
            event_id=_event_id(report, user_id, action_id, outcome, occurred_at),
            user_id=user_id,
            occurred_at=occurred_at,
            received_at=received_at,
            source=position,
            action_id=action_id,
            channel=channel,
            outcome=outcome,
            permanent=report.get("permanent") is True,
            reason=text(report.get("reason")),
            machine=report.get("machine") is True,
        )
    ]


def _about(report: dict[str, Any]) -> tuple[str, str, str, OutcomeType]:
    """Return (user, action, channel, outcome), each checked."""
    user_id = ids.clean(report.get("user_id"))
    if not user_id:
        raise invalid("no_user", "user_id is required: it is the key of the action's record")
    action_id = identifier(report.get("action_id"))
    if not action_id:
        raise invalid("no_action_id", "action_id is required: take it from the action")
    told = report.get("channel")
    channel = None if told is None else contacts.channel(told)
    if channel is None or channel == contacts.ALL:
        raise invalid("no_channel", "channel is required: take it from the action")
    kind = report.get("type")
    outcome = OUTCOMES.get(kind.strip().lower()) if type(kind) is str else None
    if outcome is None:
        raise invalid("unknown_outcome", f"type is one of {', '.join(OUTCOMES)}")
    return user_id, action_id, channel, outcome


def _times(report: dict[str, Any], received_at: int, notes: Notes, clock: Clock) -> tuple[int, int]:
    told = report.get("occurred_at")
    occurred_at = event_times.read(told, notes)
    if occurred_at is None:
        notes["bad_time"] += told is not None
        return received_at, received_at
    if clock == "source":
        return occurred_at, occurred_at
    return event_times.clamped(occurred_at, received_at, notes), received_at


def _event_id(
    report: dict[str, Any], user_id: str, action_id: str, outcome: str, occurred_at: int
) -> str:
    """Return the report's id; without one, what it says is its id: providers report in copies."""
    told = identifier(report.get("feedback_id"))
    return told or str(uuid5(NAMESPACE, f"{user_id}|{action_id}|{outcome}|{occurred_at}"))
