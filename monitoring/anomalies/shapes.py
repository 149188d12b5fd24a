"""Two looks at the shape of the last values: was it ever like this, does it fit the usual shapes.

`Nearest` is a left matrix profile: how far the last values, brought to mean 0 and deviation 1,
are from the most similar stretch before them. `Subspace` learns the few directions in which
stretches usually vary and measures what lies outside of them.
"""

from collections import deque
from math import sqrt
from typing import Final

LENGTH: Final = 24
BACK: Final = 2_000
_FLAT: Final = 1e-9
# So often the sliding products are computed afresh: adding and taking away loses digits.
_AFRESH: Final = 4_096

_DIRECTIONS: Final = 3
_OJA_GAIN: Final = 0.01
_CLIP: Final = 5.0
_MEMORY: Final = 500


class Nearest:
    """Distance of the last 24 values from the nearest of the last 2,000 stretches before them."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._products: list[float] = []
        self._means: list[float] = []
        self._inverses: list[float] = []  # 1 / (24 x deviation), 0 for a flat stretch
        self._taken = 0

    def distance(self, value: float) -> float:
        """Take the next value; return 0 (seen just so before) to 1 (no likeness to anything).

        0 while there is nothing to compare with.
        """
        self._values.append(value)
        if len(self._values) < LENGTH:
            return 0.0
        self._slide()
        self._taken += 1
        mean, inverse = self._means[-1], self._inverses[-1]
        others = len(self._products) - LENGTH
        likeness = self._likeness(others, mean, inverse) if others > 0 else 1.0
        if len(self._products) > BACK + LENGTH:
            for kept in (self._products, self._means, self._inverses, self._values):
                del kept[0]
        return sqrt(max(0.0, (1.0 - likeness) / 2))

    def _slide(self) -> None:
        values, products = self._values, self._products
        last = values[-LENGTH:]
        mean = sum(last) / LENGTH
        spread = sqrt(sum((value - mean) ** 2 for value in last) / LENGTH)
        flat = spread <= _FLAT * max(1.0, abs(mean))
        self._means.append(mean)
        self._inverses.append(0.0 if flat else 1 / (LENGTH * spread))
        if len(products) < 1 or self._taken % _AFRESH == 0:
            products[:] = [
                _product(last, values[at : at + LENGTH]) for at in range(len(values) - LENGTH + 1)
            ]
            return
        # Each stretch's product with the last one, from that of both one value earlier.
        gone, come = values[-LENGTH - 1], last[-1]
        shifted = [
            product - gone * left + come * entered
            for product, left, entered in zip(products, values, values[LENGTH:], strict=False)
        ]
        products[1:] = shifted
        products[0] = _product(last, values[:LENGTH])

    def _likeness(self, others: int, mean: float, inverse: float) -> float:
        """Return the highest correlation with an earlier stretch; two flat ones are alike."""
        earlier = self._inverses[:others]
        if not inverse:
            return 1.0 if 0.0 in earlier else 0.0
        times = LENGTH * mean
        best = max(
            (product - times * other) * one
            for product, other, one in zip(self._products, self._means, earlier, strict=False)
        )
        return min(best * inverse * LENGTH, 1.0)


class Subspace:
    """What of the last 24 values, in robust sigmas, lies outside the three usual directions."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=LENGTH)
        self._mean = 0.0
        self._scale = 0.0
        self._taken = 0
        self._directions = [
            [1.0 if at % _DIRECTIONS == which else 0.0 for at in range(LENGTH)]
            for which in range(_DIRECTIONS)
        ]
        for direction in self._directions:
            _to_unit(direction)

    def distance(self, value: float) -> float:
        """Take the next value; return the root mean square of what does not fit."""
        self._take(value)
        if len(self._last) < LENGTH or self._scale <= 0.0:
            return 0.0
        mean, scale = self._mean, self._scale
        rest = [min(max((one - mean) / scale, -_CLIP), _CLIP) for one in self._last]
        for direction in self._directions:
            along = _product(direction, rest)
            rest = [one - along * part for one, part in zip(rest, direction, strict=True)]
            gain = _OJA_GAIN * along / LENGTH
            direction[:] = [p + gain * one for p, one in zip(direction, rest, strict=True)]
            _to_unit(direction)
        return sqrt(_product(rest, rest) / LENGTH)

    def _take(self, value: float) -> None:
        self._taken += 1
        self._last.append(value)
        gain = 1 / min(self._taken, _MEMORY)
        self._mean += gain * (value - self._mean)
        wrong = abs(value - self._mean)
        if self._taken > 60 and self._scale > 0.0:
            wrong = min(wrong, _CLIP * self._scale)
        self._scale += gain * (wrong - self._scale)


def _product(left: list[float], right: list[float]) -> float:
    return sum(one * other for one, other in zip(left, right, strict=True))


def _to_unit(direction: list[float]) -> None:
    length = sqrt(_product(direction, direction)) or 1.0
    direction[:] = [part / length for part in direction]
