"""One replay from its source to what it came to: worlds, outputs, previews."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, BinaryIO, Final

from engine import decisions
from engine.memory import MemoryStore
from engine.pipeline import CHUNK, DECISIONS
from engine.policy import Mode
from engine.ports import InForce, Outgoing
from engine.report import Report
from streams.replay.difference import Difference
from streams.replay.placed import Log, Origin, Placed
from streams.replay.preview import Preview
from streams.replay.rehearsal import Rehearsal

# How often whoever watches is told how far it has come.
_TELL_EVERY: Final = 2_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to replay. ``mode`` None = as the campaigns file says.

    ``campaigns`` replaces every campaigns record of the log, None = they stand. ``other`` is
    decided beside it, and the result says what changes from ``other`` to ``campaigns``;
    ``as_recorded``: compared with the log's own campaigns files, ``other`` is not read then.
    ``decisions`` and ``actions`` are files to write.
    """

    chunk: int = CHUNK
    mode: Mode | None = None
    campaigns: bytes | None = None
    other: bytes | None = None
    as_recorded: bool = False
    decisions: Path | None = None
    actions: Path | None = None
    progress: Callable[[int], None] = lambda _: None

    @property
    def compares(self) -> bool:
        """Return whether two sides are decided."""
        return self.as_recorded or self.other is not None


@dataclass(kw_only=True)
class Result:
    """What a replay came to; ``difference`` None = nothing was compared."""

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
        difference = Difference() if options.compares else None
        preview = Preview() if difference is None else difference.after
        hashes: dict[str, None] = {}

        def first(_: int, outgoing: Outgoing, force: InForce) -> None:
            outputs.write(outgoing)
            if outgoing.topic == DECISIONS:
                decision = decisions.decode(outgoing.value)
                preview.add(decision, force.policy)
                hashes[force.settings_hash] = None
                if difference is not None:
                    difference.add("after", decision)

        rehearsal = _rehearsed(origin, options, options.campaigns, first)
        rehearsals = [rehearsal]
        if difference is not None:
            rehearsals.append(_compared(origin, options, difference))
        await _feed(origin.log, rehearsals, options.progress)

    _count(preview, rehearsal.world.report)
    if difference is not None:
        _count(difference.before, rehearsals[1].world.report)
        difference.finish()
    sizes = profile_sizes(rehearsal.world.store)
    return Result(
        report=rehearsal.world.report,
        preview=preview,
        difference=difference,
        profiles=len(sizes),
        profile_bytes=_median_p99(sizes),
        settings_hashes=list(hashes),
        unreadable=origin.unreadable,
        notes=origin.notes,
    )


def _compared(origin: Origin, options: Options, difference: Difference) -> Rehearsal:
    """Return the side that is compared with: another file, or the log's own settings."""

    def second(_: int, outgoing: Outgoing, force: InForce) -> None:
        if outgoing.topic == DECISIONS:
            decision = decisions.decode(outgoing.value)
            difference.before.add(decision, force.policy)
            difference.add("before", decision)

    return _rehearsed(origin, options, None if options.as_recorded else options.other, second)


def _rehearsed(
    origin: Origin,
    options: Options,
    campaigns: bytes | None,
    out: Callable[[int, Outgoing, InForce], None],
) -> Rehearsal:
    return Rehearsal(origin.files, out, campaigns=campaigns, mode=options.mode, chunk=options.chunk)


def _count(preview: Preview, report: Report) -> None:
    for campaign, count in report.armed.items():
        preview.of(campaign).armed = count
    for campaign, count in report.due.items():
        preview.of(campaign).due = count


async def _feed(log: Log, rehearsals: list[Rehearsal], progress: Callable[[int], None]) -> None:
    count = 0
    async for placed in log:
        for rehearsal in rehearsals:
            await rehearsal.feed(placed)
        count += 1
        if count % _TELL_EVERY == 0:
            progress(count)
    for rehearsal in rehearsals:
        await rehearsal.world.finish()
    progress(count)


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


__all__ = ["Log", "Options", "Origin", "Placed", "Result", "profile_sizes", "replay"]
