"""The closed list of reasons a decision may carry; each is a metric label and a sentence.

Caps speak as ``cap:<name>``, with a name from the campaigns file in force.
"""

from typing import Final

SAID: Final = ("sent", "would_send_holdout", "would_send_dry_run")
ENDED: Final = ("converted", "emptied", "superseded", "refunded", "opted_out", "erased")
NOT_REACHABLE: Final = (
    "no_consent",
    "personalisation_off",
    "unreachable",
    "suppressed_address",
    "not_in_segment",
)
TOO_MUCH: Final = ("cooldown", "quiet_hours")
STOPPED: Final = ("campaign_paused", "campaign_removed", "channel_paused", "outside_dates")
WEIGHED: Final = ("outranked", "not_worth_it", "explored_none")
FAILED: Final = ("stale", "template_failed", "out_of_stock", "budget", "rate_brake")

REASONS: Final = (*SAID, *ENDED, *NOT_REACHABLE, *TOO_MUCH, *STOPPED, *WEIGHED, *FAILED)
CAP: Final = "cap:"


def is_reason(text: str) -> bool:
    """Return whether ``text`` is in the closed list."""
    return text in REASONS or text.startswith(CAP)
