"""Group commit of offsets: what is asked for while one commit is under way shares the next.

aiokafka sends one commit at a time. Deliver waits for one before every call of a gateway, so eight
partitions that each asked alone waited in a row for eight round trips.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import TopicPartition

Commit = Callable[[Mapping[TopicPartition, int]], Awaitable[None]]


class Commits:
    """Commits of one consumer; at most one is under way, and the next takes all that wait."""

    def __init__(self, commit: Commit) -> None:
        """``commit`` sends offsets to the group; what it raises reaches everybody it was for."""
        self._commit = commit
        self._waiting: dict[TopicPartition, int] = {}
        self._answer: asyncio.Future[None] | None = None
        self._sender: asyncio.Task[None] | None = None

    async def now(self, at: TopicPartition, offset: int) -> None:
        """Commit the offset of one partition and wait for it; raises what the commit raises.

        Of one partition the last offset asked for counts: a lane asks for one at a time.
        """
        self._waiting[at] = offset
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
        answer = self._answer
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        # shielded: one who is cancelled must not take the answer from the others
        await asyncio.shield(answer)

    async def _send(self) -> None:
        while self._answer is not None:
            offsets, answer = self._waiting, self._answer
            self._waiting, self._answer = {}, None
            try:
                await self._commit(offsets)
            except BaseException as error:
                answer.set_exception(error)
                answer.exception()  # heard, also where everybody who asked was cancelled
                if not isinstance(error, Exception):
                    raise
            else:
                answer.set_result(None)


__all__ = ["Commits"]
