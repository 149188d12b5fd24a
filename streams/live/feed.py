"""Looks at the fleet and shows it: once a second while somebody reads, else six times a minute.

The slow looks keep the last half hour, so that a page opened now has its lines; nothing is put
together or written as JSON before somebody asks.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import faust

from engine.errors import Unavailable
from engine.times import SECOND
from monitoring.page.history import History
from monitoring.page.schema import Banner, Snapshot
from monitoring.page.snapshot import look, snapshot
from monitoring.summary import Summary
from streams import fleet
from streams.live.hub import Frame, Hub
from streams.state.connection import RedisConnection

log = logging.getLogger(__name__)

# Seconds between two looks: while somebody reads, and while nobody does.
READ: Final = 1.0
UNREAD: Final = 10.0
# ms for which one look answers everybody who asks for the page.
_FRESH: Final = SECOND


class Feed(faust.Service):
    """The one producer of frames of this process."""

    def __init__(
        self,
        redis: RedisConnection,
        hub: Hub,
        own: Callable[[], Summary | None],
        wall: Callable[[], int],
        alerts: Callable[[], Awaitable[Sequence[Banner]]] | None = None,
    ) -> None:
        """``own``: the last summary of this process, which is shown whatever Redis does.

        ``wall``: ms. ``alerts`` asks Alertmanager, in its own time and without raising.
        """
        super().__init__()
        self._redis = redis
        self._hub = hub
        self._own = own
        self._wall = wall
        self._alerts = alerts
        self._history = History()
        self._summaries: list[Summary] = []
        self._looked_at = 0
        self._made: Snapshot | None = None
        self._made_of = 0
        self._one, self._making = asyncio.Lock(), asyncio.Lock()

    @faust.Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            try:
                await self._look()
                if len(self._hub):
                    self._hub.show(await self._page())
            except Exception:
                # A crashed service ends its process, and no page is worth a worker.
                log.exception("a bug: the live page cannot be made")
            if len(self._hub):
                await self.sleep(READ)
                continue
            self._hub.wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(UNREAD):
                    await self._hub.wanted.wait()

    async def current(self) -> Snapshot:
        """Return the page as it stands, from a look that is at most a second old."""
        if self._wall() - self._looked_at >= _FRESH:
            await self._look()
        return await self._page()

    async def latest(self) -> Frame:
        """Return the frame that is shown now; one is made when there is none, or an old one."""
        frame = self._hub.latest
        if frame is None or self._wall() - frame.page.now >= 2 * _FRESH:
            page = await self.current()
            frame = self._hub.latest
            # All browsers come back at once after a deploy: the first of them has shown it.
            if frame is None or frame.page is not page:
                frame = self._hub.show(page)
        return frame

    async def _look(self) -> None:
        async with self._one:
            now = self._wall()
            if now - self._looked_at < _FRESH // 2:
                return
            try:
                self._summaries = await fleet.read(self._redis)
            except Unavailable as away:
                # What was known grows old, and the page says so.
                log.debug("the live page has no news of the fleet: %s", away)
            self._summaries = _with(self._summaries, self._own())
            self._looked_at = self._wall()
            look(self._history, self._summaries, self._looked_at)

    async def _page(self) -> Snapshot:
        """Return the page of the last look; made once, however many ask."""
        async with self._making:
            if self._made is None or self._made_of != self._looked_at:
                alerts = () if self._alerts is None else await self._alerts()
                self._made_of = self._looked_at
                self._made = snapshot(self._summaries, self._history, self._wall(), alerts)
            return self._made


def _with(summaries: list[Summary], own: Summary | None) -> list[Summary]:
    """Return them with what this process knows of itself, which is the newest there is."""
    if own is None:
        return summaries
    who = own.kind, own.name
    return [*[each for each in summaries if (each.kind, each.name) != who], own]


__all__ = ["READ", "UNREAD", "Feed"]
