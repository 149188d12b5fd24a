"""From a raw score to a probability, with equal bits on every machine."""

from bisect import bisect_right
from itertools import pairwise
from typing import Final, Literal

from msgspec import Struct

from engine.decay import decayed

_RAW_DIGITS: Final = 9
_P_DIGITS: Final = 6
# What can be said at six digits. Nobody's order is certain, and nobody's is impossible.
LEAST: Final = 0.000_001
MOST: Final = 0.999_999
# A line takes two; with 64 an artefact stays small and a look-up short.
FEWEST_KNOTS: Final = 2
MOST_KNOTS: Final = 64
# exp(-x) = 2**(-x / ln 2), with x in units of 1e-12: relative error 8e-14 times x / ln 2.
_UNITS: Final = 1_000
_LN_2: Final = 693_147_180_560


class Calibration(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a raw score becomes a probability; ``identity`` is the logistic function alone.

    ``platt``: sigma(``a`` x raw + ``b``). ``isotonic``: straight lines between the knots
    (``raw``, ``p``), level before the first and after the last. Raises ValueError for knots that
    do not rise or leave (0, 1): an artefact that holds such a thing cannot be read.
    """

    kind: Literal["identity", "platt", "isotonic"] = "identity"
    a: float = 1.0
    b: float = 0.0
    raw: tuple[float, ...] = ()
    p: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the knots, once; a score is looked up in microseconds."""
        if self.kind != "isotonic":
            return
        if len(self.raw) != len(self.p) or not FEWEST_KNOTS <= len(self.raw) <= MOST_KNOTS:
            message = f"isotonic calibration needs {FEWEST_KNOTS} to {MOST_KNOTS} knots"
            raise ValueError(message)
        if not all(left < right for left, right in pairwise(self.raw)):
            message = "isotonic calibration needs raw scores that rise"
            raise ValueError(message)
        if not all(left <= right for left, right in pairwise((LEAST, *self.p, MOST))):
            message = f"isotonic calibration needs chances that rise from {LEAST} to {MOST}"
            raise ValueError(message)

    def probability(self, raw: float) -> float:
        """Return the probability of a finite raw score, rounded to 1e-6; never 0, never 1."""
        rounded = round(raw, _RAW_DIGITS)
        if self.kind == "isotonic":
            p = self._between(rounded)
        else:
            p = sigmoid(self.a * rounded + self.b)
        return min(max(round(p, _P_DIGITS), LEAST), MOST)

    def _between(self, raw: float) -> float:
        """Return the chance on the line between two knots.

        Each step rounds a rising function, so it rises in every bit; at the right knot the sum may
        pass it by the last bit, hence the minimum.
        """
        right = bisect_right(self.raw, raw)
        if right == 0:
            return self.p[0]
        if right == len(self.raw):
            return self.p[-1]
        start, end = self.raw[right - 1], self.raw[right]
        low, high = self.p[right - 1], self.p[right]
        return min(low + (high - low) * ((raw - start) / (end - start)), high)


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)) of a finite number by table, because ``exp`` differs between CPUs.

    ``x`` is rounded to 1e-9 first.
    """
    billionths = round(abs(x) * 10**_RAW_DIGITS)
    small = decayed(1.0, billionths * _UNITS, _LN_2)
    return 1.0 / (1.0 + small) if x >= 0 else small / (1.0 + small)
