"""What one decision costs without the network, and where it goes; prints figures, asserts nothing.

.venv/bin/python -m tests.benchmarks.bench_decision [--rows N] [--data FOLDER]

Public shops (data sets fetched for the tests, REKINDLE_TEST_DATA) are replayed through the shipped
campaigns and templates, with a model that the shipped code trains on the replay's own decisions, as
large as it ever grows one. Each time somebody is due, her tick is first taken alone and timed, from
packed profile to packed profile, and then taken again by the replay: so caches hold what they hold
in a worker that has just come to this tick, and no decision is timed twice.

Wall time is what a user waits; CPU time of the thread is what the code costs on a machine that
others use too. Parts are timed on every second decision, by clocks around the ports, because the
clocks themselves cost. Shares are of means.
"""

import argparse
import gc
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final

import numpy as np

from engine import actions, decisions, pipeline, profile
from engine.actions import Content
from engine.events import Event, Line, Record, Tick
from engine.memory import MemoryStore
from engine.policy import Policy, Settings
from engine.ports import (
    CapCounter,
    CapState,
    Case,
    Commit,
    Guard,
    Head,
    InForce,
    ModelRef,
    Objection,
    Renderer,
    Score,
    Scorer,
)
from models.booster import Row, load
from models.calibration import Calibration
from models.features import NAMES, from_dict
from models.scorer import ModelScorer
from models.training.fit import fit
from models.training.labels import label
from rules import GUARDS, TRIGGERS, campaigns, count_caps, templates
from rules.zones import ZONES
from streams.delivery import renderer as renderers
from streams.in_force import build
from streams.sources import onlineretail, rees46, ticks
from streams.sources.files import Slice
from tests.support.world import now_done

DATA: Final = Path(os.environ.get("REKINDLE_TEST_DATA", "/work/shared/data"))
# Orders, prices and names over months; and carts, for as long as the published slice runs.
SHOPS: Final = (
    ("uci_online_retail.csv.gz", onlineretail.events),
    ("rees46_multicategory_2019-10-01_first170min.csv.gz", rees46.events),
)
_OWNER: Final = "bench"
_SILENT: Final = ("not_worth_it", "explored_none")
# The first decisions fill caches that a worker fills once in its life.
_WARM: Final = 200


# --- what is in force ---------------------------------------------------------------------------


def _policy() -> Policy:
    text = campaigns.shipped().replace(b'mode = "dry_run"', b'mode = "live"')
    return campaigns.load(text, "the shipped campaigns")


def _force(policy: Policy, scorer: Scorer) -> InForce:
    settings = Settings()
    return InForce(
        settings=settings,
        settings_hash=settings.digest(),
        policy=policy,
        triggers=TRIGGERS,
        guards=GUARDS,
        count_caps=count_caps,
        scorer=scorer,
        renderer=renderers.build(templates.artefact()),
        local=ZONES,
    )


def _model(policy: Policy, written: Sequence[bytes], events: Iterator[Event]) -> ModelScorer:
    """Train on a replay's decisions; told to stop by what it learns from, it never stops early."""
    windows = {campaign.id: campaign.conversion_window for campaign in policy.campaigns.values()}
    rows = label(written, events, windows)
    known = rows.vectors, rows.converted
    fitted = fit(*known, names=list(NAMES), seed=7, stop_by=known)
    leaves = fitted.params["num_leaves"]
    print(f"model: {fitted.rounds} trees x {leaves} leaves from {len(rows.at)} decisions")
    return ModelScorer(
        row=load(fitted.text, len(NAMES)),
        ref=ModelRef("bench", "v1"),
        provenance="public",
        calibration=dict.fromkeys(TRIGGERS, Calibration(kind="platt", a=1.0, b=0.0)),
        mean_order=rows.mean_order,
        local=ZONES,
    )


# --- clocks around the ports --------------------------------------------------------------------


@dataclass
class Clock:
    """The ns spent in each part of the decision at hand."""

    spent: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class _TimedGuard:
    guard: Guard
    clock: Clock
    at_handover: bool
    for_testers: bool

    def __call__(self, case: Case, channel: str) -> Objection | None:
        start = perf_counter_ns()
        objection = self.guard(case, channel)
        self.clock.spent["guards"] += perf_counter_ns() - start
        return objection


@dataclass(frozen=True)
class _TimedCaps:
    count: CapCounter
    clock: Clock

    def __call__(self, case: Case) -> list[CapState]:
        start = perf_counter_ns()
        counted = self.count(case)
        self.clock.spent["caps counted for the record"] += perf_counter_ns() - start
        return counted


@dataclass(frozen=True)
class _TimedRow:
    row: Row
    clock: Clock

    def raw(self, vector: list[float]) -> float:
        start = perf_counter_ns()
        raw = self.row.raw(vector)
        self.clock.spent["model call"] += perf_counter_ns() - start
        return raw


@dataclass(frozen=True)
class _TimedScorer:
    scorer: Scorer
    clock: Clock

    def score(self, case: Case) -> Score:
        start, model = perf_counter_ns(), self.clock.spent["model call"]
        score = self.scorer.score(case)
        model = self.clock.spent["model call"] - model
        self.clock.spent["features, calibration"] += perf_counter_ns() - start - model
        return score


@dataclass(frozen=True)
class _TimedRenderer:
    renderer: Renderer
    clock: Clock

    def render(self, case: Case, channel: str, items: Sequence[Line]) -> Content:
        start = perf_counter_ns()
        content = self.renderer.render(case, channel, items)
        self.clock.spent["words"] += perf_counter_ns() - start
        return content


def _timed(force: InForce, clock: Clock) -> InForce:
    scorer = force.scorer
    if isinstance(scorer, ModelScorer):
        scorer = replace(scorer, row=_TimedRow(scorer.row, clock))
    return replace(
        force,
        guards=[
            _TimedGuard(guard, clock, guard.at_handover, guard.for_testers)
            for guard in force.guards
        ],
        count_caps=_TimedCaps(force.count_caps, clock),
        scorer=_TimedScorer(scorer, clock),
        renderer=_TimedRenderer(force.renderer, clock),
    )


# --- one decision -------------------------------------------------------------------------------


@dataclass
class Kind:
    """What decisions of one kind of outcome took: ns, and ns by part of every second one."""

    wall: list[int] = field(default_factory=list)
    cpu: list[int] = field(default_factory=list)
    parts: list[dict[str, int]] = field(default_factory=list)
    timed: list[int] = field(default_factory=list)


class Bench:
    """Times everybody who is due, alone, before the replay takes her."""

    def __init__(self, force: InForce) -> None:
        self.kinds: dict[str, Kind] = defaultdict(Kind)
        self.model: list[int] = []
        self.vectors: list[list[float]] = []
        self._force = force
        self._clock = Clock()
        self._timed = _timed(force, self._clock)
        self._alone = MemoryStore()
        now_done(self._alone.acquire(0, _OWNER))
        self._seen = 0

    def due(self, store: MemoryStore, user: str, chunk: pipeline.Chunk, head: Head) -> None:
        """Time the tick of one user, as stored."""
        at = self._alone.partitions[0]
        at.users = {user: store.partitions[0].users[user]}
        at.addresses = {
            name: told for name, told in store.partitions[0].addresses.items() if name == user
        }
        at.order = [(0, user)]
        self._seen += 1
        by_part = bool(self._seen % 2)
        self._clock.spent.clear()
        force = self._timed if by_part else self._force
        wall, cpu = perf_counter_ns(), thread_time_ns()
        taken = now_done(pipeline.take(self._alone, 0, head, chunk, force))
        cpu, wall = thread_time_ns() - cpu, perf_counter_ns() - wall
        found = _kind(taken.commit)
        if found is None or self._seen <= _WARM:
            return
        kind = self.kinds[found]
        if by_part:
            codecs = _codecs(at.users, at.addresses, taken.commit)
            kind.parts.append({**self._clock.spent, **codecs})
            kind.timed.append(wall)
            if "model call" in self._clock.spent:
                self.model.append(self._clock.spent["model call"])
                self.vectors += _vectors(taken.commit)
        else:
            kind.wall.append(wall)
            kind.cpu.append(cpu)


def _vectors(commit: Commit) -> list[list[float]]:
    written = [decisions.decode(out.value) for out in commit.outbox if out.topic == "decisions"]
    return [from_dict(decision.features) for decision in written if decision.features]


def _kind(commit: Commit) -> str | None:
    """Return of which kind the one decision is; None when there were several, or none weighed."""
    written = [decisions.decode(out.value) for out in commit.outbox if out.topic == "decisions"]
    if len(written) != 1 or written[0].outcome == "disarm":
        return None
    decision = written[0]
    if decision.action_id is not None:
        return "sent" if decision.outcome == "send" else None  # withheld: no action to encode
    if decision.reason in _SILENT:
        return "not worth it"
    return "silenced by a guard" if not decision.features else None


def _codecs(users: dict[str, bytes], addresses: dict[str, bytes], commit: Commit) -> dict[str, int]:
    """Time reading and writing once more: they are called by name, not through a port."""
    spent: dict[str, int] = defaultdict(int)

    def timed(part: str, call: Callable[[Any], object], value: object) -> None:
        start = perf_counter_ns()
        call(value)
        spent[part] += perf_counter_ns() - start

    for packed in users.values():
        timed("profile unpacked", profile.decode, packed)
        timed("profile packed", profile.encode, profile.decode(packed))
    for packed in addresses.values():
        timed("profile unpacked", profile.decode_addresses, packed)
    for out in commit.outbox:
        if out.topic == pipeline.DECISIONS:
            timed("record encoded", decisions.encode, decisions.decode(out.value))
        else:
            timed("action encoded", actions.encode, actions.decode(out.value))
    return spent


# --- a replay -----------------------------------------------------------------------------------


def _replay(records: Iterator[Record], force: InForce, bench: Bench | None) -> list[bytes]:
    """Replay a shop in one partition; return its decisions."""
    store, head, last = MemoryStore(), Head(), None
    now_done(store.acquire(0, _OWNER))
    written: list[bytes] = []
    waiting: list[tuple[int, Record]] = []
    for placed in enumerate(records):
        waiting.append(placed)
        if not isinstance(placed[1], Tick) and len(waiting) < pipeline.CHUNK:
            continue
        for chunk in pipeline.chunks(waiting, head.offset):
            record = chunk.records[0][1]
            if bench is not None and isinstance(record, Tick):
                for user in now_done(store.due(0, record.now, 0)):
                    bench.due(store, user, chunk, head)
            commit = now_done(pipeline.take(store, 0, head, chunk, force)).commit
            commit.trim = last
            now_done(store.commit(0, _OWNER, commit))
            head, last = commit.head, commit.outbox[-1].id if commit.outbox else last
            written += [out.value for out in commit.outbox if out.topic == pipeline.DECISIONS]
        waiting.clear()
    return written


# --- telling ------------------------------------------------------------------------------------


def _quantiles(name: str, taken: Sequence[int]) -> str:
    p50, p99 = np.quantile(taken, [0.5, 0.99]) / 1000
    return f"{name:30} p50 {p50:7.1f}  p99 {p99:7.1f}  mean {np.mean(taken) / 1000:7.1f} us"


def _rows(row: Row, vectors: Sequence[list[float]]) -> list[int]:
    """Time the rows of all decisions one after the other: what the model costs by itself."""
    taken = []
    for vector in vectors:
        start = perf_counter_ns()
        row.raw(vector)
        taken.append(perf_counter_ns() - start)
    return taken


def _tell(bench: Bench, row: Row) -> None:
    for name, kind in sorted(bench.kinds.items()):
        print(f"\n{name}: {len(kind.wall)} decisions")
        print(_quantiles("  wall", kind.wall))
        print(_quantiles("  CPU of the thread", kind.cpu))
        whole = float(np.mean(kind.timed))
        spent = {part: 0.0 for parts in kind.parts for part in parts}
        for part in spent:
            spent[part] = float(np.mean([parts.get(part, 0) for parts in kind.parts]))
        spent["worth, choice, record, the rest"] = whole - sum(spent.values())
        for part, mean in sorted(spent.items(), key=lambda entry: -entry[1]):
            print(f"    {part:34} {mean / 1000:7.1f} us  {mean / whole:6.1%}")
    every = [taken for kind in bench.kinds.values() for taken in kind.wall]
    cpu = [taken for kind in bench.kinds.values() for taken in kind.cpu]
    print(f"\nall: {len(every)} decisions")
    print(_quantiles("  wall", every))
    print(_quantiles("  CPU of the thread", cpu))
    print(_quantiles("  model call, among all else", bench.model))
    print(_quantiles("  model call, row after row", _rows(row, bench.vectors)))
    print(f"CPU time at p99 over the bar of 500 us: {np.quantile(cpu, 0.99) / 500_000:.2f}")
    print(f"model call at p99 over the bar of 50 us: {np.quantile(bench.model, 0.99) / 50_000:.2f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--rows", type=int, default=200_000, help="of each shop")
    arguments.add_argument("--data", type=Path, default=DATA)
    options = arguments.parse_args()
    part = Slice(rows=options.rows)
    policy = _policy()

    def events(number: int) -> Callable[[], Iterator[Event]]:
        name, read = SHOPS[number]
        return partial(read, options.data / name, part)

    prior = build(Settings(), {}).scorer
    learned = _replay(ticks.with_ticks(events(0)), _force(policy, prior), None)
    force = _force(policy, _model(policy, learned, events(0)()))
    renderers.money.cache_clear()  # the replay that was learned from must not warm it
    gc.collect()
    gc.freeze()  # as the worker does after its imports
    bench = Bench(force)
    for number in range(len(SHOPS)):
        _replay(ticks.with_ticks(events(number)), force, bench)
    assert isinstance(force.scorer, ModelScorer)
    _tell(bench, force.scorer.row)


if __name__ == "__main__":
    main()
