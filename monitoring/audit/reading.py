"""Reads the records of the topics as docs/reference describes them; unknown fields are ignored."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# Origin of the settings a moved log begins with: what people said before it stands in another.
MOVED: Final = "move"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Unreadable(ValueError):
    """A record is not what the reference says it is."""


class Position(NamedTuple):
    """Offset of the cause in ``events`` and number of what it led to, from ``x-pos``."""

    offset: int
    ordinal: int


class Origin(Struct, frozen=True, array_like=True, gc=False):
    """Where a record of ``events`` came from."""

    source: str
    generation: int
    partition: int
    offset: int
    ordinal: int = 0


class Line(Struct, frozen=True, array_like=True, gc=False):
    """One product of a cart."""

    product_id: str
    quantity: int = 1


class Event(Struct, kw_only=True, omit_defaults=True):
    """Any record of ``events``, flat: fields of other types hold their defaults.

    Times are ms since 1970 in UTC. ``offset``, where it lies in its partition, and ``doubtful``,
    whether it may be a repetition, are noted by the reader and no part of the record.
    """

    type: str
    user_id: str = ""
    event_id: str = ""
    occurred_at: int = 0
    received_at: int = 0
    source: Origin | None = None
    history: bool = False
    channel: str = ""
    purpose: str = "marketing"
    granted: bool = False
    basis: str = ""
    zones: list[str] | None = None
    action_id: str = ""
    outcome: str = ""
    cart_id: str = ""
    order_id: str = ""
    line: Line | None = None
    now: int = 0
    limit: int = 0
    origin: str = ""
    campaigns: str | None = None
    pause: dict[str, bool] = {}
    offset: int = -1
    doubtful: bool = False


class Trigger(Struct, frozen=True, gc=False):
    """Why a decision was made; times in ISO 8601."""

    kind: str
    key: str
    episode: str
    armed_at: str
    due_at: str


class Decision(Struct, kw_only=True, omit_defaults=True):
    """A record of ``decisions``, as far as it is audited."""

    decision_id: str
    at: str
    user_id: str
    campaign: str
    trigger: Trigger
    attempt: int
    outcome: str
    reason: str
    until: str | None = None
    channel: str | None = None
    withheld: bool = False
    action_id: str | None = None


class Delivery(Struct, frozen=True, gc=False):
    """When an action was made, and until when it is good."""

    created_at: str
    expires_at: str


class Action(Struct, kw_only=True, omit_defaults=True):
    """A record of ``actions.*``, as far as it is audited."""

    action_id: str
    channel: str
    user_id: str
    delivery: Delivery
    decision_id: str = ""


class Report(Struct, kw_only=True, omit_defaults=True):
    """A record of ``feedback``; ``feedback_id`` empty = the gateway gave none."""

    action_id: str
    user_id: str
    channel: str
    type: str
    feedback_id: str = ""
    provider: str = ""
    provider_code: str = ""
    occurred_at: str = ""


_T = TypeVar("_T")

_event = msgspec.json.Decoder(Event)
_decision = msgspec.json.Decoder(Decision)
_action = msgspec.json.Decoder(Action)
_report = msgspec.json.Decoder(Report)


def event(value: bytes) -> Event:
    """Read a record of ``events``; raises Unreadable."""
    return _read(_event, value)


def decision(value: bytes) -> Decision:
    """Read a record of ``decisions``; raises Unreadable."""
    return _read(_decision, value)


def action(value: bytes) -> Action:
    """Read a record of ``actions.*``; raises Unreadable."""
    return _read(_action, value)


def report(value: bytes) -> Report:
    """Read a record of ``feedback``; raises Unreadable."""
    return _read(_report, value)


def _read(decoder: msgspec.json.Decoder[_T], value: bytes) -> _T:
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from error


def position(header: bytes | None) -> Position | None:
    """Read an ``x-pos`` header, ``offset.ordinal``; None when there is none."""
    if header is None:
        return None
    offset, _, ordinal = header.decode("ascii", "replace").partition(".")
    try:
        return Position(int(offset), int(ordinal))
    except ValueError as error:
        message = f"{header!r} is no position"
        raise Unreadable(message) from error


def ms(text: str) -> int:
    """Read an ISO 8601 time with its zone as ms since 1970; raises Unreadable."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if at.tzinfo is None:
        message = f"{text!r} has no time zone"
        raise Unreadable(message)
    return (at - _EPOCH) // timedelta(milliseconds=1)


def utc(at: int) -> datetime:
    """Return the aware UTC datetime of ``at`` (ms)."""
    return _EPOCH + timedelta(milliseconds=at)
