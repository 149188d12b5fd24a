"""CPU time of one window by kind of series, and of one row scored; prints, asserts nothing.

.venv/bin/python -m tests.benchmarks.bench_anomalies
"""

import random
from collections.abc import Callable
from time import process_time

from engine.times import MINUTE
from monitoring.anomalies.absence import Absence
from monitoring.anomalies.kpi import Kpi
from monitoring.anomalies.level import Level
from monitoring.anomalies.ratio import Ratio
from monitoring.anomalies.scoring import Scorer
from tests.support.drill import MONDAY, course, poisson

WINDOWS = 10_000


def timed(name: str, step: Callable[[int, int], object]) -> None:
    draw = random.Random(1)
    values = [poisson(draw, 300 * course(MONDAY + at * MINUTE)) for at in range(WINDOWS)]
    start = process_time()
    for at, value in enumerate(values, 1):
        step(MONDAY + at * MINUTE, value)
    print(f"{name:24s} {(process_time() - start) / WINDOWS * 1e6:7.1f} us of CPU a window")


def main() -> None:
    level = Level(Kpi(name="level", kind="level", window_ms=MINUTE, counts=True))
    ratio = Ratio(Kpi(name="ratio", kind="ratio", window_ms=MINUTE))
    silence = Absence(Kpi(name="absence", kind="absence", window_ms=MINUTE))
    scorer = Scorer()
    timed("level", level.update)
    timed("ratio", lambda at, n: ratio.update(at, n // 50, n))
    timed("absence, learn", silence.learn)
    timed("absence, check", lambda at, _: silence.check(at, at - MINUTE))
    timed("any series, one row", scorer.update)
    for series in (level, ratio, silence):
        print(f"state of {series.kpi.name:10s} {len(series.state())} bytes")


if __name__ == "__main__":
    main()
