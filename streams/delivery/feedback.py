"""What we report about a hand-over: the records of ``feedback``."""

from typing import Final
from uuid import uuid5

import msgspec
from msgspec import UNSET, Struct, UnsetType

from engine.actions import Action
from engine.draws import NAMESPACE
from engine.events import OutcomeType
from engine.times import iso

VERSION: Final = 1
# Who speaks when no gateway was asked.
OURSELVES: Final = "rekindle"


class Feedback(Struct, frozen=True, kw_only=True):
    """One report about one action; ``occurred_at`` in ISO 8601, UTC."""

    v: int = VERSION
    feedback_id: str
    action_id: str
    user_id: str
    channel: str
    provider: str
    type: OutcomeType
    permanent: bool = False
    reason: str = ""
    provider_code: str = ""
    occurred_at: str
    machine: bool | UnsetType = UNSET


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Feedback).decode


def encode(feedback: Feedback) -> bytes:
    """Write a report as JSON; equal reports give equal bytes."""
    return _encode(feedback)


def decode(value: bytes) -> Feedback:
    """Read a report; unknown fields are ignored."""
    return _decode(value)


def about(
    action: Action,
    outcome: OutcomeType,
    at: int,
    *,
    provider: str = OURSELVES,
    reason: str = "",
    code: str = "",
    permanent: bool = False,
) -> Feedback:
    """Return the report of ``outcome`` at ``at`` (ms).

    Its id is made of action and outcome alone: told again after a crash it is the same report.
    """
    told = f"feedback|{action.action_id}|{action.channel}|{outcome}"
    return Feedback(
        feedback_id=str(uuid5(NAMESPACE, told)),
        action_id=action.action_id,
        user_id=action.user_id,
        channel=action.channel,
        provider=provider,
        type=outcome,
        permanent=permanent,
        reason=reason,
        provider_code=code,
        occurred_at=iso(at),
    )


__all__ = ["OURSELVES", "Feedback", "about", "decode", "encode"]
