"""The kill switch: what is paused, kept in Redis beside the log, so that hand-overs stop at once.

The log is the truth: a pause is in force in a partition when its settings record has been folded,
which a partition that lags does late. Deliver asks here besides, and a Redis that forgot it costs
that head start and nothing else.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

import msgspec

from engine import controls
from engine.controls import Held, Standing
from engine.events import Control
from streams.state.connection import RedisConnection

# Hash of what is paused, by target; without a pause there is no key.
KEY: Final = "rk:{kill}:paused"
# Seconds for which deliver trusts what it read: half of what a pause may take to act.
FRESH: Final = 1.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Held).decode


async def flip(redis: RedisConnection, control: Control) -> bool:
    """Do what a pause or a resume asks, and return whether it changed; raises Unavailable.

    By the rule of :func:`engine.controls.applied`; what has ended by ``control.at`` is taken away.
    """
    if control.action == "throttle":
        return False
    before = await paused(redis)
    after = controls.applied(before, control)
    old = {held.target: held for held in before}
    new = {held.target: held for held in after if held.holds(control.at)}
    gone = sorted(old.keys() - new.keys())
    if gone:
        await redis.call("HDEL", KEY, *gone)
    held = new.get(control.target)
    if held is None or held == old.get(control.target):
        return control.target in gone
    await redis.call("HSET", KEY, control.target, _encode(held))
    return True


async def paused(redis: RedisConnection) -> tuple[Held, ...]:
    """Return what the switch holds, also what has ended; raises Unavailable."""
    told: dict[bytes, bytes] = await redis.call("HGETALL", KEY)
    return tuple(_decode(value) for _, value in sorted(told.items()))


class KillSwitch:
    """What one process knows of the switch; asked before every hand-over, read once a second."""

    def __init__(self, redis: RedisConnection, clock: Callable[[], float] = monotonic) -> None:
        """Read nothing yet; ``clock`` gives seconds and never goes back."""
        self._redis = redis
        self._clock = clock
        self._held: tuple[Held, ...] = ()
        self._read_at = float("-inf")
        self._one = asyncio.Lock()

    async def standing(self, now: int) -> Standing:
        """Return what is paused at ``now`` (ms), at most a second old; raises Unavailable."""
        if self._stale():
            async with self._one:
                if self._stale():
                    asked_at = self._clock()
                    self._held = await paused(self._redis)
                    self._read_at = asked_at
        return controls.standing(self._held, now) if self._held else controls.FREE

    def _stale(self) -> bool:
        return self._clock() - self._read_at >= FRESH


__all__ = ["FRESH", "KEY", "KillSwitch", "flip", "paused"]
