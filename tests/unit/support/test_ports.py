"""Test processes side by side never get one port for two servers."""

import itertools
import subprocess
import sys

import pytest

from tests.support import processes

_FIRST = 4_000


def test_a_port_that_a_living_test_process_was_given_is_not_given_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It need not be bound yet: Kafka takes three seconds to do so."""
    monkeypatch.setattr(processes, "_next_port", itertools.count(_FIRST))
    mine = {processes.free_port() for _ in range(3)}

    program = (
        "import itertools\n"
        "from tests.support import processes\n"
        f"processes._next_port = itertools.count({_FIRST})\n"
        "print(*[processes.free_port() for _ in range(3)])\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    theirs = set(map(int, said.stdout.split()))
    assert len(mine) == len(theirs) == 3
    assert not mine & theirs
