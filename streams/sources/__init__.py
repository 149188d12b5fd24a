"""How records get in: dialects of raw topics, formats of files, imports of history."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from engine.errors import Refused
from engine.events import Event, Position, Record
from streams.sources import (
    events_jsonl,
    feedback,
    onlineretail,
    rees46,
    retailrocket,
    segment,
    segment_jsonl,
)
from streams.sources.event_times import Clock
from streams.sources.files import WHOLE, Slice
from streams.sources.reasons import UNREAD, Notes


class Parser(Protocol):
    """Reads one record of a topic; total: raises InvalidEvent and nothing else."""

    def __call__(
        self,
        value: bytes,
        position: Position,
        received_at: int,
        notes: Notes | None = None,
        *,
        clock: Clock = "live",
    ) -> list[Event]:
        """Return its events, ordinals counting up from ``position``."""
        ...


class FileReader(Protocol):
    """Reads a file, packed (``.gz``) or not, in the order of the log; raises Refused."""

    def __call__(self, path: Path, part: Slice = WHOLE, notes: Notes = UNREAD) -> Iterator[Record]:
        """Return its records; what was mended or left out is counted in ``notes``."""
        ...


DIALECTS: Final[Mapping[str, Parser]] = {"segment": segment.parse}
FEEDBACK: Final = "feedback"
FORMATS: Final[Mapping[str, FileReader]] = {
    "segment": segment_jsonl.events,
    "retailrocket": retailrocket.events,
    "rees46": rees46.events,
    "onlineretail": onlineretail.events,
    "events": events_jsonl.records,
}
# These carry no ticks of their own: a loader adds them by streams.sources.ticks.with_ticks.
WITHOUT_TICKS: Final = frozenset(FORMATS) - {"events"}


def parser(
    dialect: str, *, source_clock: bool = False, notes: Notes | None = None
) -> Callable[[bytes, Position, int], list[Event]]:
    """Return the parser of a raw topic's dialect, or of ``feedback``; raises Refused.

    ``source_clock``: the data carries the time, its own times are the arrival.
    """
    found = feedback.parse if dialect == FEEDBACK else DIALECTS.get(dialect)
    if found is None:
        raise Refused(f"{dialect!r} is no dialect; there is {', '.join(DIALECTS)}.")
    return partial(found, notes=notes, clock="source" if source_clock else "live")


def reader(name: str) -> FileReader:
    """Return the reader of a file format; raises Refused."""
    found = FORMATS.get(name)
    if found is None:
        raise Refused(f"{name!r} is no format; there is {', '.join(FORMATS)}.")
    return found


__all__ = [
    "DIALECTS",
    "FEEDBACK",
    "FORMATS",
    "WHOLE",
    "WITHOUT_TICKS",
    "Clock",
    "FileReader",
    "Notes",
    "Parser",
    "Slice",
    "parser",
    "reader",
]
