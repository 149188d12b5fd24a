"""The score of a row knows only the rows up to it, whatever the series looks like."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.anomalies.scoring import Scorer
from monitoring.anomalies.shapes import LENGTH, Nearest

VALUE = st.one_of(st.none(), st.floats(-1e9, 1e9), st.integers(0, 5).map(float))


def scored(rows: list[tuple[int, float | None]]) -> list[float]:
    scorer = Scorer()
    return [scorer.update(at, value) for at, value in rows]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9).map(random.Random), st.lists(VALUE, max_size=40), st.integers(0, 300))
def test_a_prefix_has_the_same_scores(
    draw: random.Random, odd: list[float | None], cut: int
) -> None:
    rows: list[tuple[int, float | None]] = [
        (at * 300_000 + draw.randrange(3) * 100_000, draw.gauss(10, 2)) for at in range(260)
    ]
    rows[200:200] = [(rows[199][0], value) for value in odd]
    whole = scored(rows)
    assert scored(rows[:cut]) == whole[:cut]
    assert all(0.0 <= score <= 1.0 for score in whole)


def correlation(one: list[float], other: list[float]) -> float:
    means = sum(one) / LENGTH, sum(other) / LENGTH
    centred = [[v - means[0] for v in one], [v - means[1] for v in other]]
    product = sum(a * b for a, b in zip(*centred, strict=True))
    lengths = [sum(v * v for v in part) ** 0.5 for part in centred]
    return float(product / (lengths[0] * lengths[1]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-50, 50).map(lambda v: round(v, 2)), min_size=60, max_size=120))
def test_the_nearest_shape_is_the_one_a_full_search_finds(drawn: list[float]) -> None:
    noise = random.Random(len(drawn))
    values = [value + noise.gauss(0, 1) for value in drawn]
    nearest = Nearest()
    for end, value in enumerate(values, 1):
        said = nearest.distance(value)
        earlier = range(end - 2 * LENGTH + 1)
        if not earlier:
            continue
        last = values[end - LENGTH : end]
        best = max(correlation(last, values[at : at + LENGTH]) for at in earlier)
        assert abs(said - max(0.0, (1 - best) / 2) ** 0.5) < 1e-4
