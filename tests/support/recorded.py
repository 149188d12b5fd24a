"""A recorded run made by the real engine: a log, its artefacts, and what was decided about it."""

import asyncio
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from engine.events import Record, SettingsRecord, Tick
from rules import campaigns, templates
from streams.log import codec
from streams.log.topics import partition_of
from streams.replay.origins import recorded
from streams.replay.recording import Recorder
from streams.replay.run import Options, replay


def live(replace: Mapping[str, str] | None = None) -> bytes:
    """Return the shipped campaigns, live, without holdout or lots, with texts replaced."""
    texts = {
        'mode = "dry_run"': 'mode = "live"',
        "share = 0.05": "share = 0.0",
        "share = 0.10": "share = 0.0",
        **(replace or {}),
    }
    text = campaigns.shipped().decode()
    for old, new in texts.items():
        assert old in text, f"{old!r} is not in the shipped file"
        text = text.replace(old, new)
    return text.encode()


def a_run(
    folder: Path,
    records: Iterable[Record],
    file: bytes,
    *,
    partitions: int = 2,
    decided: bool = True,
) -> Path:
    """Record a log that begins with settings, and let the engine decide about it."""
    words = templates.artefact()
    begin = SettingsRecord(
        campaigns=artefact_name(file), templates=artefact_name(words), origin="test"
    )
    offsets = [0] * partitions
    with Recorder(folder) as recorder:
        for content in (file, words):
            recorder.record("artefacts", 0, 0, 0, artefact_name(content).encode(), content)
        for record in [begin, *records]:
            everywhere = isinstance(record, Tick | SettingsRecord)
            for at in range(partitions) if everywhere else [_of(record, partitions)]:
                appended = record.now if isinstance(record, Tick) else 0
                value = codec.write(record)
                recorder.record("events", at, offsets[at], appended, codec.key(record), value)
                offsets[at] += 1
    if decided:
        a_replay(folder)
    return folder


def a_replay(folder: Path) -> None:
    """Write the decisions of a recorded log beside it."""
    asyncio.run(replay(recorded(folder), Options(decisions=folder / "decisions.jsonl")))


def _of(record: Record, partitions: int) -> int:
    return partition_of(codec.key(record) or b"", partitions)


def artefact_name(content: bytes) -> str:
    """Return the name an artefact is recorded under."""
    return sha256(content).hexdigest()
