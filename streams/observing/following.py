"""Reads the topics with a consumer of its own and gathers closed minutes; belongs to no group.

Minutes are of the brokers' time; with a :class:`~streams.observing.ticked.Ticked` they are of the
data's. How far topics were *read* is always told in wall time.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from engine.errors import Refused, Unavailable
from engine.events import SettingsRecord
from engine.times import SECOND, iso
from monitoring.figures.seen import Ruled, Seen
from monitoring.figures.told import TailRow
from monitoring.figures.watched import Table
from streams.log import topics
from streams.log.away import away
from streams.log.horizon import Horizon
from streams.log.reader import Reader, position_of
from streams.log.topics import ANOMALIES, ARTEFACTS, DECISIONS, EVENTS, FEEDBACK
from streams.observing import messages, reading
from streams.observing.minutes import Closed, Minutes, Place, Standing
from streams.observing.tail import told
from streams.observing.ticked import Ticked
from streams.settings import Deployment

log = logging.getLogger(__name__)

_AT_ONCE: Final = 5_000
# The clocks of brokers and of this machine may differ by so much, ms.
SKEW: Final = 2 * SECOND
# Seconds between two looks at the ends of partitions that were read to their end, and at the ticks.
_ENDS_EVERY: Final = 1.0
_TICKS_EVERY: Final = 0.5
_TAIL: Final = 50


class Following:
    """The partitions the observer reads, and the minutes that are not closed yet."""

    def __init__(
        self,
        deployment: Deployment,
        table: Table,
        now: Callable[[], int],
        ticked: Ticked | None = None,
    ) -> None:
        """Nothing is connected before :meth:`start`; ``now``: wall ms.

        ``ticked``: where the data carries the time, who knows how far that has come.
        """
        self._deployment = deployment
        self._prefix = deployment.topic_prefix
        self._now = now
        self._reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
        self._consumer: AIOKafkaConsumer | None = None
        self._ticked = ticked
        self._partitions = 0
        self._passed = 0
        self._begun = True
        self._horizon = Horizon()
        self._read_to = Horizon()
        self._looked_at = self._asked_at = 0.0
        self._files: dict[str, bytes] = {}
        self._minutes = Minutes(0, {})
        self._waiting: set[TopicPartition] = set()
        self.tail: deque[TailRow] = deque(maxlen=_TAIL)
        self.missed = 0
        dated = ticked is not None
        self._reads: dict[str, reading.Read] = {
            topic: reading.of_source(topic, dialect, table.origins, dated=dated)
            for topic, dialect in deployment.sources
        }
        self._reads |= {
            self._prefix + FEEDBACK: reading.of_feedback(dated=dated),
            self._prefix + DECISIONS: reading.of_decisions(dated=dated),
            self._prefix + EVENTS: reading.of_settings(self._files, dated=dated),
            self._prefix + ANOMALIES: reading.of_anomalies(),
        }

    @property
    def names(self) -> list[str]:
        """Return the names of what is read."""
        return list(self._reads)

    # --- beginning and end ----------------------------------------------------------------------

    async def start(
        self, until: int, standings: Mapping[Place, Standing], *, folded: int | None = None
    ) -> None:
        """Go on after the minute that ended at ``until`` (ms).

        A partition without a standing begins with what was appended from then on (of dated
        records: with the oldest there is; what is dated before is forgotten); settings begin at
        offset ``folded`` if that is earlier: what lies before it is known from elsewhere.
        Raises Unavailable, and Refused when topics are missing.
        """
        places = await self._places()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._deployment.kafka,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._deployment.fetch_wait,
        )
        try:
            await consumer.start()
            self._consumer = consumer
            consumer.assign(places)
            begins = await self._begins(consumer, places, until, standings, folded)
            for at in places:
                consumer.seek(at, begins[at.topic, at.partition].offset)
        except (KafkaError, OSError) as error:
            await self.stop()
            raise away(self._deployment.kafka) from error
        self._minutes = Minutes(until, begins, dated=self._ticked is not None)
        # What was reached before is read again: to vouch for it would close minutes without it.
        self._horizon, self._read_to = Horizon(), Horizon()
        self._begun = self._ticked is None or bool(standings)

    async def partitions(self) -> int:
        """Return how many partitions ``events`` has; raises Unavailable."""
        name = self._prefix + EVENTS
        return (await topics.there(self._deployment, [name]))[name]

    async def _places(self) -> list[TopicPartition]:
        counts = await topics.there(self._deployment, self._reads)
        missing = sorted(topic for topic, count in counts.items() if not count)
        if missing:
            message = (
                f"Missing topics: {', '.join(missing)}. Create them with: rekindle topics create"
            )
            raise Refused(message)
        self._partitions = counts[self._prefix + EVENTS]
        # Every settings record passes every partition of `events`: one is enough.
        counts[self._prefix + EVENTS] = 1
        return [TopicPartition(name, at) for name, count in counts.items() for at in range(count)]

    async def _begins(
        self,
        consumer: AIOKafkaConsumer,
        places: Iterable[TopicPartition],
        until: int,
        standings: Mapping[Place, Standing],
        folded: int | None,
    ) -> dict[Place, Standing]:
        begin = await consumer.beginning_offsets(places)
        end = await consumer.end_offsets(places)
        new = [at for at in places if (at.topic, at.partition) not in standings]
        timed = await self._timed(consumer, new, until)
        found: dict[Place, Standing] = {}
        for at in places:
            place = (at.topic, at.partition)
            standing = standings.get(place)
            if standing is None:
                hit = timed.get(at)
                offset = end[at] if hit is None else hit
                if folded is not None and place == (self._prefix + EVENTS, 0):
                    offset = max(begin[at], min(offset, folded))
                standing = Standing(offset)
            elif not begin[at] <= standing.offset <= end[at]:
                log.warning(
                    "%s/%d holds %d to %d now, and was read up to %d: what lies between is lost "
                    "to the figures",
                    *(at.topic, at.partition, begin[at], end[at], standing.offset),
                )
                standing = Standing(begin[at])
            found[place] = standing
        return found

    async def _timed(
        self, consumer: AIOKafkaConsumer, places: list[TopicPartition], until: int
    ) -> dict[TopicPartition, int]:
        """Return the first offset of each partition that may hold a record of after ``until``."""
        if self._ticked is not None:  # brokers do not know the time of the data
            return dict(await consumer.beginning_offsets(places))
        timed = await consumer.offsets_for_times(dict.fromkeys(places, until)) if places else {}
        return {at: hit.offset for at, hit in timed.items() if hit is not None}

    async def stop(self) -> None:
        """Close the connections."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(Exception):
                await consumer.stop()
        await self._reader.stop()

    # --- one look -------------------------------------------------------------------------------

    async def look(self, wait: float) -> int:
        """Read what is there, at most ``wait`` s for the first of it; returns how many records.

        Raises Unavailable; then start anew.
        """
        consumer = self._consumer
        if consumer is None:
            raise away(self._deployment.kafka)
        try:
            await self._pass()
            await self._see_ends(consumer)
            self._hold_back(consumer)
            fetched = await consumer.getmany(timeout_ms=int(wait * 1000), max_records=_AT_ONCE)
            for at, records in fetched.items():
                if self._ticked is not None:
                    await self._miss(consumer, at, records[0].offset)
                for record in records:
                    await self._take(at, record)
            await self._note_ends(consumer)
        except (KafkaError, OSError) as error:
            message = f"Kafka did not answer: {error!r}"
            raise Unavailable(message) from error
        return sum(map(len, fetched.values()))

    async def _miss(self, consumer: AIOKafkaConsumer, at: TopicPartition, found: int) -> None:
        """Count records that a broker forgot before they were read: a simulation outruns it."""
        expected = self._minutes.offset((at.topic, at.partition))
        if found <= expected:
            return
        begins = await consumer.beginning_offsets([at])  # a transaction leaves gaps as well
        gone = min(begins[at], found) - expected
        if gone > 0:
            log.warning("%s/%d: %d records were gone before they were read", *at, gone)
            self.missed += gone

    async def _take(self, at: TopicPartition, record: ConsumerRecord) -> None:
        place = (at.topic, at.partition)
        if self._ticked is None:
            time = self._minutes.time_of(place, record.timestamp, self._now())
        else:
            time = self._minutes.time_of_dated(place, None)
        read = self._reads[at.topic]
        try:
            found = read(record, time)
        except KeyError:
            await self._fetch_files()
            found = self._again(read, record, time)
        if self._ticked is not None and found:
            time = self._minutes.time_of_dated(place, found[0].at)
            found = [one if one.at == time else replace(one, at=time) for one in found]
        decided = at.topic == self._prefix + DECISIONS
        last = position_of(record) if decided else None
        new = self._minutes.take(place, record.offset, time, found, last)
        if decided and new:
            self._tell(record, time)

    def _tell(self, record: ConsumerRecord, at: int) -> None:
        decision = reading.decision_of(record)
        if decision is not None:
            self.tail.appendleft(told(decision, at))

    def _again(self, read: reading.Read, record: ConsumerRecord, at: int) -> list[Seen]:
        """Read a settings record whose artefact must be there by now: it is written before it."""
        try:
            return read(record, at)
        except KeyError as missing:
            log.warning("artefact %s is not in its topic: prices are not known", missing)
            self._files[missing.args[0]] = b""
            return read(record, at)

    async def _fetch_files(self) -> None:
        async for record in self._reader.whole(self._prefix + ARTEFACTS):
            # Models are megabytes and none of our business.
            if record.key and record.value and len(record.value) < 1024 * 1024:
                self._files[record.key.decode("ascii", "replace")] = record.value

    async def ruled(self, record: SettingsRecord, at: int) -> Ruled:
        """Return what is in force as a settings record of ``at`` would have told it."""
        if record.campaigns is not None and record.campaigns not in self._files:
            await self._fetch_files()
            self._files.setdefault(record.campaigns, b"")
        return Ruled(at, record, reading.terms_of(record, self._files))

    # --- how far --------------------------------------------------------------------------------

    async def _pass(self) -> None:
        """Look how far the time of the data has come; before the ends, which lie behind it then."""
        if self._ticked is None or monotonic() - self._asked_at < _TICKS_EVERY:
            return
        self._asked_at = monotonic()
        self._passed = await self._ticked.look(self._partitions)

    async def _see_ends(self, consumer: AIOKafkaConsumer) -> None:
        if monotonic() - self._looked_at < _ENDS_EVERY:
            return
        unseen = self._horizon.unseen(consumer.assignment())
        if unseen:
            self._looked_at = monotonic()
            now = self._now()
            ends = await consumer.end_offsets(unseen)
            self._horizon.see(ends, now if self._ticked is None else self._passed)
            self._read_to.see(ends, now)

    async def _note_ends(self, consumer: AIOKafkaConsumer) -> None:
        for at in consumer.assignment():
            # Not the offset after the last record: a transaction ends with one that is none.
            position = await consumer.position(at)
            known = self._horizon.reached(at, position)
            self._read_to.reached(at, position)
            if known:
                skew = SKEW if self._ticked is None else 0
                self._minutes.idle((at.topic, at.partition), known - skew)
        if self._ticked is not None:
            self._minutes.crowded(self._passed)

    def _hold_back(self, consumer: AIOKafkaConsumer) -> None:
        """Let partitions wait that ran ahead of the slowest: what is gathered stays bounded."""
        ahead = self._minutes.ahead()
        full = {at for at in consumer.assignment() if (at.topic, at.partition) in ahead}
        paused = consumer.paused()
        if stop := full - paused:
            consumer.pause(*stop)
        if go := paused - full:
            consumer.resume(*go)

    def closed(self) -> Iterable[Closed]:
        """Yield the minutes that are closed by now."""
        self._begun = self._begun or self._minutes.begin()
        return self._minutes.closed() if self._begun else ()

    @property
    def until(self) -> int:
        """Return the end of the last minute that was yielded, ms."""
        return self._minutes.until

    def horizon(self) -> dict[str, int]:
        """Return how far each topic was read, wall ms."""
        found: dict[str, int] = {}
        for (topic, _), at in self._reached().items():
            found[topic] = min(found.get(topic, at), at)
        return found

    def _reached(self) -> Mapping[Place, int]:
        if self._ticked is None:
            return self._minutes.reached()
        places = self._minutes.reached()
        known = self._read_to.known
        return {place: known.get(TopicPartition(*place), 0) for place in places}

    @property
    def passed(self) -> int:
        """Return up to when everything is known, ms: of the wall, even where minutes are not."""
        if self._ticked is None:
            return self._minutes.until
        return min(self._reached().values(), default=0)

    async def told_since(self, place: Place) -> set[str]:
        """Return the ids of the messages of ``anomalies`` from where we go on."""
        bounds = await self._reader.bounds(*place)
        begin = max(self._minutes.offset(place), bounds.begin)
        found: set[str] = set()
        async for record in self._reader.span(*place, bounds._replace(begin=begin)):
            message = messages.read(record.value or b"")
            if message is not None:
                found.add(message.message_id)
        return found

    def waited(self) -> str:
        """Return which partition holds the horizon, and where it stands."""
        reached = self._reached()
        if not reached:
            return ""
        topic, partition = min(reached, key=lambda place: reached[place])
        return f"{topic}/{partition} was read up to {iso(reached[topic, partition])}"


__all__ = ["SKEW", "Following"]
