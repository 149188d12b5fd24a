"""Visits of people to the shop: where they came from, how far they went, what they bought.

A visit ends after 30 minutes without a message of hers. It belongs to the source its first message
names (:mod:`monitoring.figures.acquisition`). It is counted at a step when it first reaches it, and
then also at the steps before that it jumped over, so that a funnel never widens.
"""

from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from msgspec import Struct, field

from engine.times import DAY, MINUTE
from monitoring.figures.acquisition import DIRECT
from monitoring.figures.bounded import Key
from monitoring.figures.counts import Counts
from monitoring.figures.seen import STEPS, Message, Order

IDLE: Final = 30 * MINUTE
# Open visits remembered: beyond it the one that was silent longest ends early.
MOST_VISITS: Final = 100_000
# Orders told again (Order Updated) are known again for so long, and so many.
_ORDER_MEMORY: Final = 2 * DAY
MOST_ORDERS: Final = 100_000


class Visit(Struct, array_like=True):
    """An open visit: its last message, where it came from, the furthest step it reached."""

    last: int
    source: str
    step: int = 0


class Visits(Struct):
    """Open visits by person, in the order of their last message; and the orders already told."""

    open: dict[int, Visit] = field(default_factory=dict)
    orders: dict[int, int] = field(default_factory=dict)
    ended_early: int = 0

    def take(self, seen: Message, currency: str, counts: Counts) -> Order | None:
        """Fold one message; returns its order if that is told for the first time."""
        visit = self.open.pop(seen.user, None)
        if visit is None or visit.last + IDLE < seen.at:
            if visit is not None:
                _end(visit, counts)
            visit = Visit(seen.at, seen.acquisition or DIRECT, -1)
        self._reach(visit, seen.step, counts)
        visit.last = max(visit.last, seen.at)
        self.open[seen.user] = visit
        if len(self.open) > MOST_VISITS:
            _end(self.open.pop(next(iter(self.open))), counts)
            self.ended_early += 1
        counts.add(("traffic", visit.source))
        for what, count in (
            ("views", seen.views),
            ("adds", seen.adds),
            ("checkouts", seen.checkouts),
        ):
            if count:
                counts.add((what,), count)
        if seen.order is None or not self._new(seen.order, seen.at):
            return None
        counts.add(("orders", visit.source))
        if seen.order.value is not None and seen.order.currency in ("", currency):
            counts.add(("order_value", visit.source), seen.order.value)
        return seen.order

    @staticmethod
    def _reach(visit: Visit, step: int, counts: Counts) -> None:
        for reached in range(visit.step + 1, step + 1):
            counts.add(("funnel", visit.source, STEPS[reached]))
        visit.step = max(visit.step, step)

    def _new(self, order: Order, at: int) -> bool:
        if order.id in self.orders:
            return False
        self.orders[order.id] = at
        if len(self.orders) > MOST_ORDERS:
            del self.orders[next(iter(self.orders))]
        return True

    def close(self, now: int, counts: Counts) -> None:
        """End the visits that are silent at ``now`` (ms), and forget old orders."""
        silent = ((user, visit.last) for user, visit in self.open.items())
        for user in _older(silent, now - IDLE):
            _end(self.open.pop(user), counts)
        for order in _older(self.orders.items(), now - _ORDER_MEMORY):
            del self.orders[order]


def _older(timed: Iterable[tuple[int, int]], before: int) -> list[int]:
    """Return the names at the front of what is in the order of its times."""
    return [name for name, _ in takewhile(lambda one: one[1] < before, timed)]


def _end(visit: Visit, counts: Counts) -> None:
    """Count an ended visit for the step ratios: only what is over can be compared."""
    for step in range(min(visit.step + 1, len(STEPS) - 1)):
        key: Key = ("passed", visit.source, f"{STEPS[step]}-{STEPS[step + 1]}")
        counts.add((*key, "n"))
        if visit.step > step:
            counts.add((*key, "k"))


__all__ = ["IDLE", "MOST_ORDERS", "MOST_VISITS", "Visit", "Visits"]
