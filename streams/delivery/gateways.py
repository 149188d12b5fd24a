"""Who carries an action to a person: a port; a console, a file and a signed webhook."""

import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Final, Protocol, TextIO

import aiohttp

from engine.actions import Action, encode
from engine.errors import Refused, Unavailable

TIMEOUT: Final = 10.0
_CONNECT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway took it; ``code`` as it answered."""

    code: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The gateway will never carry this one; ``permanent`` about this action, not the address."""

    reason: str
    permanent: bool = True
    code: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The gateway answered that it did not carry it, and may if asked again."""

    reason: str
    code: str = ""


Answer = Accepted | Rejected | Failed


class Unknown(RuntimeError):
    """It was sent and nobody answered: the person may have got it."""


class Gateway(Protocol):
    """Carries one action at a time.

    ``idempotent``: the other side knows an action it has seen, so that it may be sent again.
    """

    name: str
    idempotent: bool

    async def send(self, action: Action, now: int) -> Answer:
        """Hand over one action at ``now`` (ms).

        Raises Unavailable when it surely did not reach the gateway, Unknown when it may have.
        """
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class ConsoleGateway:
    """Prints one readable line per action, without address: a console is read over shoulders."""

    name = "console"
    idempotent = False

    def __init__(self, stream: TextIO) -> None:
        """``stream`` stays the caller's."""
        self._stream = stream

    async def send(self, action: Action, now: int) -> Answer:  # noqa: ARG002 - port
        """Print it."""
        try:
            self._stream.write(line(action) + "\n")
            self._stream.flush()
        except OSError as error:
            raise Unavailable(f"the console takes nothing: {error}") from error
        return Accepted()

    async def close(self) -> None:
        """Leave the stream open: it is not ours."""


def line(action: Action) -> str:
    """Return an action as one line: channel, user, campaign and words."""
    words = action.content.title or action.content.subject or ""
    said = " - ".join(part for part in (words, action.content.body) if part)
    text = f"{action.channel:5} -> {action.user_id} [{action.campaign.id}] {said}"
    return "".join(sign if sign.isprintable() else " " for sign in text)


class JsonlGateway:
    """Appends each action as one line of JSON, in one write, so that processes may share a file."""

    name = "jsonl"
    idempotent = False

    def __init__(self, path: Path) -> None:
        """Nothing is opened before the first action."""
        self._path = path
        self._file: int | None = None

    async def send(self, action: Action, now: int) -> Answer:  # noqa: ARG002 - port
        """Append it."""
        text = encode(action) + b"\n"
        try:
            written = os.write(self._open(), text)
        except OSError as error:
            raise Unavailable(f"{self._path} takes nothing: {error.strerror}") from error
        if written != len(text):
            raise Unknown(f"{self._path} took {written} of {len(text)} bytes")
        return Accepted()

    def _open(self) -> int:
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = os.open(self._path, flags, 0o600)  # it holds addresses
        return self._file

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class WebhookGateway:
    """POSTs each action to a URL, signed after Standard Webhooks, with the action id as its key.

    2xx accepted; 408, 409, 425, 429, 503 and redirects: later; other 4xx rejected for good; other
    5xx and a lost answer: unknown, which an idempotent gateway is asked again about.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        name: str = "webhook",
        idempotent: bool = True,
        timeout: float = TIMEOUT,
    ) -> None:
        """``secret`` signs: plain text, or ``whsec_`` and base64; raises Refused when unusable.

        ``timeout`` s for the whole exchange. ``idempotent`` False for a receiver that ignores
        ``Idempotency-Key``.
        """
        if not url.startswith(("http://", "https://")):
            raise Refused("A webhook needs a URL that begins with https:// or http://.")
        self.name = name
        self.idempotent = idempotent
        self._url = url
        self._key = _key(secret)
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(_CONNECT, timeout / 2))
        self._session: aiohttp.ClientSession | None = None

    async def send(self, action: Action, now: int) -> Answer:
        """POST it and read the answer's status; bodies are not read, redirects not followed."""
        body = encode(action)
        headers = {
            "content-type": "application/json",
            "idempotency-key": action.action_id,
            **signature(self._key, action.action_id, now // 1000, body),
        }
        try:
            async with self._open().post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as away:
            raise Unavailable(f"the gateway {self.name} is not there: {_kind(away)}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as lost:
            raise Unknown(f"the gateway {self.name} did not answer: {_kind(lost)}") from None
        return self._read(status)

    def _read(self, status: int) -> Answer:
        if 200 <= status < 300:
            return Accepted(str(status))
        if status in _LATER or status < 400:
            raise Unavailable(f"the gateway {self.name} answered {status}")
        if status < 500:
            return Rejected(f"http_{status}", permanent=True, code=str(status))
        raise Unknown(f"the gateway {self.name} answered {status}")

    def _open(self) -> aiohttp.ClientSession:
        """Open a session; a connection is used again only where a doubt does no harm.

        A kept connection that the other side has just closed looks like a lost answer.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=not self.idempotent),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


# Busy, locked, too early, too often, out of service: it was not carried, and will be later.
_LATER: Final = frozenset({408, 409, 425, 429, 503})


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the Standard Webhooks headers of a message; ``timestamp`` in s."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    mark = b64encode(digest(key, signed, sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{mark}",
    }


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        if not secret:
            raise Refused("A webhook needs a secret to sign with: set REKINDLE_WEBHOOK_SECRET_….")
        return secret.encode()
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except NotBase64:
        raise Refused("A webhook secret that begins with whsec_ goes on in base64.") from None


def _kind(error: Exception) -> str:
    """Return what happened without the words of the error: they name URLs, which hold tokens."""
    reason = error.__cause__ or error
    return type(reason).__name__


__all__ = [
    "TIMEOUT",
    "Accepted",
    "Answer",
    "ConsoleGateway",
    "Failed",
    "Gateway",
    "JsonlGateway",
    "Rejected",
    "Unknown",
    "WebhookGateway",
    "line",
    "signature",
]
