"""What a share's evidence is worth: beside a share that was only counted, over half an hour."""

from math import comb, log

import msgspec
import pytest

from engine.times import DAY, MINUTE
from monitoring.anomalies.evidence import Look, Sum
from monitoring.anomalies.kpi import Kpi
from monitoring.anomalies.ratio import Ratio
from tests.support.drill import MONDAY

FIVE = 5 * MINUTE
ORDERS = Kpi(name="conversion", kind="ratio", window_ms=FIVE, direction="down", minimum=200)
EXACT = float("inf")


def likelihood(share: float, k: int, n: int) -> float:
    return log(comb(n, k) * share**k * (1 - share) ** (n - k))


def test_a_look_compares_the_best_share_with_the_usual_one() -> None:
    look = Look(3)
    for k in (900, 1, 2, 3):  # the first is older than the look
        look.add(0.02, k, 200)
    more, less = look.sides(EXACT)
    assert more == 0.0
    expected = likelihood(6 / 600, 6, 600) - likelihood(0.02, 6, 600)
    assert less == pytest.approx(expected, rel=1e-5)


def test_a_share_counted_in_as_many_trials_halves_the_evidence() -> None:
    look, total = Look(3), Sum(0.56)
    for _ in range(3):
        look.add(0.02, 1, 200)
        total.add(0.02, 1, 200)
    assert look.sides(600)[1] == pytest.approx(look.sides(EXACT)[1] / 2)
    assert total.worth(600) == pytest.approx(total.nats / 2)


def test_a_share_that_began_with_a_wrong_one_is_learned_within_a_day() -> None:
    """32 by chance, then 16 and the usual 20: all that followed was taken for a fault for ever."""
    series = Ratio(ORDERS)
    series.update(MONDAY, 32, 1_000)
    series.update(MONDAY + FIVE, 16, 1_000)
    for at in range(MONDAY + 2 * FIVE, MONDAY + DAY, FIVE):
        said = series.update(at, 20, 1_000)
    assert said.expected == pytest.approx(0.02, rel=0.1)
    for at in range(MONDAY + DAY, MONDAY + DAY + 30 * MINUTE, FIVE):
        said = series.update(at, 8, 1_000)
    assert said.score >= 4.0


def test_a_state_without_the_last_half_hour_goes_on_with_all_it_has() -> None:
    series = Ratio(ORDERS)
    for window in range(400):
        series.update(MONDAY + window * FIVE, 18 + window % 5, 1_000)
    version, *rest = msgspec.msgpack.decode(series.state())
    older = Ratio.restored(ORDERS, msgspec.msgpack.encode([version - 1, *rest[:-3]]))
    assert older is not None
    at = MONDAY + 400 * FIVE
    assert older.update(at, 20, 1_000).expected == series.update(at, 20, 1_000).expected
    for window in range(401, 407):
        said = older.update(MONDAY + window * FIVE, 8, 1_000)
    assert said.score >= 4.0
