"""How far the time of the data has come: what is known of it from the heads of its partitions."""

import asyncio

from engine.memory import MemoryStore
from engine.ports import Commit, Head
from engine.times import HOUR
from streams.observing.ticked import Ticked


def _folded(store: MemoryStore, partition: int, offset: int, now: int) -> None:
    """Commit one record, after which the partition stands at ``offset`` and ``now``."""

    async def commit() -> None:
        head, _ = await store.acquire(partition, "one")
        begin = 0 if head is None else head.offset
        await store.commit(partition, "one", Commit(begin, Head(offset=offset, now=now)))

    asyncio.run(commit())


def test_time_has_passed_when_every_partition_has_folded_a_record_after_its_tick() -> None:
    store = MemoryStore()
    ticked = Ticked(store)
    assert asyncio.run(ticked.look(2)) == 0
    for partition in range(2):
        _folded(store, partition, 1, HOUR)
    # What they decided at that tick may still be on its way.
    assert asyncio.run(ticked.look(2)) == 0
    assert asyncio.run(ticked.look(2)) == 0
    _folded(store, 0, 2, HOUR)
    assert asyncio.run(ticked.look(2)) == 0
    _folded(store, 1, 5, 2 * HOUR)
    assert asyncio.run(ticked.look(2)) == HOUR
    _folded(store, 0, 3, 2 * HOUR)
    assert asyncio.run(ticked.look(2)) == HOUR
    _folded(store, 0, 4, 3 * HOUR)
    _folded(store, 1, 6, 3 * HOUR)
    assert asyncio.run(ticked.look(2)) == 2 * HOUR


def test_a_partition_that_stands_still_holds_the_time_of_all() -> None:
    store = MemoryStore()
    ticked = Ticked(store)
    for hour in range(1, 4):
        _folded(store, 0, hour, hour * HOUR)
        assert asyncio.run(ticked.look(2)) == 0
