"""The port Store on Redis: one MGET to load a chunk, one script to commit it."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import msgspec

from engine.errors import Fenced, Refused, Stale
from engine.events import Position
from engine.policy import Settings
from engine.ports import Commit, Head, OutboxId, Outgoing, Stored
from streams.state.connection import RedisConnection, Script
from streams.state.keys import FORMAT, Keys, keys_of

_ACQUIRE: Final = Script.read("acquire")
_COMMIT: Final = Script.read("commit")
_HEAD: Final = ("o", "crc", "now", "positions", "settings", "v")

# Keys per MGET: one of 10,000 profiles holds the server 3 ms; loader ticks may wake more.
_AT_ONCE: Final = 10_000

_pack = msgspec.msgpack.Encoder(order="deterministic").encode
_positions = msgspec.msgpack.Decoder(dict[str, Position]).decode
_settings = msgspec.msgpack.Decoder(Settings).decode


class RedisStore:
    """Partitions in Redis; :class:`engine.memory.MemoryStore` is the reference."""

    def __init__(self, connection: RedisConnection) -> None:
        """Share the process's one connection."""
        self._redis = connection

    async def acquire(
        self, partition: int, token: str, expected: str | None = None
    ) -> tuple[Head | None, list[Outgoing]]:
        """Write the token and return head and outbox; see the port."""
        keys = keys_of(partition)
        stands = () if expected is None else (expected,)
        answer = await self._redis.run(_ACQUIRE, (keys.meta, keys.outbox), (token, FORMAT, *stands))
        match answer:
            case [b"OK", head, entries]:
                return _read_head(partition, head), [_read_entry(entry) for entry in entries]
            case [b"NEWER", version]:
                raise Refused(_newer(partition, version))
            case _:
                raise Fenced(_other_owner(partition))

    async def head(self, partition: int) -> Head | None:
        """Return the head without owning the partition."""
        head = await self._redis.call("HMGET", keys_of(partition).meta, *_HEAD)
        return _read_head(partition, head)

    async def load(
        self, partition: int, users: Sequence[str], with_addresses: Collection[str]
    ) -> dict[str, Stored]:
        """Return what is stored of these users, in one MGET."""
        keys = keys_of(partition)
        told = [user for user in users if user in with_addresses]
        wanted = [keys.user(user) for user in users] + [keys.addresses(user) for user in told]
        found: list[bytes | None] = []
        for some in _runs(wanted, _AT_ONCE):
            found += await self._redis.call("MGET", *some)
        addresses = dict(zip(told, found[len(users) :], strict=True))
        return {
            user: Stored(profile, addresses.get(user))
            for user, profile in zip(users, found, strict=False)
        }

    async def due(self, partition: int, now: int, limit: int) -> list[str]:
        """Return users due at ``now``; Redis orders equal scores by bytes, as Python by characters.

        In UTF-8 the two orders are the same.
        """
        some = ("LIMIT", 0, limit) if limit else ()
        key = keys_of(partition).wakes
        due = await self._redis.call("ZRANGEBYSCORE", key, "-inf", now, *some)
        return [user.decode() for user in due]

    async def earliest(self, partition: int) -> int | None:
        """Return the earliest wake-up."""
        key = keys_of(partition).wakes
        first = await self._redis.call("ZRANGE", key, 0, 0, "WITHSCORES")
        return _wake(first)

    async def commit(self, partition: int, token: str, commit: Commit) -> int | None:
        """Apply all of it in one script, or raise Fenced or Stale."""
        commit.check()
        keys, arguments = _packed(keys_of(partition), token, commit)
        answer = await self._redis.run(_COMMIT, keys, arguments)
        if answer == b"FENCED":
            raise Fenced(_other_owner(partition))
        if answer == b"STALE":
            message = f"partition {partition} does not stand at {commit.offset}"
            raise Stale(message)
        return _wake(answer)


def _packed(at: Keys, token: str, commit: Commit) -> tuple[list[bytes], list[bytes | str | int]]:
    """Lay a commit out as commit.lua reads it."""
    head = commit.head
    written = {user: packed for user, packed in commit.addresses.items() if packed is not None}
    wakes = [(wake, user) for user, wake in commit.wakes.items() if wake]
    asleep = [user for user, wake in commit.wakes.items() if not wake]
    keys = [at.meta, at.wakes, at.outbox]
    keys += map(at.user, commit.profiles)
    keys += map(at.addresses, written)
    keys += [at.addresses(user) for user, packed in commit.addresses.items() if packed is None]
    arguments: list[bytes | str | int] = [
        token,
        commit.offset,
        head.offset,
        head.crc,
        head.now,
        _pack(head.positions),
        _pack(head.settings),
        FORMAT,
        "" if commit.trim is None else _stream_id(commit.trim, 1),
        len(commit.outbox),
        len(commit.profiles) + len(written),
        len(commit.addresses) - len(written),
        len(wakes),
        len(asleep),
        int(commit.begins),
    ]
    for entry in commit.outbox:
        arguments += (_stream_id(entry.id), entry.topic, entry.key, entry.value)
    arguments += commit.profiles.values()
    arguments += written.values()
    for wake in wakes:
        arguments += wake
    arguments += asleep
    return keys, arguments


def _wake(first: Sequence[bytes]) -> int | None:
    """Return the wake-up of the first of a sorted set: user and score, or nothing."""
    return int(first[1]) if first else None


def _runs(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _stream_id(at: OutboxId, further: int = 0) -> str:
    """Return the stream id of an outbox id, or of one a few ordinals further."""
    return f"{at.offset}-{at.ordinal + further}"


def _read_entry(entry: Any) -> Outgoing:
    name, fields = entry
    offset, _, ordinal = name.partition(b"-")
    _, topic, _, key, _, value = fields
    return Outgoing(OutboxId(int(offset), int(ordinal)), topic.decode(), key.decode(), value)


def _read_head(partition: int, fields: Sequence[bytes | None]) -> Head | None:
    """Read the fields of :data:`_HEAD`; None = never committed."""
    offset, crc, now, positions, settings, version = fields
    if version is not None and int(version) > FORMAT:
        raise Refused(_newer(partition, version))
    if offset is None or crc is None or now is None or positions is None or settings is None:
        return None
    told = _positions(positions), _settings(settings)
    return Head(int(offset), int(crc), int(now), *told, kept=True)


def _newer(partition: int, version: bytes) -> str:
    return (
        f"Redis holds partition {partition} in format {version.decode()}, this program reads "
        f"format {FORMAT}: start the release of rekindle that wrote it."
    )


def _other_owner(partition: int) -> str:
    return f"partition {partition} has another owner"


__all__ = ["RedisStore"]
