"""Probabilities: the logistic function by table, Platt's two parameters, isotonic knots."""

import math
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from models.booster import load
from models.calibration import LEAST, MOST, MOST_KNOTS, Calibration, sigmoid
from models.features import NAMES, vector
from models.manifest import pack, unpack
from models.scorer import build
from models.training.calibrate import PLATT_FROM, calibrate, isotonic, platt
from models.training.labels import Flags, Floats
from models.training.metrics import ece10, log_loss
from tests.unit.models.golden_cases import cases
from tests.unit.models.shop import LOCAL

_finite = st.floats(allow_nan=False, allow_infinity=False)
_chances = st.floats(LEAST, MOST)


@st.composite
def _isotonic(draw: st.DrawFn) -> Calibration:
    """Draw any knots that may stand in an artefact."""
    scores = sorted(draw(st.sets(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=MOST_KNOTS)))
    chances = sorted(draw(st.lists(_chances, min_size=len(scores), max_size=len(scores))))
    return Calibration(kind="isotonic", raw=tuple(scores), p=tuple(chances))


@given(st.floats(-700, 700))
def test_the_logistic_function_by_table_is_the_logistic_function(x: float) -> None:
    x = round(x, 9)
    exact = 1 / (1 + math.exp(-x))
    assert sigmoid(x) == pytest.approx(exact, rel=1e-10, abs=1e-300)


@given(st.floats(-40, 40), st.floats(0, 5))
def test_a_larger_score_is_never_less_likely(x: float, more: float) -> None:
    assert sigmoid(x + more) >= sigmoid(x)


@pytest.mark.parametrize("calibration", [Calibration(), Calibration(kind="platt", a=3.0, b=-1.0)])
@given(raw=st.floats(-1e9, 1e9))
def test_nothing_is_certain_and_nothing_impossible(calibration: Calibration, raw: float) -> None:
    assert LEAST <= calibration.probability(raw) <= MOST


# --- between knots ------------------------------------------------------------------------------


@given(_isotonic(), _finite)
def test_any_finite_score_gives_a_chance_between_the_knots(
    calibration: Calibration, raw: float
) -> None:
    said = calibration.probability(raw)
    assert 0 < said < 1
    assert calibration.p[0] - 1e-6 <= said <= calibration.p[-1] + 1e-6


@given(_isotonic(), st.lists(_finite, min_size=2, max_size=20))
def test_isotonic_never_turns_two_scores_around(calibration: Calibration, raw: list[float]) -> None:
    # the knots and their neighbours in floating point are where rounding would show
    edges = [
        near
        for knot in calibration.raw
        for near in (math.nextafter(knot, -math.inf), knot, math.nextafter(knot, math.inf))
    ]
    said = [calibration.probability(score) for score in sorted([*raw, *edges])]
    assert all(left <= right for left, right in pairwise(said))


@given(_isotonic())
def test_at_a_knot_its_own_chance_is_said(calibration: Calibration) -> None:
    for score, chance in zip(calibration.raw, calibration.p, strict=True):
        if round(score, 9) == score:
            assert calibration.probability(score) == round(chance, 6)


def test_between_knots_runs_a_straight_line() -> None:
    knots = Calibration(kind="isotonic", raw=(-2.0, 0.0, 1.0), p=(0.1, 0.2, 0.7))
    raw = (-9.0, -2.0, -1.0, 0.25, 1.0, 9.0)
    assert [knots.probability(score) for score in raw] == [0.1, 0.1, 0.15, 0.325, 0.7, 0.7]


@pytest.mark.parametrize(
    ("raw", "p"),
    [
        ([], []),
        ([0.0], [0.5]),
        ([0.0, 1.0], [0.5]),
        ([0.0, 0.0], [0.2, 0.5]),
        ([1.0, 0.0], [0.2, 0.5]),
        ([0.0, 1.0], [0.5, 0.2]),
        ([0.0, 1.0], [0.0, 0.5]),
        ([0.0, 1.0], [0.5, 1.0]),
        (list(range(65)), [0.5] * 65),
    ],
)
def test_an_artefact_with_knots_that_make_no_sense_cannot_be_read(
    artefact: bytes, raw: list[float], p: list[float]
) -> None:
    content = msgspec.json.decode(artefact)
    content["manifest"]["calibration"] = {"cart": {"kind": "isotonic", "raw": raw, "p": p}}
    with pytest.raises(Refused, match="no model artefact") as refused:
        unpack(msgspec.json.encode(content))
    assert "\n" not in str(refused.value)


def test_knots_survive_the_round_trip_bit_for_bit(artefact: bytes) -> None:
    raw, converted, _ = _levelling(20_000, seed=1)
    found = calibrate(raw, converted)
    assert found.kind == "isotonic"
    read = unpack(artefact)
    changed = msgspec.structs.replace(read.manifest, calibration={"cart": found})
    assert unpack(pack(changed, read.model)).manifest.calibration == {"cart": found}


def test_a_model_with_knots_is_served_by_them(artefact: bytes) -> None:
    read, case = unpack(artefact), cases()["with_cart"]
    raw = load(read.model, len(NAMES)).raw(vector(case, None, LOCAL))
    knots = Calibration(kind="isotonic", raw=(raw - 1.0, raw + 1.0), p=(0.2, 0.4))
    changed = msgspec.structs.replace(read.manifest, calibration={"cart_abandonment": knots})
    scorer = build(pack(changed, read.model), allow_simulated=True, local=LOCAL)
    assert scorer.score(case).p0 == pytest.approx(0.3, abs=2e-6)


# --- learning it --------------------------------------------------------------------------------


def _levelling(rows: int, *, seed: int) -> tuple[Floats, Flags, Floats]:
    """Draw scores whose chances no logistic function follows: they level off at 2 % and at 42 %."""
    draw = np.random.default_rng(seed)
    raw = draw.normal(-0.5, 1.2, rows)
    chance = 0.02 + 0.4 / (1 + np.exp(-4 * raw))
    return raw, draw.random(rows) < chance, chance


def _served(calibration: Calibration, raw: Floats) -> Floats:
    return np.array([calibration.probability(score) for score in raw.tolist()])


def test_platt_finds_the_line_that_made_the_outcomes() -> None:
    draw = np.random.default_rng(3)
    raw = draw.normal(0, 1.5, 40_000)
    converted = draw.random(40_000) < 1 / (1 + np.exp(-(0.6 * raw - 1.2)))
    a, b = platt(raw, converted)
    assert a == pytest.approx(0.6, abs=0.03)
    assert b == pytest.approx(-1.2, abs=0.04)


@pytest.mark.parametrize(
    ("rarer", "kind"), [(199, "identity"), (200, "platt"), (1_000, "platt"), (1_001, "isotonic")]
)
def test_the_count_of_the_rarer_outcome_chooses_how_much_is_learned(rarer: int, kind: str) -> None:
    raw = np.random.default_rng(5).normal(0, 1, 8_000)
    converted = np.zeros(8_000, dtype=bool)
    converted[np.argsort(raw)[-rarer:]] = True
    assert calibrate(raw, converted).kind == kind
    assert calibrate(-raw, ~converted).kind == kind


def test_isotonic_follows_a_shape_that_platt_cannot() -> None:
    raw, converted, _ = _levelling(20_000, seed=1)
    found, (a, b) = calibrate(raw, converted), platt(raw, converted)
    later, outcome, truth = _levelling(20_000, seed=2)
    said = _served(found, later)
    scaled = _served(Calibration(kind="platt", a=a, b=b), later)
    left_alone = _served(Calibration(), later)
    known, isotone, straight, none = (
        log_loss(outcome, p) or math.inf for p in (truth, said, scaled, left_alone)
    )
    assert isotone - known < 0.002
    assert straight - known > 0.01
    assert none - known > 0.05
    assert (ece10(outcome, said) or 1) < 0.015
    assert float(said.mean()) == pytest.approx(float(truth.mean()), abs=0.01)


def test_isotonic_costs_next_to_nothing_where_scores_were_right_already() -> None:
    draw = np.random.default_rng(8)
    raw = draw.normal(-1.5, 1, 24_000)
    converted = draw.random(24_000) < 1 / (1 + np.exp(-raw))
    found = calibrate(raw[:8_000], converted[:8_000])
    assert found.kind == "isotonic"
    alone = log_loss(converted[8_000:], _served(Calibration(), raw[8_000:]))
    learned = log_loss(converted[8_000:], _served(found, raw[8_000:]))
    assert alone is not None
    assert learned is not None
    assert learned - alone < 0.002


@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=2, max_size=200))
def test_whatever_the_slice_the_knots_may_stand_in_an_artefact(
    rows: list[tuple[float, bool]],
) -> None:
    found = isotonic(np.array([raw for raw, _ in rows]), np.array([y for _, y in rows]))
    if found is not None:  # Calibration itself refuses knots that do not rise
        assert 2 <= len(found.raw) <= MOST_KNOTS
        assert 0 < found.p[0] <= found.p[-1] < 1


def test_ten_rows_without_an_order_do_not_say_never() -> None:
    raw = np.repeat(np.arange(20.0), 10)
    found = isotonic(raw, raw > 9)
    assert found is not None
    assert found.p[0] == pytest.approx(0.5 / 11, abs=0.05)
    assert 0.01 < found.probability(0.0) < found.probability(19.0) < 0.99


def test_few_outcomes_leave_the_score_as_it_is() -> None:
    raw = np.linspace(-2, 2, 2_000)
    converted = np.arange(2_000) < PLATT_FROM - 1
    assert calibrate(raw, converted) == Calibration()


@pytest.mark.parametrize("rows", [2_000, 20_000])
def test_a_slice_that_turns_the_ranking_around_is_not_followed(rows: int) -> None:
    raw = np.linspace(-2, 2, rows)
    assert calibrate(raw, raw < 0) == Calibration()


def test_one_score_for_everybody_is_no_shape() -> None:
    assert isotonic(np.zeros(4_000), np.arange(4_000) % 2 == 0) is None
