"""Who shops in the simulated shop: habits and temper of each person, drawn once from the seed."""

from dataclasses import dataclass
from typing import Final

from engine.draws import draw

CHANNELS: Final = ("push", "email", "sms")
_ZONES: Final = (
    ("Asia/Shanghai", "zh-CN", 0.7),
    ("America/New_York", "en", 0.85),
    ("Europe/Berlin", "en", 1.0),
)
# How likely a channel reaches a person, and how many of the reachable allow us to use it.
_REACHABLE: Final = {"push": 0.7, "email": 0.6, "sms": 0.4}
_CONSENTS: Final = 0.9
_ANONYMOUS: Final = 0.06
_UNPERSONALISED: Final = 0.03
# When people like to shop: lunch, after work, late evening.
_FAVOURITE_HOURS: Final = (12, 18, 19, 20, 20, 21, 21, 22)
# Share of a day's visits that fall on the hour that far from her favourite one.
_HABIT: Final = (0.26, 0.17, 0.08, 0.04, 0.02, 0.01)
_ASLEEP: Final = range(1, 7)


class Chance:
    """Lots of one world: keyed hashes of stable ids, so that asking twice gives the same answer."""

    def __init__(self, seed: int) -> None:
        """``seed`` chooses the world."""
        self._seed = str(seed)

    def lot(self, purpose: str, key: str) -> float:
        """Return a uniform number in [0, 1) for this purpose and key."""
        return draw("demo-shop", self._seed, purpose, key)

    def among(self, count: int, purpose: str, key: str) -> int:
        """Return a uniform whole number from 0 to ``count`` - 1."""
        return int(self.lot(purpose, key) * count)

    def between(self, low: float, high: float, purpose: str, key: str) -> float:
        """Return a uniform number in [low, high)."""
        return low + (high - low) * self.lot(purpose, key)


@dataclass(frozen=True, slots=True)
class Shopper:
    """One person. ``visits``: per day; ``intent``: chance that a left cart is bought unasked."""

    id: str
    anonymous: bool
    zone: str
    locale: str
    favourite_hour: int
    visits: float
    intent: float
    channels: tuple[str, ...]
    allowed: tuple[str, ...]
    personalised: bool
    attention: dict[str, float]

    def habit(self, hour: int) -> float:
        """Return which share of her visits falls on a local hour of the day."""
        if hour in _ASLEEP:
            return 0.0
        distance = abs(hour - self.favourite_hour)
        distance = min(distance, 24 - distance)
        return _HABIT[distance] if distance < len(_HABIT) else 0.01


def shopper(chance: Chance, number: int) -> Shopper:
    """Draw the person of this number."""
    me = f"shopper-{number:04d}"
    anonymous = chance.lot("anonymous", me) < _ANONYMOUS
    zone, locale = _home(chance.lot("zone", me))
    channels = tuple(
        channel for channel in CHANNELS if chance.lot(f"reach-{channel}", me) < _REACHABLE[channel]
    )
    return Shopper(
        id=f"device-{number:04d}" if anonymous else me,
        anonymous=anonymous,
        zone=zone,
        locale=locale,
        favourite_hour=_FAVOURITE_HOURS[chance.among(len(_FAVOURITE_HOURS), "favourite", me)],
        visits=chance.between(0.1, 0.7, "visits", me),
        intent=chance.between(0.04, 0.3, "intent", me),
        channels=channels,
        allowed=tuple(c for c in channels if chance.lot(f"consent-{c}", me) < _CONSENTS),
        personalised=chance.lot("personalised", me) >= _UNPERSONALISED,
        attention={c: chance.between(0.25, 0.75, f"attention-{c}", me) for c in CHANNELS},
    )


def _home(lot: float) -> tuple[str, str]:
    return next((zone, locale) for zone, locale, below in _ZONES if lot < below)
