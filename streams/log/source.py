"""Takes ordered chunks of one partition out of Kafka and hands them to a Faust agent.

A Faust agent iterates a Faust channel; this service owns the consumer and puts at most one chunk
per partition into the channel. That alone gives order per partition; ``done`` is the
acknowledgement. Partitions are drained and flushed inside ``on_partitions_revoked``, before the
group may give them away. Why not Faust's own consumer: docs/decisions, 1.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    UnknownError,
    UnknownMemberIdError,
)

from engine.errors import Fenced, Refused, Stale, Unavailable
from streams.log.commits import Commits
from streams.log.reader import Reader

log = logging.getLogger(__name__)

# One chunk is 500 records; a fetch may bring four of them.
FETCH = 2_000
# Longest wait for chunks in flight when partitions are revoked; stays under the rebalance timeout.
_DRAIN = 8.0
# And when the process ends, which has 10 s for all it does.
_LAST_DRAIN = 6.0
_RETRY = 0.5
# How long we wait for a fetch when nothing else is to do, ms; what arrives ends it at once.
_IDLE = 500
# How soon a topic that was created anew is seen, ms: with aiokafka's five minutes nobody read it.
_METADATA = 30_000
# How often a lane that was refused at the door tries again: somebody may have mended it.
_KNOCK = 2.0
# How often a lane to which nothing comes though its log goes on is held against that log's
# beginning, seconds: rare, and a question to Kafka each time.
_OVERTAKEN = 5.0
# How often the group hears of a source in which nothing moves, seconds.
_SIGN_OF_LIFE = 2.0
# After a doubt: soon at first, then calmly; an artefact or a server may take its time.
_FIRST_RETRY = 0.02
_LAST_RETRY = 2.0


class Lane(Protocol):
    """The work on one owned partition."""

    at: TopicPartition
    offset: int
    halted: str | None

    async def enter(self) -> None:
        """Take the partition over and set ``offset`` to the next record wanted.

        Raises Unavailable (tried again), Refused (the lane halts with that sentence).
        """
        ...

    async def step(self, records: Sequence[ConsumerRecord]) -> bool:
        """Work through records in order; False = drop them, ``offset`` says where to go on.

        Raises Unavailable and Stale (the lane enters again), Fenced (the consumer joins again) and
        Refused (the lane halts for good).
        """
        ...

    async def leave(self) -> None:
        """Stop after what is in flight has been acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """How a source joins its consumer group; times in ms."""

    name: str
    bootstrap: str
    instance: str | None
    fetch_wait: int = 500
    fetch_linger: int = 0
    session_timeout: int = 10_000
    heartbeat: int = 2_000
    rebalance_timeout: int = 20_000


def make_consumer(group: Group) -> AIOKafkaConsumer:
    """Return the consumer of a group; nothing is connected before it starts."""
    return AIOKafkaConsumer(
        bootstrap_servers=group.bootstrap,
        group_id=group.name,
        group_instance_id=group.instance,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=group.session_timeout,
        heartbeat_interval_ms=group.heartbeat,
        rebalance_timeout_ms=group.rebalance_timeout,
        fetch_max_wait_ms=group.fetch_wait,
        metadata_max_age_ms=_METADATA,
    )


class Owned:
    """One partition this process owns: its lane, and whether a chunk of it is in flight."""

    def __init__(self, lane: Lane) -> None:
        """Start idle."""
        self.lane = lane
        self.busy = False
        self.entered = False
        self.entering = False
        self.gone = False
        self.refused = False
        self.doubts = 0
        # The offset that the group was told last.
        self.told: int | None = None
        # The offset after the last record done, and when that was appended (ms): says how old at
        # most is what waits.
        self.done = 0
        self.done_at: int | None = None

    @property
    def working(self) -> bool:
        """Return whether something of it is in flight."""
        return self.busy or self.entering


class Source(faust.Service, ConsumerRebalanceListener):  # type: ignore[misc] # untyped parents
    """Owns one consumer; chunks go out through ``channel``."""

    def __init__(
        self,
        app: faust.App,
        group: Group,
        topics: Sequence[str],
        make_lane: Callable[[TopicPartition], Lane],
        on_unavailable: Callable[[str], None] = lambda _: None,
        on_doubt: Callable[[str], None] = lambda _: None,
        make_consumer: Callable[[Group], AIOKafkaConsumer] = make_consumer,
    ) -> None:
        """``make_lane`` makes the lane of a partition when it is assigned.

        ``on_unavailable`` hears which service is away, ``on_doubt`` why a lane enters again.
        """
        super().__init__()
        self.app = app
        self.group = group
        self.topics = list(topics)
        self.make_lane = make_lane
        self.on_unavailable = on_unavailable
        self.on_doubt = on_doubt
        self.make_consumer = make_consumer
        self.channel: Any = app.channel(maxsize=0)  # bounded here: one chunk per partition
        self.owned: dict[TopicPartition, Owned] = {}
        self.consumer: AIOKafkaConsumer | None = None
        self.assigned = False
        self.assignments = 0
        self._commits = Commits(self._commit_all)
        self._committed_at = float("-inf")
        self._waited: dict[TopicPartition, int] = {}
        self._room = asyncio.Event()
        self._leaving = False
        self._rejoin = False

    # --- life -----------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Begin to join the group.

        Beside the other sources: after kill -9 a group may hold the place of its former member for
        the session timeout, and three groups one after the other would hold it three times.
        """
        # Without a Faust consumer nobody else opens the channels: put() would wait for ever.
        self.app.flow_control.resume()
        self.add_future(self._join())

    async def _join(self) -> None:
        group, consumer = self.group, self.make_consumer(self.group)
        consumer.subscribe(self.topics, listener=self)
        while not self.should_stop:
            try:
                await consumer.start()
            except (KafkaError, OSError) as error:
                self.on_unavailable("kafka")
                log.warning("%s: Kafka does not answer: %s", group.name, error)
                await self.sleep(_RETRY)
                continue
            except BaseException:  # told to end while it joins
                await consumer.stop()
                raise
            self.consumer = consumer
            return

    async def on_stop(self) -> None:
        """Drain, commit and leave."""
        # After a crash nobody works off what is in flight: it is done again.
        await self._drain(0.0 if self.app.crashed else _LAST_DRAIN)
        if self.consumer is not None:
            await self.consumer.stop()

    # --- taking chunks out ----------------------------------------------------------------------

    @faust.Service.task
    async def _pump(self) -> None:
        while not self.should_stop:
            if self._rejoin:
                await self._join_again()
            ready = [at for at, own in self.owned.items() if self._ready(own)]
            if not ready or self._leaving or self.consumer is None:
                self._room.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self._room.wait()
                continue
            if self.group.fetch_linger:
                await asyncio.sleep(self.group.fetch_linger / 1000)
            try:
                await self._fetch(ready)
            except UnknownError as error:  # aiokafka has no name for code 82, a fenced instance
                await self.crash(_twin(self.group, error))
            except (KafkaError, IllegalStateError, OSError) as error:
                self.on_unavailable("kafka")
                log.warning("%s: fetch: %r", self.group.name, error)
                await self.sleep(_RETRY)

    def _ready(self, own: Owned) -> bool:
        return own.entered and not own.busy and own.lane.halted is None

    async def _fetch(self, ready: list[TopicPartition]) -> None:
        consumer = self.consumer
        if consumer is None:
            return
        # Only free partitions are asked for: back-pressure without pause(). A short wait while
        # others work, so that theirs are asked for as soon as they are done.
        idle = len(ready) == len(self.owned)
        found = await consumer.getmany(*ready, timeout_ms=_IDLE if idle else 5, max_records=FETCH)
        for at, records in found.items():
            # Looked up after getmany: None between two ownerships; entering seeks back over it.
            own = self.owned.get(at)
            if own is None or self._leaving or not self._ready(own):
                continue
            own.busy = True
            await self.channel.put((own, records))
        ours = consumer.assignment()
        for at in ready:
            if at not in found and at in ours:
                self._doubt_beyond_end(at, consumer.highwater(at))

    def _doubt_beyond_end(self, at: TopicPartition, end: int | None) -> None:
        """Let a lane enter again that waits beyond the end of its log.

        Out of range, aiokafka goes back to the beginning and says nothing. While a topic that was
        created anew is empty, no record comes from there to tell the lane.
        """
        own = self.owned.get(at)
        if own is not None and end is not None and self._ready(own) and end < own.lane.offset:
            self._doubt(own, f"{place(at)} ends at {end}, and its lane stood at {own.lane.offset}")

    def _doubt(self, own: Owned, why: str) -> None:
        """Close a ready lane and let it enter again beside all else."""
        own.entered = False  # now: the task begins later, and the pump must not find it ready
        self.on_doubt("stale")
        self.add_future(self._enter_again(own, Stale(why)))

    @faust.Service.timer(_OVERTAKEN)
    async def _overtaken(self) -> None:
        await self._look_whether_overtaken()

    async def _look_whether_overtaken(self) -> None:
        """Let a lane enter again that retention has passed, while no record comes to tell it.

        aiokafka goes on at the beginning and says nothing; what a transaction leaves at the end of
        a log looks the same from here, hence the question.
        """
        waiting = {own.lane.at: own for own in self.owned.values() if self._waits_in_vain(own)}
        still = [at for at, own in waiting.items() if self._waited.get(at) == own.lane.offset]
        self._waited = {at: own.lane.offset for at, own in waiting.items()}
        if not still or self.consumer is None:
            return
        try:
            begins = await self.consumer.beginning_offsets(still)
        except (KafkaError, OSError) as error:
            log.info("%s: where logs begin is not known: %r", self.group.name, error)
            return
        for at in still:
            own, begin = waiting[at], begins[at]
            if self._waits_in_vain(own) and begin > own.lane.offset:
                stood = f"and its lane stood at {own.lane.offset}"
                self._doubt(own, f"{place(at)} begins at {begin}, {stood}")

    def _waits_in_vain(self, own: Owned) -> bool:
        """Return whether a lane is free and its log goes on."""
        end = end_of(self, own.lane.at)
        return self._ready(own) and not own.gone and end is not None and end > own.lane.offset

    async def work(self, own: Owned, records: Sequence[ConsumerRecord]) -> None:
        """Do one chunk; the body of every agent. What escapes here ends the process."""
        try:
            if await own.lane.step(records):
                own.done, own.done_at = own.lane.offset, records[-1].timestamp
            elif not own.gone:
                self._seek(own)
            own.doubts = 0
        except Unavailable as error:
            self._away(error)
            await self._enter_again(own, error)
        except Stale as stale:
            self.on_doubt("stale")
            await self._enter_again(own, stale)
        except Refused as refusal:
            self._halt(own, refusal)
        except Fenced:
            self._fenced(own)
        except BaseException:
            # Nothing more of this partition, and nobody waits for what will not come back.
            own.gone, own.entered = True, False
            raise
        finally:
            own.busy = False
            self._room.set()

    def _away(self, error: Unavailable) -> None:
        self.on_unavailable("kafka" if "Kafka" in str(error) else "redis")

    def _fenced(self, own: Owned) -> None:
        """Give it up: only an assignment lets us acquire it again."""
        log.warning("%s: another worker owns it; joining the group again", place(own.lane.at))
        self.on_doubt("fenced")
        own.gone, self._rejoin = True, True

    def _seek(self, own: Owned) -> None:
        if self.consumer is not None and own.lane.at in self.consumer.assignment():
            self.consumer.seek(own.lane.at, own.lane.offset)

    def _halt(self, own: Owned, refusal: Refused) -> None:
        if own.lane.halted != str(refusal):
            log.error("%s stops: %s", place(own.lane.at), refusal)
        own.lane.halted = str(refusal)

    # --- entering, leaving ----------------------------------------------------------------------

    async def _enter(self, own: Owned) -> None:
        """Enter a partition, however long Kafka or Redis are away, while it is still ours."""
        while not own.gone and not self.should_stop:
            try:
                own.entering = True
                await own.lane.enter()
            except Unavailable as error:
                self._away(error)
                log.warning("%s: %s", place(own.lane.at), error)
                await self.sleep(_RETRY)
                continue
            except Refused as refusal:
                own.refused = True
                self._halt(own, refusal)
                return
            except Fenced:
                self._fenced(own)
                return
            finally:
                own.entering = False
            self._stand(own)
            return

    def _stand(self, own: Owned) -> None:
        """Take records from where the lane stands.

        No await in here: what was fetched before the seek never reaches the lane.
        """
        if own.gone:
            return
        if own.refused:
            log.info("%s goes on", place(own.lane.at))
            own.refused, own.lane.halted = False, None
        if own.lane.offset < own.done:  # the store fell back: what waits may be older
            own.done_at = None
        self._seek(own)
        own.entered = True
        self._room.set()

    async def _enter_again(self, own: Owned, error: Exception) -> None:
        """Every doubt closes the lane and takes the one way in again."""
        log.warning("%s: %s", place(own.lane.at), error)
        own.entered = False
        own.doubts += 1
        await self.sleep(min(_FIRST_RETRY * 2 ** min(own.doubts, 10), _LAST_RETRY))
        await self._enter(own)

    @faust.Service.timer(_KNOCK)
    async def _knock(self) -> None:
        """Try again where entering was refused; a lane that stopped in its work waits for you."""
        for own in list(self.owned.values()):
            if own.refused and not own.gone and not own.entering:
                await self._enter(own)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Enter what is ours now. aiokafka only logs what this raises, hence the crash."""
        try:
            new = [Owned(self.make_lane(at)) for at in assigned]
            for own in new:
                self.owned[own.lane.at] = own
            self.assigned = True
            self.assignments += 1
            self.add_future(self._take_over(new))
        except Exception as error:  # noqa: BLE001 - crash() takes any
            await self.crash(error)

    async def _take_over(self, new: Sequence[Owned]) -> None:
        try:
            await asyncio.gather(*[self._enter(own) for own in new])
            if entered := [own.lane.at for own in new if own.entered]:
                log.info("%s owns %s", self.group.name, places(entered))
        except Exception as error:  # noqa: BLE001 - crash() takes any
            await self.crash(error)

    async def on_partitions_revoked(self, _: Iterable[TopicPartition]) -> None:
        """Give everything back before the group gives it to others; the protocol is eager."""
        try:
            await self._drain()
        except Exception as error:  # noqa: BLE001 - crash() takes any
            await self.crash(error)

    async def _drain(self, longest: float = _DRAIN) -> None:
        """Let what is in flight come to its end, for at most ``longest`` s, and own nothing."""
        self._leaving = True
        for own in self.owned.values():
            own.gone = True
        clock = asyncio.get_running_loop().time
        end = clock() + longest
        # Polled (hence the exception), because lanes end in many places and this is rare.
        while any(own.working for own in self.owned.values()) and clock() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        for own in self.owned.values():
            await own.lane.leave()
        await self._commit()
        self.owned.clear()
        self.assigned = False
        self._leaving = False

    async def _join_again(self) -> None:
        """Only an assignment lets a fenced worker acquire: stop the consumer and start another."""
        self._rejoin = False
        await self._drain()
        if self.consumer is not None:
            with suppress(Exception):
                await self.consumer.stop()
            self.consumer = None
        await self._join()

    # --- group offsets: a hint for lag displays -------------------------------------------------

    @faust.Service.timer(0.5)
    async def _committer(self) -> None:
        await self._commit()

    async def _commit(self) -> None:
        """Tell the group which lanes have moved, or from time to time of one that it has not.

        Of one at least, because a worker whose place a twin took hears of it by a commit only. All
        of them twice a second were a seventh of what a worker of an idle shop did (64 partitions),
        and one twice a second a thirtieth.
        """
        entered = [own for own in self.owned.values() if own.entered]
        moved = [own for own in entered if own.told != own.lane.offset]
        now = asyncio.get_running_loop().time()
        if not moved and now - self._committed_at >= _SIGN_OF_LIFE:
            moved = entered[:1]
        offsets = {own.lane.at: own.lane.offset for own in moved}
        if offsets and self.consumer is not None:
            self._committed_at = now
            try:
                await self.consumer.commit(offsets)
                for own in moved:
                    own.told = offsets[own.lane.at]
            except (CommitFailedError, UnknownMemberIdError, IllegalStateError) as error:
                log.info("%s: the group moved on: %s", self.group.name, type(error).__name__)
            except UnknownError as error:  # aiokafka has no name for code 82, a fenced instance
                await self.crash(_twin(self.group, error))
            except KafkaError as error:
                log.warning("%s: commit: %r", self.group.name, error)

    async def commit_now(self, at: TopicPartition, offset: int) -> None:
        """Commit the offset of one partition and wait for it; raises Unavailable."""
        try:
            await self._commits.now(at, offset)
        except (KafkaError, IllegalStateError) as error:
            message = f"Kafka did not take the offset: {error!r}"
            raise Unavailable(message) from error

    async def _commit_all(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.consumer is not None:
            await self.consumer.commit(dict(offsets))

    async def committed(self, at: TopicPartition) -> int | None:
        """Return the group's offset of a partition; raises Unavailable."""
        if self.consumer is None:
            message = "Kafka: there is no consumer"
            raise Unavailable(message)
        try:
            found: int | None = await self.consumer.committed(at)
        except (KafkaError, IllegalStateError) as error:
            message = f"Kafka did not tell the offset: {error!r}"
            raise Unavailable(message) from error
        return found

    def heard_at(self) -> int | None:
        """Return when Kafka last answered a fetch (ms, wall clock); None = nothing was asked.

        aiokafka asks an absent broker again and again and raises nothing.
        """
        consumer = self.consumer
        if consumer is None:
            return None
        asked = [at for at, own in self.owned.items() if own.entered and not own.busy]
        ours = consumer.assignment()
        heard = [consumer.last_poll_timestamp(at) for at in asked if at in ours]
        return max((at for at in heard if at is not None), default=None)


def end_of(source: Source, at: TopicPartition) -> int | None:
    """Return the end of a partition as of the last fetch; None when it is not known."""
    consumer = source.consumer
    if consumer is None or at not in consumer.assignment():
        return None
    end: int | None = consumer.highwater(at)
    return end


class Fetched(NamedTuple):
    """What Kafka told of a partition: its end, and when (ms, wall clock); None = nothing yet."""

    end: int | None = None
    at: int | None = None


def fetched(source: Source) -> dict[TopicPartition, Fetched]:
    """Return what the last fetches told of the partitions that are owned and assigned."""
    consumer = source.consumer
    if consumer is None:
        return {}
    ours = consumer.assignment()
    return {
        at: Fetched(consumer.highwater(at), consumer.last_poll_timestamp(at))
        for at in source.owned
        if at in ours
    }


def _twin(group: Group, error: Exception) -> Refused:
    message = (
        f"Another worker runs under the id {group.instance!r}: give each its own "
        f"REKINDLE_WORKER_ID. ({error})"
    )
    return Refused(message)


def halted(sources: Iterable[Source]) -> list[str]:
    """Return the sentences of all lanes that stopped."""
    lanes: list[Any] = [own.lane for source in sources for own in source.owned.values()]
    return [f"{place(lane.at)}: {lane.halted}" for lane in lanes if lane.halted]


def went_back(at: TopicPartition, offset: int, found: int) -> Stale:
    """Return the doubt of a lane at ``offset`` that is given record ``found`` before it.

    Kafka does that when the topic was created anew under us: entering again finds out.
    """
    return Stale(f"{place(at)} goes on at {found}, and stood at {offset}")


class Gaps:
    """Tells a jump of the consumer from a gap of the log, such as a transaction leaves."""

    def __init__(self, at: TopicPartition, reader: Reader) -> None:
        """Nothing was jumped over yet."""
        self._at = at
        self._reader = reader
        self._asked: int | None = None

    async def crossed(self, offset: int, found: int) -> bool:
        """Return whether a lane at ``offset`` may go on at ``found`` beyond it.

        The first time it may not: asked again from ``offset``, Kafka brings what was jumped over.
        Raises Stale when retention has taken it: entering again says what that means. Raises
        Unavailable.
        """
        if self._asked != offset:
            self._asked = offset
            return False
        bounds = await self._reader.bounds(self._at.topic, self._at.partition)
        if bounds.begin > offset:
            message = f"{place(self._at)} begins at {bounds.begin}; {offset} to {found} are gone"
            raise Stale(message)
        return True


def place(at: TopicPartition) -> str:
    """Return a partition as people read it: ``events/3``."""
    return f"{at.topic}/{at.partition}"


def places(partitions: Iterable[TopicPartition]) -> str:
    """Return partitions as people read them: ``events/0-3,7 feedback/2``."""
    by_topic: dict[str, list[int]] = defaultdict(list)
    for at in sorted(partitions):
        by_topic[at.topic].append(at.partition)
    return " ".join(f"{topic}/{_spans(numbers)}" for topic, numbers in by_topic.items())


def _spans(numbers: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(f"{low}-{high}" if high > low else f"{low}" for low, high in spans)
