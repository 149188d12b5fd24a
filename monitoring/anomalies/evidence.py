"""How much k of n say against a share, in nats: over all windows since a beginning, and of late.

A share that was itself only counted, in ``known`` trials, is not exact: what n trials say against
it is divided by 1 + n / known, by which the variance of the difference is larger. Without it a
share learned wrongly from its first few successes accuses everything that follows.
"""

from array import array
from math import log
from typing import Final

# A sum larger than this says nothing more and would only take longer to come back, in nats.
_MOST: Final = 18.0
# A sum that fell so far from its height has as much evidence that the change is over.
_OVER: Final = 6.0


class Sum:
    """The evidence for one direction of change, never below 0, in nats.

    The cumulative sum of log-likelihood ratios (E. S. Page, Continuous inspection schemes,
    Biometrika 1954): of all moments at which a change by ``times`` may have begun, the one for
    which most speaks.
    """

    __slots__ = ("height", "nats", "times", "trials")

    def __init__(self, times: float) -> None:
        self.times = times
        self.nats = 0.0
        self.height = 0.0
        self.trials = 0.0

    def add(self, share: float, k: float, n: float) -> None:
        """Take one window; begin anew when it went back to 0 or far down from its height."""
        self.nats = min(max(0.0, self.nats + _evidence(share, self.times, k, n)), _MOST)
        self.height = max(self.height, self.nats)
        if self.nats < _MOST:
            self.trials += n
        if self.height - self.nats >= _OVER:
            self.nats = 0.0
        if not self.nats:
            self.height = self.trials = 0.0

    def worth(self, known: float) -> float:
        """Return the nats it has against a share counted in ``known`` trials."""
        return self.nats / (1 + self.trials / known)

    def state(self) -> tuple[float, float]:
        """Return what has to be saved, but for the trials."""
        return self.nats, self.height


class Look:
    """The last windows as one: which change they speak for, whatever its size.

    The log-likelihood ratio of the best share against the usual one. When a change has to be
    found within a given time, the sum over just this time misses fewest (B. K. Guepie,
    L. Fillatre, I. Nikiforov, Sequential detection of transient changes, Sequential Analysis
    31(4), 2012): it has no choice of beginnings to be misled by.
    """

    __slots__ = ("_most", "_windows")

    def __init__(self, windows: int) -> None:
        self._most = 3 * windows
        self._windows = array("f")  # k, n and the usual k of each

    def add(self, share: float, k: float, n: float) -> None:
        """Take one window."""
        self._windows.extend((k, n, share * n))
        del self._windows[: -self._most]

    def sides(self, known: float) -> tuple[float, float]:
        """Return the nats for more and for less than a share counted in ``known`` trials."""
        k, n, usual = (sum(self._windows[part::3]) for part in range(3))
        if not 0.0 < usual < n:
            return 0.0, 0.0
        nats = (_part(k, usual) + _part(n - k, n - usual)) / (1 + n / known)
        return (nats, 0.0) if k > usual else (0.0, nats)

    def clear(self) -> None:
        """Forget what was compared with a share that holds no longer."""
        del self._windows[:]

    def state(self) -> bytes:
        """Return what `restore` takes: 12 bytes a window."""
        return self._windows.tobytes()

    def restore(self, state: bytes) -> None:
        """Go on from the windows that were saved."""
        self._windows = array("f", state)


def edge(share: float, times: float, n: float, nats: float) -> float:
    """Return the share of ``n`` that alone would raise the sum by ``nats``."""
    if not n:
        return share
    other = _changed(share, times)
    miss = log((1 - other) / (1 - share))
    found = (nats / n - miss) / (log(other / share) - miss)
    return min(max(found, 0.0), 1.0)


def _changed(share: float, times: float) -> float:
    odds = share / (1 - share) * times
    return odds / (1 + odds)


def _evidence(share: float, times: float, k: float, n: float) -> float:
    """Nats by which k of n speak for odds ``times`` as high as those of ``share``."""
    other = _changed(share, times)
    return k * log(other / share) + (n - k) * log((1 - other) / (1 - share))


def _part(seen: float, usual: float) -> float:
    return seen * log(seen / usual) if seen else 0.0
