"""A simulated shop: people who browse, leave carts, buy, and react to what they are sent.

It is a simulator: it shows that the machinery works, and is no evidence of what messages do to
people. All chance comes from keyed hashes, so a seed gives one shop, and both futures of a left
cart (with and without a message) come from the same lot: the true effect can be computed, which no
real shop can do. Times are ms, UTC.
"""

from collections.abc import Callable, Iterator
from copy import copy
from datetime import date
from typing import Any, Final, Self

from engine.actions import Action
from engine.times import DAY, HOUR, MINUTE, SECOND
from rules import zones
from streams.demo import aftermath, habits, intent, origins, tracking, truth
from streams.demo.chance import Chance
from streams.demo.course import Cart, Course, Need, within_its_hour
from streams.demo.goods import BY_ID, Lines, Stock, worth
from streams.demo.people import Shopper, shopper
from streams.demo.reactions import Caused, Reactions, Taken
from streams.demo.tracking import SERVER, Message, Report, Told
from streams.demo.truth import Bought, Effect, Foreseen, Heard, Ledger, Refusal
from streams.demo.visits import Before, Visit, Visits
from streams.demo.worlds import DEFAULT, WORLDS, World


class Shop:
    """The shop of one seed in one world. Call :meth:`hour` for one hour after the other.

    A ``copy.deepcopy`` goes on by itself and is cheap: what never changes is shared.
    """

    def __init__(
        self, seed: int, shoppers: int, days: int, start_ms: int, world: World = WORLDS[DEFAULT]
    ) -> None:
        """``start_ms``: a whole hour; nobody visits later than ``days`` days after it."""
        self.chance = Chance(seed)
        self.world = world
        self.start = start_ms
        self.end = start_ms + days * DAY
        self.people = {p.id: p for p in (shopper(self.chance, n) for n in range(shoppers))}
        self._stock = Stock(self.chance)
        self._visits = Visits(self.chance, self._stock, world.eager)
        self._reactions = Reactions(self.chance, world, self._stock, self._visits)
        self._by_zone: dict[str, list[Shopper]] = {}
        for person in self.people.values():
            self._by_zone.setdefault(person.zone, []).append(person)
        self._course = Course()

    def __deepcopy__(self, _: object) -> Self:
        """Return a shop that goes on from here without touching this one."""
        other = copy(self)
        other._course = self._course.copy()  # noqa: SLF001 - a copy of ourselves
        return other

    # --- the clock ------------------------------------------------------------------------------

    def hour(self, now: int) -> list[Told]:
        """Return what happens in the hour up to ``now``, in order of time."""
        began = now - HOUR
        told = list(self._introductions(began)) if began <= self.start < now else []
        if began < self.end:
            for zone, people in self._by_zone.items():
                self._wake(zone, people, began)
        for at, what, about in self._course.due(now):
            told += _HAPPENS[what](self, at, about)
        return sorted(told, key=_in_time)

    def _introductions(self, began: int) -> Iterator[Told]:
        for number, person in enumerate(self.people.values()):
            if not person.anonymous:
                at = began + 1 + number * (HOUR // 2) // len(self.people)
                yield tracking.identify(person, at)

    def _wake(self, zone: str, people: list[Shopper], now: int) -> None:
        """Draw the visits of a local day when it begins, and once at the very start."""
        today = zones.wall(zone, now).date()
        if self._course.drawn.get(zone) == today:
            return
        self._course.drawn[zone] = today
        starts, weekend = habits.hours_of(zone, today), habits.is_weekend(today)
        for person in people:
            expected = habits.on_day(person.visits, person.weekend, weekend=weekend)
            expected *= self._mood(person, now)
            key = f"{person.id}@{today}"
            for number in range(habits.times(self.chance.lot("visits", key), expected)):
                self._plan_visit(person, f"{key}.{number}", starts, today, now)

    def _plan_visit(
        self, person: Shopper, key: str, starts: tuple[int, ...], day: date, now: int
    ) -> None:
        weekend = habits.is_weekend(day)
        hour = habits.hour_of(self.chance.lot("hour", key), person.favourite_hour, weekend=weekend)
        at = starts[hour] + int(self.chance.between(1, 45, "minute", key) * MINUTE)
        if max(now, self.start) < at < self.end:
            self._course.plan(at, "visit", (person.id, key, hour, weekend))

    def _mood(self, person: Shopper, now: int) -> float:
        """Return the part of her visits that what she has been sent leaves."""
        world, course = self.world, self._course
        mood = 1.0
        if person.id in course.tired:
            weary = course.weariness(person.id, now, world.recovers)
            mood /= 1 + world.drives_away * weary * weary
        if course.gone.get(person.id, now) < now:
            mood *= world.returns_after
        return mood

    # --- a visit --------------------------------------------------------------------------------

    def _visit(self, at: int, about: tuple[str, str, int, bool]) -> Iterator[Told]:
        person, course = self.people[about[0]], self._course
        _, key, hour, weekend = about
        ordered = course.ordered.get(person.id)
        before = Before(
            product=course.looked_at.get(person.id, ""),
            visits_lately=course.visits_lately(person.id, at),
            since_order=None if ordered is None else at - ordered,
        )
        course.visit(person.id, at)
        visit = self._visits.draw(person, key, at, hour, before, weekend=weekend)
        course.looked_at[person.id] = visit.views[0].id
        told = self._looks(person, visit, at)
        first = next(told)
        first.message["context"] |= origins.of_visit(self.chance, key)
        yield first
        yield from told

    def _looks(self, person: Shopper, visit: Visit, at: int) -> Iterator[Told]:
        device = visit.device
        if visit.opens:
            yield tracking.track(person, at, "Application Opened", {}, device)
        if visit.searches:
            at += 20 * SECOND
            yield tracking.track(person, at, "Products Searched", {"query": visit.searches}, device)
        for product in visit.views:
            at += 40 * SECOND
            seen = tracking.product(person, product.id)
            yield tracking.track(person, at, "Product Viewed", seen, device)
        if visit.opts_out:
            at += 30 * SECOND
            said = {"purpose": "marketing", "channel": "*", "granted": False, "source": "settings"}
            yield tracking.track(person, at, "Consent Changed", said, device)
        if visit.cart:
            yield from self._fills_a_cart(person, visit, at)

    def _fills_a_cart(self, person: Shopper, visit: Visit, at: int) -> Iterator[Told]:
        cart_id = f"cart-{visit.key}"
        for product_id, count in visit.cart:
            at += 30 * SECOND
            added = {**tracking.product(person, product_id, count), "cart_id": cart_id}
            yield tracking.track(person, at, "Product Added", added, visit.device)
        if visit.empties:
            for product_id, count in visit.cart:
                at += 20 * SECOND
                gone = {"product_id": product_id, "quantity": count, "cart_id": cart_id}
                yield tracking.track(person, at, "Product Removed", gone, visit.device)
            return
        if visit.buys:
            self._course.settled.add(cart_id)
            yield from self._buys(person, at + 2 * MINUTE, visit.cart, cart_id)
            return
        if visit.begins_to_pay:
            at += MINUTE
            order_id = _order_id(person, at)
            said = tracking.purchase(person, order_id, visit.cart, cart_id)
            yield tracking.track(person, at, "Checkout Started", said, visit.device)
        self._leaves(person, cart_id, visit, at)

    def _leaves(self, person: Shopper, cart_id: str, visit: Visit, at: int) -> None:
        """Draw once whether she buys it unasked, and when; a message moves only the threshold."""
        lot = self.chance.lot("bought", cart_id)
        self._course.carts[cart_id] = Cart(cart_id, person.id, visit.cart, at, visit.odds, lot)
        if lot < intent.chance(visit.odds):
            # Some come back within minutes, before any reminder; most within the day.
            hours = 0.1 + 22 * self.chance.lot("returns", cart_id) * self.chance.lot(
                "how-soon", cart_id
            )
            self._plan(at + int(hours * HOUR), "return", cart_id)

    # --- buying, and what becomes of it ---------------------------------------------------------

    def _plan(self, at: int, what: str, about: Any) -> None:
        """Let it happen at ``at``, or in the next hour if it could not end before this one does."""
        self._course.plan(within_its_hour(at), what, about)

    def _return(self, at: int, cart_id: str) -> Iterator[Told]:
        """Buy a left cart unasked: what is still there of it."""
        cart = self._course.carts[cart_id]
        self._course.settled.add(cart_id)
        there = self._stock.there(cart.lines, at)
        if there:
            yield from self._buys(self.people[cart.user_id], at, there, cart_id)

    def _renew(self, at: int, order_id: str) -> Iterator[Told]:
        """Order again unasked what an order left used up."""
        need = self._course.needs[order_id]
        self._course.settled.add(order_id)
        there = self._stock.there(need.lines, at)
        if there:
            yield from self._buys(self.people[need.user_id], at, there, cause=need.caused_by)

    def _moved(self, at: int, about: tuple[str, str, Caused]) -> Iterator[Told]:
        """Do what a message caused."""
        user_id, action_id, caused = about
        person = self.people[user_id]
        if caused.pays_at > at:
            seen = tracking.product(person, caused.lines[0][0])
            yield tracking.track(person, at, "Product Viewed", seen, person.devices[0])
        yield from self._buys(person, caused.pays_at, caused.lines, caused.cart_id, action_id)

    def _buys(
        self, person: Shopper, at: int, lines: Lines, cart_id: str = "", cause: str = ""
    ) -> Iterator[Told]:
        order_id = _order_id(person, at)
        said = tracking.purchase(person, order_id, lines, cart_id)
        yield tracking.track(person, at, "Checkout Started", said, person.devices[0])
        order = self._order(person, at, lines, cause)
        said = tracking.purchase(person, order_id, lines, cart_id, "total")
        yield tracking.track(person, order.at, "Order Completed", said, SERVER)
        self._course.orders.append(order)
        if not cause:  # what a message causes changes nothing else that she does
            self._course.ordered[person.id] = order.at
        self._afterwards(person, order)

    def _order(self, person: Shopper, at: int, lines: Lines, cause: str) -> Bought:
        """Return the order she places if she begins to pay at ``at``; changes nothing."""
        order_id, done = _order_id(person, at), at + MINUTE
        after = aftermath.of_order(self.chance, order_id, lines, done)
        return Bought(person.id, order_id, done, lines, worth(lines), after.kept(lines), cause)

    def _afterwards(self, person: Shopper, order: Bought) -> None:
        about = person.id, order.order_id
        after = aftermath.of_order(self.chance, order.order_id, order.lines, order.at)
        if after.cancelled_at is not None:
            self._plan(after.cancelled_at, "cancel", about)
            return
        if after.delivered_at is not None:
            self._plan(after.delivered_at, "deliver", about)
        if after.refunded_at is not None:
            some = after.back if after.back != order.lines else ()
            self._plan(after.refunded_at, "refund", (*about, some))
        self._will_need(person, order, sent_back=after.refunded_at is not None)

    def _will_need(self, person: Shopper, order: Bought, *, sent_back: bool) -> None:
        """Draw once whether she orders again unasked what this order leaves used up, and when."""
        lines = tuple(line for line in order.lines if BY_ID[line[0]].lasts)
        if not lines:
            return
        days = min(BY_ID[product].lasts * count for product, count in lines) * person.pace
        days *= self.chance.between(0.85, 1.15, "used-up", order.order_id)
        # whole days later: at the hour at which she likes to shop
        at = order.at + int(days + 0.5) * DAY
        odds = self.world.eager * intent.renewal(person, worth(lines), sent_back=sent_back)
        lot = self.chance.lot("renews", order.order_id)
        need = Need(order.order_id, person.id, lines, at, odds, lot, order.caused_by)
        self._course.needs[order.order_id] = need
        if lot < intent.chance(odds) and at < self.end:
            self._plan(at, "renew", order.order_id)

    def _cancel(self, at: int, about: tuple[str, str]) -> Iterator[Told]:
        yield self._told_by_shop(about[0], at, "Order Cancelled", {"order_id": about[1]})

    def _deliver(self, at: int, about: tuple[str, str]) -> Iterator[Told]:
        yield self._told_by_shop(about[0], at, "Order Delivered", {"order_id": about[1]})

    def _refund(self, at: int, about: tuple[str, str, Lines]) -> Iterator[Told]:
        user_id, order_id, lines = about
        said: Message = {"order_id": order_id}
        if lines:
            said["products"] = tracking.listed(self.people[user_id], lines)
        yield self._told_by_shop(user_id, at, "Order Refunded", said)

    def _told_by_shop(self, user_id: str, at: int, event: str, said: Message) -> Told:
        return tracking.track(self.people[user_id], at, event, said, SERVER)

    # --- hearing from us ------------------------------------------------------------------------

    def react(self, action: Action, handed_over_at: int) -> list[Report]:
        """Return what the gateway will report about an action, each with its own time.

        Acceptance is the deliver agent's to report. What she does because of it follows in later
        hours. Raises KeyError for somebody this shop does not know.
        """
        person = self.people[action.user_id]
        heard = Heard(
            action_id=action.action_id,
            campaign=action.campaign.id,
            user_id=person.id,
            channel=action.channel,
            key=action.trigger.key,
            at=handed_over_at,
            understood=_understood(person, action.content.template),
            concrete=bool(action.content.items),
        )
        taken = self._reactions.take(person, heard, self._course)
        self._follow(person, heard, taken)
        return list(_reports(heard, taken))

    def _follow(self, person: Shopper, heard: Heard, taken: Taken) -> None:
        """Let happen what a message comes to."""
        course = self._course
        margin, refusals = self._reactions.expected(person, heard, course)
        course.heard.append(heard._replace(brings=margin, refusing=refusals))
        if taken.delivered_at is None:
            return
        course.tire(
            person.id,
            heard.at,
            self._reactions.annoyance(person, heard.channel),
            self.world.recovers,
        )
        if taken.refuses:
            course.gone.setdefault(person.id, taken.refused_at)
            course.refusals.append(Refusal(person.id, taken.refuses, heard.at))
        if taken.causes is not None:
            if taken.causes.key:
                course.settled.add(taken.causes.key)
            course.plan(taken.causes.at, "moved", (person.id, heard.action_id, taken.causes))

    # --- the truth ------------------------------------------------------------------------------

    def foresee(
        self,
        user_id: str,
        campaign: str,
        trigger_key: str,
        channel: str,
        at: int,
        action_id: str,
        template: str = "",
        items: bool = True,  # noqa: FBT001, FBT002 - as the message has it, beside its template
    ) -> Foreseen:
        """Return what this message would cause if it were handed over at ``at`` (ms); pure.

        From the lots :meth:`react` would draw for this ``action_id``; without a ``template`` it
        counts as written in her language. Raises KeyError for somebody this shop does not know.
        """
        person = self.people[user_id]
        heard = Heard(
            action_id=action_id,
            campaign=campaign,
            user_id=user_id,
            channel=channel,
            key=trigger_key,
            at=at,
            understood=_understood(person, template),
            concrete=items,
        )
        taken = self._reactions.take(person, heard, self._course)
        if taken.causes is None:
            return Foreseen(0.0, 0.0, bool(taken.refuses))
        order = self._order(person, taken.causes.pays_at, taken.causes.lines, action_id)
        return Foreseen(1.0, order.kept * self.world.margin, bool(taken.refuses))

    def effect(self, campaign: str, window: int) -> Effect:
        """Return the true effect of a campaign's messages on orders within ``window`` ms."""
        return truth.effect(self._course.heard, self._course.orders, campaign, window)

    def ledger(self, since: int, until: int) -> Ledger:
        """Return what the time after ``since`` up to ``until`` (ms, already played) came to."""
        return truth.ledger(
            heard=self._course.heard,
            orders=self._course.orders,
            refusals=self._course.refusals,
            visits=self._course.visits,
            since=since,
            until=until,
            margin=self.world.margin,
        )


def _order_id(person: Shopper, at: int) -> str:
    return f"order-{person.id}@{at // SECOND}"


def _understood(person: Shopper, template: str) -> bool:
    return not template or f"/{person.locale}/" in template


def _reports(heard: Heard, taken: Taken) -> Iterator[Report]:
    if taken.bounced_at is not None:
        yield tracking.feedback(heard, taken.bounced_at, "bounced", permanent=True)
    if taken.delivered_at is not None:
        yield tracking.feedback(heard, taken.delivered_at, "delivered")
    if taken.opened_at is not None:
        yield tracking.feedback(heard, taken.opened_at, "opened")
    if taken.clicked_at is not None:
        yield tracking.feedback(heard, taken.clicked_at, "clicked")
    if taken.refuses:
        yield tracking.feedback(heard, taken.refused_at, taken.refuses)


def _in_time(told: Told) -> tuple[str, str]:
    return told.message["timestamp"], told.message["messageId"]


# What may be planned, by the name under which it is.
_HAPPENS: Final[dict[str, Callable[[Shop, int, Any], Iterator[Told]]]] = {
    "visit": Shop._visit,  # noqa: SLF001 - the table of the class's own steps
    "return": Shop._return,  # noqa: SLF001
    "renew": Shop._renew,  # noqa: SLF001
    "moved": Shop._moved,  # noqa: SLF001
    "cancel": Shop._cancel,  # noqa: SLF001
    "deliver": Shop._deliver,  # noqa: SLF001
    "refund": Shop._refund,  # noqa: SLF001
}

__all__ = ["Effect", "Foreseen", "Heard", "Ledger", "Message", "Report", "Shop", "Told"]
