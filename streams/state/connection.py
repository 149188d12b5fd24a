"""The connection to Redis: to one server or a cluster, no blind retries, one word for "away"."""

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from time import perf_counter
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

from redis import exceptions

from engine.errors import Refused, Unavailable
from streams.state.cluster import SLOTS, Cluster, Node
from streams.state.server import Argument, Server

# A commit of 500 users holds the server 2 to 4 ms; what takes 2 s is away.
TIMEOUT: Final = 2.0
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

# Keys looked at per SCAN: 1 ms of the server.
_SCANNED: Final = 2_000
# What makes the scheme of a URL that of a cluster.
_CLUSTER: Final = "+cluster"
# Commands of ours whose first argument is no key.
_KEYLESS: Final = frozenset({"INFO", "TIME", "PING", "CONFIG GET", "DBSIZE"})

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


class Watch(Protocol):
    """Who hears how long commands take; see :class:`monitoring.timings.Timings`."""

    def redis_answered(self, op: str, seconds: float) -> None:
        """Note a command that was answered: its name in small letters, or the script's."""
        ...

    def redis_failed(self, kind: str) -> None:
        """Note a command that failed: away, timeout, busy or refused."""
        ...


class RedisConnection:
    """Sends commands, each at most once, to one Redis or to the nodes of a cluster.

    A command is never sent again by itself: redis-py would do so ten times by default, and an
    INCR under a stalled server then counts twice.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        """Nothing is opened before the first command; ``timeout`` in s, per read or write.

        ``url``: ``redis+cluster://host:port,host:port`` is a cluster. Raises Refused for a URL
        that is none.
        """
        self.watch: Watch | None = None
        self._timeout = timeout
        self._server: Server | None = None
        self._cluster: Cluster | None = None
        try:
            if _CLUSTER in url.partition("://")[0]:
                self._cluster = self._of_cluster(url)
            else:
                self._server = Server(url, timeout)
        except ValueError as wrong:
            message = (
                f"REKINDLE_REDIS is no Redis URL ({wrong}): write redis://host:6379/0, or "
                "redis+cluster://host:6379,host:6380 for a cluster."
            )
            raise Refused(message) from None

    @property
    def clustered(self) -> bool:
        """Return whether this is a cluster."""
        return self._cluster is not None

    def _of_cluster(self, url: str) -> Cluster:
        seeds = cluster_nodes(url)
        parts = urlsplit(url)
        scheme = parts.scheme.replace(_CLUSTER, "")
        login, at, _ = parts.netloc.rpartition("@")
        options = f"?{parts.query}" if parts.query else ""

        def connect(node: Node) -> Server:
            host = f"[{node.host}]" if ":" in node.host else node.host
            return Server(f"{scheme}://{login}{at}{host}:{node.port}{options}", self._timeout)

        connect(seeds[0])  # what is wrong with it is said now
        return Cluster(seeds, connect)

    async def call(self, *command: Argument) -> Any:
        """Send one command and return its answer; raises Unavailable, and then nobody knows.

        In a cluster its first argument is the key that says where; all keys share its hash tag.
        """
        return await self._call(command, None, "")

    async def _call(self, command: Sequence[Argument], key: bytes | None, script: str) -> Any:
        """Send a command; ``key``: where, None = its first argument says it.

        ``script``: the name of the script that it runs.
        """
        if self.watch is None:
            return await self._send(command, key)
        started = perf_counter()
        try:
            answer = await self._send(command, key)
        except (Unavailable, exceptions.RedisError) as error:
            if not isinstance(error, exceptions.NoScriptError):  # it is loaded and runs
                self.watch.redis_failed(_kind(error))
            raise
        self.watch.redis_answered(script or str(command[0]).lower(), perf_counter() - started)
        return answer

    async def _send(self, command: Sequence[Argument], key: bytes | None) -> Any:
        with _one_word_for_away():
            if self._server is not None:
                return await self._server.send(command)
            return await self._nodes().send(command, key or _key(command))

    async def everywhere(self, *command: Argument) -> dict[str, Any]:
        """Send a command without a key to every server and return the answers by host:port.

        Replicas that do not answer are left out. Raises Unavailable.
        """
        if self._server is not None:
            return {"": await self.call(*command)}
        with _one_word_for_away():
            return await self._nodes().everywhere(*command)

    async def scan(self, pattern: bytes, near: bytes | None = None) -> AsyncIterator[bytes]:
        """Yield the keys that match, some perhaps twice; raises Unavailable.

        ``near``: a key on whose server alone to look; None = every server.
        """
        if self._server is not None:
            servers = [self._server]
        else:
            with _one_word_for_away():
                servers = await self._nodes().serving(near)
        for server in servers:
            cursor = 0
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED)
                with _one_word_for_away():
                    cursor, keys = await server.send(command)
                for key in keys:
                    yield key
                if int(cursor) == 0:
                    break

    async def uncovered(self) -> int:
        """Return how many slots of the cluster no node serves; raises Unavailable."""
        if self._cluster is None:
            return 0
        with _one_word_for_away():
            return SLOTS - len((await self._cluster.layout()).primaries)

    async def run(
        self, script: Script, keys: Sequence[bytes], arguments: Iterable[Argument]
    ) -> Any:
        """Run a script; one that Redis forgot was not run, so it is loaded and sent again."""
        command = ("EVALSHA", script.sha, len(keys), *keys, *arguments)
        try:
            return await self._call(command, keys[0], script.name)
        except exceptions.NoScriptError:
            _log.debug("Redis does not know the script %s; loading it", script.name)
            await self._call(("SCRIPT LOAD", script.source), keys[0], "")
        try:
            return await self._call(command, keys[0], script.name)
        except exceptions.NoScriptError as lost:
            raise Unavailable(f"Redis forgot the script {script.name} twice") from lost

    async def close(self) -> None:
        """Close all connections."""
        if self._server is not None:
            await self._server.close()
        if self._cluster is not None:
            await self._cluster.close()

    def _nodes(self) -> Cluster:
        if self._cluster is None:
            message = "this connection is not to a cluster"
            raise TypeError(message)
        return self._cluster


def cluster_nodes(url: str) -> list[Node]:
    """Return the nodes that ``redis+cluster://…`` names; raises ValueError saying what is wrong."""
    parts = urlsplit(url)
    if parts.path.strip("/") not in {"", "0"}:
        message = "a cluster has no databases, so its URL ends with the last port"
        raise ValueError(message)
    nodes = []
    for address in parts.netloc.rpartition("@")[2].split(","):
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            message = "a cluster is named by host:port, several separated by commas"
            raise ValueError(message)
        nodes.append(Node(host.strip("[]"), int(port)))
    return nodes


def _key(command: Sequence[Argument]) -> bytes | None:
    """Return the key of a command; None where it has none."""
    if len(command) < 2 or command[0] in _KEYLESS:
        return None
    key = command[1]
    return key if isinstance(key, bytes) else str(key).encode()


@contextmanager
def _one_word_for_away() -> Iterator[None]:
    """Raise Unavailable for whatever ends by itself or by an operator's hand."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as away:
        raise Unavailable(f"Redis does not answer: {away}") from away
    except exceptions.ResponseError as error:
        if _is_away(error):
            raise Unavailable(f"Redis refuses to work: {error}") from error
        raise


def _is_away(error: exceptions.ResponseError) -> bool:
    text = str(error)
    code = getattr(error, "status_code", None) or text.partition(" ")[0]
    return code in _AWAY or any(f"-{word} " in text for word in _AWAY)


def _kind(error: Exception) -> str:
    """Return the kind of a failure, in a word."""
    if not isinstance(error, Unavailable):
        return "refused"
    match error.__cause__:
        case exceptions.TimeoutError() | TimeoutError():
            return "timeout"
        case exceptions.ResponseError():
            return "busy"
        case _:
            return "away"


__all__ = ["TIMEOUT", "RedisConnection", "Script", "cluster_nodes"]
