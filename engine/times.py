"""Time as values: milliseconds since the Unix epoch in UTC, and their written form."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# One decision writes six times, most of them those of its neighbours: the tick, the due minute.
@lru_cache(maxsize=1 << 14)
def iso(ms: int) -> str:
    """Write ``ms`` as ISO 8601 in UTC with milliseconds, e.g. ``2026-11-26T22:24:15.000Z``."""
    return utc(ms).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def from_iso(text: str) -> int:
    """Read an ISO 8601 time with zone back into milliseconds; raises ValueError otherwise."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        message = f"{text!r} has no time zone"
        raise ValueError(message)
    return to_ms(at)


def utc(ms: int) -> datetime:
    """Return the aware UTC datetime of ``ms``."""
    return _EPOCH + timedelta(milliseconds=ms)


def to_ms(at: datetime) -> int:
    """Return the milliseconds of an aware datetime."""
    since = at - _EPOCH
    # By hand: dividing by a timedelta costs as much as all the rest of this function.
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds // 1000
