"""The connection to Redis: one pool for the process, no blind retries, one word for "away"."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final, Self

import hiredis
from redis import exceptions
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio import UnixDomainSocketConnection as SocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine.errors import Refused, Unavailable

# A commit of 500 users holds the server 2 to 4 ms; what takes 2 s is away.
TIMEOUT: Final = 2.0
# MGET of 500 profiles answers with 200 KB; the default of 64 KB reads it in four turns of the loop.
_READ_SIZE: Final = 256 * 1024
# redis-py's 100 would answer the 101st lane with an error; lanes bound themselves.
_MOST: Final = 1_000
# Errors that end by themselves or by an operator's hand; a script of 6.2 wraps them in its own.
_AWAY: Final = (
    "LOADING",
    "MISCONF",
    "OOM",
    "READONLY",
    "BUSY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script shipped beside this module."""

    name: str
    source: str
    sha: str

    @classmethod
    def read(cls, name: str) -> Self:
        """Read ``<name>.lua``."""
        source = files(__package__).joinpath(f"{name}.lua").read_text("utf-8")
        return cls(name, source, sha1(source.encode(), usedforsecurity=False).hexdigest())


class RedisConnection:
    """Sends commands, each at most once.

    A command is never sent again by itself: redis-py would do so ten times by default, and an
    INCR under a stalled server then counts twice.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        """Nothing is opened before the first command; ``timeout`` in s, per read or write.

        Raises Refused for a URL that is none.
        """
        try:
            pool = ConnectionPool.from_url(
                url,
                retry=Retry(NoBackoff(), 0),
                retry_on_error=[],
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                socket_read_size=_READ_SIZE,
                protocol=2,
                max_connections=_MOST,
            )
        except ValueError as wrong:
            message = f"REKINDLE_REDIS is no Redis URL ({wrong}): write redis://host:6379/0."
            raise Refused(message) from None
        pool.connection_class = _KINDS[pool.connection_class]
        self._client = Redis(connection_pool=pool)

    async def call(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer; raises Unavailable, and then nobody knows."""
        try:
            # redis-py leaves this one method without annotations
            return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except exceptions.NoScriptError:
            raise
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as away:
            raise Unavailable(f"Redis does not answer: {away}") from away
        except exceptions.ResponseError as error:
            if _is_away(error):
                raise Unavailable(f"Redis refuses to work: {error}") from error
            raise

    async def run(
        self, script: Script, keys: Sequence[bytes], arguments: Iterable[bytes | str | int]
    ) -> Any:
        """Run a script; one that Redis forgot was not run, so it is loaded and sent again."""
        command = ("EVALSHA", script.sha, len(keys), *keys, *arguments)
        try:
            return await self.call(*command)
        except exceptions.NoScriptError:
            _log.debug("Redis does not know the script %s; loading it", script.name)
            await self.call("SCRIPT LOAD", script.source)
        try:
            return await self.call(*command)
        except exceptions.NoScriptError as lost:
            raise Unavailable(f"Redis forgot the script {script.name} twice") from lost

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()
        await self._client.connection_pool.disconnect()


def _is_away(error: exceptions.ResponseError) -> bool:
    text = str(error)
    code = getattr(error, "status_code", None) or text.partition(" ")[0]
    return code in _AWAY or any(f"-{word} " in text for word in _AWAY)


class _PacksInC:
    """Packs a command with hiredis.

    redis-py 8.1 does that in its blocking client only; its asyncio client joins the parts in
    Python: 3 to 7 us of CPU per user loaded and committed (tests/benchmarks/bench_commit.py).
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return the command on the wire; a name of two words is two parts."""
        name = args[0]
        words = name.split() if isinstance(name, bytes) else name.encode().split()
        return [hiredis.pack_command((*words, *args[1:]))]


class _Packed(_PacksInC, Connection):
    pass


class _PackedTLS(_PacksInC, SSLConnection):
    pass


class _PackedSocket(_PacksInC, SocketConnection):
    pass


_KINDS: Final[dict[type, type]] = {
    Connection: _Packed,
    SSLConnection: _PackedTLS,
    SocketConnection: _PackedSocket,
}

__all__ = ["TIMEOUT", "RedisConnection", "Script"]
