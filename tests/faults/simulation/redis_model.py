"""A model of Redis under the real store, claims and lanes: the commands they send, the scripts.

``tests/faults/test_redis_model.py`` holds it to the contract suites that real servers pass.
Values are never changed in place, so that the database can fall back to any older moment.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from engine.errors import Unavailable
from streams.state.connection import RedisConnection, Script
from tests.faults.simulation.network import Lost, Server

Value: TypeAlias = "bytes | dict[bytes, bytes] | dict[bytes, int] | Stream"
Argument = bytes | str | int


class OutOfMemory(Exception):
    """What Redis answers to a write at maxmemory under noeviction."""

    def __init__(self) -> None:
        super().__init__("OOM command not allowed when used memory > 'maxmemory'.")


class Stream:
    """A stream: entries and the last id it ever gave."""

    def __init__(self, entries: tuple[Any, ...] = (), last: tuple[int, int] = (0, 0)) -> None:
        self.entries = entries
        self.last = last


def _b(value: Argument | None) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(value).encode()


def _id(name: Argument) -> tuple[int, int]:
    first, _, second = _b(name).partition(b"-")
    return int(first), int(second)


class Database:
    """Keys and values, and how to undo every write; ``clock`` in ms lets claims lapse."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.keys: dict[bytes, Any] = {}
        self.undo: list[tuple[int, bytes, Any]] = []
        self.furthest: dict[bytes, int] = {}  # where each partition ever stood
        self.compare = True  # whether commit checks token and offset; a mutant turns it off
        self.full = False
        # What stood in the head before a commit, and what it became: called after each.
        self.on_commit: Callable[[bytes, dict[bytes, bytes], dict[bytes, bytes]], None]
        self.on_commit = lambda *_: None
        self.scripts: dict[str, Callable[..., Any]] = {
            "acquire": self._acquire,
            "commit": self._commit,
            "claim": self._claim,
        }

    def write(self, key: bytes, value: Any) -> None:
        """Set a key (None takes it away), remembering what was there."""
        self.undo.append((self.clock(), key, self.keys.get(key)))
        if value is None:
            self.keys.pop(key, None)
        else:
            self.keys[key] = value

    def fall_back(self, to: int) -> int:
        """Become what it was at ``to`` (ms); returns how many writes are gone."""
        gone = 0
        while self.undo and self.undo[-1][0] > to:
            _, key, before = self.undo.pop()
            if before is None:
                self.keys.pop(key, None)
            else:
                self.keys[key] = before
            gone += 1
        return gone

    def unlink(self, prefix: bytes) -> None:
        """Take away all keys that begin so, as an operator does."""
        for key in [key for key in self.keys if key.startswith(prefix)]:
            self.write(key, None)
        for key in [key for key in self.furthest if key.startswith(prefix)]:
            del self.furthest[key]

    def room(self) -> None:
        """Refuse, as a full server does, a command that may need memory.

        Within a script only before its first write: what has begun is finished.
        """
        if self.full:
            raise OutOfMemory

    def hash(self, key: bytes) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = self.keys.get(key, {})
        return found

    # --- commands -------------------------------------------------------------------------------

    def command(self, name: str, *args: Argument) -> Any:
        """Do one command."""
        found: Callable[..., Any] = getattr(self, "do_" + name.lower())
        return found(*args)

    def do_get(self, key: Argument) -> Any:
        return self.keys.get(_b(key))

    def do_mset(self, *pairs: Argument) -> Any:
        self.room()
        for at in range(0, len(pairs), 2):
            self.write(_b(pairs[at]), _b(pairs[at + 1]))
        return b"OK"

    def do_exists(self, key: Argument) -> int:
        """Only claims are asked for; their value is when they lapse."""
        return int(int(self.keys.get(_b(key), b"0")) > self.clock())

    def do_incr(self, key: Argument) -> int:
        self.room()
        value = int(self.keys.get(_b(key), b"0")) + 1
        self.write(_b(key), _b(value))
        return value

    def do_mget(self, *keys: Argument) -> list[Any]:
        return [self.keys.get(_b(key)) for key in keys]

    def do_hmget(self, key: Argument, *fields: Argument) -> list[bytes | None]:
        there = self.hash(_b(key))
        return [there.get(_b(field)) for field in fields]

    def do_hgetall(self, key: Argument) -> dict[bytes, bytes]:
        return dict(self.hash(_b(key)))

    def do_hset(self, key: Argument, *pairs: Argument) -> int:
        self.room()
        there = dict(self.hash(_b(key)))
        there.update((_b(pairs[at]), _b(pairs[at + 1])) for at in range(0, len(pairs), 2))
        self.write(_b(key), there)
        return len(pairs) // 2

    def do_del(self, key: Argument) -> int:
        there = _b(key) in self.keys
        self.write(_b(key), None)
        return int(there)

    def do_hdel(self, key: Argument, field: Argument) -> int:
        there = dict(self.hash(_b(key)))
        gone = there.pop(_b(field), None)
        self.write(_b(key), there or None)
        return int(gone is not None)

    def _ranked(self, key: Argument) -> list[tuple[int, bytes]]:
        return sorted((score, user) for user, score in self.keys.get(_b(key), {}).items())

    def do_zrange(self, key: Argument, first: int, last: int, _: str) -> list[bytes]:
        return [part for score, user in self._ranked(key)[:1] for part in (user, _b(score))]

    def do_zrangebyscore(self, key: Argument, _: str, most: int, *limit: Argument) -> list[bytes]:
        due = [user for score, user in self._ranked(key) if score <= int(most)]
        return due[: int(limit[2])] if limit else due

    def do_xadd(self, key: Argument, name: Argument, *fields: Argument) -> bytes:
        """Append as the script does; only a test asks for it."""
        stream = self.keys.get(_b(key), Stream())
        entry = [_b(name), [_b(field) for field in fields]]
        self.write(_b(key), Stream((*stream.entries, entry), _id(name)))
        return _b(name)

    # --- the three scripts ----------------------------------------------------------------------

    def _acquire(self, keys: Sequence[bytes], args: Sequence[Argument]) -> Any:
        at = self.hash(keys[0])
        token, version = at.get(b"token"), at.get(b"v")
        if len(args) > 2 and token not in (_b(args[2]), _b(args[0])):
            return [b"FENCED"]
        if version is not None and int(version) > int(args[1]):
            return [b"NEWER", version]
        self.room()
        self.write(keys[0], {**at, b"token": _b(args[0])})
        fields = [b"o", b"crc", b"now", b"positions", b"settings", b"v"]
        stream = self.keys.get(keys[1], Stream())
        return [b"OK", [at.get(field) for field in fields], list(stream.entries)]

    def _claim(self, keys: Sequence[bytes], args: Sequence[Argument]) -> int:
        self.room()
        now = self.clock()
        claimed = self.keys.get(keys[0])
        if claimed is not None and int(claimed) > now:
            return 0
        self.write(keys[0], _b(now + int(args[0])))
        self.do_hset(keys[1], args[1], args[2])
        return 1

    def _commit(self, keys: Sequence[bytes], args: Sequence[Argument]) -> bytes | list[bytes]:
        meta, wakes, outbox = keys[:3]
        at = self.hash(meta)
        if self.compare:
            if at.get(b"token") != _b(args[0]):
                return b"FENCED"
            if b"o" in at and at[b"o"] != _b(args[1]):
                return b"STALE"
            if b"o" not in at and args[14] != 1:
                return b"STALE"
        if args[9] or args[8] == "":  # what comes first is no XTRIM, which needs no memory
            self.room()
        nq, nset, ndel, nadd, nrem = (int(count) for count in args[9:14])
        a = 15
        stream: Stream = self.keys.get(outbox, Stream())
        entries, last = list(stream.entries), stream.last
        for number in range(nq):
            name, topic, key, value = args[a : a + 4]
            if _id(name) <= last and self.compare:
                assert number == 0, "ids of one commit increase"
                return b"STALE"
            last = max(last, _id(name))
            entries.append([_b(name), [b"topic", _b(topic), b"key", _b(key), b"value", _b(value)]])
            a += 4
        if args[8] != "":
            keep = _id(args[8])
            entries = [entry for entry in entries if _id(entry[0]) >= keep]
        if nq or args[8] != "":
            self.write(outbox, Stream(tuple(entries), last))
        for key, value in zip(keys[3 : 3 + nset], args[a : a + nset], strict=True):
            self.write(key, _b(value))
        for key in keys[3 + nset : 3 + nset + ndel]:
            self.write(key, None)
        a += nset
        self._sleep_and_wake(wakes, args[a : a + 2 * nadd], args[a + 2 * nadd :])
        assert len(args) == a + 2 * nadd + nrem
        names = (b"o", b"crc", b"now", b"positions", b"settings", b"v")
        head = dict(zip(names, map(_b, args[2:8]), strict=True))
        self.write(meta, {**at, **head})
        self.furthest[meta] = max(self.furthest.get(meta, 0), int(args[2]))
        self.on_commit(meta, at, head)
        return self.do_zrange(wakes, 0, 0, "WITHSCORES")

    def _sleep_and_wake(
        self, key: bytes, add: Sequence[Argument], remove: Sequence[Argument]
    ) -> None:
        if not add and not remove:
            return
        wakes: dict[bytes, int] = dict(self.keys.get(key, {}))
        for at in range(0, len(add), 2):
            wakes[_b(add[at + 1])] = int(add[at])
        for user in remove:
            wakes.pop(_b(user), None)
        self.write(key, wakes)


class ModelConnection(RedisConnection):
    """The one connection of a process, to the model."""

    def __init__(self, database: Database, server: Server | None = None) -> None:
        self._database = database
        self._network = server

    async def call(self, *command: bytes | str | int) -> Any:
        name, *args = command
        return await self._ask(lambda: self._database.command(str(name), *args))

    async def run(
        self, script: Script, keys: Sequence[bytes], arguments: Iterable[bytes | str | int]
    ) -> Any:
        work, given = self._database.scripts[script.name], list(arguments)
        return await self._ask(lambda: work(keys, given))

    async def _ask(self, work: Callable[[], Any]) -> Any:
        try:
            return work() if self._network is None else await self._network.ask(work)
        except Lost as away:
            raise Unavailable(f"Redis does not answer: {away}") from away
        except OutOfMemory as full:
            raise Unavailable(f"Redis refuses to work: {full}") from full

    async def close(self) -> None:
        """Nothing is open."""


__all__ = ["Database", "ModelConnection", "OutOfMemory", "Stream"]
