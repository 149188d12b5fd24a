"""One visit: what she looks at, puts into her cart, and how much she means it."""

from typing import Final, NamedTuple

from streams.demo import intent
from streams.demo.chance import Chance
from streams.demo.goods import BY_ID, IN_CATEGORY, PRODUCTS, Lines, Product, Stock, worth
from streams.demo.people import Shopper

_OPENS_APP: Final = 0.6
_SEARCHES: Final = (0.15, 0.6)
_TO_HER_TASTE: Final = 0.75
_COMES_BACK_TO_IT: Final = 0.4
_STAYS_THERE: Final = 0.65
_ADDS: Final = (0.9, 1.2)
_BEGINS_TO_PAY: Final = (0.12, 0.35)
_EMPTIES: Final = 0.04
_OPTS_OUT: Final = 0.002
_TWO_OF_IT: Final = 0.25


class Before(NamedTuple):
    """What earlier visits left: the product she looked at last, and the visits of a week."""

    product: str
    visits_lately: int
    since_order: int | None


class Visit(NamedTuple):
    """A visit as it will be; ``odds`` of buying what is in the cart if she leaves it."""

    key: str
    device: str
    opens: bool
    searches: str
    views: tuple[Product, ...]
    opts_out: bool
    cart: Lines
    empties: bool
    begins_to_pay: bool
    buys: bool
    odds: float


class Visits:
    """Draws the visits of one world."""

    def __init__(self, chance: Chance, stock: Stock, eager: float) -> None:
        """``eager`` multiplies everybody's odds."""
        self._chance = chance
        self._stock = stock
        self._eager = eager

    def draw(
        self, person: Shopper, key: str, at: int, hour: int, before: Before, *, weekend: bool
    ) -> Visit:
        """Return what she does in the visit of this key that begins at ``at`` (ms)."""
        lot = self._chance.lot
        focused = lot("focused", key) < person.ways.focused
        views = self._views(person, key, before.product, focused=focused)
        device = person.devices[self._chance.among(len(person.devices), "device", key)]
        cart = self._cart(person, key, views, at, focused=focused)
        odds, begins = 0.0, False
        if cart:
            seen_before = any(line[0] == before.product for line in cart)
            odds = self._eager * intent.cart(
                person,
                intent.Situation(
                    worth=worth(cart),
                    purposeful=focused,
                    seen_before=seen_before,
                    hour=hour,
                    weekend=weekend,
                    visits_lately=before.visits_lately,
                    since_order=before.since_order,
                ),
            )
            begins = lot("begins-to-pay", key) < _BEGINS_TO_PAY[focused]
            odds = intent.paying(odds) if begins else odds
        return Visit(
            key=key,
            device=device,
            opens=device == "app" and lot("opens", key) < _OPENS_APP,
            searches=views[0].category if lot("searches", key) < _SEARCHES[focused] else "",
            views=views,
            opts_out=not person.anonymous and lot("opts-out", key) < _OPTS_OUT,
            cart=cart,
            empties=bool(cart) and lot("empties", key) < _EMPTIES,
            begins_to_pay=begins,
            buys=bool(cart) and lot("buys", key) < intent.chance(intent.at_once(odds)),
            odds=odds,
        )

    def liked(self, person: Shopper, key: str) -> Product:
        """Return a product she would look at."""
        if self._chance.lot("taste", key) < _TO_HER_TASTE:
            taste = person.tastes[self._chance.among(len(person.tastes), "which-taste", key)]
            return self._one_of(IN_CATEGORY[taste], key)
        return self._one_of(PRODUCTS, key)

    def _one_of(self, products: tuple[Product, ...], key: str) -> Product:
        return products[self._chance.among(len(products), "product", key)]

    def _views(self, person: Shopper, key: str, last: str, *, focused: bool) -> tuple[Product, ...]:
        again = last and self._chance.lot("back-to-it", key) < _COMES_BACK_TO_IT
        first = BY_ID[last] if again else self.liked(person, key)
        among = self._chance.among
        count = 1 + among(2, "views", key) if focused else 2 + among(3, "views", key)
        views = [first]
        for number in range(1, count):
            other = f"{key}.{number}"
            if self._chance.lot("stays", other) < _STAYS_THERE:
                views.append(self._one_of(IN_CATEGORY[first.category], other))
            else:
                views.append(self._one_of(PRODUCTS, other))
        return tuple(dict.fromkeys(views))

    def _cart(
        self, person: Shopper, key: str, views: tuple[Product, ...], at: int, *, focused: bool
    ) -> Lines:
        if self._chance.lot("adds", key) >= person.ways.adds * _ADDS[focused]:
            return ()
        wanted = views[: 1 + self._chance.among(1 if focused else 3, "lines", key)]
        lines = tuple((product.id, self._count(product, key)) for product in wanted)
        return self._stock.there(lines, at)

    def _count(self, product: Product, key: str) -> int:
        if not product.lasts:
            return 1
        return 1 + (self._chance.lot("two", f"{key}/{product.id}") < _TWO_OF_IT)


__all__ = ["Before", "Visit", "Visits"]
