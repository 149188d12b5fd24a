"""The partitions of one replay: the pipeline over the memory store, in chunks, with its output."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from engine.errors import Refused
from engine.events import Record, SettingsRecord, Tick
from engine.memory import MemoryStore
from engine.pipeline import CHUNK, chunks, take
from engine.ports import Artefacts, Head, InForce, OutboxId, Outgoing
from engine.report import Report

_TOKEN: Final = "replay"  # noqa: S105 - names the one owner of a store nobody else can see

Out = Callable[[int, Outgoing, InForce], None]


@dataclass(slots=True)
class _Lane:
    head: Head
    waiting: list[tuple[int, Record]] = field(default_factory=list)
    last: OutboxId | None = None


class World:
    """Takes records of several partitions in log order; the same at any chunk size."""

    def __init__(self, artefacts: Artefacts, out: Out, chunk: int = CHUNK) -> None:
        """``out`` is called for each outgoing record, in order within a partition."""
        self.store = MemoryStore()
        self.report = Report()
        self._artefacts = artefacts
        self._out = out
        self._chunk = chunk
        self._lanes: dict[int, _Lane] = {}

    async def feed(self, partition: int, offset: int, record: Record) -> None:
        """Take the next record of a partition; gaps in the offsets are allowed."""
        lane = self._lanes.get(partition)
        if lane is None:
            await self.store.acquire(partition, _TOKEN)
            lane = self._lanes[partition] = _Lane(Head(offset=offset))
        lane.waiting.append((offset, record))
        if isinstance(record, Tick | SettingsRecord) or len(lane.waiting) >= self._chunk:
            await self._flush(partition, lane)

    def in_force(self, partition: int) -> InForce | None:
        """Return what is in force in a partition now; None = unknown, or an artefact is missing."""
        lane = self._lanes.get(partition)
        return self._artefacts.resolve(lane.head.settings) if lane is not None else None

    async def finish(self) -> None:
        """Take what waits for its chunk to fill."""
        for partition, lane in self._lanes.items():
            await self._flush(partition, lane)

    async def _flush(self, partition: int, lane: _Lane) -> None:
        for chunk in chunks(lane.waiting, lane.head.offset, self._chunk):
            force = self._artefacts.resolve(lane.head.settings)
            if force is None:
                named = lane.head.settings
                message = (
                    "The log names an artefact that was not recorded with it "
                    f"(campaigns {named.campaigns}, templates {named.templates}, model "
                    f"{named.model}): name a campaigns file with --campaigns."
                )
                raise Refused(message)
            taken = await take(self.store, partition, lane.head, chunk, force)
            commit = taken.commit
            commit.trim = lane.last  # what was handed to `out` needs no keeping
            await self.store.commit(partition, _TOKEN, commit)
            lane.head = commit.head
            self.report.add(taken.report)
            # one of each per decision: not kept in a long replay
            self.report.lateness.clear()
            self.report.acted.clear()
            for outgoing in commit.outbox:
                self._out(partition, outgoing, force)
                lane.last = outgoing.id
        lane.waiting.clear()
