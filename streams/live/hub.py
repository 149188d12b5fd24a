"""Who looks at the page, and what each of them has not been sent yet.

One frame is made for all; each reader has a queue of her own that drops the oldest. A reader who
was dropped from gets the whole page next, so what she sees is never put together of two times.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from monitoring.page.schema import Snapshot
from monitoring.page.snapshot import encode

# Frames a reader may be behind; at one a second that is what a network stutters at most.
QUEUE: Final = 8
# Frames dropped in a row after which a reader is let go: her browser comes back by itself.
PATIENCE: Final = 10


class Frame:
    """One state of the page: whole, and as what changed since the frame before."""

    def __init__(self, number: int, page: Snapshot, before: Snapshot | None) -> None:
        """``number`` rises by one from frame to frame."""
        self.number = number
        self.page = page
        self._before = before
        self._whole: bytes | None = None
        self._news: bytes | None = None

    @property
    def whole(self) -> bytes:
        """Return the page as JSON; made once for all readers, and only if one wants it."""
        if self._whole is None:
            self._whole = encode(self.page)
        return self._whole

    @property
    def news(self) -> bytes:
        """Return it with the last two points of each line and the decisions that are new."""
        if self._news is None:
            self._news = encode(_news(self.page, self._before))
            self._before = None
        return self._news


class Reader:
    """One open stream."""

    def __init__(self, let_go: Callable[[], None], *, up_to: int = 0) -> None:
        """``let_go`` ends its connection at once; ``up_to``: the frame it has already."""
        self.let_go = let_go
        self.dropped = 0
        self._sent = up_to
        self._queue: deque[Frame] = deque(maxlen=QUEUE)
        self._more = asyncio.Event()

    def has(self, frame: Frame) -> bool:
        """Return whether this is the frame she was sent last."""
        return self._sent == frame.number

    def offer(self, frame: Frame) -> int:
        """Put a frame into the queue; returns how many were dropped for it."""
        lost = len(self._queue) == QUEUE
        self._queue.append(frame)
        self._more.set()
        self.dropped = self.dropped + 1 if lost else 0
        return int(lost)

    async def next(self) -> tuple[str, Frame]:
        """Wait for a frame; returns the name of its event: snapshot = whole, frame = news."""
        while not self._queue:
            self._more.clear()
            await self._more.wait()
        frame = self._queue.popleft()
        follows = frame.number == self._sent + 1 and self._sent > 0
        self._sent = frame.number
        return ("frame" if follows else "snapshot"), frame


class Hub:
    """All open streams of one process."""

    def __init__(self, readers: Callable[[int], None], dropped: Callable[[int], None]) -> None:
        """``readers`` is told how many there are, ``dropped`` how many frames were."""
        self._readers: set[Reader] = set()
        self._tell_readers, self._tell_dropped = readers, dropped
        self.wanted = asyncio.Event()
        self.latest: Frame | None = None
        self.closed = False

    def __len__(self) -> int:
        return len(self._readers)

    def enter(self, reader: Reader) -> None:
        """Let a reader in; the latest frame is there for her at once."""
        self._readers.add(reader)
        self._tell_readers(len(self))
        self.wanted.set()

    def leave(self, reader: Reader) -> None:
        """Forget a reader."""
        self._readers.discard(reader)
        self._tell_readers(len(self))

    def show(self, page: Snapshot) -> Frame:
        """Make the next frame and offer it to all; readers too far behind are let go."""
        before = self.latest
        number = 1 if before is None else before.number + 1
        self.latest = Frame(number, page, None if before is None else before.page)
        for reader in list(self._readers):
            self._tell_dropped(reader.offer(self.latest))
            if reader.dropped >= PATIENCE:
                self.leave(reader)
                reader.let_go()
        return self.latest

    async def close(self) -> None:
        """Let everybody go: a stream never ends by itself, and would hold the port at the end."""
        self.closed = True
        for reader in list(self._readers):
            self.leave(reader)
            reader.let_go()


# --- news ----------------------------------------------------------------------------------------


def _news(page: Snapshot, before: Snapshot | None) -> Snapshot:
    replace = msgspec.structs.replace
    tiles = [replace(each, history=each.history[-2:]) for each in page.health.tiles]
    sources = [replace(each, history=each.history[-2:]) for each in page.traffic.sources]
    channels = [replace(each, history=each.history[-2:]) for each in page.channels.channels]
    known = set() if before is None else {each.id for each in before.tail.decisions}
    tail = [each for each in page.tail.decisions if each.id not in known]
    return replace(
        page,
        health=replace(page.health, tiles=tiles),
        traffic=replace(page.traffic, sources=sources),
        channels=replace(page.channels, channels=channels),
        tail=replace(page.tail, decisions=tail),
        observed=None if before is not None and page.observed == before.observed else page.observed,
    )


__all__ = ["PATIENCE", "QUEUE", "Frame", "Hub", "Reader"]
