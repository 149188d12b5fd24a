"""Faults of the worker processes: ended, stopped, started again and again, or with half the work.

Whoever replaces `world.worker` lets the set-up end the new one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.alerts.trial import Fault
from tests.support.running import Running, wait_until
from tests.support.set_up import SetUp

# One more than what is still taken for releases, and the start that each of them changed.
_STARTS = 5
# People enough to keep all partitions at work, where a fault is not about how many come.
FEW = 8


def replaced(world: SetUp, *only: str, program: str = "streams.cli", **environ: str) -> Running:
    """Start a worker in the place of one that is gone, at another address."""
    started = world.shop.start(*only, ready=False, program=program, **environ)
    world.stack.callback(started.stop)
    world.worker = started
    return started


def scraped(world: SetUp, query: str, what: str, seconds: float = 60) -> None:
    """Wait until Prometheus finds something."""
    wait_until(lambda: world.prometheus.query(query), what, seconds, every=0.5)


def at_work(world: SetUp) -> None:
    """Wait until time has moved in every partition: a worker that just began has told nothing."""
    partitions = world.shop.partitions
    query = f"count(rekindle_last_tick_timestamp_seconds) == {partitions}"
    scraped(world, query, "time moves in every partition")


@contextmanager
def _killed(world: SetUp) -> Iterator[None]:
    world.worker.kill()
    yield


@contextmanager
def _frozen(world: SetUp) -> Iterator[None]:
    second = world.shop.start(REKINDLE_WORKER_ID="two")
    world.stack.callback(second.stop)
    scraped(world, 'up{job="rekindle", worker="two"} == 1', "the second worker is scraped")
    second.server.pause()
    yield
    second.server.resume()


@contextmanager
def _restarted(world: SetUp) -> Iterator[None]:
    """Kill it and start it at the same address, as whoever looks after processes does."""
    address = f"127.0.0.1:{world.worker.port}"
    for _ in range(_STARTS):
        began = f"{_began(world):f}"
        world.worker.kill()
        replaced(world, REKINDLE_HTTP=address)
        scraped(world, f'process_start_time_seconds{{kind="worker"}} > {began}', "it is back")
    yield


def _began(world: SetUp) -> float:
    found = world.prometheus.query('process_start_time_seconds{kind="worker"}')
    return max(float(one["value"][1]) for one in found)


@contextmanager
def _half(world: SetUp) -> Iterator[None]:
    at_work(world)
    world.worker.stop()
    replaced(world, "decide", "deliver").wait_ready()
    # while a worker starts it owns nothing at all, which is not what is tried here
    owned = 'sum(rekindle_partitions_owned{agent="decide"}) > 0'
    scraped(world, owned, "its partitions are seen")
    yield


FAULTS = (
    Fault(
        "worker-killed", "the only worker was ended with -9", ("NoWorkers",), _killed, people=FEW
    ),
    Fault(
        "worker-frozen",
        "one of two workers was stopped in its work",
        ("WorkerDown",),
        _frozen,
        people=FEW,
    ),
    Fault(
        "worker-restarts",
        "a worker was ended with -9 as often as it came back",
        ("RestartLoop",),
        _restarted,
        people=FEW,
        within=180,
    ),
    Fault(
        "nobody-takes-in",
        "the workers were started with `--only decide,deliver`",
        ("AgentWithoutOwner", "TimeStandsStill", "TicksMissing"),
        _half,
        people=FEW,
        shortened={"TicksMissing": [("> 180", "> 30")]},
        within=120,
    ),
)
