"""Faults that keep events from becoming decisions."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.alerts.trial import Fault
from tests.support.set_up import SetUp


@contextmanager
def _worker_killed(world: SetUp) -> Iterator[None]:
    world.worker.kill()
    yield


FAULTS = (
    Fault("worker-killed", "the only worker was ended with -9", ("NoWorkers",), _worker_killed),
)
