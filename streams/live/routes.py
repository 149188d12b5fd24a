"""The routes everybody may read: the page, its files, its JSON, and the stream of its frames."""

import asyncio
import re
from contextlib import suppress
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Final

from aiohttp import web

from monitoring.page.snapshot import encode
from streams.live.feed import Feed
from streams.live.hub import Frame, Hub, Reader

# Nothing from elsewhere, nothing inline, in no frame, and no form that posts anywhere.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UNKEPT: Final = {"Cache-Control": "no-store"}
# A new version is seen at once, and an unchanged file costs one answer without a body.
_CHECKED: Final = {"Cache-Control": "no-cache"}
_STREAM: Final = {
    "Content-Type": "text/event-stream",
    "X-Accel-Buffering": "no",  # or a proxy gathers frames until its buffer is full
}
_NUMBER: Final = re.compile(r"[0-9]{1,15}")

KEEPALIVE: Final = 15.0
# Seconds for which one frame may be on its way before its reader is let go.
BLOCKED: Final = 20.0
# What the kernel may hold for one reader: without a bound it grows to megabytes each.
_SEND_BUFFER: Final = 128 * 1024
# ms after which a browser that lost us asks again.
_RETRY: Final = 2_000
# Streams one process serves; a browser opens one a tab.
MOST: Final = 500

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain",
    ".md": "text/plain",
}


class PublicRoutes:
    """What may be read without a token: no raw id, address or text of a message is in it."""

    def __init__(self, hub: Hub, feed: Feed, boot: str, static: Traversable | None = None) -> None:
        """``boot`` tells this process's frames from those of another; ``static``: the files."""
        self._hub = hub
        self._feed = feed
        self._boot = boot
        self._static = files("streams.live") / "static" if static is None else static

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/live", self._index),
            web.get("/live/", _to_live),
            web.get("/live/static/{path:.+}", self._file),
            web.get("/live/snapshot.json", self._snapshot),
            web.get("/live/events", self._events, allow_head=False),
        ]

    # --- files ----------------------------------------------------------------------------------

    async def _index(self, request: web.Request) -> web.Response:
        return await self._answer(request, "index.html")

    async def _file(self, request: web.Request) -> web.Response:
        return await self._answer(request, request.match_info["path"])

    async def _answer(self, request: web.Request, path: str) -> web.Response:
        found = await asyncio.to_thread(self._read, path)
        if found is None:
            return error(404, "not_found", f"there is no {path[:80]!r} on the live page.")
        content, tag = found
        headers = HEADERS | _CHECKED | {"ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        kind = _TYPES[path[path.rindex(".") :]]
        charset = None if kind == "image/png" else "utf-8"
        return web.Response(body=content, headers=headers, content_type=kind, charset=charset)

    def _read(self, path: str) -> tuple[bytes, str] | None:
        """Return a file of ours and its tag; names are looked up, so none leads out."""
        at = self._static
        for part in path.split("/"):
            if not part or part.startswith(".") or "\\" in part:
                return None
            at = at / part
        suffix = path[path.rfind(".") :] if "." in path else ""
        if suffix not in _TYPES or not at.is_file():
            return None
        content = at.read_bytes()
        digest = blake2b(content, digest_size=12).hexdigest()
        return content, f'"{digest}"'

    # --- figures --------------------------------------------------------------------------------

    async def _snapshot(self, _: web.Request) -> web.Response:
        body = encode(await self._feed.current())
        headers = HEADERS | _UNKEPT
        return web.Response(body=body, headers=headers, content_type="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._hub.closed or len(self._hub) >= MOST:
            answer = error(503, "busy", "too many streams are open, or the worker ends; ask again.")
            answer.headers["Retry-After"] = "5"
            return answer
        response = web.StreamResponse(headers=HEADERS | _UNKEPT | _STREAM)
        _bound(request)
        await response.prepare(request)
        await response.write(b"retry: %d\n\n" % _RETRY)
        await self._stream(request, response)
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse) -> None:
        """Write frames until the reader goes, or is let go."""
        await self._feed.latest()  # made if need be, and shown to all who are there already
        if self._hub.closed:  # meanwhile: nobody would let this reader go any more
            return
        ending = _Ending(request)
        reader = Reader(ending, up_to=self._known(request))
        self._hub.enter(reader)
        if self._hub.latest is not None and not reader.has(self._hub.latest):
            reader.offer(self._hub.latest)
        try:
            await self._write(reader, response)
        except asyncio.CancelledError:
            if not ending.ended:
                raise  # the reader went; aiohttp knows
        except (ConnectionError, TimeoutError):
            ending.abort()
        finally:
            self._hub.leave(reader)

    async def _write(self, reader: Reader, response: web.StreamResponse) -> None:
        while True:
            try:
                async with asyncio.timeout(KEEPALIVE):
                    name, frame = await reader.next()
            except TimeoutError:
                text = b": keepalive\n\n"
            else:
                text = self._event(name, frame)
            async with asyncio.timeout(BLOCKED):
                await response.write(text)

    def _event(self, name: str, frame: Frame) -> bytes:
        """Return a frame on the wire; JSON has no line breaks of its own."""
        body = frame.news if name == "frame" else frame.whole
        head = f"id: {self._boot}-{frame.number}\nevent: {name}\ndata: ".encode()
        return head + body + b"\n\n"

    def _known(self, request: web.Request) -> int:
        """Return the number of the frame a returning reader saw last; 0 = none of ours."""
        boot, _, number = request.headers.get("Last-Event-ID", "").rpartition("-")
        return int(number) if boot == self._boot and _NUMBER.fullmatch(number) else 0


class _Ending:
    """Ends one stream from outside, also while its socket takes nothing any more."""

    def __init__(self, request: web.Request) -> None:
        self.ended = False
        self._request = request
        self._task = asyncio.current_task()

    def __call__(self) -> None:
        self.ended = True
        self.abort()
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def _bound(request: web.Request) -> None:
    """Bound what the kernel holds for a reader who does not read."""
    wire = None if request.transport is None else request.transport.get_extra_info("socket")
    if wire is not None:
        with suppress(OSError):
            wire.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER)


async def _to_live(_: web.Request) -> web.Response:
    return web.Response(status=308, headers=HEADERS | {"Location": "/live"})


def error(status: int, code: str, message: str) -> web.Response:
    """Return an error as this port tells all of them."""
    said = {"code": code, "message": message}
    return web.json_response(said, status=status, headers=HEADERS | _UNKEPT)


__all__ = ["BLOCKED", "HEADERS", "KEEPALIVE", "PublicRoutes", "error"]
