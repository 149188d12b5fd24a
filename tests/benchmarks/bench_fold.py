"""What one event costs between Kafka and Redis: `python -m tests.benchmarks.bench_fold`.

The reference mix of the whole-job bench (70 % views, 15 % adds, 3 % orders, 12 % other, 1 %
duplicates, 100,000 users with a Zipf-like tail) goes through codec, step and a store in memory, in
chunks as the worker makes them, a tick after each. CPU time of the process per event, by part;
medians over repeats of one run. Only ratios within one run mean something on a shared machine.
"""

import argparse
import gc
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from itertools import accumulate
from random import Random
from statistics import median
from time import process_time_ns
from typing import Any, Final

from engine import events as ev
from engine import profile
from engine.events import Record, Tick
from engine.fold import fold
from engine.memory import MemoryStore
from engine.pipeline import CHUNK, Chunk, take
from engine.policy import Settings
from engine.ports import Head, InForce
from engine.profile import Addresses, Profile
from rules import campaigns, templates
from streams.in_force import build
from streams.log import codec
from tests.support.world import now_done

USERS: Final = 100_000
START: Final = 1_767_229_200_000  # 2026-01-01 01:00 UTC
GAP: Final = 40  # ms between two events of one partition, as with 8 partitions and 200 events/s
ZIPF: Final = 0.9


def mix(count: int, seed: int = 7) -> Iterator[ev.Event]:
    """Yield the reference mix of one partition, in order of time."""
    random, at = Random(seed), START
    weights = list(accumulate((number + 1) ** -ZIPF for number in range(USERS)))
    before: ev.Event | None = None
    for number in range(count):
        at += GAP
        if before is not None and random.random() < 0.01:
            yield before
            continue
        common: dict[str, Any] = {
            "event_id": f"bench-{number}",
            "user_id": f"u{bisect(weights, random.random() * weights[-1])}",
            "occurred_at": at,
            "received_at": at,
            "source": ev.Position("events.raw", 0, 0, number),
        }
        before = _event(random, number, common)
        yield before


def _event(random: Random, number: int, common: dict[str, Any]) -> ev.Event:
    kind, product = random.random(), f"p{random.randrange(5000)}"
    price = round(20 + random.random() * 300, 2)
    line = ev.Line(product, 1, price, "Trail running shoe, men, blue", "CNY")
    if kind < 0.70:
        return ev.ProductViewed(**common, product_id=product)
    if kind < 0.85:
        return ev.ProductAdded(**common, line=line)
    if kind < 0.88:
        return ev.OrderCompleted(
            **common, order_id=f"o{number}", lines=[line], total=price, currency="CNY"
        )
    if kind < 0.93:
        return ev.Searched(**common)
    if kind < 0.97:
        return ev.Active(**common, name="page")
    address = f"{common['user_id']}@example.com"
    return ev.Identified(**common, addresses={"email": address}, zones=["Asia/Shanghai"])


def in_force() -> InForce:
    """What a worker holds after `rekindle campaigns apply` of the shipped file, live."""
    text = campaigns.shipped().replace(b'mode = "dry_run"', b'mode = "live"')
    words = templates.artefact()
    files = {sha256(text).hexdigest(): text, sha256(words).hexdigest(): words}
    named = Settings(campaigns=sha256(text).hexdigest(), templates=sha256(words).hexdigest())
    return build(named, files)


class Parts:
    """CPU ns by name of a part."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = defaultdict(int)
        self._at = 0

    def begin(self) -> None:
        self._at = process_time_ns()

    def end(self, name: str) -> None:
        now = process_time_ns()
        self.spent[name] += now - self._at
        self._at = process_time_ns()


def job(values: list[bytes], force: InForce, parts: Parts) -> int:
    """Fold everything, a tick after each chunk; returns the number of decisions."""
    store, head, offset, decided = MemoryStore(), Head(), 0, 0
    now_done(store.acquire(0, "bench"))
    for start in range(0, len(values), CHUNK):
        some = values[start : start + CHUNK]
        parts.begin()
        records = [(offset + n, codec.read_at(value, START)) for n, value in enumerate(some)]
        parts.end("decode")
        last: Record = records[-1][1]
        assert not isinstance(last, Tick | ev.SettingsRecord)
        tick = Tick(now=last.received_at, origin="bench")
        after = offset + len(some)
        chunks = [
            (Chunk(records, offset, after), "step of events"),
            (Chunk([(after, tick)], after, after + 1), "step of a tick"),
        ]
        for chunk, name in chunks:
            parts.begin()
            taken = now_done(take(store, 0, head, chunk, force))
            parts.end(name)
            now_done(store.commit(0, "bench", taken.commit))
            parts.end("(store in memory)")
            head, decided = taken.commit.head, decided + sum(taken.report.decisions.values())
        offset = after + 1
    return decided


def pieces(events: list[ev.Event], force: InForce, parts: Parts) -> None:
    """Time what a step is made of, each alone: reading, folding and writing profiles."""
    known: dict[str, bytes] = {}
    for start in range(0, len(events), CHUNK):
        some = events[start : start + CHUNK]
        names = list(dict.fromkeys(event.user_id for event in some))
        parts.begin()
        profiles = {
            name: profile.decode(known[name]) if name in known else Profile() for name in names
        }
        parts.end("of it reading profiles")
        for event in some:
            fold(profiles[event.user_id], Addresses(), event, force.memory)
        parts.end("of it folding")
        for name, changed in profiles.items():
            known[name] = profile.encode(changed)
        parts.end("of it writing profiles")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    events = list(mix(asked.events))
    values = [codec.write(event) for event in events]
    force = in_force()
    gc.freeze()  # and rarely, as in the worker
    gc.set_threshold(50_000, 20, 100)
    found: dict[str, list[float]] = defaultdict(list)
    decided = 0
    for _ in range(asked.repeats):
        parts = Parts()
        decided = job(values, force, parts)
        pieces(events, force, parts)
        for name, spent in parts.spent.items():
            found[name].append(spent / len(values) / 1000)
    print(
        f"{len(values)} events, {decided} decisions, {sum(map(len, values)) // len(values)} bytes"
    )
    for name, costs in found.items():
        print(f"{name:24} {median(costs):6.2f} us per event (least {min(costs):.2f})")


if __name__ == "__main__":
    main()
