"""How far intake has come: per source partition a watermark, and the place where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.state import keys
from streams.state.connection import RedisConnection


@dataclass(frozen=True, slots=True)
class LaneState:
    """Where an intake lane stands: next ``offset`` to take, ``crc`` of the record before it.

    ``generation`` counts how often the source topic was re-created and reset by an operator.
    """

    generation: int
    offset: int
    crc: int


class IntakeLanes:
    """Watermarks are hints for the tick gate; lane states recognise a re-created source topic.

    Neither is needed for correctness of what is already in ``events``: losing them costs
    repetitions, which the owner skips by source position.
    """

    def __init__(self, connection: RedisConnection) -> None:
        """Share the process's one connection."""
        self._redis = connection

    async def tell(self, topic: str, marks: Mapping[int, int]) -> None:
        """Tell by partition that everything appended before that ms is acknowledged in ``events``.

        At once: told one by one, 128 idle lanes are 128 requests a second.
        """
        told = [part for p, ms in marks.items() for part in (keys.watermark(topic, p), ms)]
        await self._redis.call("MSET", *told)

    async def watermarks(self, expected: Sequence[tuple[str, int]]) -> list[int | None]:
        """Return the watermarks (ms) of these (topic, partition); None = never told.

        One MGET per topic, whose keys share a hash tag.
        """
        told: dict[tuple[str, int], int] = {}
        for topic in dict.fromkeys(topic for topic, _ in expected):
            asked = [lane for lane in expected if lane[0] == topic]
            found = await self._redis.call("MGET", *(keys.watermark(*lane) for lane in asked))
            told |= {lane: int(ms) for lane, ms in zip(asked, found, strict=True) if ms is not None}
        return [told.get(lane) for lane in expected]

    async def generation(self, topic: str) -> int:
        """Return the generation of a source topic; 0 = never reset."""
        return int(await self._redis.call("GET", keys.generation(topic)) or 0)

    async def load(self, topic: str, partition: int) -> LaneState | None:
        """Return where the lane stands; None = it took nothing in the present generation."""
        found = await self._redis.call("HMGET", keys.lane(topic, partition), "g", "o", "crc")
        if None in found:
            return None
        state = LaneState(*map(int, found))
        return state if state.generation == await self.generation(topic) else None

    async def save(self, topic: str, partition: int, state: LaneState) -> None:
        """Remember where the lane stands."""
        key = keys.lane(topic, partition)
        places = ("g", state.generation, "o", state.offset, "crc", state.crc)
        await self._redis.call("HSET", key, *places)

    async def reset(self, topic: str) -> int:
        """Begin a new generation of a source topic, and return it; lanes start at its beginning.

        A running lane takes notice with its next assignment.
        """
        return int(await self._redis.call("INCR", keys.generation(topic)))


__all__ = ["IntakeLanes", "LaneState"]
