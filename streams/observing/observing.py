"""The observer at work: one owner by lease, minute after minute, and nothing told twice.

After every batch of closed minutes all that is known is kept in Redis in one write that only the
owner of the lease can make, with the messages that are to be told; only then are they written to
``anomalies``. A process that goes on after a kill reads in that topic which of them arrived.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import faust

from engine.errors import Refused, Unavailable
from engine.events import Control
from engine.times import MINUTE, iso
from monitoring.figures.counts import Counts
from monitoring.figures.told import Facts
from monitoring.figures.watched import Table
from streams.log.producer import Producer, Record
from streams.log.topics import ANOMALIES, CHANNELS
from streams.observing.book import Book, recorder_of
from streams.observing.following import Following
from streams.observing.kept import Kept, pack, unpack
from streams.observing.minutes import Closed
from streams.observing.stocked import Stocked
from streams.observing.ticked import Ticked
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.lease import RENEWED_EVERY, Lease
from streams.state.store import RedisStore

log = logging.getLogger(__name__)

Act = Callable[[Control], Awaitable[object]]

# Minutes folded before they are kept and the loop is given back: a catch-up stays interruptible.
_BATCH: Final = 30
# A simulation passes some hundred minutes a second.
_SIMULATED_BATCH: Final = 12 * 60
_WAIT: Final = 0.2
_RETRY: Final = 1.0
# Behind by more than this it is not ready, ms.
_BEHIND: Final = 3 * MINUTE


class Observing(faust.Service):
    """Follows the topics as long as the lease is ours; waits while it is another's."""

    def __init__(
        self,
        deployment: Deployment,
        table: Table,
        redis: RedisConnection,
        *,
        act: Act,
        now: Callable[[], int],
        since: int = 0,
    ) -> None:
        """``act`` carries out a control; ``now``: wall ms.

        ``since``: how far back a first start begins, ms; a later one goes on where it was. Where
        the data is the clock, minutes and ``since`` are of its time; the lease, what is told to
        metrics of how far topics were read, and how fresh that is, are of the wall's.
        """
        super().__init__()
        self._deployment, self._redis = deployment, redis
        self._act, self._now, self._since = act, now, since
        self._lease = Lease(redis, "observe", f"{deployment.worker_id}/{id(self):x}/{now()}")
        simulated = deployment.clock == "source"
        self._ticked = Ticked(RedisStore(redis)) if simulated else None
        self._following = Following(deployment, table, now, self._ticked)
        self._stocked = Stocked(deployment)
        self._producer = Producer(deployment.kafka)
        self._book = Book(
            table,
            [topic for topic, _ in deployment.sources],
            deployment.topic_prefix,
            deployment.worker_id,
            simulated=simulated,
        )
        self._folded: list[Counts] = []
        self._renewed_at = 0.0
        self._stood_at = 0
        self._waits_for = ""
        self._away = ""
        self.recorder = recorder_of(table, self._following.names)
        # who answers a hand-over is the provider of its message
        self.recorder.meet(deployment.gateway(channel).kind for channel in CHANNELS)
        self.ours = False
        self.facts = Facts()

    def on_init_dependencies(self) -> list[faust.Service]:
        """Return what reads the products, also while another observer is at work."""
        return [self._stocked.following]

    # --- the loop -------------------------------------------------------------------------------

    @faust.Service.task
    async def _observe(self) -> None:
        while not self.should_stop:
            try:
                if await self._owner():
                    await self._go_on()
            except Unavailable as away:
                if str(away) != self._away:
                    log.warning("the observer waits: %s", away)
                self._away = str(away)
            finally:
                await self._following.stop()
            await self.sleep(_RETRY)

    async def _owner(self) -> bool:
        """Take the lease; say once whom we wait for."""
        self.ours = await self._lease.take()
        self._renewed_at = monotonic()
        other = "" if self.ours else (await self._lease.owner()).partition("/")[0]
        if other and other != self._waits_for:
            log.info("observer %s is at work; this one waits to take over", other)
        self._waits_for = other
        return self.ours

    async def _go_on(self) -> None:
        await self._begin()
        self._away = ""
        while not self.should_stop and self.ours:
            await self._following.look(_WAIT)
            self.recorder.reached(self._following.horizon())
            await self._fold()
            if monotonic() - self._renewed_at > RENEWED_EVERY:
                self.ours = await self._lease.take()
                self._renewed_at = monotonic()
        if not self.ours:
            log.warning("the lease of the observer went to another; this one waits")

    async def _begin(self) -> None:
        prefix = self._deployment.topic_prefix
        kept = unpack(await self._lease.state(), prefix)
        first = kept is None
        if kept is None:
            until = (await self._time() - self._since) // MINUTE * MINUTE
            kept = Kept(prefix=prefix, until=until)
        log.info("%s %s", "the figures begin after" if first else "goes on after", iso(kept.until))
        self._book.open(kept)
        self.recorder.meet(kept.figures.providers)
        self._folded = []
        self._following.tail.clear()
        # Decisions of minutes that were not closed yet are read again.
        self._following.tail.extend(row for row in kept.tail if row.at < kept.until)
        folded = await self._begin_with_settings(kept.until) if first else None
        await self._following.start(kept.until, kept.standings, folded=folded)
        await self._tell(await self._arrived())

    async def _time(self) -> int:
        """Return the time a first start begins at; raises Unavailable before there is any."""
        if self._ticked is None:
            return self._now()
        partitions = await self._following.partitions()
        passed = await self._ticked.look(partitions)
        if not passed:
            message = "no tick has been worked on yet: the time of the data has not begun"
            raise Unavailable(message)
        return passed

    async def _begin_with_settings(self, until: int) -> int:
        """Take what is in force from where workers keep it; returns the offset it is as of.

        Beside a deployment that starts they may not have come to its first settings yet.
        """
        head = await RedisStore(self._redis).head(0)
        if head is None:
            return 0
        ruled = await self._following.ruled(Book.record_of(head.settings), until)
        self._book.begin(head.settings, ruled.terms)
        return head.offset

    # --- closed minutes -------------------------------------------------------------------------

    async def _fold(self) -> None:
        number = 0
        closed: Closed | None = None
        batch = _BATCH if self._ticked is None else _SIMULATED_BATCH
        for number, closed in enumerate(self._following.closed(), 1):
            self._folded.append(self._book.close(closed, self._now()))
            if number % batch == 0:
                await self._keep(closed)
        if closed is None:
            if self._ticked is not None and self._following.passed != self._stood_at:
                self._stand()
            return
        if number % batch:
            await self._keep(closed)
        horizon = self._following.horizon()
        facts = self._book.facts(horizon, list(self._following.tail), self._stocked.shelf)
        facts.notes.extend(self._stocked.notes(facts.stock))
        if self._following.missed:
            facts.notes.append(
                f"{self._following.missed:,} records were gone from Kafka before they were read."
            )
        self.facts = facts
        self.recorder.stand(facts.series, facts.model.drift)
        self.recorder.stock(facts.stock)

    def _stand(self) -> None:
        """Say up to which wall time everything was read and judged, while no tick closes more."""
        self._stood_at = self._following.passed
        self.recorder.ran(self._stood_at)

    async def _keep(self, closed: Closed) -> None:
        """Keep what is known after a minute, tell what is to be told, do what is asked for."""
        kept = self._book.kept(closed.end, closed.standings, list(self._following.tail))
        # Up to some MB: packed beside the loop, while nobody changes what is packed.
        packed = await asyncio.to_thread(pack, kept)
        self.ours = await self._lease.keep(packed)
        self._renewed_at = monotonic()
        if not self.ours:
            message = "the lease of the observer went to another"
            raise Unavailable(message)
        self._count()
        self.recorder.ran(self._now())
        await self._tell(set())
        await self._do()

    def _count(self) -> None:
        """Count what was kept: minutes that were not are folded, and would be counted, again."""
        folded, self._folded = self._folded, []
        for counts in folded:
            self.recorder.count(counts)

    async def _arrived(self) -> set[str]:
        """Return which of the messages that were to be told a killed process told already."""
        if not self._book.outbox:
            return set()
        topic = self._deployment.topic_prefix + ANOMALIES
        return await self._following.told_since((topic, 0))

    async def _tell(self, arrived: set[str]) -> None:
        outbox = self._book.outbox
        told = [Record(*outbox[one]) for one in outbox if one not in arrived]
        if told:
            await self._producer.run(self._deployment.topic_prefix + ANOMALIES, 0, told)
        self._book.outbox = {}

    async def _do(self) -> None:
        asked, self._book.asked = self._book.asked, []
        for control in asked:
            log.warning("brake: %s %s: %s", control.action, control.target, control.reason)
            try:
                await self._act(control)
            except (Unavailable, Refused) as error:  # judged anew with the next figures
                log.error("brake: %s was not carried out: %s", control.target, error)  # noqa: TRY400 - a sentence, not a trace

    # --- what others ask ------------------------------------------------------------------------

    def findings(self) -> list[str]:
        """Return why the figures are not told, a sentence each; none = all is well."""
        if self._away:
            return [f"The observer waits: {self._away}"]
        if self._waits_for:
            return [f"Observer {self._waits_for} is at work; this one waits to take over."]
        if not self.ours or not self._following.passed:
            return ["The observer has not begun yet."]
        if self._now() - self._following.passed > _BEHIND:
            return [f"The observer is behind: {self._following.waited()}."]
        return []

    async def on_stop(self) -> None:
        """Leave the lease to whoever waits."""
        await self._following.stop()
        await self._producer.stop()
        if self.ours:
            try:
                await self._lease.release()
            except Unavailable as away:
                log.debug("the lease ends by itself: %s", away)


__all__ = ["Observing"]
