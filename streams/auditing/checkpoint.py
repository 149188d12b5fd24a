"""Where the audit stands, in Redis, so that a restart goes on: one packed state per partition.

``rk:{p}:audit`` holds a :class:`monitoring.audit.state.State` with its offsets, and ``rk:audit``
the offsets of ``feedback`` and what was paused. Those are taken before the states are, so that a
report may be read twice, which changes nothing, and never not at all. Kept for a week.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from monitoring.audit.lane import Lane
from monitoring.audit.state import VERSION, State, unpack
from streams.auditing.pausing import Episode
from streams.state.connection import RedisConnection

_KEPT: Final = 7 * 24 * 3600
_SHARED: Final = "rk:audit"


class Shared(Struct):
    """What does not belong to one partition; ``feedback``: next offset by partition."""

    v: int = VERSION
    prefix: str = ""
    feedback: dict[int, int] = {}
    episodes: dict[str, Episode] = {}


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Shared).decode


class Checkpoint:
    """Writes and reads where the audit of one deployment stands."""

    def __init__(self, redis: RedisConnection, prefix: str) -> None:
        """``prefix`` of the topics: a checkpoint of others is none."""
        self._redis = redis
        self._prefix = prefix

    async def shared(self) -> Shared:
        """Return what is shared; empty when there is no checkpoint. Raises Unavailable."""
        packed = await self._redis.call("GET", _SHARED)
        if packed is not None:
            try:
                shared = _unpack(packed)
            except msgspec.MsgspecError:
                return Shared()
            if shared.v == VERSION and shared.prefix == self._prefix:
                return shared
        return Shared()

    async def state(self, partition: int) -> State | None:
        """Return the state of a partition, None = there is none; raises Unavailable."""
        if (await self.shared()).prefix != self._prefix:
            return None
        packed = await self._redis.call("GET", _key(partition))
        return None if packed is None else unpack(packed)

    async def save(
        self, lanes: Iterable[Lane], feedback: Mapping[int, int], episodes: Mapping[str, Episode]
    ) -> None:
        """Write everything down; raises Unavailable."""
        shared = Shared(prefix=self._prefix, feedback=dict(feedback), episodes=dict(episodes))
        packed = _pack(shared)
        for lane in lanes:
            await self._redis.call("SET", _key(lane.partition), lane.snapshot(), "EX", _KEPT)
        await self._redis.call("SET", _SHARED, packed, "EX", _KEPT)


def _key(partition: int) -> str:
    return f"rk:{{{partition}}}:audit"
