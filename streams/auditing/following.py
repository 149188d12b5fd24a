"""Follows the topics with a consumer of its own and lets the lanes judge what they bring.

Each partition is read on only while its lane has room, so that what waits for a decision waits in
Kafka. Reports of ``feedback`` wait until the actions before them are judged.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from engine.errors import Refused, Unavailable
from monitoring.audit import reading
from monitoring.audit.balance import Fault
from monitoring.audit.lane import Lane
from monitoring.audit.reading import Event, Report
from monitoring.audit.state import State
from monitoring.audit.verdicts import Finding
from monitoring.audit.waiting import Taken, Waiting
from streams.auditing.checkpoint import Checkpoint
from streams.auditing.files import Files
from streams.log.away import away
from streams.log.horizon import Horizon
from streams.log.reader import POSITION
from streams.log.topics import (
    ACTIONS,
    ARTEFACTS,
    CHANNELS,
    DECISIONS,
    EVENTS,
    FEEDBACK,
    partition_of,
    there,
)
from streams.settings import Deployment

_AT_ONCE: Final = 2_000
# Reports that wait per partition before it is read on.
_MOST_REPORTS: Final = 2_000
_OUTPUTS: Final = (DECISIONS, *[ACTIONS + channel for channel in CHANNELS])

Heard = Callable[[Event, int], None]


@dataclass
class Look:
    """What a look brought: violations, triggers that do not add up, right actions by channel."""

    findings: list[Finding] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    records: int = 0

    def add(self, other: "Look") -> None:
        """Add what another look brought."""
        self.findings += other.findings
        self.faults += other.faults
        self.passed.update(other.passed)
        self.records += other.records


class Following:
    """The lanes of one deployment, and the consumer that feeds them."""

    def __init__(self, deployment: Deployment, now: Callable[[], int]) -> None:
        """Nothing is connected before :meth:`start`; ``now``: wall ms."""
        self.deployment = deployment
        self.files = Files()
        self.lanes: dict[int, Lane] = {}
        self.reports: dict[int, Waiting[Report]] = {}
        self.feedback: dict[int, int] = {}
        self.unreadable = 0
        self._now = now
        self._prefix = deployment.topic_prefix
        self._horizon = Horizon()
        self._places: list[TopicPartition] = []
        self._consumer: AIOKafkaConsumer | None = None
        self._heard: Heard = lambda _event, _at: None
        self._closing = False
        self._last_horizon = 0

    @property
    def names(self) -> list[str]:
        """Return the topics that are followed, with prefix."""
        return [self._prefix + topic for topic in (EVENTS, *_OUTPUTS, FEEDBACK, ARTEFACTS)]

    # --- beginning and end ----------------------------------------------------------------------

    async def start(self, checkpoint: Checkpoint | None, heard: Heard) -> None:
        """Begin where the checkpoint stands, else with the oldest records there are.

        Called again after Kafka was away, it goes on where it stood. ``heard`` is told each
        settings record and its broker time. Raises Unavailable and Refused.
        """
        self._heard = heard
        counts = await self._counts()
        self._places = [self._at(topic, p) for topic, count in counts.items() for p in range(count)]
        consumer = await self._connect()
        self._consumer = consumer
        try:
            begins = await consumer.beginning_offsets(self._places)
            ends = await consumer.end_offsets(self._places)
        except (KafkaError, OSError) as error:
            raise away(self.deployment.kafka) from error
        bounds = {at: (begins[at], ends[at]) for at in self._places}
        if not self.lanes:
            await self._begin(counts, bounds, checkpoint)
        for at in self._places:
            consumer.seek(at, self._next(at, bounds[at]))

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.deployment.kafka,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.deployment.fetch_wait,
        )
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            with suppress(Exception):
                await consumer.stop()
            raise away(self.deployment.kafka) from error
        consumer.assign(self._places)
        return consumer

    async def _counts(self) -> dict[str, int]:
        names = (EVENTS, *_OUTPUTS, FEEDBACK, ARTEFACTS)
        found = await there(self.deployment, [self._prefix + name for name in names])
        counts = {name: found[self._prefix + name] for name in names}
        missing = [self._prefix + topic for topic, count in counts.items() if not count]
        if missing:
            message = (
                f"There is nothing to audit yet, topics are missing: {', '.join(missing)}. "
                "Create them with: rekindle topics create"
            )
            raise Refused(message)
        return counts

    async def _begin(
        self,
        counts: Mapping[str, int],
        bounds: Mapping[TopicPartition, tuple[int, int]],
        checkpoint: Checkpoint | None,
    ) -> None:
        """Make the lanes, as a checkpoint left them where its log is still there."""
        for partition in range(counts[EVENTS]):
            state = None if checkpoint is None else await checkpoint.state(partition)
            own = {topic: bounds[self._at(topic, partition)] for topic in (EVENTS, *_OUTPUTS)}
            state = placed(state, own)
            self.lanes[partition] = Lane(partition, CHANNELS, self.files.terms, state)
        told = {} if checkpoint is None else (await checkpoint.shared()).feedback
        for partition in range(counts[FEEDBACK]):
            begin, end = bounds[self._at(FEEDBACK, partition)]
            self.reports[partition] = Waiting()
            self.feedback[partition] = min(max(told.get(partition, begin), begin), end)

    def _next(self, at: TopicPartition, bounds: tuple[int, int]) -> int:
        """Return the offset to read on from: after what is judged, and after what waits."""
        topic = at.topic.removeprefix(self._prefix)
        if topic == ARTEFACTS:
            return bounds[0]
        if topic == EVENTS:
            return self.lanes[at.partition].state.after[EVENTS]
        waiting = self._waiting(at)
        if waiting.records:
            return waiting.records[-1].offset + 1
        if topic == FEEDBACK:
            return self.feedback[at.partition]
        return self.lanes[at.partition].state.after[topic]

    def _waiting(self, at: TopicPartition) -> Waiting[Any]:
        """Return what waits of any topic but ``events`` and ``artefacts``."""
        topic = at.topic.removeprefix(self._prefix)
        if topic == FEEDBACK:
            return self.reports[at.partition]
        arrivals = self.lanes[at.partition].arrivals
        if topic == DECISIONS:
            return arrivals.decisions
        return arrivals.actions[topic.removeprefix(ACTIONS)]

    def _at(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._prefix + topic, partition)

    async def stop(self) -> None:
        """Close the connection; what is known stays."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(Exception):
                await consumer.stop()

    # --- one look -------------------------------------------------------------------------------

    async def look(self, wait: float) -> Look:
        """Read what is there, at most ``wait`` s for the first of it, and judge what can be judged.

        Raises Unavailable; then start anew.
        """
        consumer = self._consumer
        if consumer is None:
            raise away(self.deployment.kafka)
        try:
            await self._see_ends(consumer)
            self._hold_back(consumer)
            fetched = await consumer.getmany(timeout_ms=int(wait * 1000), max_records=_AT_ONCE)
            found = Look(records=sum(map(len, fetched.values())))
            for at, records in fetched.items():
                self._feed(at, records)
            await self._note_reached(consumer)
        except (KafkaError, OSError) as error:
            message = f"Kafka did not answer: {error!r}"
            raise Unavailable(message) from error
        self._judge(found)
        return found

    async def _see_ends(self, consumer: AIOKafkaConsumer) -> None:
        """Look up the ends of partitions whose last seen end was reached."""
        unseen = self._horizon.unseen(self._places)
        if unseen:
            now = self._now()
            ends = await consumer.end_offsets(unseen)
            self._horizon.see(ends, now)
            for at, end in ends.items():
                if at.topic == self._prefix + EVENTS:
                    arrivals = self.lanes[at.partition].arrivals
                    arrivals.end, arrivals.end_at = end, now

    def _hold_back(self, consumer: AIOKafkaConsumer) -> None:
        """Read on only where there is room."""
        paused = consumer.paused()
        full = {at for at in self._places if not self._hungry(at)}
        if stop := full - paused:
            consumer.pause(*stop)
        if go := paused - full:
            consumer.resume(*go)

    def _hungry(self, at: TopicPartition) -> bool:
        topic = at.topic.removeprefix(self._prefix)
        if topic == ARTEFACTS:
            return True
        if self._closing and topic not in (EVENTS, DECISIONS):
            return False
        if topic == FEEDBACK:
            return len(self.reports[at.partition].records) < _MOST_REPORTS
        return self.lanes[at.partition].arrivals.hungry(topic)

    # --- feeding --------------------------------------------------------------------------------

    def _feed(self, at: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        topic = at.topic.removeprefix(self._prefix)
        if topic == ARTEFACTS:
            for record in records:
                self.files.keep(record.key, record.value)
        elif topic == FEEDBACK:
            for record in records:
                self._report(at.partition, record)
        elif topic == EVENTS:
            arrivals = self.lanes[at.partition].arrivals
            for record in records:
                settings = arrivals.event(record.offset, record.timestamp, record.value or b"")
                if settings is not None:
                    self._heard(settings, record.timestamp)
        else:
            self._output(topic, at.partition, records)

    def _output(self, topic: str, partition: int, records: Iterable[ConsumerRecord]) -> None:
        arrivals = self.lanes[partition].arrivals
        for record in records:
            position = dict(record.headers).get(POSITION)
            value = record.value or b""
            if topic == DECISIONS:
                arrivals.decision(record.offset, record.timestamp, position, value)
            else:
                channel = topic.removeprefix(ACTIONS)
                arrivals.action(channel, record.offset, record.timestamp, position, value)

    def _report(self, partition: int, record: ConsumerRecord) -> None:
        try:
            report = reading.report(record.value or b"")
        except reading.Unreadable:
            self.unreadable += 1
            return
        taken = Taken(record.offset, record.timestamp, None, report)
        self.reports[partition].records.append(taken)

    # --- how far --------------------------------------------------------------------------------

    async def _note_reached(self, consumer: AIOKafkaConsumer) -> None:
        for at in self._places:
            known = self._horizon.reached(at, await consumer.position(at))
            if at.topic.removeprefix(self._prefix) not in (EVENTS, ARTEFACTS):
                self._waiting(at).read_through = known

    def known(self, partition: int) -> int:
        """Return up to when the events of a partition were read, wall ms; 0 = not yet.

        One that is full and of which nothing is wanted waits for the decider, not for us.
        """
        known = self._horizon.known.get(self._at(EVENTS, partition), 0)
        lane = self.lanes[partition]
        if not lane.arrivals.hungry(EVENTS):
            known = max(known, lane.arrivals.decisions.through)
        return known

    def horizon(self) -> dict[str, int]:
        """Return up to when each topic (with prefix) was audited, wall ms; 0 = not yet."""
        lanes = self.lanes.values()
        held = any(lane.waits_for is not None for lane in lanes)
        found = {
            EVENTS: min((self.known(lane.partition) for lane in lanes), default=0),
            DECISIONS: min((lane.arrivals.decisions.through for lane in lanes), default=0),
            FEEDBACK: min((waiting.through for waiting in self.reports.values()), default=0),
            ARTEFACTS: self._horizon.known.get(self._at(ARTEFACTS, 0), 0),
        }
        for channel in CHANNELS:
            found[ACTIONS + channel] = min(
                (lane.arrivals.actions[channel].through for lane in lanes), default=0
            )
        if held:  # what waits for a campaigns file is not audited, whatever was read
            found[EVENTS] = min(found[EVENTS], self._last_horizon)
        else:
            self._last_horizon = found[EVENTS]
        return {self._prefix + topic: at for topic, at in found.items()}

    # --- judging --------------------------------------------------------------------------------

    def _judge(self, found: Look, *, end: bool = False) -> None:
        for lane in self.lanes.values():
            found.findings += lane.work(end=end)
            found.passed.update(lane.passed)
            lane.passed.clear()
            found.faults += lane.faults
            lane.faults = []
        for partition, waiting in self.reports.items():
            for taken in waiting:
                lane = self._lane_of(taken.record.user_id)
                findings = lane.report(taken.record, taken.at, end=end)
                if findings is None:
                    break
                found.findings += findings
                self.feedback[partition] = taken.offset + 1
                waiting.pop()

    def _lane_of(self, user: str) -> Lane:
        return self.lanes[partition_of(user.encode(), len(self.lanes))]

    async def finish(self, wait: float) -> Look:
        """Read to the ends as they are now, judge everything, and be of no more use.

        Actions and reports are read first: what led to them lies before the ends seen after that.
        """
        found = Look()
        for closing in (False, True):
            self._closing, began = closing, self._now()
            while not self._read_to(began, closing=closing):
                look = await self.look(wait)
                found.add(look)
        self._judge(found, end=True)
        return found

    def _read_to(self, moment: int, *, closing: bool) -> bool:
        """Return whether the ends of ``moment`` are reached; ``closing``: of what is still read."""
        places = self._places
        if closing:
            names = (self._prefix + EVENTS, self._prefix + DECISIONS)
            places = [at for at in places if at.topic in names]
        return all(self._horizon.known.get(at, 0) >= moment for at in places)


def placed(state: State | None, bounds: Mapping[str, tuple[int, int]]) -> State:
    """Return where to begin; ``bounds``: first and next offset by topic (without prefix).

    A state that stands beyond an end belongs to a log that is no more. Where retention took what
    it had not read, its knowledge has a hole, as it has without one when the log does not begin
    at 0.
    """
    if state is None or any(state.after.get(topic, 0) > end for topic, (_, end) in bounds.items()):
        state = State(whole=all(begin == 0 for begin, _ in bounds.values()))
    for topic, (begin, _) in bounds.items():
        if state.after.get(topic, 0) < begin:
            state.after[topic], state.whole = begin, False
        state.after.setdefault(topic, begin)
    state.applied = max(state.applied, bounds[EVENTS][0])
    return state


__all__ = ["Following", "Look", "placed"]
