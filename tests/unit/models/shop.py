"""A small shop for the tests of models: policy, people by folding events, logged decisions."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import msgspec

from engine import decisions as log
from engine import events as ev
from engine.changes import Memory
from engine.fold import fold
from engine.memory import UtcTime
from engine.policy import Campaign, Cap, Channel, Policy
from engine.ports import Case
from engine.profile import Addresses, Profile, Trigger
from engine.times import DAY, HOUR, MINUTE, from_iso, iso
from models.features import SCHEMA_HASH

NOW = from_iso("2026-11-26T14:00:00.000Z")
SHANGHAI = "Asia/Shanghai"


class TwoZones(UtcTime):
    """Everybody lives in Shanghai or in UTC: enough to see whether a zone is looked at."""

    def hour(self, zones: Sequence[str], fallback: str, at: int) -> int:
        return super().hour((), fallback, at + _offset(zones))

    def weekday(self, zones: Sequence[str], fallback: str, at: int) -> int:
        return super().weekday((), fallback, at + _offset(zones))


def _offset(zones: Sequence[str]) -> int:
    return 8 * HOUR if SHANGHAI in zones else 0


LOCAL = TwoZones()

CAMPAIGN = Campaign(
    id="cart",
    version=1,
    trigger="cart_abandonment",
    channels=("push", "email", "sms"),
    template="cart",
    margin=0.3,
    conversion_window=DAY,
    prior_order_rate=0.1,
    lift={"push": 1.1, "email": 1.1, "sms": 1.1},
    cooldown=3 * DAY,
)
POLICY = Policy(
    app="shop",
    mode="live",
    currency="CNY",
    timezone="UTC",
    basket=180.0,
    channels={
        name: Channel(name=name, cost=0.01, patience=0.05, deliver_within=HOUR)
        for name in CAMPAIGN.channels
    },
    campaigns={"cart": CAMPAIGN},
    caps=(Cap(name="any-7d", kind="rolling", window=7 * DAY, limit=3),),
)
MEMORY = Memory(
    keep_sends=POLICY.longest_window,
    hour=lambda zones, at: LOCAL.hour(zones, "UTC", at),
    currency=POLICY.currency,
)


def told(kind: type[ev.Event], at: int, event_id: str, **fields: Any) -> ev.Event:
    """Make an event of one user at ``at``."""
    return kind(event_id=event_id, user_id="u-1", occurred_at=at, received_at=at, **fields)


def line(product: str, price: float | None, quantity: int = 1) -> ev.Line:
    return ev.Line(product, quantity, price, product, "CNY")


def remember(events: Iterable[ev.Event], profile: Profile | None = None) -> Profile:
    """Fold events into a profile, a new one by default."""
    known = Profile() if profile is None else profile
    for event in events:
        fold(known, Addresses(), event, MEMORY)
    return known


def ask(
    profile: Profile, *, kind: str = "cart_abandonment", key: str = "c-1", now: int = NOW
) -> Case:
    """Ask about a trigger that was armed an hour ago and is due now."""
    trigger = Trigger(
        campaign="cart",
        kind=kind,
        key=key,
        episode="e-1",
        armed_at=now - HOUR,
        edited_at=now - HOUR,
        told_at=now - HOUR,
        due_at=now - 5 * MINUTE,
        wake_at=now - 5 * MINUTE,
    )
    campaign = msgspec.structs.replace(CAMPAIGN, trigger=kind)
    return Case("u-1", profile, trigger, campaign, POLICY, now, dry_run=False)


def frozen(case: Case) -> Case:
    """Copy a case with all it refers to, as it is now."""
    return replace(case, profile=deepcopy(case.profile), trigger=deepcopy(case.trigger))


def decided(
    number: int,
    at: int,
    features: dict[str, float | None],
    *,
    user: str = "u-1",
    kind: str = "cart_abandonment",
    outcome: log.Result = "suppress",
    reason: str = "not_worth_it",
    channel: str | None = None,
    campaign: str = "cart",
    tester: bool = False,
    schema_hash: str = SCHEMA_HASH,
) -> bytes:
    """Write one decision as it stands on the topic."""
    return log.encode(
        log.Decision(
            decision_id=f"d-{number}",
            pos=f"{number}.1",
            at=iso(at),
            user_id=user,
            campaign=campaign,
            campaign_version=1,
            trigger=log.DecisionTrigger(
                kind=kind, key="c-1", episode="e-1", armed_at=iso(at), due_at=iso(at)
            ),
            attempt=0,
            outcome=outcome,
            reason=reason,
            channel=channel,
            currency="CNY",
            tester=tester,
            features=features,
            schema_hash=schema_hash,
        )
    )
