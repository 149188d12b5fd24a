"""One Redis server: commands over connections of redis-py, each sent at most once.

redis-py's connections open, log in, time out and read. Its client and pool are left out: around
each command they take a lock twice, note a dozen figures that nobody reads here and go through two
layers of retries that are switched off, which was a third of what a command cost the worker.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import hiredis
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio import UnixDomainSocketConnection as SocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

# MGET of 500 profiles answers with 200 KB; the default of 64 KB reads it in four turns of the loop.
_READ_SIZE: Final = 256 * 1024

Argument = bytes | str | int


class Server:
    """Sends commands to one server, side by side over as many connections as that takes."""

    def __init__(self, url: str, timeout: float) -> None:
        """Nothing is opened before the first command; ``timeout`` in s, per read or write.

        Raises ValueError for a URL that is none.
        """
        self._pool = ConnectionPool.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            socket_read_size=_READ_SIZE,
            protocol=2,
        )
        self._pool.connection_class = _KINDS[self._pool.connection_class]
        # What turns the answer of INFO, HGETALL … into a dict.
        self._readers = Redis(connection_pool=self._pool).response_callbacks
        self._made: list[AbstractConnection] = []
        self._idle: list[AbstractConnection] = []

    async def send(self, command: Sequence[Argument], *, asking: bool = False) -> Any:
        """Send one command and return its answer; raises what redis-py raises.

        ``asking``: of a slot that moves here; ASKING holds for the next command of the same
        connection, hence both in one go.
        """
        connection = self._idle.pop() if self._idle else self._make()
        try:
            # The server may have closed an idle one: sending opens it anew.
            if connection.is_connected and await connection.can_read():
                await connection.disconnect()
            if asking:
                await connection.send_command("ASKING")
                await connection.read_response()
            await connection.send_command(*command)
            answer = await connection.read_response()
        finally:
            # What failed or was cancelled half way is closed by then, and opened anew when used.
            self._idle.append(connection)
        read = self._readers.get(str(command[0]))
        return answer if read is None else read(answer)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._made:
            await connection.disconnect()

    def _make(self) -> AbstractConnection:
        # redis-py leaves this one method without annotations
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        self._made.append(connection)
        return connection


class Sends(AbstractConnection):
    """Packs a command with hiredis, and sends it so that a cancellation is never lost.

    Packing: redis-py 8.1 does that in its blocking client only; its asyncio client joins the parts
    in Python: 3 to 7 us of CPU per user loaded and committed (tests/benchmarks/bench_commit.py).

    Sending: redis-py waits for it with asyncio.wait_for, which swallows a cancellation on Python
    3.11 when what it waits for is done by then (cpython 86296). A task that was cancelled while it
    sent went on for ever in 203 of 300 tries; and each send cost a task and a timer.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return the command on the wire; a name of two words is two parts."""
        name = args[0]
        words = name.split() if isinstance(name, bytes) else name.encode().split()
        return [hiredis.pack_command((*words, *args[1:]))]

    async def send_packed_command(self, command: Any, *_: Any, **__: Any) -> None:
        """Send what :meth:`pack_command` returned; what was sent by half closes the connection.

        The arguments left out ask for a health check, for which no interval is set here.
        """
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        assert self._writer is not None
        try:
            self._writer.writelines(command)
            if self._writer.transport.get_write_buffer_size():  # most are taken at once
                async with asyncio.timeout(self.socket_timeout):
                    await self._writer.drain()
        except BaseException:
            await self.disconnect(nowait=True)
            raise


class _Plain(Sends, Connection):
    pass


class _TLS(Sends, SSLConnection):
    pass


class _Socket(Sends, SocketConnection):
    pass


_KINDS: Final[dict[type, type]] = {
    Connection: _Plain,
    SSLConnection: _TLS,
    SocketConnection: _Socket,
}

__all__ = ["Argument", "Sends", "Server"]
