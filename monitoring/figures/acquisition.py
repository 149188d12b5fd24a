"""Where a visit came from: a closed list of at most nine sources, and what they cost."""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from engine.times import DAY, MINUTE

# No campaign and no other site led here.
DIRECT: Final = "direct"
# A campaign or a site that fits no source of the list.
OTHER: Final = "other"
MOST: Final = 9


class Cost(Struct, frozen=True):
    """What a source costs, in the currency of the list: per visit, or per day."""

    amount: float
    per: Literal["visit", "day"]


class Origin(Struct, frozen=True, kw_only=True):
    """One source of visits; a message is of it when all that is given fits.

    ``utm_source`` and ``utm_medium``: words of the campaign context, in lower case. ``referrer``:
    hosts, with all that end in them. ``cost`` None = unknown.
    """

    name: str
    utm_source: tuple[str, ...] = ()
    utm_medium: tuple[str, ...] = ()
    referrer: tuple[str, ...] = ()
    cost: Cost | None = None

    def fits(self, source: str, medium: str, host: str) -> bool:
        """Return whether a message that says so came from here."""
        if self.utm_source or self.utm_medium:
            if not source and not medium:
                return False
            return (not self.utm_source or source in self.utm_source) and (
                not self.utm_medium or medium in self.utm_medium
            )
        # A campaign's word stands before the site it was shown on.
        return not source and not medium and any(_within(host, end) for end in self.referrer)


def _within(host: str, end: str) -> bool:
    return host == end or host.endswith("." + end)


class Origins(Struct, frozen=True, kw_only=True):
    """The list, in order: the first that fits. ``own``: hosts of the shop, which lead nowhere."""

    origins: tuple[Origin, ...] = ()
    own: tuple[str, ...] = ()

    def name(self, source: str, medium: str, host: str) -> str:
        """Return the source of a message; "" = it says nothing."""
        source, medium, host = source.lower(), medium.lower(), host.lower()
        if any(_within(host, own) for own in self.own):
            host = ""
        if not (source or medium or host):
            return ""
        for origin in self.origins:
            if origin.fits(source, medium, host):
                return origin.name
        return OTHER

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name there can be."""
        listed = (origin.name for origin in self.origins)
        return tuple(dict.fromkeys((*listed, DIRECT, OTHER)))

    @property
    def costs(self) -> Mapping[str, Cost]:
        """Return the costs that are known, by source."""
        return {origin.name: origin.cost for origin in self.origins if origin.cost is not None}


def cost(price: Cost, visits: float) -> float:
    """Return what one minute with so many new visits costs."""
    return price.amount * (visits if price.per == "visit" else MINUTE / DAY)


__all__ = ["DIRECT", "MOST", "OTHER", "Cost", "Origin", "Origins", "cost"]
