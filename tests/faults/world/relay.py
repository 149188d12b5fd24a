"""A process that stands between workers and a server: it passes bytes on, late, or not at all.

Told by lines of JSON on its standard input: ``{"relay": "redis", "cut": true}`` breaks every
connection, ``"refuse": true`` turns new ones away at once, ``"delay": 0.05`` holds every piece back
by so many seconds. It ends when its standard input does.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_PIECE: Final = 256 * 1024
# What may wait for its delay on one way of one connection before the sender is held back.
_PIECES: Final = 64


class Relay:
    """One port in front of one other port of this machine."""

    def __init__(self, port: int, behind: int) -> None:
        """Nothing listens before :meth:`serve`."""
        self.port = port
        self.behind = behind
        self.delay = 0.0
        self.refuse = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        """Listen."""
        await asyncio.start_server(self._meet, "127.0.0.1", self.port, limit=_PIECE)

    def told(self, order: Mapping[str, Any]) -> None:
        """Change how bytes are passed on."""
        self.delay = float(order.get("delay", self.delay))
        self.refuse = bool(order.get("refuse", self.refuse))
        if order.get("cut"):
            for writer in list(self._writers):
                writer.transport.abort()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        try:
            onward = await asyncio.open_connection("127.0.0.1", self.behind, limit=_PIECE)
        except OSError:
            writer.transport.abort()
            return
        there, away = onward
        self._writers |= {writer, away}
        ways = [
            asyncio.create_task(self._pass(reader, away)),
            asyncio.create_task(self._pass(there, writer)),
        ]
        # Neither Redis nor Kafka closes one way only: the end of one is the end of both.
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, away):
            end.transport.abort()
        await asyncio.wait(ways)
        self._writers -= {writer, away}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one way on until it ends."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES)
        writing = asyncio.create_task(self._write(pieces, writer))
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                await pieces.put((loop.time() + self.delay, piece))
        await pieces.put((0.0, b""))
        await writing

    @staticmethod
    async def _write(
        pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        broken = False
        while True:
            due, piece = await pieces.get()
            if not piece:
                return
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            if broken:
                continue
            try:
                writer.write(piece)
                await writer.drain()
            except OSError:
                broken = True  # go on emptying, so that the reader never waits for us


class Relays:
    """The relay process as its owner sees it; ``ports``: name to (port, port behind it)."""

    def __init__(self, ports: Mapping[str, tuple[int, int]], log: Path) -> None:
        """Start it and wait until it listens."""
        with log.open("ab") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.world.relay", json.dumps(ports)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"listening\n"

    def tell(self, relay: str, **order: Any) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"relay": relay, **order}).encode() + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


async def _main(ports: Mapping[str, tuple[int, int]]) -> None:
    relays = {name: Relay(*pair) for name, pair in ports.items()}
    for relay in relays.values():
        await relay.serve()
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        relays[order["relay"]].told(order)


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
