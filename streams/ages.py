"""How old the records are at most that wait; Kafka tells how many wait, and never since when.

Records lie in the order of their append times, so the oldest that waits is no older than the last
one done. After a quiet night that would be a whole night for a record of this second: it is no
older either than the moment at which nothing waited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from engine.times import SECOND
from streams.log.source import Owned


@dataclass(slots=True)
class _Seen:
    """When a partition was first seen among ours, and when nothing of it last waited (ms)."""

    since: int
    clear_at: int | None = None


class Ages:
    """Remembers of each owned partition when nothing waited; asked once a second."""

    def __init__(self, wall: Callable[[], int]) -> None:
        """``wall``: ms, the clock that append times are told in."""
        self._wall = wall
        self._seen: WeakKeyDictionary[Owned, _Seen] = WeakKeyDictionary()

    def oldest(self, own: Owned, waiting: int | None, told_at: int | None) -> float | None:
        """Return how old the oldest record that waits is at most, s; 0 = none waits.

        ``waiting``: how many do, None = not known; ``told_at``: when Kafka said so (ms). While
        nothing was done yet and something waits, it is how long the partition is ours, which the
        true age can only exceed; None = not known, and ours since just now.
        """
        now = self._wall()
        seen = self._seen.setdefault(own, _Seen(now))
        if waiting == 0 and own.entered:
            seen.clear_at = now if told_at is None else min(now, told_at)
            return 0.0
        marks = [at for at in (own.done_at, seen.clear_at) if at is not None]
        if not marks and waiting is None and now - seen.since < SECOND:
            return None
        return max(0, now - max(marks, default=seen.since)) / SECOND


__all__ = ["Ages"]
