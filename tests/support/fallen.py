"""A world whose store falls back, and comes back with another engine behind the same settings."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, replace

from engine import decisions, pipeline
from engine import profile as profiles
from engine.decisions import Decision
from engine.memory import PriorScorer
from engine.policy import Policy
from engine.ports import Case, InForce, OutboxId, Outgoing, Score
from engine.recorded import Recorded, take_recorded
from tests.support.strategies import History
from tests.support.world import Lane, World, now_done

Identity = tuple[str, str, str, str]


@dataclass(frozen=True)
class Fall:
    """What is lost: state after ``kept`` records, when ``reached`` had been folded.

    ``decided``, ``acted``: how many decisions and actions of the last cause had reached the log.
    """

    kept: int
    reached: int
    decided: int
    acted: int


@dataclass
class Returned(Lane):
    """A lane whose store fell back; it reads back what its log of decisions holds."""

    recorded: Recorded = field(default_factory=lambda: Recorded(OutboxId(-1, 0)))
    tails: dict[str, OutboxId] = field(default_factory=dict)
    # Triggers that left a profile and no record that readers see.
    vanished: list[Identity] = field(default_factory=list)

    def enter(self) -> None:
        """Enter as every lane does, and look back."""
        self.tails = {entry.topic: entry.id for entry in self.out}
        super().enter()
        tail = self.tails.get(pipeline.DECISIONS)
        if tail is not None and tail.offset >= self.head.offset:
            self.recorded = Recorded(tail, dict(self.tails))
            for entry in self.out:
                if entry.topic == pipeline.DECISIONS and entry.id.offset >= self.head.offset:
                    self.recorded.add(entry.id, entry.key, entry.value)

    def _written(self, entries: Sequence[Outgoing]) -> None:
        """Write as the outbox does: what is above the tail of its topic."""
        nothing = OutboxId(-1, 0)
        super()._written([e for e in entries if e.id > self.tails.get(e.topic, nothing)])
        if entries:
            self.written = entries[-1].id

    def one(self, chunk: pipeline.Chunk, force: InForce) -> None:
        """Take one chunk, and look whether a trigger is gone without a record."""
        before = self._armed()
        super().one(chunk, force)
        gone = before - self._armed()
        if gone:
            made = [decisions.decode(e.value) for e in self.out if e.topic == pipeline.DECISIONS]
            closed = {_identity(each) for each in made if each.outcome != "defer"}
            self.vanished += sorted(gone - closed)

    def take(self, chunk: pipeline.Chunk, force: InForce) -> pipeline.Taken:
        """Take one chunk by what is recorded of it."""
        return now_done(
            take_recorded(self.store, self.partition, self.head, chunk, force, self.recorded)
        )

    def _armed(self) -> set[Identity]:
        return {
            (user, *trigger.identity)
            for user, packed in self.store._at(self.partition).users.items()
            for trigger in profiles.decode(packed).triggers
        }


def _identity(decision: Decision) -> Identity:
    return decision.user_id, decision.campaign, decision.trigger.kind, decision.trigger.key


class OtherScorer:
    """Another model: it believes in whom the campaign's prior does not, and the other way round."""

    def score(self, case: Case) -> Score:
        """Return the prior upside down."""
        score = PriorScorer().score(case)
        return Score(p0=0.6 - score.p0, features={"other": 1.0}, schema_hash="other")


def another(force: InForce, policy: Policy) -> InForce:
    """What another campaigns file and another model put in force under the same settings."""
    return replace(force, policy=policy, scorer=OtherScorer())


def fall_back(
    history: History,
    fall: Fall,
    other: Policy | None = None,
    *,
    first: AbstractContextManager[None] | None = None,
    second: AbstractContextManager[None] | None = None,
) -> World:
    """Play a history up to ``fall.reached``, lose state, and go on, with ``other`` in force.

    ``first``, ``second``: which engine is at work before and after the fall.
    """
    world = World(history.policy, chunk=1)
    lane = world.lanes[0]
    world.logs[0] = log = list(enumerate(history.records))
    with first or nullcontext():
        lane.run(log[: fall.kept], world.force)
        older, report = deepcopy(world.store.partitions[0]), deepcopy(lane.report)
        lane.run(log[: fall.reached], world.force)
    world.store.partitions[0] = older
    back = Returned(world.store, 0, 1, token="back", out=_cut(lane.out, fall), report=report)
    back.enter()
    if other is not None:
        world.force = another(world.force, other)
    world.lanes = [back]
    with second or nullcontext():
        back.run(log, world.force)
    return world


def _cut(out: Sequence[Outgoing], fall: Fall) -> list[Outgoing]:
    """Leave out what of the last cause had not reached its topic: decisions go before actions."""
    if not out or out[-1].id.offset < fall.kept:
        return list(out)
    last = out[-1].id.offset
    before = [entry for entry in out if entry.id.offset < last]
    made = [entry for entry in out[len(before) :] if entry.topic == pipeline.DECISIONS]
    acted = [entry for entry in out[len(before) :] if entry.topic != pipeline.DECISIONS]
    some = made[: fall.decided]
    reached = [*some, *acted[: fall.acted]] if len(some) == len(made) else some
    return [*before, *sorted(reached)]


__all__ = ["Fall", "Returned", "another", "fall_back"]
