"""What the converters add to public data, which knows no person: consent, addresses, a zone.

All of it is drawn by keyed hash of the shopper's id, so a slice, the whole file and every replay
agree. The addresses are well formed and belong to nobody.
"""

from hashlib import sha256
from typing import Any, Final

from engine.draws import draw
from engine.events import ConsentChanged, Event, Identified
from streams.sources.files import Origin

PLACES: Final = (
    ("Asia/Shanghai", "zh-CN"),
    ("America/New_York", "en-US"),
    ("Europe/Berlin", "de-DE"),
)
REACHABLE: Final = {"push": 0.7, "email": 0.6, "sms": 0.4}
CONSENTING: Final = 0.9

_APP: Final = "rekindle"
_EPOCH: Final = "real-input"


class Shoppers:
    """Introduces every shopper once, before her first record."""

    def __init__(self, data_set: str, origin: Origin) -> None:
        """``data_set`` keys the draws, so that equal ids of two data sets are two people."""
        self._data_set = data_set
        self._origin = origin
        self._known: set[str] = set()

    def shared(self, shopper: str, at: int, place: int, line: int, ordinal: int) -> dict[str, Any]:
        """Return the fields of every event of a row; ``received_at`` = ``occurred_at``."""
        return {
            "event_id": self._origin.event_id(line, ordinal),
            "user_id": shopper,
            "occurred_at": at,
            "received_at": at,
            "source": self._origin.position(place, ordinal),
        }

    def introduce(self, shopper: str, at: int, place: int, line: int) -> list[Event]:
        """Return who she is and what she allows, ordinals 0 and 1; nothing the second time."""
        if shopper in self._known:
            return []
        self._known.add(shopper)
        zone, locale = PLACES[int(self._draw("zone", shopper) * len(PLACES))]
        return [
            Identified(
                **self.shared(shopper, at, place, line, 0),
                addresses=self._addresses(shopper),
                zones=[zone],
                locale=locale,
            ),
            ConsentChanged(
                **self.shared(shopper, at, place, line, 1),
                granted=self._draw("consent", shopper) < CONSENTING,
                basis=f"drawn:{self._data_set}",
            ),
        ]

    def _addresses(self, shopper: str) -> dict[str, str]:
        digest = sha256(f"{self._data_set}|{shopper}".encode()).hexdigest()
        fake = {
            "push": digest,
            "email": f"shopper-{digest[:16]}@example.com",
            # No Chinese mobile number begins with 10.
            "sms": f"+8610{int(digest[:15], 16) % 10**9:09d}",
        }
        return {
            channel: fake[channel]
            for channel, share in REACHABLE.items()
            if self._draw(channel, shopper) < share
        }

    def _draw(self, purpose: str, shopper: str) -> float:
        return draw(_APP, _EPOCH, purpose, f"{self._data_set}|{shopper}")


def price_of(data_set: str, item: str) -> float:
    """Return a price from 10 to 1000 for an item of a source without prices; most are low."""
    lot = draw(_APP, _EPOCH, "price", f"{data_set}|{item}")
    return round(10 + 990 * lot * lot, 2)
