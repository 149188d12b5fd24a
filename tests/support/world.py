"""A small world in memory: the real pipeline, the real rules, and a clock that a test moves.

Everything a lane of the worker does is done here with the memory twins: enter, take, commit,
drain. Several partitions and any chunk size give the same world.
"""

import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, TypeVar
from zlib import crc32

import msgspec

from engine import decisions, pipeline
from engine import profile as profiles
from engine.actions import Action
from engine.actions import decode as decode_action
from engine.decisions import Decision
from engine.events import Control, Event, Record, SettingsRecord, Tick
from engine.memory import MemoryStore, PlainRenderer, PriorScorer
from engine.policy import Policy, Settings
from engine.ports import Head, InForce, OutboxId, Outgoing
from engine.profile import Addresses, Profile
from engine.report import Report
from engine.times import DAY, HOUR, MINUTE, SECOND
from rules import GUARDS, TRIGGERS, count_caps
from rules.zones import ZONES
from tests.support.builders import START, USER, Told, a_policy

T = TypeVar("T")

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def now_done(waiting: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine over memory returns: it never waits, so no event loop is needed."""
    try:
        waiting.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    waiting.close()
    raise AssertionError("a memory port waited")


def duration(text: str) -> int:
    """Return the ms of ``1h``, ``30m``, ``7d 2h``."""
    parts = re.findall(r"(\d+)([smhd])", text)
    assert parts, text
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def in_force(policy: Policy | None, settings: Settings | None = None) -> InForce:
    """What a policy puts in force, with every real rule and the plainest scorer and renderer."""
    settings = settings or Settings()
    return InForce(
        settings=settings,
        settings_hash=settings.digest(),
        policy=policy,
        triggers=TRIGGERS,
        guards=GUARDS,
        count_caps=count_caps,
        scorer=PriorScorer(),
        renderer=PlainRenderer(),
        local=ZONES,
    )


@dataclass
class Lane:
    """The work on one partition: the one way in, chunk by chunk, and what left through the outbox.

    ``out`` is what stands in the output topics; their tails decide what is written after a crash.
    """

    store: MemoryStore
    partition: int
    size: int = pipeline.CHUNK
    token: str = "owner"
    head: Head = field(default_factory=Head)
    out: list[Outgoing] = field(default_factory=list)
    report: Report = field(default_factory=Report)
    written: OutboxId | None = None
    committed: Callable[[], object] = lambda: None

    def enter(self) -> None:
        """Acquire, read the tails, drain what is above them, and stand at the stored offset."""
        head, outbox = now_done(self.store.acquire(self.partition, self.token))
        self.head = head or Head()
        self._drain(outbox)

    def _drain(self, outbox: Sequence[Outgoing]) -> None:
        tails = {entry.topic: entry.id for entry in self.out}
        nothing = OutboxId(-1, 0)
        self._written([entry for entry in outbox if entry.id > tails.get(entry.topic, nothing)])

    def _written(self, entries: Sequence[Outgoing]) -> None:
        self.out.extend(entries)
        if entries:
            self.written = entries[-1].id

    def run(self, log: Sequence[tuple[int, Record]], force: InForce) -> None:
        """Read on from where the lane stands (offsets count from 0); every chunk is one commit."""
        for chunk in pipeline.chunks(log[self.head.offset :], self.head.offset, self.size):
            self.one(chunk, force)

    def one(self, chunk: pipeline.Chunk, force: InForce) -> None:
        """Take one chunk, commit it, write what leaves."""
        taken = self.commit(chunk, force)
        self._written(taken.commit.outbox)
        self.report.add(taken.report)

    def commit(self, chunk: pipeline.Chunk, force: InForce) -> pipeline.Taken:
        """Take one chunk and commit it; what leaves still stands in the outbox."""
        taken = self.take(chunk, force)
        taken.commit.trim = self.written
        now_done(self.store.commit(self.partition, self.token, taken.commit))
        self.head = taken.commit.head
        self.committed()
        return taken

    def take(self, chunk: pipeline.Chunk, force: InForce) -> pipeline.Taken:
        """Take one chunk."""
        return now_done(pipeline.take(self.store, self.partition, self.head, chunk, force))


def partition_of(user: str, partitions: int) -> int:
    """Return where a user's records lie."""
    return crc32(user.encode()) % partitions


class World:
    """A shop, its people and its clock. Events are folded at once, only ticks move time."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        partitions: int = 1,
        chunk: int = pipeline.CHUNK,
        at: int = START,
        store: MemoryStore | None = None,
    ) -> None:
        """Start at ``at`` with ``policy`` in force (the builders' default policy)."""
        self.force = in_force(policy if policy is not None else a_policy())
        self.now = at
        self.store = store or MemoryStore()
        self.lanes = [Lane(self.store, index, chunk) for index in range(partitions)]
        self.logs: list[list[tuple[int, Record]]] = [[] for _ in range(partitions)]
        self.down = False
        self.numbers = count(1)  # a test draws the same lots whatever ran before it
        for lane in self.lanes:
            lane.enter()

    # --- what happens -----------------------------------------------------------------------

    def write(self, *records: Record) -> None:
        """Append records to the log (ticks and settings to every partition) and work them off."""
        for record in records:
            for index in self._targets(record):
                self.logs[index].append((len(self.logs[index]), record))
        if not self.down:
            self.work()

    def _targets(self, record: Record) -> Iterator[int]:
        if isinstance(record, Tick | SettingsRecord):
            yield from range(len(self.lanes))
        else:
            yield partition_of(record.user_id, len(self.lanes))

    def work(self) -> None:
        """Let every lane read to the end of its partition."""
        for lane, log in zip(self.lanes, self.logs, strict=True):
            lane.run(log, self.force)

    def told(self, user: str = USER, ago: str = "", *, history: bool = False) -> Told:
        """Build events of ``user`` that happened ``ago`` and reach us now."""
        at = self.now - duration(ago) if ago else self.now
        return Told(user, at, self.now, history, numbers=self.numbers)

    def event(self, *events: Event) -> None:
        """These reach us now."""
        self.write(*events)

    def person(self, user: str = USER, zone: str = "Asia/Shanghai", *channels: str) -> None:
        """Somebody who can be reached and has said yes, on these channels (default: all)."""
        told = self.told(user)
        known = told.identified(zones=[zone])
        assert isinstance(known, msgspec.Struct)
        self.event(known, *[told.consented(channel) for channel in channels or ("*",)])

    def wait(self, span: str, *, step: str = "5m") -> None:
        """Let time pass, tick by tick; the last tick is exactly ``span`` from now."""
        self.until(self.now + duration(span), step=step)

    def until(self, at: int, *, step: str = "5m") -> None:
        """Let time pass until ``at``."""
        stride = duration(step)
        while self.now + stride < at:
            self.tick(self.now + stride)
        self.tick(at)

    def tick(self, at: int | None = None, *, limit: int = 0) -> None:
        """Write the tick of one moment and move the clock to it."""
        if at is not None:
            self.now = max(self.now, at)
        self.write(Tick(now=self.now if at is None else at, limit=limit, origin="test"))

    def apply(self, policy: Policy) -> None:
        """Put another campaigns file in force, from here on."""
        settings = msgspec.structs.replace(
            self.force.settings, campaigns=f"{crc32(repr(policy).encode()):08x}"
        )
        self.force = in_force(policy, settings)

    def pause(self, name: str, *, on: bool = True) -> None:
        """Pause or resume ``channel:push`` or ``campaign:cart``, by a settings record."""
        self.write(SettingsRecord(pause={name: on}, origin="test"))
        self.force = in_force(self.force.policy, self.lanes[0].head.settings)

    def act(self, control: Control) -> None:
        """Write what somebody holds back or lets go, as the operator's commands do."""
        self.write(SettingsRecord(control=control, origin=control.actor))
        self.force = in_force(self.force.policy, self.lanes[0].head.settings)

    # --- what came of it --------------------------------------------------------------------

    @property
    def out(self) -> list[Outgoing]:
        """Return what left, partition by partition."""
        return [entry for lane in self.lanes for entry in lane.out]

    @property
    def sent(self) -> list[Action]:
        """Return the actions, in order of time."""
        found = [decode_action(entry.value) for entry in self.out if entry.topic != "decisions"]
        return sorted(found, key=lambda action: action.delivery.created_at)

    @property
    def decisions(self) -> list[Decision]:
        """Return the decisions, in order of time."""
        found = [decision for lane in self.lanes for decision in self.decisions_of(lane)]
        return sorted(found, key=lambda decision: decision.at)

    def decisions_of(self, lane: Lane) -> list[Decision]:
        """Return the decisions of one partition, as they were written."""
        return [decisions.decode(entry.value) for entry in lane.out if entry.topic == "decisions"]

    @property
    def reasons(self) -> list[str]:
        """Return why, decision by decision."""
        return [decision.reason for decision in self.decisions]

    @property
    def report(self) -> Report:
        """Return the counts of all lanes."""
        total = Report()
        for lane in self.lanes:
            total.add(lane.report)
        return total

    def profile(self, user: str = USER) -> Profile:
        """Return what is stored of a user."""
        packed = self._partition(user).users.get(user)
        return profiles.decode(packed) if packed is not None else Profile()

    def addresses(self, user: str = USER) -> Addresses:
        """Return her stored addresses."""
        packed = self._partition(user).addresses.get(user)
        return profiles.decode_addresses(packed) if packed is not None else Addresses()

    def _partition(self, user: str) -> Any:
        return self.store._at(partition_of(user, len(self.lanes)))

    def profiles(self) -> dict[str, bytes]:
        """Return every stored profile, packed."""
        found: dict[str, bytes] = {}
        for partition in self.store.partitions.values():
            found.update(partition.users)
        return found
