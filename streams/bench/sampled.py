"""A worker that says where its CPU time goes: `python -m streams.bench.sampled FILE worker ...`.

Every few milliseconds of CPU time the kernel interrupts the worker (ITIMER_PROF), and the part of
the work it was in is counted; nothing is wrapped, and without this launcher the product knows
nothing of it. SIGUSR1 begins to count anew, SIGUSR2 writes what was counted to FILE. What the
counting itself cost is measured and written beside it.
"""

import json
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from time import process_time, thread_time
from types import FrameType
from typing import Final

from streams.bench.parts import part_of

# CPU seconds between two samples; the kernel rounds it up to its clock, 4 ms on many machines.
_EVERY: Final = 0.002


class Sampler:
    """Counts in which part of the work the process is, by its own CPU clock."""

    def __init__(self, file: Path) -> None:
        """``file`` is written when SIGUSR2 comes."""
        self._file = file
        self._counts: Counter[str] = Counter()
        self._spent = 0.0
        self._began = process_time()

    def install(self) -> None:
        """Take the three signals; the main thread alone is sampled, which does all the work."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._write)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        started = thread_time()
        self._counts[part_of(frame)] += 1
        self._spent += thread_time() - started

    def _begin(self, _: int, __: FrameType | None) -> None:
        self._counts.clear()
        self._spent, self._began = 0.0, process_time()
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)

    def _write(self, _: int, __: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        cpu = process_time() - self._began
        told = {"samples": dict(self._counts), "cpu": cpu, "spent": self._spent}
        unfinished = self._file.with_suffix(".part")
        unfinished.write_text(json.dumps(told))
        unfinished.rename(self._file)


def main() -> None:
    """Install the sampler and be the command line."""
    Sampler(Path(sys.argv.pop(1))).install()
    runpy.run_module("streams.cli", run_name="__main__")


if __name__ == "__main__":
    main()
