"""What people did in public shops, decided by the real engine: the audit finds nothing wrong."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from engine.events import Event
from streams.sources import rees46, retailrocket, ticks
from tests.support import audited
from tests.support.running import shipped

DATA: Final = Path(os.environ.get("REKINDLE_TEST_DATA", "/work/shared/data"))

Read = Callable[[Path], Iterator[Event]]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("retailrocket_events_5000_visitors.csv.gz", retailrocket.events),
        ("rees46_multicategory_2019-10-01_first170min.csv.gz", rees46.events),
    ],
)
def test_a_month_after_real_visits_every_promise_was_kept(name: str, read: Read) -> None:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no {name}: set REKINDLE_TEST_DATA to the folder of public data")
    file = shipped(replace={"margin = 0.3": "margin = 0.9"}).encode()
    tape = audited.record(ticks.with_ticks(lambda: read(path)), file)

    found = audited.audit(tape)

    assert sum(1 for _ in tape.of("events")) > 20_000
    assert found.clean, (found.findings[:3], found.faults[:3])
    assert sum(found.passed.values()) > 100
    for sums in found.triggers.values():
        assert (sums["closed"], sums["open"]) == (sums["armed"], 0)
