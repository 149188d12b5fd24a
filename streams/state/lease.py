"""One owner of a task in the whole deployment, and the state that only its owner may write.

A lease that is not renewed ends by itself: a killed owner is followed within its length. What an
owner keeps is written in the same script that looks whether it still is one, so that a process
which slept through its lease cannot overwrite its successor's.
"""

from typing import Final

from streams.state.connection import RedisConnection, Script

# A killed owner is followed after at most this long, ms. Renewed every third of it.
LENGTH: Final = 10_000
RENEWED_EVERY: Final = LENGTH / 3 / 1_000


class Lease:
    """The lease of one task, for one process."""

    def __init__(self, redis: RedisConnection, task: str, name: str) -> None:
        """``task``: spelt in the key; ``name``: of this process, unlike that of any other."""
        self._redis = redis
        self._token = name
        self._owner = f"rk:{{{task}}}:owner".encode()
        self._kept = f"rk:{{{task}}}:state".encode()
        self._script = Script.read("lease")

    async def take(self) -> bool:
        """Take the lease or renew our own; False = another has it. Raises Unavailable."""
        return await self._run("take")

    async def keep(self, state: bytes) -> bool:
        """Write the state and renew; False = it is no longer ours. Raises Unavailable."""
        return await self._run("keep", state)

    async def release(self) -> None:
        """Give it up at once; raises Unavailable."""
        await self._run("release")

    async def owner(self) -> str:
        """Return who has it; "" = nobody. Raises Unavailable."""
        found = await self._redis.call("GET", self._owner)
        return found.decode() if found else ""

    async def state(self) -> bytes | None:
        """Return what an owner kept last; None = nothing yet. Raises Unavailable."""
        found: bytes | None = await self._redis.call("GET", self._kept)
        return found

    async def _run(self, what: str, value: bytes = b"") -> bool:
        keys = [self._owner, self._kept]
        return bool(await self._redis.run(self._script, keys, [what, self._token, LENGTH, value]))


__all__ = ["LENGTH", "RENEWED_EVERY", "Lease"]
