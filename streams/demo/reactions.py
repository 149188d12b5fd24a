"""How a person takes a message: whether she looks, buys, or wants to hear no more.

Everything is drawn from the id of the action and from lots that were drawn before it: so what a
message would do can be told without sending it, and both futures come from the same lots.
"""

from typing import Final, NamedTuple

from engine.decay import decayed
from engine.times import DAY, MINUTE, SECOND
from rules.zones import ZONES
from streams.demo import habits, intent
from streams.demo.chance import Chance
from streams.demo.course import Cart, Course, Need, within_its_hour
from streams.demo.goods import Lines, Stock, worth
from streams.demo.people import Shopper
from streams.demo.truth import Heard
from streams.demo.visits import Visits
from streams.demo.worlds import World

_BROKEN: Final = 0.01
_FOREIGN: Final = 0.6
_VAGUE: Final = 0.8
# Attention = hers x (a base + so much for each share of her day that falls on this hour).
_ANY_HOUR: Final = 0.7
_HER_HOUR: Final = 1.4
_BY_CHANNEL: Final = {"push": 1.0, "email": 0.9, "sms": 1.2}
_CLICKS: Final = 0.12
# A reminder of a cart moves half as much when the cart is so old.
_STALE: Final = 1 * DAY
# Before and after the day a product is used up, a message about it finds her ready.
_RIPE_BEFORE: Final = 9 * DAY
_RIPE_AFTER: Final = 12 * DAY
# From looking at something else to paying for it.
_DECIDES: Final = 3 * MINUTE


class Caused(NamedTuple):
    """An order a message causes: ``key`` of the cart or need it settles, "" = of neither.

    ``at`` (ms) she is back at the shop, ``pays_at`` she begins to pay.
    """

    at: int
    pays_at: int
    lines: Lines
    key: str
    cart_id: str


class Taken(NamedTuple):
    """What a message comes to. Times in ms, None = it does not happen."""

    bounced_at: int | None = None
    delivered_at: int | None = None
    opened_at: int | None = None
    clicked_at: int | None = None
    causes: Caused | None = None
    refuses: str = ""
    refused_at: int = 0


class Expected(NamedTuple):
    """``margin`` in CNY on orders that would not be without it; ``refusals``: chance of one."""

    margin: float
    refusals: float


class Reactions:
    """How the people of one world react."""

    def __init__(self, chance: Chance, world: World, stock: Stock, visits: Visits) -> None:
        """``visits`` knows what a person likes."""
        self._chance = chance
        self._world = world
        self._stock = stock
        self._visits = visits

    def take(self, person: Shopper, heard: Heard, course: Course) -> Taken:
        """Return how she takes a message as things stand; changes nothing."""
        at = heard.at + 2 * SECOND
        if self._chance.lot(f"broken-{heard.channel}", person.id) < _BROKEN:
            return Taken(bounced_at=at)
        weary = course.weariness(person.id, heard.at, self._world.recovers)
        refuses = self._refuses(heard, weary)
        after = at + int(self._chance.between(1, 90, "annoyed-after", heard.action_id) * MINUTE)
        taken = Taken(delivered_at=at, refuses=refuses, refused_at=after if refuses else 0)
        if self._chance.lot("opens-message", heard.action_id) >= self._attention(
            person, heard, weary
        ):
            return taken
        return self._opened(person, heard, course, taken)

    def expected(self, person: Shopper, heard: Heard, course: Course) -> Expected:
        """Return what the message brings on average over its lots, as things stand; pure.

        A single message's lots hide its worth behind one order in a hundred: the mean over what may
        happen tells two strategies apart with a fraction of the people.
        """
        weary = course.weariness(person.id, heard.at, self._world.recovers)
        reached = 1 - _BROKEN
        look = reached * self._attention(person, heard, weary)
        leaves = self._world.complains + self._world.leaves
        return Expected(
            look * self._brings(person, heard, course, weary),
            reached * min(1.0, leaves * self._irritated(heard, weary)),
        )

    def annoyance(self, person: Shopper, channel: str) -> float:
        """Return what one message adds to her weariness."""
        return self._world.annoys.get(channel, 1.0) / person.patience

    # --- looking --------------------------------------------------------------------------------

    def _attention(self, person: Shopper, heard: Heard, weary: float) -> float:
        """Return how likely she looks at it: channel, hour, language, content, patience."""
        hour = ZONES.hour([person.zone], person.zone, heard.at)
        weekend = ZONES.weekday([person.zone], person.zone, heard.at) >= habits.SATURDAY
        share = habits.shares(person.favourite_hour, weekend=weekend)[hour]
        looks = person.attention.get(heard.channel, 0.5) * _BY_CHANNEL.get(heard.channel, 1.0)
        looks *= _ANY_HOUR + _HER_HOUR * share
        looks *= 1.0 if heard.understood else _FOREIGN
        looks *= 1.0 if heard.concrete else _VAGUE
        return looks * self._dulled(weary)

    def _dulled(self, weary: float) -> float:
        return 1 / (1 + self._world.dulls * weary)

    def _opened(self, person: Shopper, heard: Heard, course: Course, taken: Taken) -> Taken:
        me = heard.action_id
        assert taken.delivered_at is not None
        opened = taken.delivered_at + int(self._chance.between(1, 50, "opens-after", me) * MINUTE)
        later = opened + int(self._chance.between(2, 120, "buys-after", me) * MINUTE)
        causes = self._causes(person, heard, course, within_its_hour(later))
        clicks = causes is not None or self._chance.lot("clicks", me) < _CLICKS
        return taken._replace(
            # nobody can tell whether an SMS was read
            opened_at=None if heard.channel == "sms" else opened,
            clicked_at=opened + 20 * SECOND if clicks else None,
            causes=causes,
        )

    # --- buying ---------------------------------------------------------------------------------

    def _causes(self, person: Shopper, heard: Heard, course: Course, at: int) -> Caused | None:
        weary = course.weariness(person.id, heard.at, self._world.recovers)
        force = (self._world.odds.get(heard.channel, 1.0) - 1) * self._dulled(weary)
        if heard.key in course.settled:
            return None
        cart = course.carts.get(heard.key)
        if cart is not None:
            fresh = decayed(1.0, max(heard.at - cart.left_at, 0), _STALE)
            return self._bought(cart, force * fresh, at, cart.lines, cart.id)
        need = course.needs.get(heard.key)
        if need is not None and need.at - _RIPE_BEFORE <= heard.at <= need.at + _RIPE_AFTER:
            bought = self._bought(need, force, at, need.lines, "")
            if bought is not None:
                return bought
        return self._something_else(person, heard, force, at)

    def _bought(
        self, left: Cart | Need, force: float, at: int, lines: Lines, cart_id: str
    ) -> Caused | None:
        """Return the order of what she would not have bought unasked; None = she is not moved."""
        if not intent.chance(left.odds) <= left.lot < intent.chance(self._moved(left, force)):
            return None
        there = self._stock.there(lines, at)
        key = cart_id or (left.order_id if isinstance(left, Need) else "")
        return Caused(at, at, there, key, cart_id) if there else None

    def _moved(self, left: Cart | Need, force: float) -> float:
        """Return the odds of buying what she left, once she has looked at a message about it."""
        return left.odds * (1 + force * self._hesitates(left.odds))

    def _hesitates(self, odds: float) -> float:
        """Return from 0 to 1 how open she is to persuasion: 1 in the middle of this world."""
        ratio = odds / self._world.middle
        peak = 4 * ratio / ((1 + ratio) * (1 + ratio))
        open_to_it = 1.0
        # not **: the last bits of a power differ between CPUs
        for _ in range(self._world.narrow):
            open_to_it *= peak
        return open_to_it

    def _something_else(
        self, person: Shopper, heard: Heard, force: float, at: int
    ) -> Caused | None:
        """Return an order of something new, because a message reminded her of the shop."""
        if self._chance.lot("again", heard.action_id) >= self._reminded(person, force):
            return None
        pays_at = at + _DECIDES
        product = self._visits.liked(person, heard.action_id)
        there = self._stock.there(((product.id, 1),), pays_at)
        return Caused(at, pays_at, there, "", "") if there else None

    def _reminded(self, person: Shopper, force: float) -> float:
        return self._world.again * person.ways.another * force

    def _brings(self, person: Shopper, heard: Heard, course: Course, weary: float) -> float:
        """Return the mean margin of what she buys because she looks; as :meth:`_causes` decides."""
        force = (self._world.odds.get(heard.channel, 1.0) - 1) * self._dulled(weary)
        if heard.key in course.settled:
            return 0.0
        cart = course.carts.get(heard.key)
        if cart is not None:
            fresh = decayed(1.0, max(heard.at - cart.left_at, 0), _STALE)
            return self._gain(cart, force * fresh) * self._margin(cart.lines, heard.at)
        sure, found = 0.0, 0.0
        need = course.needs.get(heard.key)
        if need is not None and need.at - _RIPE_BEFORE <= heard.at <= need.at + _RIPE_AFTER:
            sure = self._gain(need, force)
            found = sure * self._margin(need.lines, heard.at)
        other = self._margin(((self._visits.liked(person, heard.action_id).id, 1),), heard.at)
        return found + (1 - sure) * self._reminded(person, force) * other

    def _gain(self, left: Cart | Need, force: float) -> float:
        return intent.chance(self._moved(left, force)) - intent.chance(left.odds)

    def _margin(self, lines: Lines, at: int) -> float:
        return self._world.margin * worth(self._stock.there(lines, at))

    # --- having enough --------------------------------------------------------------------------

    def _refuses(self, heard: Heard, weary: float) -> str:
        world, lot = self._world, self._chance.lot("annoyed", heard.action_id)
        irritated = self._irritated(heard, weary)
        if lot < world.complains * irritated:
            return "complained"
        if lot < (world.complains + world.leaves) * irritated:
            return "unsubscribed"
        return ""

    def _irritated(self, heard: Heard, weary: float) -> float:
        return self._world.annoys.get(heard.channel, 1.0) * (1 + self._world.irritates * weary)


__all__ = ["Caused", "Expected", "Reactions", "Taken"]
