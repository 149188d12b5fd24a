"""The other side of a webhook: a real HTTP server that keeps what it was handed, once per key."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

# What the n-th request (from 0) is answered: a status, or "hang up" after having kept it.
Answer = Callable[[int], int | str]


class Receiver:
    """Listens on a loopback port, in a thread with a loop of its own, from entry to exit.

    It honours ``Idempotency-Key`` as a gateway does that may be asked again: ``messages`` holds
    each action once, ``requests`` counts how often its key came.
    """

    def __init__(self, port: int, secret: str, answer: Answer = lambda _: 202) -> None:
        self.port = port
        self.messages: dict[str, Any] = {}
        self.requests: Counter[str] = Counter()
        self.unsigned: list[str] = []
        self._secret = secret.encode()
        self._answer = answer
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _listen(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        key = request.headers["Idempotency-Key"]
        answer = self._answer(self.requests.total())
        self.requests[key] += 1
        if not self._signed(request, body):
            self.unsigned.append(key)
        if isinstance(answer, str) or answer < 300:
            self.messages.setdefault(key, json.loads(body))
        if isinstance(answer, str):
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return web.Response(status=answer)

    def _signed(self, request: web.Request, body: bytes) -> bool:
        """Check the signature as the Standard Webhooks specification says."""
        named = [request.headers.get(f"webhook-{part}", "") for part in ("id", "timestamp")]
        signed = ".".join(named).encode() + b"." + body
        mark = base64.b64encode(hmac.new(self._secret, signed, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(f"v1,{mark}", request.headers.get("webhook-signature", ""))
