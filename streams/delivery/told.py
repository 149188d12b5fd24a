"""Looks up in the log whether the fate of an action was ever told."""

from typing import Final

import msgspec

from streams.delivery.feedback import decode
from streams.log.reader import Bounds, Reader

# Records per look back; a fetch brings as many.
_BLOCK: Final = 2_000
# How far clocks of brokers may lie apart, ms: one topic's stamps are held against another's.
_APART: Final = 60_000


async def is_told(
    reader: Reader, topic: str, partition: int, action_id: str, written_at: int
) -> bool:
    """Return whether a report about an action stands in a partition of ``feedback``.

    ``written_at``: when the action was appended, ms of the broker; what is older is not looked at.
    Goes back from the end, because what is asked for is recent. Raises Unavailable.
    """
    bounds = await reader.bounds(topic, partition)
    end = bounds.end
    while end > bounds.begin:
        begin, oldest = max(bounds.begin, end - _BLOCK), None
        async for record in reader.span(topic, partition, Bounds(begin, end)):
            oldest = record.timestamp if oldest is None else oldest
            if _is_about(record.value or b"", action_id):
                return True
        if oldest is not None and oldest < written_at - _APART:
            return False
        end = begin
    return False


def _is_about(value: bytes, action_id: str) -> bool:
    """Return whether a record reports on the action; the id is looked for before it is read."""
    if action_id.encode() not in value:
        return False
    try:
        return decode(value).action_id == action_id
    except msgspec.MsgspecError:
        return False
