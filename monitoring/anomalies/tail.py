"""How rare a statistic is for its own series: the running tail that makes scores comparable.

One global threshold on raw residuals floods on a bursty series and sleeps on a steady one. So the
2 % largest statistics of a series are described by a generalised Pareto distribution, fitted by
moments with exponential forgetting, and a statistic is scored by its probability there.
"""

from math import exp, expm1, log1p, log10
from typing import Final

from monitoring.anomalies.verdict import RAREST

_SHARE: Final = 0.02
_AT_EDGE: Final = -log10(_SHARE)
WARM_UP: Final = 150
# Exceedances remembered: at 2 % of one window a minute, about a week.
_MEMORY: Final = 200
# One fault may not teach the tail that such things happen: 8 mean excesses are the most it counts.
_CLIP: Final = 8.0
# The exponential tail a young series is given counts as this many exceedances.
_PRIOR: Final = 5
# Below 0 the fitted tail would end and call the next statistic impossible; above, it would
# call everything possible.
_SHAPES: Final = (0.0, 0.5)
# The edge is moved by shares of itself: coarsely at first, by 1 % later (it then errs by some
# 3 %; with 5 % a slow fault carried the edge along and was never found), and fast down again when
# it went so high that nothing passes it (2 % of 200 windows is 4).
_FIRST_GAIN: Final = 3.0
_LAST_GAIN: Final = 0.01
_CALM: Final = 200
_HURRY: Final = 20.0


class Tail:
    """The upper tail of one statistic >= 0.

    ``log`` compares log1p of it. ``least`` is the mean excess over the edge that theory gives: no
    series is steadier, one that seems so was only watched for too short a time.
    """

    __slots__ = ("_calm", "_edge", "_excess", "_least", "_log", "_over", "_seen", "_square")

    def __init__(self, *, log: bool, least: float) -> None:
        self._log = log
        self._least = least
        self._seen = 0
        self._edge = 0.0
        self._calm = 0
        self._over = 0
        self._excess = least
        self._square = 2 * least**2

    @property
    def warm(self) -> bool:
        """Whether enough statistics were seen to speak of a tail."""
        return self._seen >= WARM_UP

    def score(self, statistic: float) -> float:
        """Return -log10 of the probability of a ``statistic`` this large, at most 16."""
        x = log1p(statistic) if self._log else statistic
        over = x - self._edge
        if over <= 0.0:
            return _AT_EDGE * (x / self._edge) ** 2 if self._edge > 0.0 else 0.0
        shape, scale = self._fit()
        decades = log1p(shape * over / scale) / shape if shape > 1e-6 else over / scale
        return min(RAREST, _AT_EDGE + decades * 0.4342944819)

    def at(self, score: float) -> float:
        """Return the statistic whose score is ``score`` (one above the edge's 1.7)."""
        shape, scale = self._fit()
        decades = (score - _AT_EDGE) / 0.4342944819
        over = scale * expm1(shape * decades) / shape if shape > 1e-6 else scale * decades
        x = self._edge + over
        return expm1(x) if self._log else x

    def learn(self, statistic: float) -> None:
        """Take one more statistic into the tail, a very large one only as far as the clip."""
        x = log1p(statistic) if self._log else statistic
        self._seen += 1
        most = self._edge + _CLIP * self._excess if self.warm and self._edge else x
        x = min(x, most)
        if not self._edge:
            self._edge = x
        over = x - self._edge
        gain = max(_FIRST_GAIN / (self._seen + 10), _LAST_GAIN)
        if over > 0:
            self._calm = 0
            self._edge *= exp(gain * (1 - _SHARE))
            if self._seen > WARM_UP // 3:
                self._take(over)
        else:
            self._calm += 1
            self._edge *= exp(-gain * _SHARE * (_HURRY if self._calm > _CALM else 1))

    def _take(self, over: float) -> None:
        self._over += 1
        gain = 1 / min(self._over + _PRIOR, _MEMORY)
        self._excess += gain * (over - self._excess)
        self._square += gain * (over * over - self._square)

    def _fit(self) -> tuple[float, float]:
        spread = max(self._square - self._excess**2, 1e-12)
        shape = 0.5 * (1 - self._excess**2 / spread)
        shape = min(max(shape, _SHAPES[0]), _SHAPES[1])
        return shape, max(self._excess, self._least) * (1 - shape)

    def state(self) -> tuple[float, ...]:
        """Return what `Tail.restored` needs."""
        return (self._seen, self._calm, self._edge, self._over, self._excess, self._square)

    @classmethod
    def restored(cls, state: tuple[float, ...], *, log: bool, least: float) -> "Tail":
        """Return the tail whose state was saved."""
        tail = cls(log=log, least=least)
        seen, calm, tail._edge, over, tail._excess, tail._square = state
        tail._seen, tail._calm, tail._over = int(seen), int(calm), int(over)
        return tail
