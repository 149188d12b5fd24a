"""Single values as they come off the wire, of any JSON type, turned into ours or into nothing."""

import re
from math import isfinite
from typing import Any, Final

MAX_ID: Final = 200
MAX_NAME: Final = 120
MAX_WORD: Final = 40
MAX_QUANTITY: Final = 9999
# Beyond any price; bounded so that price x quantity x lines stays finite.
MAX_AMOUNT: Final = 1e12

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")

_TRUE: Final = frozenset({"true", "yes", "1", "on", "granted", "subscribed", "opted_in"})
_FALSE: Final = frozenset(
    {"false", "no", "0", "off", "denied", "withdrawn", "unsubscribed", "opted_out"}
)


def mapping(value: object) -> dict[str, Any]:
    """Return ``value`` if it is an object, else an empty one."""
    return value if type(value) is dict else {}


def text(value: object, limit: int = MAX_NAME) -> str:
    """Return a string or number as trimmed text of at most ``limit`` characters, else ``""``."""
    if type(value) is str:
        return value.strip()[:limit]
    return number_as_text(value)[:limit]


def number_as_text(value: object) -> str:
    """Write a number as an id: 4217 and 4217.0 are both ``4217``; anything else is ``""``."""
    if type(value) is int:
        return str(value)
    if type(value) is float and isfinite(value):
        return str(int(value)) if value.is_integer() else repr(value)
    return ""


def has_control(value: str) -> bool:
    """Return whether control characters stand in ``value``."""
    return not value.isprintable() and _CONTROL.search(value) is not None


def identifier(value: object) -> str:
    """Return an id of a product, order or cart as text; ``""`` = too long or unprintable."""
    found = value.strip() if type(value) is str else number_as_text(value)
    return "" if len(found) > MAX_ID or has_control(found) else found


def amount(value: object) -> float | None:
    """Return money as a finite number from 0; numeric strings are accepted, all else is None."""
    if type(value) is str:
        if _NUMBER.fullmatch(value.strip()) is None:
            return None
        value = float(value)
    if type(value) is int or type(value) is float:
        # Chained comparison: False for NaN.
        return float(value) if 0 <= value <= MAX_AMOUNT else None
    return None


def quantity(value: object) -> int | None:
    """Return a whole number from 1 to 9999; None for anything else."""
    found = amount(value)
    if found is None or not found.is_integer() or not 1 <= found <= MAX_QUANTITY:
        return None
    return int(found)


def truth(value: object) -> bool | None:
    """Return what a consent says; None when it does not say it clearly."""
    if type(value) is bool:
        return value
    said = text(value, MAX_WORD).lower().replace(" ", "_")
    if said in _TRUE:
        return True
    return False if said in _FALSE else None
