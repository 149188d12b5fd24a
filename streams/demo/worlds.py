"""The worlds a simulated shop can be in: what messages do to people there, known and written down.

A world is a set of numbers, not code: everything else about the shop is the same in all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.times import DAY


def _odds(push: float, email: float, sms: float) -> Mapping[str, float]:
    return {"push": push, "email": email, "sms": sms}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What holds in one world.

    ``about`` says it in one sentence. ``eager`` multiplies everybody's odds of buying unasked;
    ``odds`` is the odds ratio by channel of buying a left cart once a message about it is seen, for
    somebody whose own odds are ``middle``: those far above or below are moved less, and the more so
    the higher ``narrow`` (a whole number). ``again`` times (odds ratio - 1) is the chance that a
    message which is seen makes an average person buy something else.

    ``annoys`` is what one message by channel adds to her weariness, which halves every ``recovers``
    ms. Weariness w makes attention 1 / (1 + ``dulls`` w) of what it was, visits
    1 / (1 + ``drives_away`` w w), and refusals 1 + ``irritates`` w times as likely. ``leaves`` and
    ``complains`` are the chances that a message makes a rested person unsubscribe or complain;
    ``returns_after`` is the part of her visits that remains then.

    ``margin`` is the part of what she pays and keeps that is the shop's.
    """

    about: str
    eager: float = 1.0
    odds: Mapping[str, float] = field(default_factory=lambda: _odds(3.0, 2.6, 3.3))
    middle: float = 0.3
    narrow: int = 1
    again: float = 0.024
    annoys: Mapping[str, float] = field(default_factory=lambda: _odds(0.8, 0.6, 1.6))
    recovers: int = 7 * DAY
    dulls: float = 0.3
    drives_away: float = 0.01
    irritates: float = 1.0
    leaves: float = 0.004
    complains: float = 0.0008
    returns_after: float = 0.85
    margin: float = 0.3


WORLDS: Final[Mapping[str, World]] = {
    "default": World(
        about="Reminders help most where she hesitates, a little less with every one she has had.",
    ),
    "useless-sms": World(
        about="An SMS makes nobody buy and annoys everybody; push and e-mail work as usual.",
        odds=_odds(3.0, 2.6, 1.0),
        annoys=_odds(0.8, 0.6, 3.0),
        irritates=1.5,
    ),
    "fatigued": World(
        about="People tire fast: who hears much looks at nothing, visits less and unsubscribes.",
        annoys=_odds(1.2, 1.0, 2.4),
        dulls=0.9,
        drives_away=0.18,
        irritates=2.0,
        leaves=0.012,
        complains=0.003,
        returns_after=0.4,
    ),
    "would-buy-anyway": World(
        about="Most who buy would buy unasked; only the few who hardly think of it can be moved.",
        eager=4.0,
        middle=0.08,
        narrow=3,
        again=0.006,
    ),
    "nothing-works": World(
        about="No message makes anybody buy anything: each only costs and annoys.",
        odds=_odds(1.0, 1.0, 1.0),
        again=0.0,
    ),
}
DEFAULT: Final = "default"

__all__ = ["DEFAULT", "WORLDS", "World"]
