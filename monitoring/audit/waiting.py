"""Records that were read and cannot be judged yet, in the order of their topic."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from monitoring.audit.reading import Position

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Taken(Generic[_Record]):
    """One record: where it lies, its broker time (ms), its position, what it says."""

    offset: int
    at: int
    position: Position | None
    record: _Record


@dataclass(slots=True)
class Waiting(Generic[_Record]):
    """The records of one topic and partition.

    ``read_through``: the topic is known to its end as of this time (ms); ``last_at``: broker time
    of the last record that was judged.
    """

    records: deque[Taken[_Record]] = field(default_factory=deque)
    read_through: int = 0
    last_at: int = 0

    @property
    def through(self) -> int:
        """Return the broker time (ms) up to which nothing of it waits."""
        if self.records:
            return self.records[0].at - 1
        return max(self.read_through, self.last_at)

    def __iter__(self) -> Iterator[Taken[_Record]]:
        """Yield the first record again and again until the caller has popped the last."""
        while self.records:
            yield self.records[0]

    def pop(self) -> None:
        """Let go of the first record: it is done."""
        self.last_at = max(self.last_at, self.records.popleft().at)
