"""When it happened: the times a client wrote, corrected by its clock's error, never too late."""

from datetime import UTC, datetime
from typing import Any, Final, Literal

from engine.times import MINUTE, SECOND
from streams.sources.reasons import Notes

Clock = Literal["live", "source"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Earlier is a clock that was never set, later would not survive being written down.
EARLIEST: Final = 946_684_800_000  # 2000-01-01
LATEST: Final = 7_258_118_400_000  # 2200-01-01

# Below this the difference between two clocks is the way through the network.
_TRUSTED_SKEW: Final = 5 * SECOND


def read(value: object, notes: Notes) -> int | None:
    """Return ms of an ISO 8601 text or of epoch seconds or milliseconds; None if it is neither."""
    if type(value) is str:
        return _from_text(value, notes)
    if type(value) is int or type(value) is float:
        # The two ranges do not meet. Chained comparison: False for NaN.
        if EARLIEST <= value <= LATEST:
            return int(value)
        if EARLIEST <= value * SECOND <= LATEST:
            return int(value * SECOND)
    return None


def _from_text(value: str, notes: Notes) -> int | None:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        notes["no_zone"] += 1
        at = at.replace(tzinfo=UTC)
    since = at - _EPOCH
    # By hand: dividing by a timedelta costs as much as all the rest of this function.
    ms = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    return ms if EARLIEST <= ms <= LATEST else None


def of_message(
    message: dict[str, Any], received_at: int, notes: Notes, clock: Clock
) -> tuple[int, int]:
    """Return (occurred_at, received_at) of a Segment or RudderStack message.

    ``live``: the client's clock is corrected by arrival - sentAt and the
    future is clamped to the arrival. ``source``: the data is the clock, nothing is corrected.
    """
    told = message.get("originalTimestamp")
    if told is None:
        told = message.get("timestamp")
    occurred_at = None if told is None else read(told, notes)
    if occurred_at is None:
        if told is not None:
            notes["bad_time"] += 1
        return received_at, received_at
    if clock == "source":
        return occurred_at, occurred_at
    sent = message.get("sentAt")
    if sent is not None:
        sent_at = read(sent, notes)
        skew = 0 if sent_at is None else received_at - sent_at
        if abs(skew) >= _TRUSTED_SKEW:
            occurred_at = max(occurred_at + skew, EARLIEST)
    return clamped(occurred_at, received_at, notes), received_at


def clamped(occurred_at: int, received_at: int, notes: Notes) -> int:
    """Return a time that is not after its arrival."""
    if occurred_at <= received_at:
        return occurred_at
    if occurred_at > received_at + MINUTE:
        notes["future"] += 1
    return received_at
