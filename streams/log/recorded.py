"""Reads back from `decisions` what was decided beyond the state of a partition, block by block.

Normally nothing was: the state stands behind every decision it led to. After the store fell back it
may be two seconds or, from a backup, a day: so a window of it is kept in memory, and no more.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

import msgspec
from aiokafka import ConsumerRecord

from engine.errors import Unavailable
from engine.pipeline import DECISIONS
from engine.ports import OutboxId
from engine.recorded import Recorded
from streams.log.reader import Bounds, position_of

log = logging.getLogger(__name__)

# Records looked at per step on the way back; more than one commit's decisions, so that a former
# owner's late repetition does not look like the beginning.
_BLOCK: Final = 2_000


class Looks(Protocol):
    """What is asked of the log; see :class:`streams.log.reader.Reader`."""

    async def bounds(self, topic: str, partition: int) -> Bounds:
        """Return the bounds of a partition; raises Unavailable."""
        ...

    def span(self, topic: str, partition: int, bounds: Bounds) -> AsyncIterator[ConsumerRecord]:
        """Yield the records of a partition within ``bounds``; raises Unavailable."""
        ...


class Past:
    """The recorded decisions of one partition, from where its state stands to their end."""

    def __init__(
        self, reader: Looks, topic: str, partition: int, bounds: Bounds, recorded: Recorded
    ) -> None:
        """Stand at ``bounds.begin`` of ``topic``; see :func:`look_back`."""
        self._left = reader.span(topic, partition, bounds)
        self._where = f"{topic}/{partition}"
        self._recorded = recorded
        self._highest = OutboxId(-1, 0)
        self._counts: Counter[str] = Counter()

    @property
    def end(self) -> int:
        """Return the offset of the last cause of which a decision is recorded."""
        return self._recorded.tail.offset

    async def upto(self, first: int, after: int) -> Recorded:
        """Return what is recorded of causes from ``first`` to before ``after``.

        Asked in the order of the log. Raises Unavailable; then it must be looked back anew.
        """
        self._recorded.forget(first)
        while self._highest.offset < after:
            record = await anext(self._left, None)
            if record is not None:
                self._take(record, first)
            elif self._highest < self._recorded.tail:
                raise _not_brought(self._where)
            else:
                break
        return self._recorded

    def _take(self, record: ConsumerRecord, first: int) -> None:
        """Keep it unless it is a repetition, as every reader does, or lies behind."""
        at = position_of(record)
        if at is None or at <= self._highest:
            return
        self._highest = at
        if at.offset < first:
            return
        try:
            self._recorded.add(at, (record.key or b"").decode(), record.value or b"")
        except msgspec.DecodeError:
            log.error("%s holds at %s what is no decision; passed over", self._where, record.offset)  # noqa: TRY400 - a sentence, not a trace

    def count(self, results: Mapping[str, int]) -> None:
        """Add what a chunk came to."""
        self._counts.update(results)

    def tell(self, place: str) -> None:
        """Say what came of it, once the partition stands beyond it."""
        differing = {name: n for name, n in sorted(self._counts.items()) if name != "same" and n}
        taken = sum(self._counts[name] for name in ("same", "different", "missing"))
        if not differing:
            log.info("%s: %d recorded decisions folded again, all the same", place, taken)
            return
        told = ", ".join(f"{count} {name}" for name, count in differing.items())
        log.error(
            "%s: the store had fallen back; %d recorded decisions were taken as they stand, and "
            "this worker would have decided otherwise: %s",
            place,
            taken,
            told,
        )


async def look_back(
    reader: Looks,
    prefix: str,
    partition: int,
    tails: Mapping[str, OutboxId | None],
    offset: int,
) -> Past | None:
    """Find the decisions of causes at or beyond ``offset``; None = the log holds none.

    ``tails``: the last position in each output topic, by name without ``prefix``. Raises
    Unavailable.
    """
    last = tails.get(DECISIONS)
    if last is None or last.offset < offset:
        return None
    topic = prefix + DECISIONS
    bounds = await reader.bounds(topic, partition)
    begin, tail, since = bounds.end, last, -1
    while begin > bounds.begin:
        block = Bounds(max(begin - _BLOCK, bounds.begin), begin)
        begin = block.begin
        records = [record async for record in reader.span(topic, partition, block)]
        if not records or records[-1].offset != block.end - 1:
            raise _not_brought(f"{topic}/{partition}")
        found = [at for at in map(position_of, records) if at is not None]
        tail = max([tail, *found])
        if found and max(found).offset < offset:
            break
        if begin == bounds.begin > 0 and found:  # retention has taken what came before
            since = found[0].offset
    recorded = Recorded(tail, dict(tails), since)
    return Past(reader, topic, partition, Bounds(begin, bounds.end), recorded)


def _not_brought(where: str) -> Unavailable:
    """Return the doubt of a read that ended early: what is not known would be decided again."""
    return Unavailable(f"Kafka did not bring all that {where} holds")


__all__ = ["Past", "look_back"]
