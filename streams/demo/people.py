"""Who shops in the simulated shop: habits and temper of each person, drawn once from the seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from streams.demo.chance import Chance
from streams.demo.goods import CATEGORIES
from streams.demo.habits import FAVOURITE_HOURS

CHANNELS: Final = ("push", "email", "sms")
_ZONES: Final = (
    ("Asia/Shanghai", "zh-CN", 0.7),
    ("America/New_York", "en", 0.85),
    ("Europe/Berlin", "en", 1.0),
)
_DEVICES: Final = ((("app",), 0.4), (("web",), 0.65), (("app", "web"), 1.0))
# How likely an address is known to us, and how many then allow us to use it. Push needs the app.
_REACHABLE: Final = {"push": 0.9, "email": 0.65, "sms": 0.5}
_CONSENTS: Final = 0.9
_ANONYMOUS: Final = 0.06
_UNPERSONALISED: Final = 0.03
_FLATTEST: Final = 0.7


class Temper(NamedTuple):
    """A way to shop; ``share`` of the people have it, the others are numbers of its people.

    ``visits`` a day from .. to; ``odds`` of buying a left cart unasked when nothing speaks for or
    against it; ``budget`` = the cart in CNY that is neither cheap nor dear; ``focused`` = share of
    visits with a purpose; ``adds`` = share of visits that fill a cart; ``renews`` = odds of
    ordering again what is used up; ``another`` = how much more than others she is moved to buy
    something else.
    """

    share: float
    visits: tuple[float, float]
    odds: float
    budget: float
    focused: float
    adds: float
    renews: float
    another: float


TEMPERS: Final[Mapping[str, Temper]] = {
    "loyal": Temper(0.18, (0.13, 0.29), 0.34, 420.0, 0.6, 0.4, 0.8, 2.2),
    "deliberate": Temper(0.22, (0.07, 0.17), 0.34, 340.0, 0.5, 0.42, 0.4, 1.0),
    "bargain": Temper(0.28, (0.06, 0.18), 0.16, 130.0, 0.3, 0.46, 0.18, 0.8),
    "looking": Temper(0.32, (0.04, 0.15), 0.075, 200.0, 0.15, 0.34, 0.05, 0.4),
}


@dataclass(frozen=True, slots=True)
class Shopper:
    """One person.

    ``visits`` a day on average; ``odds`` and ``budget`` as in :class:`Temper`, her own;
    ``patience`` divides what a message adds to her weariness; ``pace`` multiplies the days a
    product lasts her; ``attention`` = chance by channel that she looks at a message when rested.
    """

    id: str
    anonymous: bool
    zone: str
    locale: str
    temper: str
    devices: tuple[str, ...]
    phone: str
    favourite_hour: int
    weekend: float
    visits: float
    odds: float
    budget: float
    tastes: tuple[str, ...]
    patience: float
    pace: float
    channels: tuple[str, ...]
    allowed: tuple[str, ...]
    personalised: bool
    attention: Mapping[str, float]

    @property
    def ways(self) -> Temper:
        """Return the numbers of her temper."""
        return TEMPERS[self.temper]

    def __deepcopy__(self, _: object) -> Self:
        """Return herself: nothing about a person changes."""
        return self


def shopper(chance: Chance, number: int) -> Shopper:
    """Draw the person of this number."""
    me = f"shopper-{number:04d}"
    anonymous = chance.lot("anonymous", me) < _ANONYMOUS
    zone, locale = next(
        (zone, locale) for zone, locale, below in _ZONES if chance.lot("zone", me) < below
    )
    temper = _temper(chance.lot("temper", me))
    ways = TEMPERS[temper]
    devices = next(which for which, below in _DEVICES if chance.lot("devices", me) < below)
    channels = tuple(
        channel
        for channel in CHANNELS
        if chance.lot(f"reach-{channel}", me) < _REACHABLE[channel]
        and (channel != "push" or "app" in devices)
    )
    return Shopper(
        id=f"device-{number:04d}" if anonymous else me,
        anonymous=anonymous,
        zone=zone,
        locale=locale,
        temper=temper,
        devices=devices,
        phone=("ios", "android")[chance.among(2, "phone", me)],
        favourite_hour=FAVOURITE_HOURS[chance.among(len(FAVOURITE_HOURS), "favourite", me)],
        weekend=chance.between(_FLATTEST, 2 - _FLATTEST, "weekend", me),
        visits=chance.between(*ways.visits, "visits", me),
        odds=ways.odds * chance.between(0.6, 1.5, "odds", me),
        budget=ways.budget * chance.between(0.6, 1.5, "budget", me),
        tastes=_tastes(chance, me),
        patience=chance.between(0.6, 1.8, "patience", me),
        pace=chance.between(0.75, 1.4, "pace", me),
        channels=channels,
        allowed=tuple(c for c in channels if chance.lot(f"consent-{c}", me) < _CONSENTS),
        personalised=chance.lot("personalised", me) >= _UNPERSONALISED,
        attention={c: chance.between(0.25, 0.75, f"attention-{c}", me) for c in CHANNELS},
    )


def _temper(lot: float) -> str:
    for name, ways in TEMPERS.items():
        lot -= ways.share
        if lot < 0:
            return name
    return name


def _tastes(chance: Chance, me: str) -> tuple[str, ...]:
    first = chance.among(len(CATEGORIES), "taste", me)
    other = 1 + chance.among(len(CATEGORIES) - 1, "other-taste", me)
    return CATEGORIES[first], CATEGORIES[(first + other) % len(CATEGORIES)]


__all__ = ["CHANNELS", "TEMPERS", "Shopper", "Temper", "shopper"]
