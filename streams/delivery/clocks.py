"""What time it is at hand-over: the wall clock of a live shop, or the last tick of its data."""

from collections.abc import Callable
from typing import Protocol

from engine.errors import Unavailable
from engine.ports import Store


class Clock(Protocol):
    """Tells the time in the world of one partition."""

    async def now(self, partition: int) -> int:
        """Return ms since the epoch; raises Unavailable."""
        ...


class WallClock:
    """``clock = live``: the time of this machine."""

    def __init__(self, now: Callable[[], int]) -> None:
        """``now`` gives ms."""
        self._now = now

    async def now(self, partition: int) -> int:  # noqa: ARG002 - port
        """Return the time of this machine."""
        return self._now()


class TickClock:
    """``clock = source``: ``now`` of the partition's last tick, as the store holds it."""

    def __init__(self, store: Store) -> None:
        """Read the heads of this store."""
        self._store = store

    async def now(self, partition: int) -> int:
        """Return the time of the last tick."""
        head = await self._store.head(partition)
        if head is None:
            raise Unavailable(f"partition {partition} has no state to tell the time by")
        return head.now


__all__ = ["Clock", "TickClock", "WallClock"]
