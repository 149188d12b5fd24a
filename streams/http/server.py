"""The HTTP port of a process: its own routes, and /metrics, /healthz, /readyz for who watches."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import faust
from aiohttp import web

from engine.errors import Refused
from monitoring.health import Health
from monitoring.recorder import CONTENT_TYPE

# Longest body of one request after decompression.
_BODY = 4 * 1024 * 1024
# Seconds that requests in work get at the end.
_LAST_ANSWERS = 5.0


Ending = Callable[[], Awaitable[None]]


class HttpServer(faust.Service):
    """Listens on one address and no other; every process that is watched has one."""

    def __init__(
        self,
        address: socket.socket,
        routes: Sequence[web.AbstractRouteDef] = (),
        *,
        render: Callable[[], bytes],
        health: Callable[[], Health],
        elsewhere: str = "",
        first_to_end: Sequence[Ending] = (),
    ) -> None:
        """``address`` from :func:`reserve`; ``routes`` beside /metrics, /healthz and /readyz.

        ``render`` gives the metrics and may take its time: it runs in a thread. ``elsewhere`` says
        to who is lost where else one may go. ``first_to_end`` are awaited before open requests
        are: a stream that never ends would hold the port for ever.
        """
        super().__init__()
        self._address = address
        self._render = render
        self._health = health
        self._elsewhere = elsewhere
        self._app = web.Application(client_max_size=_BODY)
        self._app.add_routes(routes)
        self._app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._live),
                web.get("/readyz", self._ready),
                web.route("*", "/{nowhere:.*}", self._nowhere),
            ]
        )
        for ending in first_to_end:
            self._app.on_shutdown.append(_called(ending))
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        """Open the port."""
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=_LAST_ANSWERS)
        await self._runner.setup()
        await web.SockSite(self._runner, self._address).start()

    async def on_stop(self) -> None:
        """Close the port after what is being answered."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        # 26 to 34 ms for 1,600 series: the loop must not spend them
        text = await asyncio.to_thread(self._render)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _live(self, _: web.Request) -> web.Response:
        health = self._health()
        return _verdict(health, good=health.live)

    async def _ready(self, _: web.Request) -> web.Response:
        health = self._health()
        return _verdict(health, good=health.ready)

    async def _nowhere(self, request: web.Request) -> web.Response:
        """Say where one may go, to somebody who has mistyped a path or its method."""
        said = (
            f"there is no {request.method} {request.path} here: {self._elsewhere}"
            "GET /metrics, /healthz or /readyz."
        )
        return web.json_response({"code": "not_found", "message": said}, status=404)


def _called(ending: Ending) -> Callable[[web.Application], Awaitable[None]]:
    async def end(_: web.Application) -> None:
        await ending()

    return end


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
