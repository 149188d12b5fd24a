"""The decide agent: one lane per owned partition of ``events`` folds, decides and commits.

The walk starts here: records come in, :func:`engine.pipeline.take` turns them into one commit, the
store applies it or refuses, and what must leave goes through the outbox.
"""

from asyncio import get_running_loop, sleep
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from secrets import token_hex
from time import perf_counter
from typing import Any, Protocol

import faust
from aiokafka import ConsumerRecord, TopicPartition
from faust.types import StreamT

from engine.decisions import decode as decode_decision
from engine.errors import InvalidEvent, Refused, Stale, Unavailable
from engine.events import Position, Record
from engine.pipeline import ACTIONS, DECISIONS, Chunk, Taken, chunks, take
from engine.policy import Settings
from engine.ports import Artefacts, Head, InForce, OutboxId, Outgoing, Store
from engine.recorded import take_recorded
from engine.report import Report
from streams.log import codec
from streams.log.dead_letters import DeadLetters
from streams.log.outbox import Outbox
from streams.log.producer import Producer
from streams.log.reader import Bounds, Reader
from streams.log.recorded import Past, look_back
from streams.log.source import Source, place, went_back
from streams.log.topics import CHANNELS
from streams.tracing import Tracing, link_of

# On `events` an invalid record is our own bug: this many in a row, or this share of the last
# 10,000, stop the partition.
_POISON_RUN = 100
_POISON_WINDOW = 10_000
_POISON_SHARE = 0.05

# How long a step waits for an artefact that is on its way, seconds, and how often it looks.
_ARTEFACT_PATIENCE = 5.0
_ARTEFACT_POLL = 0.02


class Watch(Protocol):
    """Who watches the lanes; see :class:`streams.watch.Watch`."""

    def step(self, report: Report, stages: Mapping[str, float], force: InForce) -> None:
        """Count one committed chunk."""
        ...

    def decided(self, values: Sequence[bytes]) -> None:
        """Note decisions that reached their topic, as they were written."""
        ...

    def acted(self, channel: str, due_at: int) -> None:
        """Note an acknowledged action of a trigger that nothing had deferred, due at ``due_at``."""
        ...

    def doubt(self, kind: str) -> None:
        """Count a lane that was closed and enters again."""
        ...


async def _never_reset(_: str) -> int:
    return 0


@dataclass(frozen=True)
class Parts:
    """What every lane of the decide agent works with.

    ``sources``: the topics intake reads; ``generation`` returns the present one of such a topic.
    """

    store: Store
    artefacts: Artefacts
    producer: Producer
    reader: Reader
    dead_letters: DeadLetters
    prefix: str
    watch: Watch
    chunk: int = 500
    tracing: Tracing | None = None
    sources: frozenset[str] = frozenset()
    generation: Callable[[str], Awaitable[int]] = _never_reset


class DecideLane:
    """The work on one partition of ``events``; there is one way into it, :meth:`enter`."""

    def __init__(self, at: TopicPartition, parts: Parts) -> None:
        """Nothing is touched before :meth:`enter`."""
        self.at = at
        self.offset = 0
        self.halted: str | None = None
        self.parts = parts
        self.head = Head()
        self.next_wake: int | None = None
        self.taken_at = 0
        self.waiting = 0
        self._token: str | None = None
        self._next_token: str | None = None
        outputs = (DECISIONS, *[ACTIONS + channel for channel in CHANNELS])
        self._outbox = Outbox(parts.producer, parts.prefix, at.partition, outputs, parts.tracing)
        self._acknowledged: OutboxId | None = None
        self._past: Past | None = None
        self._assured: dict[tuple[str, int], Position] = {}
        self._holes = 0
        self._poison: deque[bool] = deque(maxlen=_POISON_WINDOW)

    # --- the one way in -------------------------------------------------------------------------

    async def enter(self) -> None:
        """Check the log, acquire, drain what the outbox still holds, stand at the next offset."""
        store, partition = self.parts.store, self.at.partition
        # Looked at first, for to acquire is to fence who owns it: a worker that was told of another
        # shop's Redis threw the shop's own out of every partition every two seconds.
        if (looked := await store.head(partition)) is not None:
            await self._same_log(looked, await self._bounds())
        # The same new token until an answer arrives: a lost reply must not make us our own rival.
        self._next_token = self._next_token or token_hex(16)
        head, waiting = await store.acquire(partition, self._next_token, self._token)
        self._token, self._next_token = self._next_token, None
        bounds = await self._bounds()
        if head is None:
            head = Head(offset=bounds.begin)
        else:  # once more: to acquire may take long, and the log may be another by now
            await self._same_log(head, bounds)
        if head.offset < self.offset:
            self.parts.watch.doubt("rewind")
        self.waiting = len(waiting)
        self._acknowledged = await self._outbox.drain(waiting, self.parts.reader, bounds.end)
        self.waiting = 0
        self._past = await self._look_back(head.offset)
        self._assured.clear()
        self.next_wake = await store.earliest(partition)
        self.head, self.offset = head, head.offset

    async def _bounds(self) -> Bounds:
        return await self.parts.reader.bounds(self.at.topic, self.at.partition)

    async def _look_back(self, offset: int) -> Past | None:
        """Find what is recorded beyond the state; nothing, unless the store fell back."""
        parts, tails = self.parts, self._outbox.tails
        return await look_back(parts.reader, parts.prefix, self.at.partition, tails, offset)

    async def _same_log(self, head: Head, bounds: Bounds) -> None:
        """Refuse a log that is not the one we left: re-created, cut, or emptied under us."""
        where = f"{self.at.topic}/{self.at.partition}"
        if not bounds.begin <= head.offset <= bounds.end:
            message = (
                f"The store stands at offset {head.offset} of {where}, but the log holds "
                f"{bounds.begin} to {bounds.end}: the topic was re-created or lost records to "
                "retention; restore it, or empty this partition's keys in Redis and replay."
            )
            raise Refused(message)
        if head.offset <= bounds.begin or head.crc == 0:
            return
        last = await self.parts.reader.record(self.at.topic, self.at.partition, head.offset - 1)
        if last.offset != head.offset - 1 or _crc(last) != head.crc:
            message = (
                f"Record {head.offset - 1} of {where} is not the one that was folded: the topic "
                "was re-created; restore it, or empty this partition's keys in Redis and replay."
            )
            raise Refused(message)

    # --- the step -------------------------------------------------------------------------------

    async def step(self, records: Sequence[ConsumerRecord]) -> bool:
        """Work through records from ``offset`` on; False = they do not start there."""
        if records[0].offset < self.offset:
            raise went_back(self.at, self.offset, records[0].offset)
        if records[0].offset > self.offset:
            await self._hole(records[0].offset)
            return False
        self._holes = 0
        started = self.parts.tracing.clock() if self.parts.tracing is not None else 0
        self.taken_at = records[-1].timestamp
        decoded, readable = await self._read(records)
        cut = chunks(decoded, self.offset, self.parts.chunk, lambda index: _crc(readable[index]))
        after = records[-1].offset + 1
        if not cut or cut[-1].after < after:  # the last ones were unreadable: consume them too
            first = cut[-1].after if cut else self.offset
            cut.append(Chunk([], first, after, _crc(records[-1])))
        for chunk in cut:
            await self._take(chunk)
        if self.parts.tracing is not None:
            self._trace_folds(self.parts.tracing, records, started)
        return True

    def _trace_folds(
        self, tracing: Tracing, records: Sequence[ConsumerRecord], started: int
    ) -> None:
        for record in records:
            link = link_of(record.headers)
            if link is not None:
                attributes = {
                    "messaging.destination.name": self.at.topic,
                    "messaging.destination.partition.id": str(self.at.partition),
                    "messaging.kafka.offset": record.offset,
                }
                tracing.folded(link, started, attributes)

    async def _take(self, chunk: Chunk) -> None:
        """Fold or decide, commit, and let out what must leave."""
        force = await self._in_force(self.head.settings)
        started = perf_counter()
        clock = self.parts.tracing.clock() if self.parts.tracing is not None else 0
        taken = await self._taken(chunk, force)
        if taken.report.repeated:
            await self._truly_repeated(taken.report.repeated)
        commit = taken.commit
        commit.trim = self._acknowledged
        computed = perf_counter()
        if self._token is None:
            message = "the lane was not entered"
            raise Stale(message)
        self.next_wake = await self.parts.store.commit(self.at.partition, self._token, commit)
        committed = perf_counter()
        self._acknowledged = None
        self.head, self.offset = commit.head, commit.head.offset
        if self._past is not None:
            self._passed(self._past, taken.report)
        await self._let_out(commit.outbox, taken.report.acted, clock)
        stages = {
            "take": computed - started,
            "commit": committed - computed,
            "produce": perf_counter() - committed,
        }
        self.parts.watch.step(taken.report, stages, force)

    async def _taken(self, chunk: Chunk, force: InForce) -> Taken:
        """Work through one chunk; what is recorded of it is taken, and not decided again."""
        store, partition = self.parts.store, self.at.partition
        if self._past is None:
            return await take(store, partition, self.head, chunk, force)
        recorded = await self._past.upto(chunk.first, chunk.after)
        return await take_recorded(store, partition, self.head, chunk, force, recorded)

    def _passed(self, past: Past, report: Report) -> None:
        """Count what was recorded; beyond the last of it there is nothing to look up any more."""
        past.count(report.recorded)
        if self.offset > past.end:
            past.tell(place(self.at))
            self._past = None

    async def _in_force(self, settings: Settings) -> InForce:
        """Return what is in force; hold the partition while an artefact is on its way."""
        clock = get_running_loop().time
        end = clock() + _ARTEFACT_PATIENCE
        while (force := self.parts.artefacts.resolve(settings)) is None:
            if clock() > end:
                names = (settings.campaigns, settings.templates, settings.model)
                told = ", ".join(sha[:12] for sha in names if sha)
                message = f"Kafka has not brought all artefacts that the settings name: {told}"
                raise Unavailable(message)
            await sleep(_ARTEFACT_POLL)
        return force

    async def _let_out(
        self, entries: Sequence[Outgoing], acted: Sequence[tuple[str, int]], started: int
    ) -> None:
        if entries:
            self.waiting = len(entries)
            self._acknowledged = await self._outbox.publish(entries)
            self.waiting = 0
            made = [entry.value for entry in entries if entry.topic == DECISIONS]
            self.parts.watch.decided(made)
            if self.parts.tracing is not None:
                self._trace_decisions(self.parts.tracing, made, started)
            for channel, due_at in acted:
                self.parts.watch.acted(channel, due_at)

    def _trace_decisions(self, tracing: Tracing, made: Sequence[bytes], started: int) -> None:
        for decision in map(decode_decision, made):
            link = tracing.of_decision(decision)
            if link is not None:
                attributes = {
                    "rekindle.campaign": decision.campaign,
                    "rekindle.outcome": decision.outcome,
                    "rekindle.reason": decision.reason,
                    "rekindle.channel": decision.channel or "",
                }
                tracing.decided(link, started, attributes)

    async def _truly_repeated(self, lanes: Mapping[tuple[str, int], Position]) -> None:
        """Refuse to leave out as repeated what only looks so; asked once per highest position.

        A Redis that was emptied or fell back forgets where intake stood, and in which generation: a
        source topic created anew is then read as if it were the old one, and nothing of it would
        be folded. Raises Unavailable.
        """
        for (source, partition), highest in lanes.items():
            known = self._assured.get((source, partition))
            if source not in self.parts.sources or known == highest:
                continue
            present = await self.parts.generation(source)
            told = f"{place(self.at)} was told record {highest.offset} of {source}/{partition}"
            if present < highest.generation:
                message = (
                    f"{told} in generation {highest.generation}, and Redis knows of generation "
                    f"{present} alone: run rekindle sources reset {source} until it says "
                    f"{highest.generation}, then restart."
                )
                raise Refused(message)
            if present == highest.generation:
                end = (await self.parts.reader.bounds(source, partition)).end
                if end <= highest.offset:
                    message = (
                        f"{told}, which ends at {end} now: if the topic was re-created, run "
                        f"rekindle sources reset {source}, then restart."
                    )
                    raise Refused(message)
            self._assured[source, partition] = highest

    # --- what may be wrong with records ---------------------------------------------------------

    async def _hole(self, found: int) -> None:
        """Go back for records that were jumped over; refuse when the log does not hold them."""
        self._holes += 1
        bounds = await self.parts.reader.bounds(self.at.topic, self.at.partition)
        if bounds.begin > self.offset or self._holes > 3:
            message = (
                f"{self.at.topic}/{self.at.partition} goes on at {found} but {self.offset} was "
                "never folded: retention removed records before they were read."
            )
            raise Refused(message)

    async def _read(
        self, records: Sequence[ConsumerRecord]
    ) -> tuple[list[tuple[int, Record]], Sequence[ConsumerRecord]]:
        """Return what could be decoded, by offset, and the records it was decoded from."""
        try:
            decoded = [(each.offset, _decoded(each)) for each in records]
        except InvalidEvent:
            return await self._read_some(records)
        self._poison.extend(repeat(False, len(records)))
        return decoded, records

    async def _read_some(
        self, records: Sequence[ConsumerRecord]
    ) -> tuple[list[tuple[int, Record]], Sequence[ConsumerRecord]]:
        """Leave out what cannot be decoded; it goes to the dead letters."""
        decoded, readable, letters = [], [], []
        for record in records:
            try:
                decoded.append((record.offset, _decoded(record)))
                readable.append(record)
            except InvalidEvent as error:
                letters.append((record, error))
        refused = {record.offset for record, _ in letters}
        self._poison.extend(record.offset in refused for record in records)
        await self.parts.dead_letters.write(letters)
        self._too_many()
        return decoded, readable

    def _too_many(self) -> None:
        last = list(self._poison)[-_POISON_RUN:]
        share = sum(self._poison) / _POISON_WINDOW
        if (len(last) == _POISON_RUN and all(last)) or share > _POISON_SHARE:
            message = (
                f"{self.at.topic}/{self.at.partition} holds too many unreadable records: only "
                "rekindle may write this topic; see dead-letters for the reasons."
            )
            raise Refused(message)

    async def leave(self) -> None:
        """Nothing is left in flight: every step awaits its acknowledgements."""


def _decoded(record: ConsumerRecord) -> Record:
    return codec.read_at(record.value or b"", record.timestamp)


def _crc(record: ConsumerRecord) -> int:
    return codec.crc(record.key, record.value, record.timestamp)


def lanes(source: Source) -> Iterator[DecideLane]:
    """Yield the lanes that are entered and still ours."""
    for own in list(source.owned.values()):
        if own.entered and not own.gone and isinstance(own.lane, DecideLane):
            yield own.lane


def agent(app: faust.App, source: Source, concurrency: int = 8) -> Any:
    """Make the Faust agent; ``concurrency`` x step time stays below 1 s."""

    @app.agent(source.channel, concurrency=concurrency, name="rekindle.decide")
    async def decide(stream: StreamT[Any]) -> None:
        async for own, records in stream:
            await source.work(own, records)

    return decide


__all__ = ["DecideLane", "Parts", "agent", "lanes"]
