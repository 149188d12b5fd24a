"""The closed lists of this package: why a record is refused, and what was mended in others.

Both become metric labels, so nothing from the wire may ever stand in them.
"""

from collections import Counter
from typing import Final

from engine.errors import InvalidEvent

INVALID: Final = {
    "empty": "The record has no value (a tombstone).",
    "oversize": "The record is larger than one event may be.",
    "not_json": "The value cannot be read as JSON, not even leniently.",
    "not_object": "The value is JSON, but no object.",
    "unknown_type": "The message type is none of track, identify, page, screen, group and alias.",
    "no_user": "No usable userId and no usable anonymousId.",
    "no_event_name": "A track without the name of its event.",
    "no_product_id": "A product event that names no product.",
    "no_order_id": "A refund, cancellation or delivery that names no order.",
    "bad_consent": "A consent that does not say clearly whether it is given or taken back.",
    "no_action_id": "A gateway's report that names no action.",
    "no_channel": "A gateway's report that names no channel.",
    "unknown_outcome": "A gateway's report of a kind we do not know.",
    "newer_version": "The record says it is of a version this program does not read.",
    "bad_line": "A line of a file that its format does not allow.",
}

MENDED: Final = {
    "lenient_json": "NaN, Infinity, lone surrogates or broken UTF-8 were replaced.",
    "blocked_user_id": "userId was a placeholder (null, guest, 0 ...); anonymousId stands in.",
    "generated_id": "No messageId: the id is derived from the position, repeats go unnoticed.",
    "bad_time": "The time could not be read; the time of arrival took its place.",
    "no_zone": "The time named no time zone and was read as UTC.",
    "future": "The time lay more than a minute in the future and was clamped to the arrival.",
    "bad_zone": "The time zone is unknown.",
    "bad_locale": "The locale could not be read.",
    "bad_address": "An e-mail address, phone number or push token could not be one.",
    "bad_amount": "A price or total was no finite, non-negative number.",
    "bad_quantity": "A quantity was no whole number from 1 to 9999.",
    "bad_consent": "An opt-in trait was neither true nor false; it changed nothing.",
    "no_order_id": "An order without id was named after its checkout or message.",
    "skipped_lines": "Products without an id, or beyond the 64th, were left out.",
    "refused_link": "An alias between two users: links are not followed.",
    "skipped_row": "A row of a file that says nothing about a customer, or is torn.",
    "skipped_return": "A returned product of which no earlier order is known.",
}

# What parsing mended, counted by name of MENDED, plus the reasons of INVALID where a file is read.
Notes = Counter[str]


def invalid(reason: str, message: str) -> InvalidEvent:
    """Return the error for a reason of the closed list."""
    assert reason in INVALID, reason
    return InvalidEvent(reason, message)


# Where counts go that nobody asked for: making a Counter costs as much as reading a user id.
UNREAD: Final = Notes()
