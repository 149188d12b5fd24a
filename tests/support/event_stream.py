"""A reader of a server-sent event stream over a raw socket, as slow or deaf as a test wants it."""

import json
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Event:
    """One event as it came."""

    id: str
    name: str
    data: Any


class EventStream:
    """One open GET of a path; nothing is read before it is asked for."""

    def __init__(
        self, port: int, path: str = "/live/events", *, last: str = "", buffer: int | None = None
    ) -> None:
        self._socket = socket.socket()
        if buffer is not None:  # before connecting, or the window is agreed on without it
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(20)
        self._socket.connect(("127.0.0.1", port))
        again = f"Last-Event-ID: {last}\r\n" if last else ""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{again}\r\n".encode())
        self._unread = b""
        self.head = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def block(self) -> str:
        """Return the next block of lines, an event or a comment; '' at the end of the stream."""
        if not self.head:
            self.head = self._until(b"\r\n\r\n").decode()
        while b"\n\n" not in self._text:
            chunk = self._chunk()
            if chunk is None:
                return ""
            self._text += chunk
        found, _, self._text = self._text.partition(b"\n\n")
        return found.decode()

    _text = b""

    def event(self, seconds: float = 20) -> Event:
        """Return the next event; comments and `retry` are passed over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            block = self.block()
            if not block:
                raise EOFError
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if "data" in fields:
                return Event(fields["id"], fields["event"], json.loads(fields["data"]))
        raise TimeoutError

    def ended(self, seconds: float) -> bool:
        """Return whether the other side hangs up within so many seconds; what comes is thrown
        away.
        """
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(65536):
                continue
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def _chunk(self) -> bytes | None:
        """Return the next chunk of a chunked answer; None at its end."""
        size = int(self._until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            return None
        while len(self._unread) < size + 2:
            self._receive()
        chunk, self._unread = self._unread[:size], self._unread[size + 2 :]
        return chunk

    def _until(self, end: bytes) -> bytes:
        while end not in self._unread:
            self._receive()
        found, _, self._unread = self._unread.partition(end)
        return found

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise EOFError
        self._unread += received
