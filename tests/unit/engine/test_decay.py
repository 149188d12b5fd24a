"""Decay by table: exact at the halvings, equal bits everywhere."""

import pytest

from engine.decay import decayed
from engine.times import DAY


@pytest.mark.parametrize("halvings", [0, 1, 2, 10, 52])
def test_whole_half_lives_halve_exactly(halvings: int) -> None:
    assert decayed(1.0, halvings * DAY, DAY) == 0.5**halvings


def test_nothing_decays_before_its_time() -> None:
    assert decayed(3.0, 0, DAY) == 3.0
    assert decayed(3.0, -5, DAY) == 3.0


def test_nothing_stays_nothing() -> None:
    assert decayed(0.0, 10**15, DAY) == 0.0


def test_after_a_thousand_half_lives_nothing_is_left() -> None:
    assert decayed(1e300, 3000 * DAY, DAY) == 0.0


def test_the_bits_are_these_on_every_machine() -> None:
    """Golden values: a machine that disagrees would break replay."""
    assert decayed(1.0, 12_345_678, DAY).hex() == "0x1.cfb85359466cbp-1"
    assert decayed(7.25, 987_654_321, 30 * DAY).hex() == "0x1.644c5903784d1p+2"
