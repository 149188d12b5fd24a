"""How many parts a text message is billed as: GSM-7 or UCS-2, counted as carriers count."""

from typing import Final

# 3GPP TS 23.038, basic set and the characters that cost two septets.
_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED: Final = frozenset("^{}\\[~]|€\f")

_GSM_ALONE, _GSM_PART = 160, 153
_UCS_ALONE, _UCS_PART = 70, 67


def parts(text: str) -> int:
    """Return the number of parts; one character outside GSM-7 makes the whole text UCS-2."""
    if all(character in _BASIC or character in _ESCAPED for character in text):
        units = [2 if character in _ESCAPED else 1 for character in text]
        return _count(units, _GSM_ALONE, _GSM_PART)
    units = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return _count(units, _UCS_ALONE, _UCS_PART)


def _count(units: list[int], alone: int, part: int) -> int:
    """Fill parts in order: an escape or a surrogate pair is never split across two."""
    if sum(units) <= alone:
        return 1
    count, room = 1, part
    for unit in units:
        if unit > room:
            count, room = count + 1, part
        room -= unit
    return count
