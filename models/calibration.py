"""From a raw score to a probability, with equal bits on every machine."""

from typing import Final, Literal

from msgspec import Struct

from engine.decay import decayed

_RAW_DIGITS: Final = 9
_P_DIGITS: Final = 6
# exp(-x) = 2**(-x / ln 2), with x in units of 1e-12: relative error 8e-14 times x / ln 2.
_UNITS: Final = 1_000
_LN_2: Final = 693_147_180_560


class Calibration(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """p = sigma(``a`` x raw + ``b``). ``identity`` leaves the raw score as it is.

    Isotonic regression (from 1,000 positives) would be a third kind.
    """

    kind: Literal["identity", "platt"] = "identity"
    a: float = 1.0
    b: float = 0.0

    def probability(self, raw: float) -> float:
        """Return the probability of a finite raw score, rounded to 1e-6."""
        rounded = round(raw, _RAW_DIGITS)
        return round(sigmoid(self.a * rounded + self.b), _P_DIGITS)


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)) of a finite number by table, because ``exp`` differs between CPUs.

    ``x`` is rounded to 1e-9 first.
    """
    billionths = round(abs(x) * 10**_RAW_DIGITS)
    small = decayed(1.0, billionths * _UNITS, _LN_2)
    return 1.0 / (1.0 + small) if x >= 0 else small / (1.0 + small)
