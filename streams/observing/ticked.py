"""How far the time of a shop has come whose data is its clock: by the ticks that were worked on.

A minute is over when the tick after it is folded by every partition: loaders write a tick after all
that came before it. What a partition decided at a tick stands in ``decisions`` and ``actions`` when
it has folded a later record: it takes none before all that came of earlier ones has left.
"""

import asyncio

from engine.ports import Store


class Ticked:
    """Looks at the heads of all partitions; times are those of the data, ms."""

    def __init__(self, store: Store) -> None:
        """Nothing is known before :meth:`look`."""
        self._store = store
        # By partition: the head that was seen last, and the time of which all has left.
        self._seen: dict[int, tuple[int, int]] = {}
        self._left: dict[int, int] = {}

    async def look(self, partitions: int) -> int:
        """Return the time every partition has passed for good, 0 = not yet; raises Unavailable.

        Asked before the ends of the topics are: whatever is of an earlier time lies below them.
        """
        heads = await asyncio.gather(*[self._store.head(one) for one in range(partitions)])
        for partition, head in enumerate(heads):
            if head is None:
                continue
            offset, now = self._seen.get(partition, (head.offset, 0))
            if head.offset != offset:
                self._left[partition] = now
            self._seen[partition] = head.offset, head.now
        return min((self._left.get(one, 0) for one in range(partitions)), default=0)


__all__ = ["Ticked"]
