"""One replay from its source to what it came to: worlds, outputs, previews."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from statistics import quantiles
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from engine import decisions
from engine.events import Record, SettingsRecord
from engine.memory import MemoryArtefacts, MemoryStore
from engine.pipeline import CHUNK, DECISIONS
from engine.policy import Mode, Policy, Settings
from engine.ports import InForce, Outgoing
from engine.report import Report
from streams import in_force
from streams.replay.difference import Difference, Side
from streams.replay.preview import Preview
from streams.replay.world import World

# How often whoever watches is told how far it has come.
_TELL_EVERY: Final = 2_000


class Placed(NamedTuple):
    """One record of one partition of the log."""

    partition: int
    offset: int
    record: Record


Log = AsyncIterator[Placed]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where records come from; ``files`` are the artefacts their settings records name.

    ``unreadable`` counts records that only a dead letter is left of; ``notes`` are sentences the
    reader of the result should know.
    """

    log: Log
    files: Mapping[str, bytes]
    unreadable: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to replay. ``mode`` None = as the campaigns file says.

    ``campaigns`` replaces every campaigns record of the log, ``other`` is decided beside it and
    compared; ``decisions`` and ``actions`` are files to write.
    """

    chunk: int = CHUNK
    mode: Mode | None = None
    campaigns: bytes | None = None
    other: bytes | None = None
    decisions: Path | None = None
    actions: Path | None = None
    progress: Callable[[int], None] = lambda _: None


@dataclass(kw_only=True)
class Result:
    """What a replay came to."""

    report: Report
    preview: Preview
    difference: Difference | None
    profiles: int
    profile_bytes: tuple[int, int]
    settings_hashes: list[str]
    unreadable: Mapping[str, int]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return it as one object, names in order; equal replays give equal objects."""
        median, p99 = self.profile_bytes
        found: dict[str, Any] = {
            "events": sum(self.report.events.values()),
            "events_by_kind": dict(sorted(self.report.events.items())),
            "skipped": dict(sorted(self.report.skipped.items())),
            "unreadable": dict(sorted(self.unreadable.items())),
            "profiles": self.profiles,
            "profile_bytes": {"median": median, "p99": p99},
            "decisions": dict(sorted(self.preview.reasons.items())),
            "actions": dict(sorted(self.report.actions.items())),
            "campaigns": {
                name: found.as_json() for name, found in sorted(self.preview.campaigns.items())
            },
            "settings": self.settings_hashes,
            "notes": self.notes,
        }
        if self.difference is not None:
            found["difference"] = self.difference.as_json()
        return found


async def replay(origin: Origin, options: Options) -> Result:
    """Decide about every record of a log, in memory; raises Refused, Unavailable."""
    with ExitStack() as open_files:
        outputs = _Outputs(open_files, options)
        difference = Difference() if options.other is not None else None
        preview = Preview()
        hashes: dict[str, None] = {}

        def decided(side: Side, value: bytes, force: InForce) -> None:
            decision = decisions.decode(value)
            if difference is not None:
                difference.add(side, decision)
            if side == "before":
                preview.add(decision, force.policy)
                hashes[force.settings_hash] = None

        def first(_: int, outgoing: Outgoing, force: InForce) -> None:
            outputs.write(outgoing)
            if outgoing.topic == DECISIONS:
                decided("before", outgoing.value, force)

        def second(_: int, outgoing: Outgoing, force: InForce) -> None:
            if outgoing.topic == DECISIONS:
                decided("after", outgoing.value, force)

        sides = [_Side(origin, options, options.campaigns, first)]
        if options.other is not None:
            sides.append(_Side(origin, options, options.other, second))
        await _feed(origin.log, sides, options.progress)

    world = sides[0].world
    for campaign, count in world.report.armed.items():
        preview.of(campaign).armed = count
    for campaign, count in world.report.due.items():
        preview.of(campaign).due = count
    if difference is not None:
        difference.finish()
    sizes = profile_sizes(world.store)
    return Result(
        report=world.report,
        preview=preview,
        difference=difference,
        profiles=len(sizes),
        profile_bytes=_median_p99(sizes),
        settings_hashes=list(hashes),
        unreadable=origin.unreadable,
        notes=origin.notes,
    )


async def _feed(log: Log, sides: list["_Side"], progress: Callable[[int], None]) -> None:
    count = 0
    async for placed in log:
        for side in sides:
            await side.feed(placed)
        count += 1
        if count % _TELL_EVERY == 0:
            progress(count)
    for side in sides:
        await side.world.finish()
    progress(count)


class _Side:
    """One campaigns file over the log: the world, and what it puts in the place of settings."""

    def __init__(
        self,
        origin: Origin,
        options: Options,
        campaigns: bytes | None,
        out: Callable[[int, Outgoing, InForce], None],
    ) -> None:
        self._replaced = None if campaigns is None else sha256(campaigns).hexdigest()
        artefacts = MemoryArtefacts(_as_if(options.mode))
        for sha, content in origin.files.items():
            artefacts.put(sha, content)
        if campaigns is not None and self._replaced is not None:
            artefacts.put(self._replaced, campaigns)
        self.world = World(artefacts, out, options.chunk)

    async def feed(self, placed: Placed) -> None:
        record = placed.record
        if isinstance(record, SettingsRecord) and record.campaigns and self._replaced:
            record = msgspec.structs.replace(record, campaigns=self._replaced)
        await self.world.feed(placed.partition, placed.offset, record)


def _as_if(mode: Mode | None) -> Callable[[Settings, Mapping[str, bytes]], InForce]:
    """Return the compiler of what is in force, with ``mode`` in the place of the file's own."""

    def build(settings: Settings, files: Mapping[str, bytes]) -> InForce:
        force = in_force.build(settings, files)
        policy: Policy | None = force.policy
        if mode is None or policy is None or policy.mode == mode:
            return force
        return replace(force, policy=msgspec.structs.replace(policy, mode=mode))

    return build


class _Outputs:
    """The files that hold what would have gone to the topics, one record per line."""

    def __init__(self, files: ExitStack, options: Options) -> None:
        self._decisions = _opened(files, options.decisions)
        self._actions = _opened(files, options.actions)

    def write(self, outgoing: Outgoing) -> None:
        file = self._decisions if outgoing.topic == DECISIONS else self._actions
        if file is not None:
            file.write(outgoing.value + b"\n")


def _opened(files: ExitStack, path: Path | None) -> BinaryIO | None:
    return None if path is None else files.enter_context(path.open("wb"))


def profile_sizes(store: MemoryStore) -> list[int]:
    """Return the packed size of every profile, bytes."""
    return [len(packed) for at in store.partitions.values() for packed in at.users.values()]


def _median_p99(sizes: list[int]) -> tuple[int, int]:
    if len(sizes) < 2:
        return (sizes[0], sizes[0]) if sizes else (0, 0)
    hundredths = quantiles(sizes, n=100, method="inclusive")
    return round(hundredths[49]), round(hundredths[98])
