"""One fault of the alerts: what is broken on real processes, and which alerts must come of it.

A trial starts the set-up of docker-compose.yml as processes, with shoppers; asks that none of the
alerts fires; breaks something; and waits until a real Prometheus has them all firing. Scrapes and
rules run once a second and no alert waits (its ``for`` is cut); what else was shortened stands in
the fault. So a trial proves that the metric moves when the thing breaks, and that the rule sees it;
that the shipped waits are right is for promtool (tests/alerts).
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from tests.support.prometheus import Shortened
from tests.support.running import wait_until
from tests.support.set_up import SetUp

_STEP = 1.0


@dataclass(frozen=True)
class Fault:
    """What is broken and who must hear of it.

    ``name``: words with dashes. ``says``: what was broken, as half a sentence in the past tense,
    for the index of the runbooks. ``breaks``: breaks it on entry and mends on exit. ``shortened``:
    windows and ages that no trial can wait for, rule by rule. ``within``: seconds until all must
    fire. ``shoppers``: whether people shop meanwhile. ``given``: what must be so before it is
    broken, beside quiet. The rest is given to SetUp.
    """

    name: str
    says: str
    fires: tuple[str, ...]
    breaks: Callable[[SetUp], AbstractContextManager[None]]
    shortened: Shortened = field(default_factory=dict)
    within: float = 60.0
    shoppers: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)
    replace: Mapping[str, str] = field(default_factory=dict)
    carried: bool = False
    people: int = 30
    prepares: Callable[[SetUp], None] = lambda _: None
    of_worker: Mapping[str, str] = field(default_factory=dict)
    observe: Sequence[str] = ()
    given: Callable[[SetUp], object] = lambda _: True

    @property
    def cuts(self) -> list[str]:
        """Return ``shortened`` as its record says it."""
        return [
            f"{rule}: {old} -> {new}" for rule, cut in self.shortened.items() for old, new in cut
        ]


def tried(fault: Fault) -> dict[str, float]:
    """Inject a fault; returns alert -> seconds from the break until Prometheus had it firing.

    Raises AssertionError where an alert fires before anything is broken, or not in time.
    """
    world = SetUp(
        hurried=True,
        shortened=fault.shortened,
        environ=fault.environ,
        replace=fault.replace,
        carried=fault.carried,
        people=fault.people,
        prepares=fault.prepares,
        of_worker=fault.of_worker,
        observe=fault.observe,
    )
    with world, _shoppers(world, fault.shoppers):
        wait_until(lambda: _all_scraped(world), "everything is scraped", 60)
        # while processes start, some alert or other is right to fire; figures begin with a minute
        wait_until(
            lambda: not firing(world) & set(fault.fires), "all is quiet before the fault", 90
        )
        wait_until(lambda: fault.given(world), "what is given before the fault", 180)
        began = time.monotonic()
        with fault.breaks(world):
            return dict(_heard(world, fault, began))


def firing(world: SetUp) -> set[str]:
    """Return the names of all alerts that fire now."""
    found = world.prometheus.query('ALERTS{alertstate="firing"}')
    return {one["metric"]["alertname"] for one in found}


def _heard(world: SetUp, fault: Fault, began: float) -> Iterator[tuple[str, float]]:
    missing = set(fault.fires)
    while missing:
        came, at = missing & firing(world), time.monotonic() - began
        yield from ((name, round(at, 1)) for name in sorted(came))
        missing -= came
        if missing:
            assert at < fault.within, f"{fault.name}: {', '.join(sorted(missing))} never fired"
            time.sleep(_STEP)  # the step of the rules; nothing can change in between


def _all_scraped(world: SetUp) -> bool:
    up = world.prometheus.query('up{job="rekindle"} == 1')
    return {one["metric"]["kind"] for one in up} == {"worker", "audit", "observe"}


@contextmanager
def _shoppers(world: SetUp, wanted: bool) -> Iterator[None]:
    """Let people shop in a thread, whatever happens to the shop meanwhile."""
    over = threading.Event()

    def shop() -> None:
        while not over.is_set():
            try:
                world.traffic(2.0)
            except Exception:  # noqa: BLE001 - the fault under trial may take Kafka away
                over.wait(1.0)

    thread = threading.Thread(target=shop, daemon=True)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if wanted:
            thread.join(60)
