"""Every process leaves its summary in Redis once a second; whoever is asked reads all of them.

A convenience and nothing more: no decision reads it, and a Redis that is away costs the page its
news and the process nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import faust

from engine.errors import Unavailable
from monitoring.summary import Summary, decode, encode
from streams.state.connection import RedisConnection

log = logging.getLogger(__name__)

# Seconds after which a process that says nothing more is no part of the fleet.
TTL: Final = 10
# Seconds between two summaries.
EVERY: Final = 1.0

# One hash tag: all of the fleet lies on one node of a cluster and is read with one command.
_PREFIX: Final = "rk:{fleet}:"
_NAMES: Final = _PREFIX + "names"


def _key(member: str) -> str:
    return f"{_PREFIX}s:{member}"


def _member(summary: Summary) -> str:
    return f"{summary.kind}:{summary.name}"


async def publish(redis: RedisConnection, summary: Summary) -> None:
    """Leave a summary for :data:`TTL` seconds; raises Unavailable."""
    member = _member(summary)
    await redis.call("SET", _key(member), encode(summary), "EX", TTL)
    await redis.call("SADD", _NAMES, member)
    # An empty fleet leaves nothing behind: `rekindle move` wants its new Redis empty.
    await redis.call("EXPIRE", _NAMES, TTL)


async def withdraw(redis: RedisConnection, summary: Summary) -> None:
    """Take a summary away: its process has ended; raises Unavailable."""
    member = _member(summary)
    await redis.call("DEL", _key(member))
    await redis.call("SREM", _NAMES, member)


async def read(redis: RedisConnection) -> list[Summary]:
    """Return the summaries of all processes that live, by kind and name; raises Unavailable.

    One that cannot be read (a newer version, half a deploy) is left out and said in the log.
    """
    members = sorted(member.decode() for member in await redis.call("SMEMBERS", _NAMES))
    if not members:
        return []
    found = await redis.call("MGET", *[_key(member) for member in members])
    summaries = []
    for member, content in zip(members, found, strict=True):
        if content is None:
            await redis.call("SREM", _NAMES, member)
            continue
        try:
            summaries.append(decode(content))
        except ValueError as error:
            log.warning("the summary of %s cannot be read: %s", member, error)
    return summaries


class Publisher(faust.Service):
    """Publishes what ``told`` says once a second, and takes it away at the end."""

    def __init__(self, redis: RedisConnection, told: Callable[[], Awaitable[Summary]]) -> None:
        """``told`` gathers the summary; what is slow in it belongs into a thread."""
        super().__init__()
        self._redis = redis
        self._told = told
        self._last: Summary | None = None
        self._away = False

    @faust.Service.task
    async def _publish(self) -> None:
        while not self.should_stop:
            try:
                self._last = await self._told()
                await publish(self._redis, self._last)
            except Unavailable as away:
                if not self._away:
                    log.info("the live page gets no news of this process: %s", away)
                self._away = True
            except Exception:
                # A crashed service ends its process, and no page is worth a worker.
                log.exception("a bug: the live page gets no news of this process")
            else:
                self._away = False
            await self.sleep(EVERY)

    async def on_stop(self) -> None:
        """Leave the fleet; a Redis that is away forgets us by itself."""
        if self._last is None or self._away:
            return
        try:
            async with asyncio.timeout(1.0):
                await withdraw(self._redis, self._last)
        except (Unavailable, TimeoutError) as away:
            log.debug("the summary stays until it expires: %s", away)


__all__ = ["EVERY", "TTL", "Publisher", "publish", "read", "withdraw"]
