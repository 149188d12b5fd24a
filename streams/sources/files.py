"""Files of events: opened whatever their packing, named by what they hold, cut to a slice."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, cast
from uuid import uuid5

from engine.draws import NAMESPACE
from engine.errors import Refused
from engine.events import Position

_BLOCK: Final = 1 << 20
_SHORT: Final = 16


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a file is read: times in ms (``until`` excluded), and how many rows of it."""

    since: int | None = None
    until: int | None = None
    rows: int | None = None

    def holds(self, at: int) -> bool:
        """Return whether a row of time ``at`` belongs to the slice."""
        return not (
            (self.since is not None and at < self.since)
            or (self.until is not None and at >= self.until)
        )


WHOLE: Final = Slice()


def opened(path: Path) -> BinaryIO:
    """Open for reading; ``.gz`` is unpacked on the way. Raises Refused when it cannot be read."""
    try:
        if path.suffix == ".gz":
            return cast("BinaryIO", gzip.open(path, "rb"))
        return path.open("rb")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error


def content_hash(path: Path) -> str:
    """Return the sha256 of what the file holds unpacked: packing makes no other file of it."""
    digest = sha256()
    with opened(path) as data, unpacking(path):
        while block := data.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Turn a broken or torn archive, and a folder, into Refused."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"{path} cannot be read to its end: {error}; copy it again.") from error


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Return (line number from 1, line without its end), blank lines left out."""
    with opened(path) as data, unpacking(path):
        for number, line in enumerate(data, 1):
            bare = line.strip()
            if bare:
                yield number, bare


@dataclass(frozen=True, slots=True)
class Origin:
    """The file events come from: ``kind`` is ``file`` or ``import``."""

    kind: str
    sha: str

    @classmethod
    def of(cls, kind: str, path: Path) -> "Origin":
        """Return the origin of a file; reads all of it once."""
        return cls(kind, content_hash(path))

    def position(self, place: int, ordinal: int = 0) -> Position:
        """Return the source position of the ``ordinal``-th record of a line."""
        return Position(f"{self.kind}:{self.sha[:_SHORT]}", 0, 0, place, ordinal)

    def event_id(self, line: int, ordinal: int = 0) -> str:
        """Return the id of the ``ordinal``-th event of a line: the same in every run."""
        return str(uuid5(NAMESPACE, f"{self.sha}|{line}|{ordinal}"))
