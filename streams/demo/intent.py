"""How likely she buys unasked: the odds of a left cart, and of ordering again what is used up.

All factors are products of odds, and whatever a person does differently with them is to be seen in
her events: so a model can learn them, as far as chance lets it.
"""

from typing import Final, NamedTuple

from engine.times import DAY
from streams.demo.people import Shopper

_PURPOSE: Final = 1.6
_NO_PURPOSE: Final = 0.75
_SEEN_BEFORE: Final = 1.5
_BEGAN_TO_PAY: Final = 1.6
_LATE: Final = 0.65
_DAYTIME: Final = 1.2
_WEEKEND: Final = 1.15
# Every other visit within a week says that she means it; a purchase of these days that she has it.
_EACH_VISIT: Final = 1.2
_MOST_VISITS: Final = 3
_JUST_BOUGHT: Final = 0.55
_RECENTLY: Final = 4 * DAY
# How much of an hour's odds an impulse has.
_AT_ONCE: Final = 0.25


class Situation(NamedTuple):
    """What else speaks for or against it: of the visit, and of the days before."""

    worth: float
    purposeful: bool
    seen_before: bool
    hour: int
    weekend: bool
    visits_lately: int
    since_order: int | None


def cart(person: Shopper, now: Situation) -> float:
    """Return the odds that she buys this cart unasked; ``since_order`` in ms."""
    odds = person.odds * _price(now.worth / person.budget)
    odds *= _PURPOSE if now.purposeful else _NO_PURPOSE
    if now.seen_before:
        odds *= _SEEN_BEFORE
    if now.hour >= 22 or now.hour == 0:
        odds *= _LATE
    elif 9 <= now.hour < 17:
        odds *= _DAYTIME
    if now.weekend:
        odds *= _WEEKEND
    for _ in range(min(now.visits_lately, _MOST_VISITS)):
        odds *= _EACH_VISIT
    if now.since_order is not None and now.since_order < _RECENTLY:
        odds *= _JUST_BOUGHT
    return odds


def _price(share: float) -> float:
    """Return what a cart costing ``share`` of her budget does to the odds: 2 .. 1 .. 0."""
    return 2 / (1 + share)


def paying(odds: float) -> float:
    """Return the odds once she has begun to pay."""
    return odds * _BEGAN_TO_PAY


def at_once(odds: float) -> float:
    """Return the odds that she buys before she goes."""
    return odds * _AT_ONCE


def renewal(person: Shopper, worth: float, *, sent_back: bool) -> float:
    """Return the odds that she orders again what is used up; never what she sent back."""
    return 0.0 if sent_back else person.ways.renews * _price(worth / person.budget)


def chance(odds: float) -> float:
    """Return the probability of these odds."""
    return odds / (1 + odds)


__all__ = ["Situation", "at_once", "cart", "chance", "paying", "renewal"]
