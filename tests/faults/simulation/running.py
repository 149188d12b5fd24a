"""Runs seeds and crash points, with a mutant or without, and adds up what came of them."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.simulation.checks import Verdict, check
from tests.faults.simulation.mutants import MUTANTS
from tests.faults.simulation.shop import Plan, Shop, harmed, plan_of

_REGRESSIONS: Final = Path(__file__).with_name("regressions.txt")


# From about here on the first owner of the small shop decides, in turns.
_POINT: Final = 1_000
# The narrowest window in which a mutant shows is six turns wide.
_APART: Final = 5


@dataclass
class Total:
    """Counts over many runs, and what was wrong with which seed; ``cpu``, ``wall`` in seconds."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    cpu: float = 0.0
    wall: float = 0.0

    def add(self, name: str, shop: Shop, verdict: Verdict) -> None:
        """Add one run."""
        self.counts["runs"] += 1
        self.counts["seconds lived"] += int(shop.loop.time())
        self.counts.update(shop.counts)
        self.counts.update(verdict.counts)
        if verdict.wrong:
            self.wrong[name] = verdict.wrong


def one(plan: Plan, mutant: str | None = None) -> tuple[Shop, Verdict]:
    """Live through one plan and check it; the mutant is gone when it is checked."""
    broken: AbstractContextManager[None] = nullcontext()
    if mutant is not None:
        broken = MUTANTS[mutant].mutant()
    with broken:
        shop = Shop(plan).run()
    return shop, check(shop)


def many(
    seeds: range | list[int], mutant: str | None = None, harms: Sequence[str] = ("",)
) -> Total:
    """Run seeds, each with one harm after the other of ``harms``; '' = none."""
    total, began, since = Total(), time.process_time(), time.monotonic()
    for seed in seeds:
        harm = harms[seed % len(harms)]
        told = f' --harm "{harm}"' if harm else ""
        plan = harmed(seed, harm) if harm else plan_of(seed)
        total.add(f"--from {seed} --seeds 1{told}", *one(plan, mutant))
    total.cpu, total.wall = time.process_time() - began, time.monotonic() - since
    return total


def catch(mutant: str, seeds: range) -> tuple[str, list[tuple[str, str]]] | None:
    """Return what catches a mutant of what it must be caught of, and the words.

    Crash points of the small shop are tried between the seeds: some windows are a few turns wide.
    """
    wanted, harm = MUTANTS[mutant].kinds, MUTANTS[mutant].harm
    for seed in seeds:
        if harm:
            name, plan = f'--from {seed} --seeds 1 --harm "{harm}"', harmed(seed, harm)
            if found := [each for each in one(plan, mutant)[1].wrong if each[0] in wanted]:
                return name, found
            continue
        at = _POINT + _APART * seed
        tried = {
            f"--from {seed} --seeds 1": plan_of(seed),
            f"--kill {at}": small("kill", at),
            f"--zombie {at}": small("zombie", at),
        }
        for name, plan in tried.items():
            found = [each for each in one(plan, mutant)[1].wrong if each[0] in wanted]
            if found:
                return name, found
    return None


def small(crash: str, at: int, *, seed: int = 2) -> Plan:
    """Two owners, a few records, one crash after ``at`` turns of the first of them.

    With seed 2 the first of them owns ``events.raw``, ``events`` and ``actions.push``.
    """
    return Plan(
        seed,
        partitions=1,
        raw_partitions=1,
        workers=2,
        users=3,
        seconds=3.0,
        rate=4.0,
        faults=0.0,
        chunk=3,
        batch=1,
        crash_at=at,
        crash=crash,
    )


def turns_of_the_first() -> int:
    """Return how many turns the first owner of the small shop takes when nothing goes wrong."""
    never = 10**9
    shop, _ = one(small("kill", never))
    return never - shop.workers[0].countdown


def crash_points(crash: str, first: int, last: int, step: int = 1) -> Total:
    """Crash at every ``step``-th turn from ``first`` on."""
    total, began, since = Total(), time.process_time(), time.monotonic()
    for at in range(first, last, step):
        total.add(f"--{crash} {at}", *one(small(crash, at)))
    total.cpu, total.wall = time.process_time() - began, time.monotonic() - since
    return total


def regressions() -> Iterator[tuple[int, str, str]]:
    """Yield seeds that once failed, under which harm, and what they showed."""
    for line in _REGRESSIONS.read_text().splitlines():
        seed, _, told = line.partition(" ")
        number, _, harm = seed.partition("+")
        if number and number != "#":
            yield int(number), harm.replace("_", " "), told


__all__ = [
    "Total",
    "catch",
    "crash_points",
    "many",
    "one",
    "regressions",
    "small",
    "turns_of_the_first",
]
