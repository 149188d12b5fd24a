"""How records of ``events`` are written and read: tagged JSON, one record per Kafka message."""

from zlib import crc32

import msgspec

from engine.errors import InvalidEvent
from engine.events import VERSION, Record, SettingsRecord, Tick
from engine.times import SECOND

# A live tick this far from its broker time was written by a clock that is wrong: it moves nothing.
TICK_TOLERANCE = 5 * SECOND

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


def write(record: Record) -> bytes:
    """Write a record; equal records give equal bytes."""
    return _encode(record)


def read(value: bytes) -> Record:
    """Read a record; raises InvalidEvent for what this program never wrote."""
    try:
        record: Record = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = "undecodable"
        raise InvalidEvent(reason, str(error)) from error
    if record.v > VERSION:
        reason = "newer_version"
        message = f"record of version {record.v}, this program reads up to {VERSION}"
        raise InvalidEvent(reason, message)
    return record


def read_at(value: bytes, appended_at: int) -> Record:
    """Read a record appended at broker time ``appended_at`` (ms).

    A live tick more than 5 s away from it is read as one that moves nothing; loader ticks
    (``limit`` 0) carry the time of their source and are taken as they are.
    """
    record = read(value)
    if isinstance(record, Tick) and record.limit:
        far = abs(record.now - appended_at) > TICK_TOLERANCE
        return Tick(now=0, limit=record.limit, origin=record.origin) if far else record
    return record


def key(record: Record) -> bytes | None:
    """Return the key of a record: the user; ticks and settings have none."""
    if isinstance(record, Tick | SettingsRecord):
        return None
    return record.user_id.encode()


def crc(key: bytes | None, value: bytes | None, timestamp: int) -> int:
    """Return the crc32 by which a record is recognised after its log may have been re-created."""
    return crc32(b"%d" % timestamp, crc32(value or b"", crc32(key or b"")))
