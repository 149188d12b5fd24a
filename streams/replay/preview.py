"""What a replay came to, per campaign: who would get what, what was silenced and why, the cost."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.decisions import Decision
from engine.policy import Policy

# A closing decision that reaches a person once the file says live; holdout stays silent then too.
WOULD_GET = frozenset({"sent", "would_send_dry_run"})


@dataclass(slots=True)
class CampaignPreview:
    """One campaign; money in the currency of the file in force when it was decided.

    ``worth``: what the messages were worth by the figures the engine decided on: assumed, nobody
    measured it.
    """

    armed: int = 0
    due: int = 0
    would_get: Counter[str] = field(default_factory=Counter)
    silenced: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    deferred: Counter[str] = field(default_factory=Counter)
    cost: float = 0.0
    worth: float = 0.0
    currency: str = ""

    @property
    def messages(self) -> int:
        """Return how many messages there would be."""
        return self.would_get.total()

    @property
    def open(self) -> int:
        """Return what is still armed at the end: armed = would get + silenced + ended + open."""
        closed = (self.would_get, self.silenced, self.ended)
        return self.armed - sum(sum(counted.values()) for counted in closed)

    def as_json(self) -> dict[str, Any]:
        """Return it with names in order, so that equal previews are equal texts."""
        return {
            "armed": self.armed,
            "due": self.due,
            "would_get": _ordered(self.would_get),
            "silenced": _ordered(self.silenced),
            "ended": _ordered(self.ended),
            "deferred": _ordered(self.deferred),
            "open": self.open,
            "cost": round(self.cost, 6),
            "assumed_worth": round(self.worth, 6),
            "currency": self.currency,
        }


class Preview:
    """Adds decisions up, per campaign; ``people`` are those who would get anything."""

    def __init__(self) -> None:
        """Start with nothing decided."""
        self.campaigns: dict[str, CampaignPreview] = {}
        self.reasons: Counter[str] = Counter()
        self.people: set[str] = set()

    def of(self, campaign: str) -> CampaignPreview:
        """Return the preview of one campaign."""
        return self.campaigns.setdefault(campaign, CampaignPreview())

    def add(self, decision: Decision, policy: Policy | None) -> None:
        """Count one decision, made under ``policy``."""
        at = self.of(decision.campaign)
        self.reasons[decision.reason] += 1
        if decision.outcome == "defer":
            at.deferred[decision.reason] += 1
        elif decision.outcome == "disarm":
            at.ended[decision.reason] += 1
        elif decision.reason in WOULD_GET and decision.channel is not None:
            at.would_get[decision.channel] += 1
            self.people.add(decision.user_id)
            at.currency = decision.currency
            view = decision.channels.get(decision.channel)
            at.worth += (view.worth or 0.0) if view is not None else 0.0
            if policy is not None and decision.channel in policy.channels:
                at.cost += policy.channels[decision.channel].cost
        else:
            at.silenced[decision.reason] += 1


def _ordered(counted: Counter[str]) -> dict[str, int]:
    return dict(sorted(counted.items()))
