"""All figures of a shop: folds the facts of one closed minute after the other.

Within a minute the facts are taken in an order of their own (settings, decisions, messages,
outcomes; each by topic, partition and offset), so that the figures do not depend on how the records
happened to be fetched: the same topics give the same figures, also after a restart.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct, field

from engine.times import HOUR, MINUTE
from monitoring.figures.acquisition import Cost, cost
from monitoring.figures.bounded import Best, Day, Rank
from monitoring.figures.counts import Counts
from monitoring.figures.drift import Drift
from monitoring.figures.pace import Pace
from monitoring.figures.plan import Sent
from monitoring.figures.ruling import Ruling
from monitoring.figures.seen import (
    Decided,
    Judged,
    Message,
    Order,
    Reported,
    Ruled,
    Seen,
    Terms,
    Unreadable,
)
from monitoring.figures.sends import Sends
from monitoring.figures.visits import Visits

# Providers that are told apart; the fifth and later count as `other`.
MOST_PROVIDERS: Final = 4
# And categories of products, in the metrics; the day's best are told beside.
MOST_CATEGORIES: Final = 20
OTHER: Final = "other"


class Figures(Struct):
    """What is known of the shop at the end of a minute; all of it is state, and bounded."""

    until: int = 0
    terms: Terms = field(default_factory=Terms)
    visits: Visits = field(default_factory=Visits)
    sends: Sends = field(default_factory=Sends)
    drift: Drift = field(default_factory=Drift)
    ruling: Ruling = field(default_factory=Ruling)
    day: Day = field(default_factory=Day)
    products: Best = field(default_factory=Best)
    categories: Best = field(default_factory=Best)
    pace: Pace = field(default_factory=Pace)
    sent: dict[str, Sent] = field(default_factory=dict)
    providers: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    last_record: dict[str, int] = field(default_factory=dict)

    def close(self, end: int, seen: Iterable[Seen], costs: dict[str, Cost]) -> Counts:
        """Fold the facts of the minute that ends at ``end`` (ms); returns what it counted.

        ``costs`` of visits, by source; a source without one has no cost, not a cost of nothing.
        """
        counts = Counts()
        for one in seen:
            self._take(one, counts)
        self.visits.close(end, counts)
        self.sends.close(end, counts)
        self.drift.close(end)
        for name, price in costs.items():
            visits = counts.of(("funnel", name, "visit"))
            counts.add(("acquisition_cost", name), cost(price, visits))
        drifted = self.drift.psi().values() if end % HOUR == 0 else ()
        if drifted:
            counts.note(("psi",), max(drifted))
        self.until = end
        self.day.add(end - MINUTE, counts.sums)
        for best in (self.products, self.categories):
            best.add(end - MINUTE, ())  # a day without sales forgets those before it
        self.pace.close(end)
        return counts

    def _take(self, seen: Seen, counts: Counts) -> None:
        match seen:
            case Message():
                self._message(seen, counts)
            case Unreadable():
                self.last_record[seen.topic] = seen.at
                counts.add(("records", seen.topic))
                counts.add(("unreadable", seen.topic))
            case Decided():
                self.sends.decide(seen, self.terms, counts)
                self.drift.take(seen)
                if seen.p0 is not None:
                    counts.add(("scored",))
                    counts.add(("p0",), seen.p0)
            case Reported():
                provider = _seen_first(seen.provider, self.providers, MOST_PROVIDERS)
                self.sends.report(msgspec.structs.replace(seen, provider=provider), counts)
            case Ruled():
                self._rule(seen, counts)
            case Judged():
                pass

    def _message(self, seen: Message, counts: Counts) -> None:
        self.last_record[seen.topic] = seen.at
        counts.add(("records", seen.topic))
        if not seen.user:
            return
        order = self.visits.take(seen, self.terms.currency, counts)
        if order is not None:
            self.sends.order(seen.user, order, self.terms.currency, counts)
            self._sell(seen.at, order, counts)

    def _sell(self, at: int, order: Order, counts: Counts) -> None:
        ours = order.currency in ("", self.terms.currency)
        for line in order.lines:
            value = (line.value or 0.0) if ours else 0.0
            rank = Rank(line.quantity, value, line.name, line.category)
            self.products.add(at, [(line.product_id, rank)])
            self.pace.add(at, line.product_id, line.quantity)
            self.categories.add(at, [(line.category or OTHER, Rank(line.quantity, value))])
            counts.add(("product_orders", _seen_first(line.category, self.listed, MOST_CATEGORIES)))

    def _rule(self, seen: Ruled, counts: Counts) -> None:
        if seen.terms is not None:
            self.terms = seen.terms
        model = self.ruling.settings.model
        self.ruling.take(seen, counts)
        if self.ruling.settings.model != model:
            self.drift.renew()

    # --- state ------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Return all of it."""
        return _encode(self)

    @classmethod
    def restored(cls, state: bytes) -> "Figures":
        """Return the figures of a state; raises ValueError for what is none."""
        return _decode(state)


def _seen_first(name: str, listed: list[str], most: int) -> str:
    """Return a name as it is told: those seen first, then `other`; the list is kept with us."""
    if name in listed:
        return name
    if not name or len(listed) >= most:
        return OTHER
    listed.append(name)
    return name


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Figures).decode

_RANK: Final[dict[type, int]] = {
    Ruled: 0,
    Decided: 1,
    Message: 2,
    Unreadable: 2,
    Reported: 3,
    Judged: 4,
}


def in_order(facts: Iterable[tuple[str, int, int, Seen]]) -> list[Seen]:
    """Return facts of one minute, told as (topic, partition, offset, fact), in their order."""
    found = sorted(facts, key=lambda one: (_RANK[type(one[3])], *one[:3]))
    return [one[3] for one in found]


__all__ = ["MOST_PROVIDERS", "OTHER", "Figures", "in_order"]
