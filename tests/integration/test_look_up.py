"""Support looks back into the log of decisions: newest first, no further than patience goes."""

import asyncio

import pytest

from engine.decisions import Decision, DecisionTrigger, encode
from engine.times import iso
from streams.live import look_up
from streams.live.look_up import MOST, last_decisions
from streams.log.topics import partition_of
from tests.support.running import Shop

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

START = 1_790_000_000_000
HER = "u-1"


def a_decision(user: str, number: int) -> tuple[bytes, bytes]:
    at = iso(START + number * 1_000)
    trigger = DecisionTrigger(
        kind="cart_abandonment", key=str(number), episode="e", armed_at=at, due_at=at
    )
    decision = Decision(
        decision_id=f"{user}-{number}",
        pos=f"{number}.0",
        at=at,
        user_id=user,
        campaign="cart",
        campaign_version=1,
        trigger=trigger,
        attempt=0,
        outcome="suppress",
        reason="no_consent",
    )
    return user.encode(), encode(decision)


def test_it_finds_her_last_ones_and_nobody_elses(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_up, "_BLOCK", 7)
    place = partition_of(HER.encode(), shop.partitions)
    beside = next(
        name
        for name in (f"u-{number}" for number in range(2, 100))
        if partition_of(name.encode(), shop.partitions) == place
    )
    written = [a_decision(HER if number % 2 else beside, number) for number in range(60)]
    shop.publish("decisions", written)

    found, until = asyncio.run(last_decisions(shop.deployment, HER, place))
    few, _ = asyncio.run(last_decisions(shop.deployment, "u-unknown", place))
    cut, reached = asyncio.run(last_decisions(shop.deployment, HER, place, longest=0.0))

    hers = [f"{HER}-{number}" for number in range(59, -1, -2)]
    assert [decision.decision_id for decision in found] == hers[:MOST]
    assert until is None
    assert few == []
    assert [decision.decision_id for decision in cut] == hers[: len(cut)]
    assert 0 < len(cut) < MOST
    assert reached is not None, "what was not looked at is said"
