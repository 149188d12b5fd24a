"""The worker's HTTP port: what apps post, and /metrics, /healthz, /readyz for whoever watches."""

import asyncio
import socket
from collections.abc import Sequence

import faust
from aiohttp import web

from engine.errors import Refused
from monitoring.health import Health
from monitoring.recorder import CONTENT_TYPE
from streams.http.app import PATHS
from streams.watch import Watch

# Longest body of one request after decompression.
_BODY = 4 * 1024 * 1024


class HttpServer(faust.Service):
    """Listens on one address and no other."""

    def __init__(
        self, address: socket.socket, routes: Sequence[web.AbstractRouteDef], watch: Watch
    ) -> None:
        """``address`` from :func:`reserve`; ``routes``: what apps post to, others are added."""
        super().__init__()
        self._address = address
        self._watch = watch
        self._app = web.Application(client_max_size=_BODY)
        self._app.add_routes(routes)
        self._app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._live),
                web.get("/readyz", self._ready),
                web.route("*", "/{nowhere:.*}", _nowhere),
            ]
        )
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        """Open the port."""
        self._runner = web.AppRunner(self._app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, self._address).start()

    async def on_stop(self) -> None:
        """Close the port after what is being answered."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        # 26 to 34 ms for 1,600 series: the loop must not spend them
        text = await asyncio.to_thread(self._watch.recorder.render)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _live(self, _: web.Request) -> web.Response:
        health = self._watch.health()
        return _verdict(health, good=health.live)

    async def _ready(self, _: web.Request) -> web.Response:
        health = self._watch.health()
        return _verdict(health, good=health.ready)


async def _nowhere(request: web.Request) -> web.Response:
    """Say where one may go, to somebody who has mistyped a path or its method."""
    paths = ", ".join(f"/v1/{path}" for path in PATHS if len(path) > 1)  # without abbreviations
    said = (
        f"there is no {request.method} {request.path} here: POST to {paths}; "
        "GET /metrics, /healthz or /readyz."
    )
    return web.json_response({"code": "not_found", "message": said}, status=404)


def reserve(host: str, port: int) -> socket.socket:
    """Take an address for us before anything else starts; raises Refused when it is not free.

    It does not listen yet: whoever connects is turned away until there is somebody to answer.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _not_free(host, port, error) from error
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise _not_free(host, port, error) from error
    return taken


def _not_free(host: str, port: int, error: OSError) -> Refused:
    message = (
        f"{host}:{port} cannot be listened on ({error.strerror}): set REKINDLE_HTTP to a free "
        "address."
    )
    return Refused(message)


def _verdict(health: Health, *, good: bool) -> web.Response:
    findings = list(health.findings)
    return web.json_response({"ok": good, "findings": findings}, status=200 if good else 503)
