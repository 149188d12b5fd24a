"""The worker's HTTP port: what apps post, and /metrics, /healthz, /readyz for whoever watches."""

import asyncio
from collections.abc import Sequence

import faust
from aiohttp import web

from engine.errors import Refused
from monitoring.health import Health
from monitoring.recorder import CONTENT_TYPE
from streams.watch import Watch

# Longest body of one request after decompression (integration.md 1.3).
_BODY = 4 * 1024 * 1024


class HttpServer(faust.Service):
    """Listens on one address and no other."""

    def __init__(
        self, host: str, port: int, routes: Sequence[web.AbstractRouteDef], watch: Watch
    ) -> None:
        """``routes``: what apps post to; the watching ones are added here."""
        super().__init__()
        self._host = host
        self._port = port
        self._watch = watch
        self._app = web.Application(client_max_size=_BODY)
        self._app.add_routes(routes)
        self._app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._live),
                web.get("/readyz", self._ready),
            ]
        )
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        """Open the port; raises Refused when it is taken."""
        self._runner = web.AppRunner(self._app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            message = (
                f"{self._host}:{self._port} cannot be listened on ({error.strerror}): set "
                "REKINDLE_HTTP to a free address."
            )
            raise Refused(message) from error

    async def on_stop(self) -> None:
        """Close the port after what is being answered."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        # 26 to 34 ms for 1,600 series: the loop must not spend them (monitoring.md 4.1)
        text = await asyncio.to_thread(self._watch.recorder.render)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _live(self, _: web.Request) -> web.Response:
        health = self._watch.health()
        return _verdict(health, good=health.live)

    async def _ready(self, _: web.Request) -> web.Response:
        health = self._watch.health()
        return _verdict(health, good=health.ready)


def _verdict(health: Health, *, good: bool) -> web.Response:
    findings = list(health.findings)
    return web.json_response({"ok": good, "findings": findings}, status=200 if good else 503)
