"""How fast each product sells: pieces a day over the last week."""

from typing import Final

from msgspec import Struct, field

from engine.times import DAY, MINUTE

# The day that runs and the seven before it.
_DAYS: Final = 8


class Pace(Struct):
    """Pieces ordered by day; ``most`` products a day, those that sell least give way.

    What gave way within a day is missing from it: exact as long as a day sells no more than
    ``most`` different products. ``begin``: of the first minute that was counted, ms.
    """

    most: int = 5_000
    begin: int = 0
    days: dict[int, dict[str, int]] = field(default_factory=dict)

    def add(self, at: int, product_id: str, quantity: int) -> None:
        """Add pieces ordered at ``at`` (ms)."""
        into = self.days.setdefault(at // DAY, {})
        into[product_id] = into.get(product_id, 0) + quantity
        if len(into) > self.most:
            kept = sorted(into.items(), key=lambda one: (-one[1], one[0]))[: self.most // 2]
            self.days[at // DAY] = dict(kept)

    def close(self, end: int) -> None:
        """Note that the minute that ended at ``end`` (ms) was counted; the oldest day is left."""
        minute = end - MINUTE
        self.begin = self.begin or minute
        for old in [day for day in self.days if day <= minute // DAY - _DAYS]:
            del self.days[old]

    def per_day(self, until: int) -> dict[str, float]:
        """Return pieces a day up to ``until`` (ms), by product; less than a day counts as one."""
        since = max(self.begin, (until // DAY - _DAYS + 1) * DAY)
        days = max(1.0, (until - since) / DAY)
        pieces: dict[str, int] = {}
        for sold in self.days.values():
            for product_id, quantity in sold.items():
                pieces[product_id] = pieces.get(product_id, 0) + quantity
        return {product_id: count / days for product_id, count in pieces.items()}


__all__ = ["Pace"]
