"""A process that is the provider of every channel: it writes down what it is asked, then answers.

``push`` keeps idempotency keys: an action is carried once, and asking again says it was. ``sms``
and ``email`` ignore the keys: each yes reaches a person. A call is on disk before it is answered.
Told by lines of JSON on standard input how it is to behave: ``{"slow": seconds}``, ``{"ill":
share}`` of calls answered 500 or 503. What it draws, it draws from its seed.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from tests.faults.world.plan import GatewayCall

KEEPS_KEYS: Final = frozenset({"push"})
_YES: Final = 202


class Provider:
    """Answers hand-overs of all channels."""

    def __init__(self, journal: Path, seed: int) -> None:
        """``journal`` is appended to."""
        self._file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._seen: dict[tuple[str, str], bool] = {}
        self._draws = random.Random(seed)
        self._slow = 0.0
        self._ill = 0.0

    def told(self, order: dict[str, Any]) -> None:
        """Change how it behaves."""
        self._slow = float(order.get("slow", self._slow))
        self._ill = float(order.get("ill", self._ill))

    async def take(self, request: web.Request) -> web.Response:
        """Take one hand-over: decide, write down, wait, answer."""
        channel, body = request.match_info["channel"], await request.read()
        action = request.headers["idempotency-key"]
        repeated = (channel, action) in self._seen
        was_carried = self._seen.get((channel, action), False)
        answer, carried = self._decide()
        if channel in KEEPS_KEYS and was_carried:
            carried = False
            answer = _YES if answer < 500 else answer
        self._seen[channel, action] = was_carried or carried
        call = GatewayCall(
            action_id=action,
            channel=channel,
            at=int(time.time() * 1000),
            answer=answer,
            carried=carried,
            repeated=repeated,
            body=body.decode(),
        )
        os.write(self._file, msgspec.json.encode(call) + b"\n")
        os.fdatasync(self._file)
        if self._slow:
            await asyncio.sleep(self._slow)
        return web.Response(status=answer)

    def _decide(self) -> tuple[int, bool]:
        """Return the status and whether a person gets something; 500 says nothing about that."""
        if self._draws.random() >= self._ill:
            return _YES, True
        return self._draws.choice([(500, True), (500, False), (503, False)])


class Gateway:
    """The gateway process as its owner sees it."""

    def __init__(self, port: int, journal: Path, seed: int, log: Path) -> None:
        """Start it and wait until it listens."""
        self.port = port
        with log.open("ab") as err:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.faults.world.gateway",
                    *map(str, (port, journal, seed)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"listening\n"

    def url(self, channel: str) -> str:
        """Return where a channel's actions are handed over."""
        return f"http://127.0.0.1:{self.port}/{channel}"

    def tell(self, **order: Any) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


async def _main(port: int, journal: Path, seed: int) -> None:
    provider = Provider(journal, seed)
    app = web.Application()
    app.router.add_post("/{channel}", provider.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        provider.told(json.loads(line))
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
