"""A fault that pages, and nobody who takes the page up."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.alerts.trial import Fault
from tests.support.set_up import SetUp

# Pages of processes that were only starting are forgotten sooner.
_FORGOTTEN = (("[1m]", "[5s]"),)


@contextmanager
def _nobody_looks(world: SetUp) -> Iterator[None]:
    world.worker.kill()
    yield
    risen = world.prometheus.query('ALERTS{alertname="PageEscalatedToOwner"}')
    assert "NoWorkers" in {one["metric"]["page"] for one in risen}, "another page has risen"


FAULTS = (
    Fault(
        "page-not-taken-up",
        "the only worker was ended with -9, and nobody acknowledged the page",
        ("PageEscalatedToOwner", "PageEscalatedToSecond"),
        _nobody_looks,
        shortened=dict.fromkeys(("PageEscalatedToSecond", "PageEscalatedToOwner"), _FORGOTTEN),
        shoppers=False,
    ),
)
