"""What a log must come to: folded by the real pipeline on a dictionary, in one go.

Only :func:`engine.pipeline.take` is the product's; loading, applying and repeats are our own.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec

from engine.events import Record, SettingsRecord, Tick
from engine.pipeline import chunks, take
from engine.policy import Settings
from engine.ports import Commit, Head, InForce, OutboxId, Store, Stored
from engine.report import Report
from streams import in_force
from tests.faults.checker.intake import Taken

# Another size than the workers', so that nothing rests on where chunks are cut.
_CHUNK = 311


@dataclass
class Notes:
    """The state of one partition."""

    profiles: dict[str, bytes] = field(default_factory=dict)
    addresses: dict[str, bytes] = field(default_factory=dict)
    wakes: dict[str, int] = field(default_factory=dict)
    _order: list[tuple[int, str]] = field(default_factory=list)

    async def load(
        self, _: int, users: Sequence[str], with_addresses: Collection[str]
    ) -> dict[str, Stored]:
        """Return what is known of these users."""
        told = self.addresses
        return {
            user: Stored(
                self.profiles.get(user), told.get(user) if user in with_addresses else None
            )
            for user in users
        }

    async def due(self, _: int, now: int, limit: int) -> list[str]:
        """Return who is due, in (wake-up, user) order; ``limit`` 0 = all."""
        end = bisect_left(self._order, (now + 1, ""))
        return [user for _, user in self._order[: min(end, limit) if limit else end]]

    def apply(self, commit: Commit) -> None:
        """Write down what changed."""
        self.profiles.update(commit.profiles)
        for user, addresses in commit.addresses.items():
            if addresses is None:
                self.addresses.pop(user, None)
            else:
                self.addresses[user] = addresses
        for user, wake in commit.wakes.items():
            self.wake(user, wake)

    def wake(self, user: str, at: int) -> None:
        """Note when to look at her next; 0 = not at all."""
        if before := self.wakes.pop(user, 0):
            del self._order[bisect_left(self._order, (before, user))]
        if at:
            self.wakes[user] = at
            insort(self._order, (at, user))


@dataclass
class Expected:
    """Outgoing records by topic, in order; the state they leave; what was counted on the way.

    ``in_force``: what was in force at the end.
    """

    outputs: dict[str, list[tuple[OutboxId, bytes]]]
    state: Notes
    report: Report
    in_force: InForce


async def expect(partition: int, log: Sequence[Taken], files: Mapping[str, bytes]) -> Expected:
    """Fold the log of one partition; ``files``: artefacts by sha256."""
    notes, head = Notes(), Head()
    built: dict[Settings, InForce] = {}
    found = Expected({}, notes, Report(), _in_force(head.settings, files, built))
    records = [(taken.offset, _plain(taken.record)) for taken in log]
    for chunk in chunks(records, 0, size=_CHUNK):
        force = _in_force(head.settings, files, built)
        # take() asks its store for no more than `load` and `due`
        taken = await take(cast("Store", notes), partition, head, chunk, force)
        notes.apply(taken.commit)
        head = taken.commit.head
        found.report.add(taken.report)
        for entry in taken.commit.outbox:
            found.outputs.setdefault(entry.topic, []).append((entry.id, entry.value))
    found.in_force = _in_force(head.settings, files, built)
    return found


def _plain(record: Record) -> Record:
    """Return a record without its source: what was repeated is left out already, by us."""
    if isinstance(record, Tick | SettingsRecord):
        return record
    return msgspec.structs.replace(record, source=None)


def _in_force(
    settings: Settings, files: Mapping[str, bytes], built: dict[Settings, InForce]
) -> InForce:
    if settings not in built:
        built[settings] = in_force.build(settings, files)
    return built[settings]
