"""Our own records, one JSON object per line: events, ticks and settings as in ``events``."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from engine.errors import InvalidEvent, Refused
from engine.events import Record, SettingsRecord, Tick
from streams.log import codec
from streams.sources.files import WHOLE, Slice, lines
from streams.sources.reasons import UNREAD, Notes


def records(path: Path, part: Slice = WHOLE, notes: Notes = UNREAD) -> Iterator[Record]:  # noqa: ARG001 - the shape of every reader
    """Return the records in the order of the file.

    A slice cuts events and ticks by time; settings always stay. Raises Refused with file and line:
    we wrote these records ourselves, so a bad one is never skipped.
    """
    return islice(_all(path, part), part.rows)


def _all(path: Path, part: Slice) -> Iterator[Record]:
    for number, line in lines(path):
        try:
            record = codec.read(line)
        except InvalidEvent as error:
            raise Refused(
                f"{path}:{number}: {error}; this is not a record of the topic events, "
                "choose another --format or cut the line out."
            ) from error
        if isinstance(record, SettingsRecord) or part.holds(_at(record)):
            yield record


def _at(record: Record) -> int:
    if isinstance(record, Tick):
        return record.now
    return 0 if isinstance(record, SettingsRecord) else record.received_at
