"""Exponential decay by table: exact products only, because ``exp`` differs between CPUs."""

from functools import lru_cache
from math import sqrt

_BITS = 10
_SIZE = 1 << _BITS
_FINE = 1 << (2 * _BITS)
# ln 2 / 2**20: slope of the last, linear piece; its error is below 3e-14.
_SLOPE = 0.6931471805599453 / _FINE


def _table(step: float) -> tuple[float, ...]:
    """Return step**0 … step**1023 by repeated multiplication."""
    values = [1.0]
    for _ in range(_SIZE - 1):
        values.append(values[-1] * step)
    return tuple(values)


def _root(value: float, times: int) -> float:
    """Take ``times`` square roots; sqrt is correctly rounded by IEEE 754 on every machine."""
    for _ in range(times):
        value = sqrt(value)
    return value


_COARSE = _table(_root(0.5, _BITS))
_FINER = _table(_root(0.5, 2 * _BITS))


@lru_cache(maxsize=4096)
def _whole(halvings: int) -> float:
    return 0.5**halvings if halvings < 1075 else 0.0


def decayed(value: float, elapsed: int, half_life: int) -> float:
    """Return ``value * 2**(-elapsed/half_life)``; both times in ms, ``elapsed`` >= 0.

    Only + - x / and table look-ups: equal bits on every machine. Relative error < 1e-12.
    """
    if value == 0.0 or elapsed <= 0:
        return value
    halvings, rest = divmod(elapsed, half_life)
    scaled = rest * _FINE
    cell, residue = divmod(scaled, half_life)
    factor = _COARSE[cell >> _BITS] * _FINER[cell & (_SIZE - 1)]
    left = value * factor * (1.0 - _SLOPE * (residue / half_life))
    return left * _whole(halvings) if halvings else left
