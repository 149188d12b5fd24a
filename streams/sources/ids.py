"""Who a message is about: ids cleaned, placeholders refused, one key per user."""

from typing import Any, Final

from engine.profile import ANONYMOUS
from streams.sources.reasons import Notes, invalid
from streams.sources.values import MAX_ID, has_control, number_as_text

# What broken clients send for "nobody": one such id would make one giant user.
PLACEHOLDERS: Final = frozenset(
    {
        "-1",
        "null",
        "none",
        "nil",
        "undefined",
        "nan",
        "true",
        "false",
        "anonymous",
        "guest",
        "unknown",
        "id",
        "distinct_id",
        "not_authenticated",
        "email",
        "user",
        "test",
        "admin",
        "[object object]",
        "abc123",
    }
)
_LONGEST_PLACEHOLDER = max(map(len, PLACEHOLDERS))


def clean(value: object) -> str:
    """Return a usable id, numbers as text; ``""`` = absent, placeholder, overlong, unprintable."""
    found = value.strip() if type(value) is str else number_as_text(value)
    return found if found and is_usable(found) else ""


def is_usable(found: str) -> bool:
    """Return whether a non-empty id may name somebody."""
    if len(found) > MAX_ID or has_control(found):
        return False
    bare = found.strip("\"' ")
    if len(bare) <= _LONGEST_PLACEHOLDER and bare.lower() in PLACEHOLDERS:
        return False
    return bare.strip("0-") != ""


def key(message: dict[str, Any], notes: Notes) -> str:
    """Return the user id, else ``anon:`` and the anonymous id; raises InvalidEvent (``no_user``).

    A blocked user id leaves the event to its anonymous id.
    """
    told = message.get("userId")
    user = clean(told)
    # A user may not be named like an anonymous one: the two must never meet.
    if user and not user.startswith(ANONYMOUS):
        return user
    if told is not None and told != "":
        notes["blocked_user_id"] += 1
    anonymous = clean(message.get("anonymousId"))
    if anonymous:
        return ANONYMOUS + anonymous
    raise invalid("no_user", "neither userId nor anonymousId names anybody")
