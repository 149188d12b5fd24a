"""The port Claims on Redis: claim and note of what was begun in one script."""

from typing import Final

from engine.ports import HandOver
from streams.state.connection import RedisConnection, Script
from streams.state.keys import keys_of

_CLAIM: Final = Script.read("claim")


class RedisClaims:
    """Claims in Redis; :class:`engine.memory.MemoryClaims` is the reference.

    The server's clock lets a claim lapse; it is kept an hour longer than the action lives.
    """

    def __init__(self, connection: RedisConnection) -> None:
        """Share the process's one connection."""
        self._redis = connection

    async def claim(self, partition: int, channel: str, hand_over: HandOver, keep: int) -> bool:
        """Claim an action for ``keep`` ms (at least 1); False = claimed before."""
        keys = keys_of(partition)
        answer = await self._redis.run(
            _CLAIM,
            (keys.claim(hand_over.action_id), keys.begun(channel)),
            (max(keep, 1), hand_over.action_id, hand_over.value),
        )
        return bool(answer)

    async def answered(self, partition: int, channel: str, action_id: str) -> None:
        """Note that the gateway has answered."""
        await self._redis.call("HDEL", keys_of(partition).begun(channel), action_id)

    async def begun(self, partition: int, channel: str) -> list[HandOver]:
        """Return what was begun and never answered, in order of action id."""
        found = await self._redis.call("HGETALL", keys_of(partition).begun(channel))
        begun: dict[bytes, bytes] = found
        return [HandOver(name.decode(), value) for name, value in sorted(begun.items())]

    async def claimed(self, partition: int, action_id: str) -> bool:
        """Return whether an action is claimed."""
        return bool(await self._redis.call("EXISTS", keys_of(partition).claim(action_id)))


__all__ = ["RedisClaims"]
