"""What becomes of an order: cancelled, delivered, sent back, wholly or in part."""

from typing import Final, NamedTuple

from engine.times import DAY, HOUR
from streams.demo.chance import Chance
from streams.demo.goods import BY_ID, Lines, worth

_CANCELS: Final = 0.03
_DELIVERED: Final = 0.85
_REFUNDS: Final = 0.03
# What has to fit comes back more often.
_REFUNDS_CLOTHES: Final = 0.1
_PARTLY: Final = 0.5


class Aftermath(NamedTuple):
    """Times in ms, None = it does not happen; ``back`` are the lines sent back."""

    cancelled_at: int | None = None
    delivered_at: int | None = None
    refunded_at: int | None = None
    back: Lines = ()

    def kept(self, lines: Lines) -> float:
        """Return what is left of the order in CNY in the end."""
        if self.cancelled_at is not None:
            return 0.0
        return worth(lines) - worth(self.back)


def of_order(chance: Chance, order_id: str, lines: Lines, at: int) -> Aftermath:
    """Draw what becomes of an order placed at ``at`` (ms)."""
    lot, between = chance.lot, chance.between
    if lot("cancels", order_id) < _CANCELS:
        return Aftermath(at + int(between(0.5, 6, "cancelled", order_id) * HOUR))
    delivered_at = refunded_at = None
    back: Lines = ()
    if lot("delivered", order_id) < _DELIVERED:
        delivered_at = at + int(between(1.5, 5, "arrival", order_id) * DAY)
    fits = all(BY_ID[product].category != "clothes" for product, _ in lines)
    if lot("refunds", order_id) < (_REFUNDS if fits else _REFUNDS_CLOTHES):
        # only what has arrived can be sent back
        refunded_at = (delivered_at or at) + int(between(5, 9, "refunded", order_id) * DAY)
        some = len(lines) > 1 and lot("partly", order_id) < _PARTLY
        back = lines[:1] if some else lines
    return Aftermath(None, delivered_at, refunded_at, back)


__all__ = ["Aftermath", "of_order"]
