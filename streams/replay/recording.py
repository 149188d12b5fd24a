"""A recorded run on disk: what the recorder writes as topics grow, and what replay reads again.

``DIR/events/<partition>.jsonl`` one object per record with offset and broker time, in order;
``DIR/artefacts/<sha256>`` campaigns files, template sets and models;
``DIR/<topic>.jsonl`` the values of any other topic, one per line, as they were produced.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

import msgspec

from engine.errors import Refused

EVENTS: Final = "events"
ARTEFACTS: Final = "artefacts"


class Recorded(msgspec.Struct, frozen=True):
    """One record of ``events`` as recorded; ``timestamp`` is the broker's, ms."""

    offset: int
    timestamp: int
    value: msgspec.Raw


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Recorded).decode


class Recorder:
    """Writes a run; topics are named without prefix. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made if it is not there; what it holds is continued."""
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def record(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: bytes | None,
        value: bytes,
    ) -> None:
        """Append one record; artefacts are kept by their key."""
        if topic == EVENTS:
            line = _encode(Recorded(offset, timestamp, msgspec.Raw(value)))
            self._append(f"{EVENTS}/{partition}.jsonl", line)
        elif topic == ARTEFACTS:
            path = self._folder / ARTEFACTS / (key or b"").decode()
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(value)
        else:
            self._append(f"{topic}.jsonl", value)

    def flush(self) -> None:
        """Make everything recorded readable for others."""
        for file in self._files.values():
            file.flush()

    def _append(self, name: str, line: bytes) -> None:
        file = self._files.get(name)
        if file is None:
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            file = self._files[name] = self._open.enter_context(path.open("ab"))
        file.write(line + b"\n")


class RecordedPartition(NamedTuple):
    """One partition of a recorded ``events``."""

    partition: int
    path: Path


def partitions(folder: Path) -> list[RecordedPartition]:
    """Return the partitions of a recorded run; raises Refused when there is none."""
    inside = folder / EVENTS if (folder / EVENTS).is_dir() else folder
    found = [
        RecordedPartition(int(path.stem), path)
        for path in inside.glob("*.jsonl")
        if path.stem.isdecimal()
    ]
    if not found:
        message = (
            f"{folder} holds no recorded events topic: it has files events/0.jsonl, "
            "events/1.jsonl and so on, one per partition."
        )
        raise Refused(message)
    return sorted(found)


def records(path: Path) -> Iterator[Recorded]:
    """Yield what one partition holds, first to last; raises Refused with file and line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _decode(line)
            except msgspec.DecodeError as error:
                message = f"{path}:{number}: not a recorded event ({error})."
                raise Refused(message) from error


def artefacts(folder: Path) -> Mapping[str, bytes]:
    """Return the artefacts of a recorded run by hash; empty when none were recorded."""
    inside = folder / ARTEFACTS
    if not inside.is_dir():
        inside = folder.parent / ARTEFACTS
    return {path.name: path.read_bytes() for path in inside.glob("*") if path.is_file()}
