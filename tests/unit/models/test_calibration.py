"""Probabilities: the logistic function by table, and Platt's two parameters."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import Calibration, sigmoid
from models.training.calibrate import PLATT_FROM, calibrate


@given(st.floats(-700, 700))
def test_the_logistic_function_by_table_is_the_logistic_function(x: float) -> None:
    x = round(x, 9)
    exact = 1 / (1 + math.exp(-x))
    assert sigmoid(x) == pytest.approx(exact, rel=1e-10, abs=1e-300)


@given(st.floats(-40, 40), st.floats(0, 5))
def test_a_larger_score_is_never_less_likely(x: float, more: float) -> None:
    assert sigmoid(x + more) >= sigmoid(x)


def test_platt_finds_the_line_that_made_the_outcomes() -> None:
    draw = np.random.default_rng(3)
    raw = draw.normal(0, 1.5, 40_000)
    converted = draw.random(40_000) < 1 / (1 + np.exp(-(0.6 * raw - 1.2)))
    found = calibrate(raw, converted)
    assert found.kind == "platt"
    assert found.a == pytest.approx(0.6, abs=0.03)
    assert found.b == pytest.approx(-1.2, abs=0.04)


def test_few_outcomes_leave_the_score_as_it_is() -> None:
    raw = np.linspace(-2, 2, 2_000)
    converted = np.arange(2_000) < PLATT_FROM - 1
    assert calibrate(raw, converted) == Calibration()


def test_a_slice_that_turns_the_ranking_around_is_not_followed() -> None:
    raw = np.linspace(-2, 2, 2_000)
    assert calibrate(raw, raw < 0) == Calibration()
