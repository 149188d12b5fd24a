"""What a step of the fold is told and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.times import DAY


@dataclass(frozen=True, slots=True)
class Change:
    """What one event changed, for the trigger rules. Empty = nothing that could arm or end.

    ``carts`` ids of carts touched; ``orders`` whether any order changed; ``withdrawn`` whether a
    consent was taken back; ``erased``; ``bounded`` names of bounds that made an entry give way.
    """

    carts: tuple[str, ...] = ()
    orders: bool = False
    withdrawn: bool = False
    erased: bool = False
    ignored: str = ""
    bounded: tuple[str, ...] = ()


NOTHING = Change()


@dataclass(frozen=True, slots=True)
class Memory:
    """What the fold needs of the settings in force.

    ``keep_sends``: ms a send is remembered; ``hour``: local hour of (zones, ms);
    ``currency``: in which order values are summed.
    """

    keep_sends: int = 30 * DAY
    hour: Callable[[Sequence[str], int], int] | None = None
    currency: str = ""
