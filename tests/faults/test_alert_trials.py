"""The trials of the alerts are no ornament: one of them run, and one in which nothing is broken."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.faults.alerts.faults import FAULTS
from tests.faults.alerts.trial import tried
from tests.support.set_up import SetUp

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

KILLED = next(fault for fault in FAULTS if fault.name == "worker-killed")


@contextmanager
def _nothing(_: SetUp) -> Iterator[None]:
    yield


def test_an_alert_fires_when_the_thing_breaks() -> None:
    assert tried(KILLED).keys() == set(KILLED.fires)


def test_no_alert_fires_where_nothing_is_broken() -> None:
    with pytest.raises(AssertionError, match="worker-killed: NoWorkers never fired"):
        tried(replace(KILLED, breaks=_nothing, within=5.0))
