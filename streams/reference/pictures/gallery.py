"""Which picture is drawn by which module."""

from collections.abc import Callable, Mapping
from typing import Final

from streams.reference.pictures import caps, funnel, log, reminder, worth

# By file under docs/pictures.
PICTURES: Final[Mapping[str, Callable[[], str]]] = {
    "caps.svg": caps.picture,
    "decision.svg": funnel.picture,
    "log.svg": log.picture,
    "reminder.svg": reminder.picture,
    "worth.svg": worth.picture,
}

__all__ = ["PICTURES"]
