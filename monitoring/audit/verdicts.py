"""What an audited action may be: right, or wrong in one of these ways."""

from typing import Final, Literal

from msgspec import Struct

Verdict = Literal[
    "ok",
    "missing",
    "undecided",
    "doubled",
    "over_cap",
    "quiet_hours",
    "no_consent",
    "withheld",
    "expired",
]

# What somebody felt, or will, while nobody looks: the channel stops until a person has looked.
PAUSING: Final = frozenset(
    {"doubled", "over_cap", "quiet_hours", "no_consent", "withheld", "undecided"}
)


class Finding(Struct, frozen=True, kw_only=True):
    """A verdict on one action. ``at``: broker time (ms) of the record that shows it."""

    verdict: Verdict
    channel: str
    action_id: str
    user_id: str
    partition: int
    at: int
    detail: str = ""
