"""A file of Segment messages, one JSON object per line, as events in time order.

The messages are their own clock. A file in order is read twice and never held; one that is not is
sorted in memory, which its size bounds, and positions follow the sorted order. Lines the engine
cannot read are counted by reason, as the worker would have put them to the dead letters.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from engine.errors import InvalidEvent
from engine.events import Event
from streams.sources import segment
from streams.sources.files import WHOLE, Origin, Slice, lines
from streams.sources.reasons import UNREAD, Notes


def events(path: Path, part: Slice = WHOLE, notes: Notes = UNREAD) -> Iterator[Event]:
    """Return the events in time order; ``notes`` counts what was mended and left out."""
    origin = Origin.of("file", path)
    before, in_order = 0, True
    for told in _messages(path, origin, part, Notes()):
        in_order = in_order and told[0].received_at >= before
        before = told[0].received_at
    messages = _messages(path, origin, part, notes)
    if in_order:
        return (event for told in messages for event in told)
    ordered = sorted(messages, key=lambda told: told[0].received_at)
    return (
        msgspec.structs.replace(event, source=origin.position(place, ordinal))
        for place, told in enumerate(ordered, 1)
        for ordinal, event in enumerate(told)
    )


def _messages(path: Path, origin: Origin, part: Slice, notes: Notes) -> Iterator[list[Event]]:
    return islice(_all(path, origin, part, notes), part.rows)


def _all(path: Path, origin: Origin, part: Slice, notes: Notes) -> Iterator[list[Event]]:
    for number, line in lines(path):
        try:
            # A message without any time can only be taken as of the beginning of the calendar.
            told = segment.parse(line, origin.position(number), _NEVER, notes, clock="source")
        except InvalidEvent as error:
            notes[error.reason] += 1
            continue
        if told[0].occurred_at == _NEVER:
            notes["skipped_row"] += 1
        elif part.holds(told[0].received_at):
            yield told


_NEVER = 0
