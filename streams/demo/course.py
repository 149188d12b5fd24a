"""The course of a simulated shop: what has happened so far, and what is already going to."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from datetime import date
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple, Self

from engine.decay import decayed
from engine.times import DAY, HOUR, MINUTE
from streams.demo.goods import Lines
from streams.demo.truth import Bought, Heard, Refusal

# Looking and paying take at most so long; what begins in an hour ends in it.
LASTS: Final = 6 * MINUTE
_WEEK: Final = 7 * DAY


class Cart(NamedTuple):
    """A left cart; ``lot`` decides in every future whether it is bought, ``odds`` when unasked."""

    id: str
    user_id: str
    lines: Lines
    left_at: int
    odds: float
    lot: float


class Need(NamedTuple):
    """What an order will leave used up at ``at`` (ms); ``odds`` and ``lot`` as in a cart.

    ``caused_by`` = the action without which neither that order nor its renewal would be.
    """

    order_id: str
    user_id: str
    lines: Lines
    at: int
    odds: float
    lot: float
    caused_by: str


@dataclass(slots=True)
class Course:
    """All that changes in a shop. Plain values, none of which changes: cheap to copy.

    ``settled``: carts and needs bought, or going to be because of a message. ``tired``: weariness
    and the ms it is of, by user; ``gone``: since when somebody wants to hear nothing.
    """

    later: list[tuple[int, int, str, Any]] = field(default_factory=list)
    numbers: int = 0
    drawn: dict[str, date] = field(default_factory=dict)
    carts: dict[str, Cart] = field(default_factory=dict)
    needs: dict[str, Need] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    orders: list[Bought] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    visits: list[int] = field(default_factory=list)
    tired: dict[str, tuple[float, int]] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    looked_at: dict[str, str] = field(default_factory=dict)
    visited: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ordered: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Self:
        """Return a course that goes on from here without touching this one."""
        fresh = {name: copy(getattr(self, name)) for name in self.__slots__}
        return type(self)(**fresh)

    # --- what is going to happen ----------------------------------------------------------------

    def plan(self, at: int, what: str, about: Any) -> None:
        """Let it happen at ``at`` (ms); ``about`` must be a value that never changes."""
        self.numbers += 1
        heappush(self.later, (at, self.numbers, what, about))

    def due(self, now: int) -> Iterator[tuple[int, str, Any]]:
        """Take out what happens up to ``now``, the earliest first; it may plan more meanwhile."""
        while self.later and self.later[0][0] <= now:
            at, _, what, about = heappop(self.later)
            yield at, what, about

    # --- what she has lived through -------------------------------------------------------------

    def visit(self, user_id: str, at: int) -> None:
        """Note a visit."""
        self.visits.append(at)
        lately = [then for then in self.visited.get(user_id, ()) if then > at - _WEEK]
        self.visited[user_id] = (*lately, at)

    def visits_lately(self, user_id: str, at: int) -> int:
        """Return her visits of the week before ``at``."""
        return sum(then > at - _WEEK for then in self.visited.get(user_id, ()))

    def weariness(self, user_id: str, at: int, recovers: int) -> float:
        """Return how weary of messages she is at ``at``; it halves every ``recovers`` ms."""
        value, since = self.tired.get(user_id, (0.0, at))
        return decayed(value, at - since, recovers)

    def tire(self, user_id: str, at: int, by: float, recovers: int) -> None:
        """Make her wearier."""
        self.tired[user_id] = self.weariness(user_id, at, recovers) + by, at


def within_its_hour(at: int) -> int:
    """Return ``at``, or the beginning of the next hour if what begins then could not end in its."""
    into = (at - 1) % HOUR
    return at + HOUR - into if into >= HOUR - LASTS else at


__all__ = ["LASTS", "Cart", "Course", "Need", "within_its_hour"]
