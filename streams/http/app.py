"""The routes apps post to: exactly 200 once Kafka has acknowledged, errors as JSON otherwise.

Shipped SDKs decide the details: 201 or 202 makes two of them
send everything again, an error without ``code`` makes them retry what can never succeed.
"""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web

from engine.errors import Unavailable
from engine.times import iso
from streams.http.bodies import MAX_BODY, BadRequest, read_object
from streams.http.messages import Envelope, decoded_anonymous_id, take_apart
from streams.sources.reasons import Notes

Publish = Callable[[list[tuple[bytes, bytes]]], Awaitable[None]]

# The one-letter paths are those of @segment/analytics-next; "" stands for a batch.
PATHS: Final = {
    "batch": "",
    "track": "track",
    "identify": "identify",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
    "b": "",
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}

# Those a person would type, without the abbreviations.
NAMED: Final = tuple(f"/v1/{path}" for path in PATHS if len(path) > 1)

# Long enough for a restart: an SDK that gives up after three tries then lasts a minute.
RETRY_UNAVAILABLE: Final = 20
RETRY_BUSY: Final = 1
# Bodies being worked on at once: beyond it a client is asked to wait, not the worker to swell.
MAX_OPEN: Final = 16 * MAX_BODY

_ALLOWED_HEADERS: Final = "authorization,content-type,anonymousid,sentat,x-retry-count"


def routes(
    publish: Publish,
    clock: Callable[[], int],
    *,
    write_key: str | None = None,
    notes: Notes | None = None,
) -> list[web.RouteDef]:
    """Return the routes of the HTTP door.

    ``publish`` appends (key, value) records to the raw topic and returns once they are
    acknowledged; raises Unavailable. ``clock``: ms. ``write_key`` None = open to everybody who
    reaches the port. ``notes`` counts ``accepted``, ``quarantined``, ``refused`` and mended things.
    """
    door = _Door(publish, clock, write_key, Notes() if notes is None else notes)
    found = []
    for path, kind in PATHS.items():
        found.append(web.post(f"/v1/{path}", door.entrance(kind or None)))
        found.append(web.options(f"/v1/{path}", _preflight))
    return found


class _Door:
    """What the handlers share."""

    def __init__(
        self, publish: Publish, clock: Callable[[], int], write_key: str | None, notes: Notes
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._write_key = write_key
        self._notes = notes
        self._open = 0

    def entrance(self, kind: str | None) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler of one path; ``kind`` None = a batch."""

        async def enter(request: web.Request) -> web.Response:
            try:
                answer = await self._admitted(request, kind)
            except BadRequest as error:
                self._notes["refused"] += 1
                answer = _error(error.status, error.code, str(error))
                # What is left of the body is not worth reading.
                answer.force_close()
            except Unavailable:
                message = "events cannot be stored at the moment; send this again"
                answer = _error(503, "unavailable", message, retry_after=RETRY_UNAVAILABLE)
            return _with_origin(request, answer)

        return enter

    async def _admitted(self, request: web.Request, kind: str | None) -> web.Response:
        """Bound what is worked on at once; a body of unknown length counts as the largest."""
        length = request.content_length
        compressed = "Content-Encoding" in request.headers
        size = MAX_BODY if length is None or compressed else min(length, MAX_BODY)
        if self._open + size > MAX_OPEN:
            message = "too many events at once; send this again"
            return _error(429, "busy", message, retry_after=RETRY_BUSY)
        self._open += size
        try:
            return await self._take(request, kind)
        finally:
            self._open -= size

    async def _take(self, request: web.Request, kind: str | None) -> web.Response:
        # One key in the header, the query or, as browsers send it, in the body.
        keys = [_basic(request.headers.get("Authorization")), request.query.get("writeKey")]
        body = await read_object(request, self._notes)
        self._check([*keys, body.get("writeKey")])
        envelope = Envelope(
            kind,
            iso(self._clock()),
            request.headers.get("SentAt"),
            decoded_anonymous_id(request.headers.get("AnonymousId")),
        )
        taken = take_apart(body, envelope)
        if taken.records:
            await self._publish(taken.records)
        quarantined = taken.quarantined.total()
        self._notes["accepted"] += len(taken.records)
        self._notes["quarantined"] += quarantined
        told: dict[str, Any] = {"success": True}
        if quarantined:
            told |= {"accepted": len(taken.records), "quarantined": quarantined}
        return _json(200, told)

    def _check(self, keys: list[object]) -> None:
        """Let in who knows the write key; every SDK drops what a 401 answers, so say it plainly."""
        if self._write_key is None:
            return
        wanted = self._write_key.encode()
        known = [key.encode("utf-8", "replace") for key in keys if isinstance(key, str) and key]
        if not any(hmac.compare_digest(key, wanted) for key in known):
            raise BadRequest(401, "wrong_write_key", "the write key is missing or not ours")


def _basic(header: str | None) -> str | None:
    """Return the user name of basic authentication; a missing colon is tolerated."""
    scheme, _, credentials = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return None


# --- answers ------------------------------------------------------------------------------------


def _json(status: int, told: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(told), headers={"Content-Type": "application/json"}
    )


def _error(status: int, code: str, message: str, retry_after: int | None = None) -> web.Response:
    answer = _json(status, {"code": code, "message": message})
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


async def _preflight(request: web.Request) -> web.Response:
    answer = web.Response(status=200)
    answer.headers["Access-Control-Allow-Methods"] = "POST, OPTIONS"
    answer.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
    answer.headers["Access-Control-Max-Age"] = "600"
    return _with_origin(request, answer)


def _with_origin(request: web.Request, answer: web.Response) -> web.Response:
    """Let a page of any origin read the answer; beacons carry cookies, so ``*`` would not do."""
    origin = request.headers.get("Origin")
    if origin:
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Allow-Credentials"] = "true"
        # Unless exposed, a browser hides it and retries after 0.6 s.
        answer.headers["Access-Control-Expose-Headers"] = "Retry-After"
        answer.headers["Vary"] = "Origin"
    return answer
