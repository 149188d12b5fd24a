"""Broken workers: each lacks one protection, patched in its own process before it starts.

Some also slow an edge on purpose, so that the window in which the protection matters is wide.
What must notice each of them, and under which faults, stands in ``tests.faults.trials``.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from engine import pipeline
from engine.events import Event
from engine.pipeline import Step, Taken
from engine.ports import Commit, OutboxId, Outgoing
from streams.agents.decide import DecideLane
from streams.agents.intake import IntakeLane
from streams.log.outbox import Outbox, record
from streams.log.ticks import Gate
from streams.state.store import RedisStore

# Slower edges, s.
_LONG_STEP: Final = 0.7
_LATE_INTAKE: Final = 7.0


def actions_before_commit() -> None:
    """What leaves is written before the state that names it is."""
    taken = DecideLane._taken

    async def hasty(self: DecideLane, chunk: Any, force: Any) -> Taken:
        found = await taken(self, chunk, force)
        await _written(self._outbox, found.commit.outbox)
        return found

    async def nothing(self: DecideLane, entries: Sequence[Outgoing]) -> None:
        self._acknowledged = entries[-1].id if entries else None

    _put(DecideLane, "_taken", hasty)
    _put(DecideLane, "_let_out", nothing)


async def _written(outbox: Outbox, entries: Sequence[Outgoing]) -> None:
    """Write entries as they come, whatever the log holds."""
    for entry in entries:
        made = record(entry, outbox._prefix)
        await outbox._producer.run(outbox._prefix + entry.topic, outbox._partition, [made])


def no_outbox() -> None:
    """What leaves is kept beside the commit, and dies with the process."""
    _committing(lambda commit: replace(commit, outbox=[]))


def trim_by_count() -> None:
    """The outbox is emptied once something was acknowledged, whatever came to it since."""

    def emptied(commit: Commit) -> Commit:
        if commit.trim is None or not commit.outbox:
            return commit
        return replace(commit, trim=commit.outbox[-1].id)

    _committing(emptied)


def one_tail() -> None:
    """One position for all output topics, the highest of any, tells what has left."""
    publish = Outbox.publish

    async def by_the_highest(self: Outbox, entries: Sequence[Outgoing]) -> OutboxId | None:
        known = [tail for tail in self._tails.values() if tail is not None]
        if known:
            self._tails = dict.fromkeys(self._tails, max(known))
        return await publish(self, entries)

    _put(Outbox, "publish", by_the_highest)


def events_fire() -> None:
    """Who is due is decided about as soon as an event of hers comes by."""
    events = Step.events

    def eager(self: Step, fresh: Sequence[tuple[int, Event]]) -> None:
        policy = self.force.policy
        for offset, event in fresh:
            events(self, [(offset, event)])
            user = self.users[event.user_id]
            if policy is not None and 0 < user.profile.wake <= event.received_at:
                if self.offset != offset:
                    self._at(offset)
                self._decide(event.user_id, user, event.received_at, policy)
                left = [trigger.wake_at for trigger in user.profile.triggers]
                user.profile.wake = min(left, default=0)

    _put(Step, "events", eager)


def ticks_not_gated() -> None:
    """Time passes however far intake is behind; and it is far behind."""
    _put(Gate, "open_at", lambda self, now: True)
    _slow_intake(_LATE_INTAKE)


def no_source_positions() -> None:
    """Runs that intake repeats are folded again, unless the person's last ids tell."""
    _put(pipeline, "_repeated", lambda highest, position: False)
    _slow_intake(_LONG_STEP)


def caps_on_the_old_profile() -> None:
    """Candidates of one person are all judged as she was before any of them spoke."""

    def at_once(self: Step, name: str, user: Any, now: int, policy: Any) -> None:
        waiting = self._candidates(name, user.profile, now, policy)
        for trigger, weighed in self._weigh(waiting, name, user.profile, now, policy):
            self._conclude(user, trigger, weighed, outranked=False)

    _put(Step, "_decide", at_once)


def committed_on_receipt() -> None:
    """Intake notes as forwarded what it has only received."""
    step = IntakeLane.step

    async def careless(self: IntakeLane, records: Sequence[Any]) -> bool:
        after = replace(self.state, offset=records[-1].offset + 1, crc=0)
        await self.parts.lanes.save(self.at.topic, self.at.partition, after)
        return await step(self, records)

    _put(IntakeLane, "step", careless)


MUTANTS: Final[dict[str, Callable[[], None]]] = {
    mutant.__name__: mutant
    for mutant in (
        actions_before_commit,
        no_outbox,
        one_tail,
        trim_by_count,
        events_fire,
        ticks_not_gated,
        no_source_positions,
        caps_on_the_old_profile,
        committed_on_receipt,
    )
}


def _put(owner: object, name: str, value: object) -> None:
    assert hasattr(owner, name), name
    setattr(owner, name, value)


def _committing(changed: Callable[[Commit], Commit]) -> None:
    commit = RedisStore.commit

    async def other(self: RedisStore, partition: int, token: str, told: Commit) -> None:
        await commit(self, partition, token, changed(told))

    _put(RedisStore, "commit", other)


def _slow_intake(seconds: float) -> None:
    step = IntakeLane.step

    async def late(self: IntakeLane, records: Sequence[Any]) -> bool:
        await asyncio.sleep(seconds)
        return await step(self, records)

    _put(IntakeLane, "step", late)
