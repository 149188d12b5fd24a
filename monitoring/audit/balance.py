"""Every trigger that was surely armed must speak: armed = closed + open, as far as topics tell.

Arming is not written down, so it is taken from what the log leaves no doubt about: a product put
into a cart, or an order, later by its own time than anything known of her, fresh and not imported.
What was armed in less certain ways is known from its first decision on. A trigger is *unbalanced*
when it should have spoken an hour of ticks ago and did not, was ended twice, spoke after its end,
or skipped an attempt. Ends are remembered for three days of ticks.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Final

from msgspec import Struct

from monitoring.audit.people import Person
from monitoring.audit.reading import DAY, HOUR, Decision, Event, ms
from monitoring.audit.terms import Campaign, Terms

CART: Final = "cart_abandonment"
_AFTER_PURCHASE: Final = re.compile(r"post_purchase_(\d+)d")

# An event later than this arms nothing.
_LATE: Final = 48 * HOUR
# A tick decides a bounded number of people and the next follows at once: an hour is generous.
SLACK: Final = HOUR
_REMEMBERED: Final = 3 * DAY
_MOST_ORDERS: Final = 16

_CARTS: Final = frozenset(
    {"product_added", "product_removed", "cart_viewed", "checkout_started", "order_completed"}
)
_ORDERS: Final = frozenset(
    {"order_completed", "order_refunded", "order_cancelled", "order_delivered"}
)


class Open(Struct, array_like=True):
    """A trigger that has not ended. ``due``: when at the latest it must speak, ms.

    ``touched``: whether events of her cart may move that; ``attempts``: how often it was deferred.
    """

    user: str
    campaign: str
    due: int
    touched: bool = False
    attempts: int = 0
    overdue: bool = False


class Fault(Struct, frozen=True):
    """One trigger that does not add up."""

    user: str
    campaign: str
    why: str


class Balance(Struct):
    """The book of triggers of one partition; ``counts`` by campaign: armed, closed, unbalanced."""

    open: dict[str, Open] = {}
    counts: dict[str, list[int]] = {}
    ended: dict[bytes, int] = {}
    alarms: list[tuple[int, str]] = []
    cleaned_at: int = 0

    # --- arming ---------------------------------------------------------------------------------

    def arm(self, event: Event, person: Person, terms: Terms | None) -> None:
        """Take an event of a cart or an order that was not ignored, and note it on the person."""
        if event.type in _ORDERS:
            self._order(event, person, terms)
        if event.type in _CARTS:
            if event.type == "product_added" and terms is not None:
                self._cart(event, person, terms)
            person.touched_at = max(person.touched_at, event.received_at)
            person.shopped_at = max(person.shopped_at, event.occurred_at)

    def _cart(self, event: Event, person: Person, terms: Terms) -> None:
        doubtful = event.line is None or event.line.quantity < 1
        if doubtful or event.occurred_at <= person.shopped_at or not _arms(event):
            return
        for campaign in terms.campaigns:
            if campaign.trigger == CART:
                due = event.occurred_at + campaign.hard_limit
                due = max(due, event.received_at + terms.settle)
                self._armed(event, campaign, event.cart_id, due, touched=True)

    def _order(self, event: Event, person: Person, terms: Terms | None) -> None:
        newest = event.occurred_at > person.ordered_at and event.order_id not in person.orders
        certain = newest and event.type == "order_completed" and _arms(event)
        for campaign in terms.campaigns if terms is not None else ():
            found = _AFTER_PURCHASE.fullmatch(campaign.trigger)
            if found is None:
                continue
            due = event.occurred_at + (int(found[1]) + 1) * DAY
            if certain:
                self._armed(event, campaign, event.order_id, due, touched=False)
            else:
                self._moved(event, campaign, due)
        person.ordered_at = max(person.ordered_at, event.occurred_at)
        if event.order_id not in person.orders:
            person.orders = [*person.orders, event.order_id][-_MOST_ORDERS:]

    def _armed(
        self, event: Event, campaign: Campaign, key: str, due: int, *, touched: bool
    ) -> None:
        name = _name(event.user_id, campaign.id, campaign.trigger, key)
        found = self.open.get(name)
        if found is None:
            self.open[name] = Open(event.user_id, campaign.id, due, touched)
            self._count(campaign.id)[0] += 1
            heappush(self.alarms, (due + SLACK, name))
        else:
            found.due, found.touched = max(found.due, due), found.touched or touched

    def _moved(self, event: Event, campaign: Campaign, due: int) -> None:
        found = self.open.get(_name(event.user_id, campaign.id, campaign.trigger, event.order_id))
        if found is not None:
            found.due = max(found.due, due)

    # --- decisions ------------------------------------------------------------------------------

    def hear(self, decision: Decision, now: int, *, whole: bool) -> Fault | None:
        """Take a decision made at ``now``; ``whole``: the log was followed from its beginning."""
        trigger = decision.trigger
        name = _name(decision.user_id, decision.campaign, trigger.kind, trigger.key)
        episode = blake2b(f"{name}|{trigger.episode}".encode(), digest_size=8).digest()
        found, counts = self.open.get(name), self._count(decision.campaign)
        why = None
        if episode in self.ended:
            why = "ended twice" if decision.outcome != "defer" else "spoke after its end"
        elif decision.attempt != (found.attempts if found is not None else 0):
            why = f"attempt {decision.attempt} without the one before" if whole else None
        if found is None and episode not in self.ended:
            counts[0] += 1
        if decision.outcome == "defer":
            self._deferred(decision, name, found)
        elif episode not in self.ended:
            counts[1] += 1
            self.open.pop(name, None)
            self.ended[episode] = now
        if why is None:
            return None
        counts[2] += 1
        return Fault(decision.user_id, decision.campaign, why)

    def _deferred(self, decision: Decision, name: str, found: Open | None) -> None:
        until = ms(decision.until) if decision.until is not None else 0
        if found is None:
            found = self.open[name] = Open(decision.user_id, decision.campaign, until)
        found.attempts = decision.attempt + 1
        found.due = max(found.due, until)
        heappush(self.alarms, (found.due + SLACK, name))

    # --- time -----------------------------------------------------------------------------------

    def tick(self, now: int, people: dict[str, Person], terms: Terms | None) -> list[Fault]:
        """Let time pass to ``now`` (ms of ticks); returns triggers that should have spoken."""
        faults = []
        settle = terms.settle if terms is not None else 0
        while self.alarms and self.alarms[0][0] < now:
            _, name = heappop(self.alarms)
            found = self.open.get(name)
            if found is None or found.overdue:
                continue
            last = found.due
            person = people.get(found.user)
            if found.touched and person is not None:
                last = max(last, person.touched_at + settle)
            if last + SLACK >= now:
                heappush(self.alarms, (last + SLACK, name))
                continue
            found.overdue = True
            self._count(found.campaign)[2] += 1
            faults.append(Fault(found.user, found.campaign, "is long due and never spoke"))
        if now - self.cleaned_at > HOUR:
            self.cleaned_at = now
            self.ended = {key: at for key, at in self.ended.items() if at > now - _REMEMBERED}
        return faults

    def _count(self, campaign: str) -> list[int]:
        return self.counts.setdefault(campaign, [0, 0, 0])


def _arms(event: Event) -> bool:
    fresh = not event.history and not event.doubtful
    return fresh and event.received_at - event.occurred_at <= _LATE


def _name(*parts: str) -> str:
    return "|".join(parts)


def totals(balances: Iterable[Balance]) -> dict[str, dict[str, int]]:
    """Return armed, closed, open and unbalanced triggers by campaign."""
    found: dict[str, dict[str, int]] = {}
    for balance in balances:
        for campaign, (armed, closed, unbalanced) in balance.counts.items():
            sums = found.setdefault(campaign, {"armed": 0, "closed": 0, "open": 0, "unbalanced": 0})
            sums["armed"] += armed
            sums["closed"] += closed
            sums["unbalanced"] += unbalanced
        for trigger in balance.open.values():
            found[trigger.campaign]["open"] += 1
    return found
