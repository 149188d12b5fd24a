"""Request bodies as shipped SDKs send them: gzipped or not, whatever their content type says."""

from typing import Any, Final

from aiohttp import web

from engine.errors import InvalidEvent
from streams.sources.lenient_json import loads
from streams.sources.reasons import Notes

# Decoded bytes: 600 MB of zeros travel as 0.6 MB of gzip.
MAX_BODY: Final = 4 * 1024 * 1024
_CODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


class BadRequest(Exception):
    """The request will never be readable; ``status`` and ``code`` tell the client why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """``code``: a word for programs; the message is for a person."""
        super().__init__(message)
        self.status = status
        self.code = code


async def read_object(request: web.Request, notes: Notes) -> dict[str, Any]:
    """Return the body as a JSON object; raises BadRequest."""
    body = await _read(request)
    try:
        value = loads(body, notes)
    except InvalidEvent as error:
        raise BadRequest(400, error.reason, str(error)) from error
    if type(value) is not dict:
        raise BadRequest(400, "not_object", "the body is one JSON object")
    return value


async def _read(request: web.Request) -> bytes:
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in _CODINGS:
        message = f"Content-Encoding {coding[:40]!r} is not understood; send gzip or none"
        raise BadRequest(415, "unsupported_encoding", message)
    chunks, size = [], 0
    try:
        # Not request.read(): the bound must hold wherever these routes are mounted.
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > MAX_BODY:
                message = f"a request may have {MAX_BODY} decoded bytes; send smaller batches"
                raise BadRequest(413, "too_large", message)
            chunks.append(chunk)
    except web.RequestPayloadError as error:
        # aiohttp would answer 500, which every SDK sends again, 3 to 10 times.
        raise BadRequest(400, "broken_body", "the body cannot be decompressed") from error
    return b"".join(chunks)
