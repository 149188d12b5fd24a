"""What a series says of one closed window."""

from typing import Literal, TypeAlias

import msgspec

Direction: TypeAlias = Literal["up", "down"]

# Rarer than this says nothing more: it is the model that is wrong by then, not the series.
RAREST = 16.0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How rare one window is for its series; ``at`` is the window's end, ms UTC.

    ``score`` is -log10 of the probability that this series behaves so by itself (0 to 16).
    ``low`` to ``high`` is the band inside of which a window opens nothing. ``enough`` is False
    while the series is too young or has too little traffic to be judged; the score is 0 then.
    ``n`` is the number of events (level, absence: expected ones) or trials behind the value.
    """

    at: int
    value: float
    expected: float
    low: float
    high: float
    score: float
    direction: Direction
    enough: bool = True
    n: float = 0.0
