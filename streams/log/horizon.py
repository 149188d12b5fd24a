"""How far topics are known: the end of a partition as it was at a moment, once it is reached.

An end that was seen at 12:00 and reached at 12:05 says: at 12:05 everything up to 12:00 is known.
So a partition to which nothing is written moves on as well, and one that is behind does not.
"""

from collections.abc import Iterable, Mapping

from aiokafka import TopicPartition


class Horizon:
    """Ends that were seen and not reached yet, one per partition; times are wall ms."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: dict[TopicPartition, tuple[int, int]] = {}
        self.known: dict[TopicPartition, int] = {}

    def unseen(self, places: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Return the partitions whose end is to be looked up anew."""
        return [at for at in places if at not in self._seen]

    def see(self, ends: Mapping[TopicPartition, int], now: int) -> None:
        """Note the ends as they were at ``now`` or later."""
        for at, end in ends.items():
            self._seen[at] = now, end

    def reached(self, at: TopicPartition, offset: int) -> int:
        """Note the next offset of a partition; returns up to when it is known, 0 = not at all."""
        seen = self._seen.get(at)
        if seen is not None and offset >= seen[1]:
            self.known[at] = max(self.known.get(at, 0), seen[0])
            del self._seen[at]
        return self.known.get(at, 0)
