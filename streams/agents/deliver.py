"""The deliver agent: from ``actions.*`` through a gateway to a person, and back as feedback.

Per action: judge once more, claim, commit the consumer's offset, call, report. A crash before the
call never sends twice, and one after it leaves a claim that is walked first on assignment.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka import ConsumerRecord, TopicPartition
from faust.types import StreamT

from engine.errors import InvalidEvent
from engine.ports import Claims, HandOver, OutboxId
from engine.times import HOUR
from streams.delivery import handover
from streams.delivery.feedback import Feedback, encode
from streams.delivery.gateways import Gateway
from streams.delivery.handover import ActionRecord, HandOvers, Proceed, Refusal
from streams.delivery.told import is_told
from streams.log.dead_letters import DeadLetters
from streams.log.producer import Producer, Record
from streams.log.reader import Reader, position_of
from streams.log.source import Gaps, Source, went_back
from streams.log.topics import ACTIONS, FEEDBACK, partition_of
from streams.tracing import Tracing, link_of


@dataclass(frozen=True)
class Parts:
    """What every lane of deliver works with; ``gateways`` by channel.

    ``committed`` and ``commit`` read and write the group's offset of a partition. ``cancelled``
    hears why an action was decided and not handed over.
    """

    hand_overs: HandOvers
    claims: Claims
    gateways: Mapping[str, Gateway]
    producer: Producer
    reader: Reader
    dead_letters: DeadLetters
    prefix: str
    committed: Callable[[TopicPartition], Awaitable[int | None]]
    commit: Callable[[TopicPartition, int], Awaitable[None]]
    watch: Callable[[str, str], None]
    tracing: Tracing | None = None
    cancelled: Callable[[str], None] = lambda _reason: None


class DeliverLane:
    """The work on one partition of one channel's actions."""

    def __init__(self, at: TopicPartition, parts: Parts) -> None:
        """Nothing is touched before :meth:`enter`."""
        self.at = at
        self.offset = 0
        self.halted: str | None = None
        self.parts = parts
        self.channel = at.topic.removeprefix(parts.prefix + ACTIONS)
        self.gateway = parts.gateways[self.channel]
        self._last: OutboxId | None = None
        self._result = ""
        self._gaps = Gaps(at, parts.reader)

    async def enter(self) -> None:
        """Go on after the committed offset; finish first what was begun and never answered."""
        parts, partition = self.parts, self.at.partition
        bounds = await parts.reader.bounds(self.at.topic, partition)
        committed = await parts.committed(self.at)
        # Beyond the end: the topic was created anew. Claims keep from its beginning what was said.
        inside = committed is not None and bounds.begin <= committed <= bounds.end
        self.offset = committed if committed is not None and inside else bounds.begin
        self._last = None
        for begun in await parts.claims.begun(partition, self.channel):
            await self._settle(begun)
        if bounds.begin < self.offset <= bounds.end:
            before = await parts.reader.record(self.at.topic, partition, self.offset - 1)
            self._last = position_of(before)
            await self._settle_forgotten(before)

    async def _settle(self, begun: HandOver) -> None:
        """Finish what was begun and never answered."""
        parts, partition = self.parts, self.at.partition
        await self._report(await parts.hand_overs.settle(self.gateway, partition, begun))
        await parts.claims.answered(partition, self.channel, begun.action_id)

    async def _settle_of_others(self, action_id: str) -> None:
        """Finish what a former owner claimed after we entered, and was ended before it called.

        We settled all there was when we entered: without this nobody would hear of it before
        somebody enters again.
        """
        for begun in await self.parts.claims.begun(self.at.partition, self.channel):
            if begun.action_id == action_id:
                await self._settle(begun)

    async def _settle_forgotten(self, before: ConsumerRecord) -> None:
        """Finish the hand-over before the offset if its claim is gone and its fate untold.

        A worker dies in mid-call and Redis loses its last second, the claim with it: the offset
        alone knows. The fault trial found three actions of which nobody ever heard again.
        """
        parts, topic = self.parts, self.parts.prefix + FEEDBACK
        try:
            read = handover.read(self.at.partition, before.value or b"", _cause(before))
        except InvalidEvent:
            return
        action = read.action
        if await parts.claims.claimed(self.at.partition, action.action_id):
            return
        if await parts.hand_overs.clock.now(self.at.partition) > read.expires_at + HOUR:
            return  # claims lapse by themselves then, and nobody is called any more
        count = await parts.producer.partitions(topic)
        told = partition_of(action.user_id.encode(), count)
        if not await is_told(parts.reader, topic, told, action.action_id, before.timestamp):
            await self._settle(HandOver(action.action_id, read.value))

    async def step(self, records: Sequence[ConsumerRecord]) -> bool:
        """Hand over one action after the other; the offset moves with each.

        False = they begin beyond it.
        """
        if records[0].offset < self.offset:
            raise went_back(self.at, self.offset, records[0].offset)
        if records[0].offset > self.offset and not await self._gaps.crossed(
            self.offset, records[0].offset
        ):
            return False
        for record in records:
            if not self._repeated(record):
                await self._traced(record)
            self.offset = record.offset + 1
        return True

    def _repeated(self, record: ConsumerRecord) -> bool:
        """Apply the readers' rule: what is not above the last position was there before."""
        at = position_of(record)
        if at is not None and self._last is not None and at <= self._last:
            self.parts.watch(self.channel, "claimed")
            return True
        self._last = at or self._last
        return False

    async def _traced(self, record: ConsumerRecord) -> None:
        """Take up one action, and tell its trace of it where it is in one."""
        tracing = self.parts.tracing
        link = link_of(record.headers) if tracing is not None else None
        if tracing is None or link is None:
            await self._take(record)
            return
        started, self._result = tracing.clock(), ""
        try:
            await self._take(record)
        finally:
            told = {"rekindle.channel": self.channel, "rekindle.result": self._result or "failed"}
            tracing.delivered(link, started, told)

    def _tell(self, result: str) -> None:
        self._result = result
        self.parts.watch(self.channel, result)

    async def _take(self, record: ConsumerRecord) -> None:
        try:
            read = handover.read(self.at.partition, record.value or b"", _cause(record))
        except InvalidEvent as error:
            await self.parts.dead_letters.write([(record, error)])
            self._tell(error.reason)
            return
        judged = await self.parts.hand_overs.judge(read)
        if isinstance(judged, Refusal):
            await self._report(judged.feedback)
            return
        await self._hand_over(record, read, judged)

    async def _hand_over(
        self, record: ConsumerRecord, read: ActionRecord, proceed: Proceed
    ) -> None:
        claims, partition = self.parts.claims, self.at.partition
        if not await claims.claim(partition, self.channel, proceed.hand_over, proceed.keep):
            self._tell("claimed")
            await self._settle_of_others(read.action.action_id)
            return
        # Before the commit and the call: the source commits where a lane stands twice a second,
        # which took the offset back in mid-call; a Redis that forgot the claim then said it twice.
        # Nor does anything go out on the claim alone: not committed is in doubt, and settled anew.
        self.offset = record.offset + 1
        await self.parts.commit(self.at, self.offset)
        feedback = await self.parts.hand_overs.call(self.gateway, proceed)
        await self._report(feedback)
        await claims.answered(partition, self.channel, read.action.action_id)

    async def _report(self, feedback: Feedback) -> None:
        topic = self.parts.prefix + FEEDBACK
        key = feedback.user_id.encode()
        count = await self.parts.producer.partitions(topic)
        record = Record(key, encode(feedback))
        await self.parts.producer.run(topic, partition_of(key, count), [record])
        self._tell(feedback.type)
        if feedback.type == "cancelled":
            self.parts.cancelled(feedback.reason)

    async def leave(self) -> None:
        """Nothing is left to flush: every report is awaited."""


def _cause(record: ConsumerRecord) -> int | None:
    at = position_of(record)
    return None if at is None else at.offset


def agent(app: faust.App, source: Source, concurrency: int = 64) -> Any:
    """Make the Faust agent; its lanes wait for others nearly all the time, hence so many."""

    @app.agent(source.channel, concurrency=concurrency, name="rekindle.deliver")
    async def deliver(stream: StreamT[Any]) -> None:
        async for own, records in stream:
            await source.work(own, records)

    return deliver
