"""The ids of a person's last events: one that comes again within 32 of them changes nothing.

The decider's own records stand among them, so where exactly 32 end is not known to a few: an id
that is a little older is *doubtful*, and nothing certain is built on it.
"""

from hashlib import blake2b
from typing import Final, Literal

_MARK: Final = 8
_REPEATED: Final = 32 * _MARK
_DOUBTFUL: Final = 40 * _MARK

Repeat = Literal["", "repeated", "doubtful"]


def note(recent: dict[str, bytes], user: str, event_id: str) -> Repeat:
    """Note an id among the last of a person (``recent`` by user); returns what it looks like."""
    mark = blake2b(event_id.encode(), digest_size=_MARK).digest()
    ring = recent.get(user, b"")
    age = _age(ring, mark)
    if age <= _REPEATED:
        return "repeated"
    recent[user] = (ring + mark)[-_DOUBTFUL:]
    return "doubtful" if age <= _DOUBTFUL else ""


def _age(ring: bytes, mark: bytes) -> int:
    """Return how many bytes before its end the ring has the mark; more than all = nowhere."""
    at = ring.rfind(mark)
    while at >= 0 and at % _MARK:
        at = ring.rfind(mark, 0, at + _MARK - 1)
    return len(ring) - at if at >= 0 else _DOUBTFUL + _MARK
