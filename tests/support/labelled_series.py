"""Series of many sorts with one known anomaly each: what a scorer of any series is held against.

Nine ways to go wrong on eight backgrounds; five minutes a row, two weeks. The places are drawn,
so no setting can know them.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

ROWS = 4_032
STEP = 300_000
DAY = 288
START = 1_767_571_200_000  # a Monday


@dataclass(frozen=True)
class Labelled:
    """One series; its anomaly lies in ``first`` to ``last``, with some rows around it."""

    name: str
    values: list[float]
    first: int
    last: int


def _poisson(draw: random.Random, mean: float) -> float:
    if mean > 40:
        return max(0.0, float(round(draw.gauss(mean, math.sqrt(mean)))))
    count, product, least = 0, draw.random(), math.exp(-max(mean, 0.0))
    while product > least:
        count += 1
        product *= draw.random()
    return float(count)


def _day(at: int) -> float:
    return math.sin(2 * math.pi * (at % DAY) / DAY)


def _steady(draw: random.Random) -> list[float]:
    return [50 + draw.gauss(0, 2) for _ in range(ROWS)]


def _daily(draw: random.Random) -> list[float]:
    return [100 + 60 * _day(at) + draw.gauss(0, 5) for at in range(ROWS)]


def _weekly_counts(draw: random.Random) -> list[float]:
    return [
        _poisson(draw, 60 * (1 + 0.8 * _day(at)) * (0.5 if at // DAY % 7 >= 5 else 1))
        for at in range(ROWS)
    ]


def _few(draw: random.Random) -> list[float]:
    return [_poisson(draw, 2 * (1 + 0.5 * _day(at))) for at in range(ROWS)]


def _bursts(draw: random.Random) -> list[float]:
    values, burst = [], 0.0
    for _ in range(ROWS):
        burst = burst * 0.7 + (draw.expovariate(0.02) if draw.random() < 0.03 else 0.0)
        values.append(10 + burst + draw.gauss(0, 1))
    return values


def _walk(draw: random.Random) -> list[float]:
    values, level = [], 200.0
    for _ in range(ROWS):
        level += draw.gauss(0, 0.4) + 0.002 * (200 - level)
        values.append(level + draw.gauss(0, 1.5))
    return values


def _load(draw: random.Random) -> list[float]:
    values, level = [], 0.0
    for at in range(ROWS):
        level = 0.95 * level + draw.gauss(0, 0.02)
        beat = 8 if at % 12 == 0 else 0
        values.append(max(0.0, 30 * math.exp(level) + beat + draw.gauss(0, 1)))
    return values


def _heavy(draw: random.Random) -> list[float]:
    return [20 * math.exp(0.3 * _day(at) + draw.gauss(0, 0.35)) for at in range(ROWS)]


def _spread(values: list[float], at: int) -> float:
    near = values[max(0, at - DAY) : at]
    mean = sum(near) / len(near)
    return math.sqrt(sum((value - mean) ** 2 for value in near) / len(near))


def _shift(values: list[float], at: int, _: random.Random) -> int:
    by = 5 * _spread(values, at)
    values[at : at + 200] = [value + by for value in values[at : at + 200]]
    return at + 200


def _spike(values: list[float], at: int, _: random.Random) -> int:
    by = 10 * _spread(values, at)
    for row in range(at, at + 3):
        values[row] += by
    return at + 3


def _zero(values: list[float], at: int, _: random.Random) -> int:
    values[at : at + 60] = [0.0] * 60
    return at + 60


def _flat(values: list[float], at: int, _: random.Random) -> int:
    values[at : at + 80] = [values[at]] * 80
    return at + 80


def _drift(values: list[float], at: int, _: random.Random) -> int:
    by = 6 * _spread(values, at) / 150
    for row in range(at, at + 250):
        values[row] += by * min(row - at, 150)
    return at + 250


def _phase(values: list[float], at: int, _: random.Random) -> int:
    values[at : at + DAY] = values[at - DAY // 2 : at + DAY // 2]
    return at + DAY


def _louder(values: list[float], at: int, draw: random.Random) -> int:
    by = 3 * _spread(values, at)
    values[at : at + 100] = [value + draw.gauss(0, by) for value in values[at : at + 100]]
    return at + 100


def _half(values: list[float], at: int, _: random.Random) -> int:
    values[at : at + 150] = [value * 0.4 for value in values[at : at + 150]]
    return at + 150


def _double(values: list[float], at: int, _: random.Random) -> int:
    values[at : at + 150] = [value * 2.2 for value in values[at : at + 150]]
    return at + 150


Background = Callable[[random.Random], list[float]]
Fault = Callable[[list[float], int, random.Random], int]

BACKGROUNDS: tuple[Background, ...] = (
    _steady, _daily, _weekly_counts, _few, _bursts, _walk, _load, _heavy,
)  # fmt: skip
FAULTS: tuple[Fault, ...] = (
    _shift, _spike, _zero, _flat, _drift, _phase, _louder, _half, _double,
)  # fmt: skip


def series(seed: int) -> list[Labelled]:
    """Return one series of every background with every fault."""
    made = []
    for background in BACKGROUNDS:
        for fault in FAULTS:
            draw = random.Random(f"{seed}{background.__name__}{fault.__name__}")
            values = background(draw)
            at = draw.randrange(ROWS // 4, ROWS - 400)
            last = fault(values, at, draw)
            name = f"{background.__name__[1:]} {fault.__name__[1:]}"
            made.append(Labelled(name, values, at - 2, last + 12))
    return made


def judged(scores: list[list[float]], made: list[Labelled], threshold: float) -> tuple[int, int]:
    """Return how many anomalies were found, and how many alarms were false, at ``threshold``.

    An alarm speaks for 40 rows, the next one counts again: who always cries pays for it. The
    first 15 % of a series is not judged.
    """
    found = false = 0
    for row_scores, labelled in zip(scores, made, strict=True):
        alarms = [row for row in range(ROWS * 15 // 100, ROWS) if row_scores[row] >= threshold]
        found += any(labelled.first <= row <= labelled.last for row in alarms)
        counted = -ROWS
        for row in alarms:
            if not labelled.first <= row <= labelled.last and row - counted > 40:
                false += 1
                counted = row
    return found, false


def best(scores: list[list[float]], made: list[Labelled]) -> tuple[float, int, int, float]:
    """Return (value, found, false, threshold) at the one threshold that suits all files best.

    An anomaly found is worth 1, a false alarm costs 0.11, as a widely used benchmark has it.
    """
    return max(
        (found - 0.11 * false, found, false, threshold)
        for threshold in [step / 100 for step in range(5, 95, 2)]
        for found, false in [judged(scores, made, threshold)]
    )
