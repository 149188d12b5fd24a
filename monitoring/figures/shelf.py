"""What the shop told last of each product, and what of it is sold out or soon will be.

Not a part of :class:`monitoring.figures.shop.Figures`: the topic of products is compacted, so all
of it can be read again at each start, and a catalogue would be megabytes to keep every minute.
"""

from collections.abc import Collection, Mapping
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from monitoring.figures.told import Stock, StockRow

# Products kept; each costs about 300 bytes.
MOST: Final = 200_000
_ROWS: Final = 20

State = Literal["in_stock", "sold_out", "unknown", "unreadable"]


class Limits(Struct, frozen=True, kw_only=True):
    """When stock is low, in days it lasts, and how many of the day's sellers are the best."""

    low_days: float = 3.0
    best_sellers: int = 20


class _Kept(NamedTuple):
    name: str
    stock: int | None
    state: State


class Shelf:
    """The last word on each product; takes records in the order of the topic.

    A product whose last record cannot be read is unknown, whatever stood before it: a start after
    the next compaction would not find that any more.
    """

    def __init__(self, most: int = MOST) -> None:
        """Nothing was told yet; beyond ``most`` products new ones are left out."""
        self._most = most
        self._kept: dict[str, _Kept] = {}
        self._counts: dict[str, int] = {
            "in_stock": 0,
            "sold_out": 0,
            "unknown": 0,
            "unreadable": 0,
        }
        self._left_out: set[str] = set()

    def __len__(self) -> int:
        """Return how many products are kept."""
        return len(self._kept)

    def tell(self, product_id: str, stock: int | None, name: str) -> None:
        """Take what was told of a product; ``stock`` None = not told, at most 0 = sold out."""
        state: State = "unknown" if stock is None else "in_stock" if stock > 0 else "sold_out"
        self._put(product_id, _Kept(name, stock, state))

    def cannot_read(self, product_id: str) -> None:
        """Note that what was told last of a product cannot be read."""
        self._put(product_id, _Kept("", None, "unreadable"))

    def forget(self, product_id: str) -> None:
        """Note that a product is gone."""
        old = self._kept.pop(product_id, None)
        if old is not None:
            self._counts[old.state] -= 1
        self._left_out.discard(product_id)

    def _put(self, product_id: str, kept: _Kept) -> None:
        old = self._kept.get(product_id)
        if old is None and len(self._kept) >= self._most:
            if len(self._left_out) < self._most:
                self._left_out.add(product_id)
            return
        if old is not None:
            self._counts[old.state] -= 1
        self._counts[kept.state] += 1
        self._kept[product_id] = kept

    def stock_of(self, product_id: str) -> int | None:
        """Return how many pieces are left; None = not known."""
        kept = self._kept.get(product_id)
        return None if kept is None else kept.stock

    def told(
        self, per_day: Mapping[str, float], best: Collection[tuple[str, str]], limits: Limits
    ) -> Stock:
        """Return the figures; ``per_day``: pieces a day of what sells, ``best``: ids and names.

        A product that does not sell is never low: its stock lasts for ever. One whose stock is
        not known is in no row.
        """
        rows = self._rows(per_day, dict(best))
        short = [row for row in rows if row.days < limits.low_days]
        low = {row.product_id for row in short if row.stock > 0}
        states: dict[str, int] = {"low": len(low), **self._counts}
        states["in_stock"] -= len(low)
        top = [self._state(product_id, low) for product_id, _ in best]
        return Stock(
            products=len(self),
            states=states,
            best={state: top.count(state) for state in states},
            best_sold_out=[
                name or self._name(product_id)
                for product_id, name in best
                if self._state(product_id, low) == "sold_out"
            ],
            rows=short[:_ROWS],
            left_out=len(self._left_out),
            low_days=limits.low_days,
            best_sellers=limits.best_sellers,
        )

    def _rows(self, per_day: Mapping[str, float], names: Mapping[str, str]) -> list[StockRow]:
        """Return what sells and whose stock is known: that which ends first, first."""
        found = []
        for product_id, pace in per_day.items():
            stock = self.stock_of(product_id)
            if stock is not None and pace > 0:
                found.append(
                    StockRow(
                        product_id=product_id,
                        name=names.get(product_id) or self._name(product_id),
                        stock=max(0, stock),
                        per_day=round(pace, 3),
                        days=round(max(0, stock) / pace, 3),
                    )
                )
        return sorted(found, key=lambda row: (row.days, -row.per_day, row.product_id))

    def _state(self, product_id: str, low: Collection[str]) -> str:
        kept = self._kept.get(product_id)
        if kept is None:
            return "untold"
        return "low" if product_id in low else kept.state

    def _name(self, product_id: str) -> str:
        kept = self._kept.get(product_id)
        return (kept.name if kept is not None else "") or product_id


__all__ = ["MOST", "Limits", "Shelf"]
