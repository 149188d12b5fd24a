"""Protocols that are broken in one place each: what the simulation must notice, and how.

Every mutant names the kinds of violation of which it must be caught; any other kind is no proof.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import ConsumerRecord

from engine import pipeline
from engine.errors import Unavailable
from engine.events import Event
from engine.ports import Commit, OutboxId
from streams.agents.decide import DecideLane
from streams.agents.deliver import DeliverLane
from streams.agents.intake import IntakeLane
from streams.log.outbox import Outbox
from streams.log.ticks import Gate
from streams.state.lanes import IntakeLanes, LaneState
from streams.state.store import RedisStore
from tests.faults.simulation.redis_model import Database
from tests.support.mutants import all_judged_before_any_is_charged, replaced

Mutant = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Broken:
    """A mutant, and what it must be caught of; ``harm``: under what, see harms.py."""

    mutant: Mutant
    kinds: frozenset[str]
    harm: str = ""


def actions_produced_before_the_commit() -> AbstractContextManager[None]:
    """What leaves is in the log before anybody knows whether this owner may decide."""

    async def commit(self: RedisStore, partition: int, token: str, commit: Commit) -> int | None:
        lane = _LANES.get((id(self), partition))
        if lane is not None and commit.outbox:
            await lane._outbox.publish(commit.outbox)
        return await original(self, partition, token, commit)

    original = RedisStore.commit
    return _knowing_lanes(replaced(RedisStore, "commit", commit))


_LANES: dict[tuple[int, int], DecideLane] = {}


@contextmanager
def _knowing_lanes(inner: AbstractContextManager[None]) -> Iterator[None]:
    original = DecideLane.enter

    async def enter(self: DecideLane) -> None:
        _LANES[id(self.parts.store), self.at.partition] = self
        await original(self)

    with replaced(DecideLane, "enter", enter), inner:
        yield
    _LANES.clear()


def no_outbox() -> AbstractContextManager[None]:
    """What leaves is kept beside the commit, and dies with the process."""

    async def commit(self: RedisStore, partition: int, token: str, commit: Commit) -> int | None:
        return await original(self, partition, token, replace(commit, outbox=[]))

    original = RedisStore.commit
    return replaced(RedisStore, "commit", commit)


def no_compare_and_set() -> AbstractContextManager[None]:
    """A commit is applied whoever sends it, wherever the partition stands."""
    original = Database.__init__

    def init(self: Database, clock: Callable[[], int]) -> None:
        original(self, clock)
        self.compare = False

    return replaced(Database, "__init__", init)


def one_tail_over_all_topics() -> AbstractContextManager[None]:
    """What any output topic holds, all are taken to hold."""

    async def drain(self: Outbox, entries: Any, reader: Any, end: int) -> OutboxId | None:
        names = [self._prefix + topic for topic in self._topics]
        tails = await reader.tails(names, self._partition)
        highest = max((tail for tail in tails.values() if tail is not None), default=None)
        self._tails = dict.fromkeys(self._topics, highest)
        return await self.publish(sorted(entries))

    return replaced(Outbox, "drain", drain)


def trim_by_count() -> AbstractContextManager[None]:
    """The outbox keeps its newest entries, so many, whether or not the others are in the log."""

    async def commit(self: RedisStore, partition: int, token: str, commit: Commit) -> int | None:
        kept = commit.outbox[-2:]
        return await original(self, partition, token, replace(commit, outbox=kept))

    original = RedisStore.commit
    return replaced(RedisStore, "commit", commit)


def a_commit_that_consumes_no_record() -> AbstractContextManager[None]:
    """State is committed first; what leaves and the record are consumed by a second commit."""

    async def commit(self: RedisStore, partition: int, token: str, commit: Commit) -> int | None:
        if commit.outbox:
            # The crc is that of the record before the offset: 0 = not known.
            head = replace(commit.head, offset=commit.offset, crc=0)
            await original(self, partition, token, replace(commit, head=head, outbox=[]))
            commit = Commit(commit.offset, commit.head, outbox=commit.outbox, trim=commit.trim)
        return await original(self, partition, token, commit)

    original = RedisStore.commit

    @contextmanager
    def unchecked() -> Iterator[None]:
        unasked = replaced(Commit, "check", lambda self: None)
        with unasked, replaced(RedisStore, "commit", commit):
            yield

    return unchecked()


def no_source_positions() -> AbstractContextManager[None]:
    """Runs that intake repeats are folded again."""
    return replaced(pipeline, "_repeated", lambda highest, position: False)


def caps_judged_on_the_old_profile() -> AbstractContextManager[None]:
    """Candidates of one person are all judged before any of them is charged."""
    return all_judged_before_any_is_charged()


def kafka_offset_committed_on_receipt() -> AbstractContextManager[None]:
    """Where a lane stands is told before its work is done."""
    handing, taking = DeliverLane.step, IntakeLane.step

    async def deliver(self: DeliverLane, records: Sequence[ConsumerRecord]) -> bool:
        with suppress(Unavailable):
            await self.parts.commit(self.at, records[-1].offset + 1)
        return await handing(self, records)

    async def intake(self: IntakeLane, records: Sequence[ConsumerRecord]) -> bool:
        state = LaneState(self.state.generation, records[-1].offset + 1, 0)
        await self.parts.lanes.save(self.at.topic, self.at.partition, state)
        return await taking(self, records)

    @contextmanager
    def both() -> Iterator[None]:
        with replaced(DeliverLane, "step", deliver), replaced(IntakeLane, "step", intake):
            yield

    return both()


def events_fire_wake_ups() -> AbstractContextManager[None]:
    """Whoever is due is decided about when anything arrives, not by a tick alone."""

    def events(self: Any, fresh: Sequence[tuple[int, Event]]) -> None:
        original(self, fresh)
        if self.force.policy is None:
            return
        for offset, event in fresh:
            user = self.users[event.user_id]
            if user.profile.wake and user.profile.wake <= event.received_at:
                self._at(offset + 0)
                self.ordinal = max(
                    [e.id.ordinal for e in self.outbox if e.id.offset == offset], default=0
                )
                if self.outbox and self.outbox[-1].id.offset > offset:
                    continue
                self._decide(event.user_id, user, event.received_at, self.force.policy)
                due = [trigger.wake_at for trigger in user.profile.triggers]
                user.profile.wake = min(due, default=0)

    original = pipeline.Step.events
    return replaced(pipeline.Step, "events", events)


def ticks_not_gated_by_intake() -> AbstractContextManager[None]:
    """Time passes whatever intake has not forwarded yet."""
    return replaced(Gate, "open_at", lambda self, now: True)


# --- what an operator must mend -----------------------------------------------------------------


def a_refused_write_taken_for_done() -> AbstractContextManager[None]:
    """What Redis refuses to keep goes out all the same."""

    async def commit(self: RedisStore, partition: int, token: str, commit: Commit) -> int | None:
        with suppress(Unavailable):
            return await original(self, partition, token, commit)
        return None

    original = RedisStore.commit
    return replaced(RedisStore, "commit", commit)


def intake_that_learns_late_that_nothing_is_kept() -> AbstractContextManager[None]:
    """Whether Redis takes writes is seen after the records are in the one log."""

    async def enter(self: IntakeLane) -> None:
        parts = self.parts
        self.parts = replace(parts, lanes=_Silent(parts.lanes))
        try:
            await original(self)
        finally:
            self.parts = parts

    original = IntakeLane.enter
    return replaced(IntakeLane, "enter", enter)


class _Silent(IntakeLanes):
    """Reads where lanes stand, and keeps nothing."""

    def __init__(self, lanes: IntakeLanes) -> None:
        super().__init__(lanes._redis)

    async def save(self, topic: str, partition: int, state: LaneState) -> None:
        """Do nothing."""


def another_log_is_not_recognised() -> AbstractContextManager[None]:
    """Whoever enters goes on at its offset, whatever log it is in."""

    async def same(self: object, *_: object) -> None:
        """Find nothing wrong."""

    @contextmanager
    def both() -> Iterator[None]:
        with replaced(DecideLane, "_same_log", same), replaced(IntakeLane, "_same_log", same):
            yield

    return both()


def a_hole_is_stepped_over() -> AbstractContextManager[None]:
    """Where records are missing, the next one that is there is taken."""

    async def decide(self: DecideLane, records: Sequence[ConsumerRecord]) -> bool:
        self.offset = max(self.offset, records[0].offset)
        return await folding(self, records)

    async def intake(self: IntakeLane, records: Sequence[ConsumerRecord]) -> bool:
        self.offset = max(self.offset, records[0].offset)
        return await taking(self, records)

    async def same(self: object, *_: object) -> None:
        """Find nothing wrong."""

    folding, taking = DecideLane.step, IntakeLane.step

    @contextmanager
    def all_of_it() -> Iterator[None]:
        with (
            replaced(DecideLane, "step", decide),
            replaced(IntakeLane, "step", intake),
            another_log_is_not_recognised(),
        ):
            yield

    return all_of_it()


def what_looks_repeated_is_left_out() -> AbstractContextManager[None]:
    """Nobody asks whether Redis still knows in which generation a source is read."""

    async def repeated(self: DecideLane, lanes: object) -> None:
        """Believe it."""

    return replaced(DecideLane, "_truly_repeated", repeated)


MUTANTS: dict[str, Broken] = {
    "actions produced before the commit": Broken(
        actions_produced_before_the_commit, frozenset({"left before it was committed"})
    ),
    "no outbox": Broken(no_outbox, frozenset({"lost"})),
    "no compare-and-set": Broken(
        no_compare_and_set,
        frozenset({"lost", "unexpected", "differs", "profiles", "wake-ups"}),
    ),
    "one tail over all topics": Broken(one_tail_over_all_topics, frozenset({"lost"})),
    "trim by count": Broken(trim_by_count, frozenset({"lost"})),
    "a commit that consumes no record": Broken(
        a_commit_that_consumes_no_record,
        frozenset({"lost"}),
    ),
    "no source positions": Broken(
        no_source_positions, frozenset({"profiles", "unexpected", "differs", "lost"})
    ),
    "caps judged on the old profile": Broken(caps_judged_on_the_old_profile, frozenset({"caps"})),
    "Kafka offset committed on receipt": Broken(
        kafka_offset_committed_on_receipt, frozenset({"unaccounted", "lost on the way in"})
    ),
    "events fire wake-ups": Broken(events_fire_wake_ups, frozenset({"fired by an event"})),
    "ticks not gated by intake": Broken(
        ticks_not_gated_by_intake, frozenset({"decided on old knowledge"})
    ),
    "a refused write taken for done": Broken(
        a_refused_write_taken_for_done, frozenset({"left before it was committed"}), "redis full"
    ),
    "intake that learns late that nothing is kept": Broken(
        intake_that_learns_late_that_nothing_is_kept,
        frozenset({"written again and again"}),
        "redis full",
    ),
    "another source topic is not recognised": Broken(
        another_log_is_not_recognised, frozenset({"lost on the way in"}), "source anew"
    ),
    "another log is not recognised": Broken(
        another_log_is_not_recognised, frozenset({"went on in another log"}), "log anew"
    ),
    "a hole in a source topic is stepped over": Broken(
        a_hole_is_stepped_over, frozenset({"skipped silently"}), "source cut"
    ),
    "a hole in the log is stepped over": Broken(
        a_hole_is_stepped_over, frozenset({"skipped silently"}), "log cut"
    ),
    "what looks repeated is left out": Broken(
        what_looks_repeated_is_left_out, frozenset({"lost on the way in"}), "reset forgotten"
    ),
}

__all__ = ["MUTANTS", "Broken"]
