"""A small simulated shop: people who browse, leave carts, buy, and react to what they are sent.

It is a simulator: it shows that the machinery works, and is no evidence of what messages do to
people. All chance comes from keyed hashes, so a seed gives one world, and both futures of a left
cart (with and without a message) come from the same lot: the true effect can be computed, which no
real shop can do. Times are ms, UTC.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from engine.actions import Action
from engine.times import DAY, HOUR, MINUTE, SECOND, iso
from rules.zones import ZONES
from streams.demo.goods import CURRENCY, PRODUCTS, Product
from streams.demo.people import Chance, Shopper, shopper

Message = dict[str, Any]
Report = dict[str, Any]

# Chances of one visit.
_SEARCHES: Final = 0.3
_OPENS_APP: Final = 0.4
_ADDS: Final = 0.42
_BUYS_AT_ONCE: Final = 0.3
_EMPTIES: Final = 0.04
_OPTS_OUT: Final = 0.003
# What becomes of an order.
_CANCELS: Final = 0.03
_REFUNDS: Final = 0.04
_DELIVERED: Final = 0.85
# What a message does to the odds of buying a left cart once it is seen, by channel; it fades with
# every other message of the week.
_ODDS: Final = {"push": 2.4, "email": 2.0, "sms": 3.2}
_WEARS_OFF: Final = 0.75
_AGAIN: Final = 0.06
_BROKEN: Final = 0.01
_UNSUBSCRIBES: Final = 0.004
_COMPLAINS: Final = 0.001
_WEEK: Final = 7 * DAY
# Looking and paying take at most so long; what begins in an hour ends in it.
_LASTS: Final = 6 * MINUTE


class Told(NamedTuple):
    """One message of the shop: the key of its record, and the Segment message."""

    key: str
    message: Message


@dataclass(slots=True)
class _Cart:
    """A left cart; ``lot`` decides in both futures whether it is bought."""

    id: str
    owner: Shopper
    lines: list[tuple[Product, int]]
    left_at: int
    lot: float
    bought: bool = False


@dataclass(slots=True)
class _Bought:
    """An order as the world knows it: ``caused_by`` the action without which it would not be."""

    at: int
    caused_by: str = ""


class Heard(NamedTuple):
    """A message as a person took it."""

    action_id: str
    campaign: str
    user_id: str
    at: int


class Effect(NamedTuple):
    """The true effect on those who were sent something: people who ordered within the window.

    Counted over messages; ``without`` are those who would have ordered unasked.
    """

    messages: int
    ordered: int
    without: int

    @property
    def per_thousand(self) -> float | None:
        """Return how many orders more a thousand messages brought; None without messages."""
        return 1000 * (self.ordered - self.without) / self.messages if self.messages else None


@dataclass(slots=True)
class _World:
    """What has happened so far and what will."""

    later: list[tuple[int, int, str, Any]] = field(default_factory=list)
    carts: dict[str, _Cart] = field(default_factory=dict)
    orders: dict[str, list[_Bought]] = field(default_factory=lambda: defaultdict(list))
    heard: dict[str, list[Heard]] = field(default_factory=lambda: defaultdict(list))
    numbers: int = 0


class Shop:
    """The shop of one seed. Call :meth:`hour` for one hour after the other."""

    def __init__(self, seed: int, shoppers: int, days: int, start_ms: int) -> None:
        """``start_ms``: a whole hour; nobody visits later than ``days`` days after it."""
        self.chance = Chance(seed)
        self.start = start_ms
        self.end = start_ms + days * DAY
        self.people = {p.id: p for p in (shopper(self.chance, n) for n in range(shoppers))}
        self._world = _World()

    # --- the clock ------------------------------------------------------------------------------

    def hour(self, now: int) -> list[Told]:
        """Return what happens in the hour up to ``now``, in order of time."""
        began = now - HOUR
        told = list(self._introductions(began)) if began <= self.start < now else []
        hours = {zone: ZONES.hour([zone], zone, began) for zone in self._zones()}
        if began < self.end:
            for person in self.people.values():
                probability = person.visits * person.habit(hours[person.zone])
                if probability:
                    told += self._maybe_visit(person, began, probability)
        told += self._due(now)
        return sorted(
            told, key=lambda one: (str(one.message["timestamp"]), one.message["messageId"])
        )

    def _zones(self) -> set[str]:
        return {person.zone for person in self.people.values()}

    def _due(self, now: int) -> Iterator[Told]:
        later = self._world.later
        while later and later[0][0] <= now:
            at, _, what, about = heappop(later)
            yield from getattr(self, f"_{what}")(at, about)

    def _plan(self, at: int, what: str, about: Any) -> None:
        """Let it happen at ``at``, or in the next hour if it could not end before this one does."""
        into = (at - 1) % HOUR
        if into >= HOUR - _LASTS:
            at += HOUR - into
        self._world.numbers += 1
        heappush(self._world.later, (at, self._world.numbers, what, about))

    # --- arriving -------------------------------------------------------------------------------

    def _introductions(self, began: int) -> Iterator[Told]:
        for number, person in enumerate(self.people.values()):
            if person.anonymous:
                continue
            at = began + 1 + number * (HOUR // 2) // len(self.people)
            yield self._identify(person, at)

    def _identify(self, person: Shopper, at: int) -> Told:
        digits = person.id.rpartition("-")[2]
        traits: Message = {"timezone": person.zone, "locale": person.locale}
        traits |= {f"{channel}_opt_in": channel in person.allowed for channel in person.channels}
        if "email" in person.channels:
            traits["email"] = f"{person.id}@example.com"
        if "sms" in person.channels:
            traits["phone"] = f"+8613000{digits:0>6}"
        if not person.personalised:
            traits["personalisation_opt_in"] = False
        message = self._message(person, at, "identify", f"identify-{person.id}")
        message["traits"] = traits
        if "push" in person.channels:
            message["context"] = {"device": {"token": f"token-{digits}"}}
        return Told(person.id, message)

    # --- a visit --------------------------------------------------------------------------------

    def _maybe_visit(self, person: Shopper, began: int, probability: float) -> list[Told]:
        visit = f"{person.id}@{began // HOUR}"
        if self.chance.lot("visit", visit) >= probability:
            return []
        minute = self.chance.between(1, 45, "minute", visit)
        return list(self._visit(person, visit, began + int(minute * MINUTE)))

    def _visit(self, person: Shopper, visit: str, at: int) -> Iterator[Told]:
        lot = self.chance.lot
        if "push" in person.channels and lot("opens", visit) < _OPENS_APP:
            yield self._track(person, at, "Application Opened", {})
        if lot("searches", visit) < _SEARCHES:
            at += 20 * SECOND
            yield self._track(person, at, "Products Searched", {"query": "gift"})
        liked = self._liked(visit)
        for product in liked:
            at += 40 * SECOND
            yield self._track(person, at, "Product Viewed", _about(product, person))
        if not person.anonymous and lot("opts-out", visit) < _OPTS_OUT:
            at += 30 * SECOND
            said = {"purpose": "marketing", "channel": "*", "granted": False, "source": "settings"}
            yield self._track(person, at, "Consent Changed", said)
        if lot("adds", visit) < _ADDS:
            yield from self._fills_a_cart(person, visit, liked, at)

    def _liked(self, visit: str) -> list[Product]:
        count = 1 + self.chance.among(4, "views", visit)
        first = self.chance.among(len(PRODUCTS), "product", visit)
        return [PRODUCTS[(first + 5 * step) % len(PRODUCTS)] for step in range(count)]

    def _fills_a_cart(
        self, person: Shopper, visit: str, liked: list[Product], at: int
    ) -> Iterator[Told]:
        wanted = liked[: 1 + self.chance.among(2, "lines", visit)]
        cart = _Cart(f"cart-{visit}", person, [(product, 1) for product in wanted], at, 0.0)
        for product in wanted:
            at += 30 * SECOND
            yield self._track(
                person, at, "Product Added", {**_about(product, person), "cart_id": cart.id}
            )
        if self.chance.lot("empties", visit) < _EMPTIES:
            for product in wanted:
                at += 20 * SECOND
                gone = {"product_id": product.id, "cart_id": cart.id}
                yield self._track(person, at, "Product Removed", gone)
            return
        self._world.carts[cart.id] = cart
        if self.chance.lot("buys", visit) < _BUYS_AT_ONCE:
            yield from self._checkout(at + 2 * MINUTE, (cart.id, ""))
        else:
            self._leaves(cart, at)

    def _leaves(self, cart: _Cart, at: int) -> None:
        """Draw once whether she buys it unasked, and when; a message moves only the threshold."""
        cart.left_at, cart.lot = at, self.chance.lot("bought", cart.id)
        if cart.lot < cart.owner.intent:
            # Some come back within minutes, before any reminder; most within the day.
            hours = 0.1 + 20 * self.chance.lot("returns", cart.id) ** 2
            self._plan(at + int(hours * HOUR), "checkout", (cart.id, ""))

    # --- buying, and what becomes of it ---------------------------------------------------------

    def _checkout(self, at: int, about: tuple[str, str]) -> Iterator[Told]:
        cart, cause = self._world.carts[about[0]], about[1]
        if cart.bought:
            return
        cart.bought = True
        yield from self._buy(cart.owner, at, cart.lines, cause, cart.id)

    def _again(self, at: int, about: tuple[Shopper, str]) -> Iterator[Told]:
        """Buy something new because a message reminded her of the shop."""
        person, cause = about
        product = PRODUCTS[self.chance.among(len(PRODUCTS), "again-product", cause)]
        yield self._track(person, at, "Product Viewed", _about(product, person))
        yield from self._buy(person, at + 3 * MINUTE, [(product, 1)], cause)

    def _buy(
        self,
        person: Shopper,
        at: int,
        lines: Iterable[tuple[Product, int]],
        cause: str = "",
        cart_id: str = "",
    ) -> Iterator[Told]:
        lines = list(lines)
        order = f"order-{person.id}@{at // SECOND}"
        listed = [{**_about(product, person), "quantity": count} for product, count in lines]
        total = sum(product.price * count for product, count in lines)
        paid: Message = {"order_id": order, "currency": CURRENCY, "products": listed}
        if cart_id:
            paid["cart_id"] = cart_id
        yield self._track(person, at, "Checkout Started", {**paid, "value": total})
        at += MINUTE
        yield self._track(person, at, "Order Completed", {**paid, "total": total})
        self._world.orders[person.id].append(_Bought(at, cause))
        self._aftermath(person, order, lines, at)

    def _aftermath(
        self, person: Shopper, order: str, lines: list[tuple[Product, int]], at: int
    ) -> None:
        lot, between = self.chance.lot, self.chance.between
        if lot("cancels", order) < _CANCELS:
            self._plan(
                at + int(between(0.5, 6, "cancelled", order) * HOUR), "cancel", (person, order)
            )
            return
        if lot("delivered", order) < _DELIVERED:
            arrival = at + int(between(1.5, 5, "arrival", order) * DAY)
            self._plan(arrival, "deliver", (person, order))
        if lot("refunds", order) < _REFUNDS:
            back = at + int(between(4, 12, "refunded", order) * DAY)
            # Half of those with several lines send only one of them back.
            some = lines[:1] if len(lines) > 1 and lot("partly", order) < 0.5 else []
            self._plan(back, "refund", (person, order, some))

    def _cancel(self, at: int, about: tuple[Shopper, str]) -> Iterator[Told]:
        yield self._track(about[0], at, "Order Cancelled", {"order_id": about[1]})

    def _deliver(self, at: int, about: tuple[Shopper, str]) -> Iterator[Told]:
        yield self._track(about[0], at, "Order Delivered", {"order_id": about[1]})

    def _refund(
        self, at: int, about: tuple[Shopper, str, list[tuple[Product, int]]]
    ) -> Iterator[Told]:
        person, order, lines = about
        said: Message = {"order_id": order}
        if lines:
            said["products"] = [{**_about(p, person), "quantity": count} for p, count in lines]
        yield self._track(person, at, "Order Refunded", said)

    # --- hearing from us ------------------------------------------------------------------------

    def react(self, action: Action, handed_over_at: int) -> list[Report]:
        """Return what the gateway will report about an action, each with its own time.

        Acceptance is the deliver agent's to report. What she does because of it follows in later
        hours. Raises KeyError for somebody this shop does not know.
        """
        person, me = self.people[action.user_id], action.action_id
        lot = self.chance.lot
        at = handed_over_at + 2 * SECOND
        if lot(f"broken-{action.channel}", person.id) < _BROKEN:
            return [self._feedback(action, at, "bounced", permanent=True)]
        reports = [self._feedback(action, at, "delivered")]
        recent = [h for h in self._world.heard[person.id] if h.at > handed_over_at - _WEEK]
        worn = _WEARS_OFF ** len(recent)
        self._world.heard[person.id].append(
            Heard(me, action.campaign.id, person.id, handed_over_at)
        )
        if lot("opens-message", me) < self._attention(person, action, handed_over_at, worn):
            reports += self._opened(person, action, at, worn)
        reports += self._annoyed(action, at, len(recent))
        return reports

    def _attention(self, person: Shopper, action: Action, at: int, worn: float) -> float:
        """Return how likely she looks at it: channel, hour, language, content, patience."""
        hour = ZONES.hour([person.zone], person.zone, at)
        well_timed = 0.7 + 1.2 * person.habit(hour)
        understood = 1.0 if f"/{person.locale}/" in action.content.template else 0.6
        concrete = 1.0 if action.content.items else 0.8
        return person.attention[action.channel] * well_timed * understood * concrete * worn

    def _opened(self, person: Shopper, action: Action, at: int, worn: float) -> Iterator[Report]:
        me = action.action_id
        at += int(self.chance.between(1, 50, "opens-after", me) * MINUTE)
        yield self._feedback(action, at, "opened")
        bought_at = self._persuaded(person, action, at, worn)
        if bought_at is not None:
            yield self._feedback(action, at + 20 * SECOND, "clicked")

    def _persuaded(self, person: Shopper, action: Action, at: int, worn: float) -> int | None:
        """Plan the order that this message causes; None if it causes none."""
        me = action.action_id
        soon = at + int(self.chance.between(2, 120, "buys-after", me) * MINUTE)
        cart = self._world.carts.get(action.trigger.key)
        if cart is None:
            if self.chance.lot("again", me) >= _AGAIN * worn:
                return None
            self._plan(soon, "again", (person, me))
            return soon
        odds = 1 + (_ODDS[action.channel] - 1) * worn
        swayed = person.intent * odds / (1 - person.intent + person.intent * odds)
        if cart.bought or not person.intent <= cart.lot < swayed:
            return None
        self._plan(soon, "checkout", (cart.id, me))
        return soon

    def _annoyed(self, action: Action, at: int, recent: int) -> Iterator[Report]:
        lot, me = self.chance.lot("annoyed", action.action_id), action.action_id
        after = at + int(self.chance.between(1, 90, "annoyed-after", me) * MINUTE)
        if lot < _COMPLAINS * (1 + recent):
            yield self._feedback(action, after, "complained")
        elif lot < (_COMPLAINS + _UNSUBSCRIBES) * (1 + recent):
            yield self._feedback(action, after, "unsubscribed")

    # --- the truth ------------------------------------------------------------------------------

    def effect(self, campaign: str, window: int) -> Effect:
        """Return the true effect of a campaign's messages on orders within ``window`` ms.

        Known only here: an order knows the message without which it would not be, and a message
        changes nothing else of what its reader does.
        """
        ordered = without = messages = 0
        for heard in (one for all_of_her in self._world.heard.values() for one in all_of_her):
            if heard.campaign != campaign:
                continue
            messages += 1
            orders = [
                order
                for order in self._world.orders[heard.user_id]
                if heard.at < order.at <= heard.at + window
            ]
            ordered += bool(orders)
            without += any(order.caused_by != heard.action_id for order in orders)
        return Effect(messages, ordered, without)

    # --- writing --------------------------------------------------------------------------------

    def _message(self, person: Shopper, at: int, kind: str, ident: str) -> Message:
        who = "anonymousId" if person.anonymous else "userId"
        when = iso(at)
        return {"messageId": ident, "type": kind, who: person.id, "timestamp": when, "sentAt": when}

    def _track(self, person: Shopper, at: int, event: str, properties: Message) -> Told:
        ident = f"{event.lower().replace(' ', '-')}-{person.id}-{at}"
        message = self._message(person, at, "track", ident)
        return Told(person.id, {**message, "event": event, "properties": properties})

    def _feedback(self, action: Action, at: int, kind: str, *, permanent: bool = False) -> Report:
        return {
            "v": 1,
            "feedback_id": f"{action.action_id}:{kind}",
            "action_id": action.action_id,
            "user_id": action.user_id,
            "channel": action.channel,
            "provider": "demo",
            "type": kind,
            "permanent": permanent,
            "reason": "",
            "provider_code": "",
            "occurred_at": iso(at),
        }


def _about(product: Product, person: Shopper) -> Message:
    return {
        "product_id": product.id,
        "name": product.name(person.locale),
        "category": product.category,
        "price": product.price,
        "quantity": 1,
        "currency": CURRENCY,
    }


__all__ = ["Effect", "Heard", "Message", "Report", "Shop", "Told"]
