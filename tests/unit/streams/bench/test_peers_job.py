"""The reduced job of the comparison: rekindle's own engine, in memory, must say the same."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actions import decode as decode_action
from engine.decisions import decode as decode_decision
from engine.events import Position, SettingsRecord, Tick
from engine.memory import MemoryArtefacts
from engine.pipeline import DECISIONS
from engine.times import from_iso, iso
from streams import in_force, sources
from streams.artefacts import name_of
from streams.bench.peers import job, traffic
from streams.bench.peers.job import Reminder
from streams.bench.peers.rules import WORDS
from streams.bench.peers.side_by_side import CAMPAIGNS
from streams.replay.world import World

START = 1_800_000_000_000 - 1_800_000_000_000 % job.TICK
PRODUCTS = ("p1", "p2", "p3")


def by_rekindle(messages: Sequence[dict[str, Any]]) -> list[Reminder]:
    """What rekindle's engine sends for one partition, with a tick before every minute."""
    return asyncio.run(_by_rekindle(messages))


async def _by_rekindle(messages: Sequence[dict[str, Any]]) -> list[Reminder]:
    artefacts = MemoryArtefacts(in_force.build)
    for content in (CAMPAIGNS, WORDS):
        artefacts.put(name_of(content), content)
    worth: dict[str | None, float] = {}
    sent: list[Reminder] = []

    def out(_: int, outgoing: Any, __: Any) -> None:
        if outgoing.topic == DECISIONS:
            decision = decode_decision(outgoing.value)
            worth[decision.action_id] = decision.basket or 0.0
            return
        action = decode_action(outgoing.value)
        due, episode = from_iso(action.trigger.due_at), action.trigger.episode
        sent.append(Reminder(action.user_id, episode, due, round(worth[action.action_id], 2)))

    world = World(artefacts, out)
    parse = sources.parser("segment", source_clock=True)
    names = SettingsRecord(campaigns=name_of(CAMPAIGNS), templates=name_of(WORDS))
    records: list[Any] = [names]
    now = 0
    for number, message in enumerate(messages):
        at = job.time_of(message)
        if job.minute_of(at) > now:
            now = job.minute_of(at)
            records.append(Tick(now=now, origin="test"))
        value = json.dumps(message).encode()
        records += parse(value, Position("raw", 0, 0, number), at)
    for offset, record in enumerate(records):
        await world.feed(0, offset, record)
    await world.finish()
    return sent


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Messages of three people in the order of their times, some sent twice, and two hours."""
    at = START
    made: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 60))):
        at += draw(st.sampled_from((1, 50, 20_000, 60_000, 150_000, 600_000)))
        if made and draw(st.integers(0, 9)) == 0:
            made.append(draw(st.sampled_from(made[-5:])))
            continue
        made.append(_drawn(draw, number, at))
    made.append(message("identify", number=-1, user="closing", at=at + 7_200_000))
    return made


def _drawn(draw: st.DrawFn, number: int, at: int) -> dict[str, Any]:
    kind = draw(
        st.sampled_from(("identify", "Product Added", "Product Added", "Order Completed"))
        | st.just("Product Viewed")
    )
    return message(
        kind,
        number=number,
        user=draw(st.sampled_from(("u1", "u2", "u3"))),
        at=at,
        yes=draw(st.booleans()) or draw(st.booleans()),
        product=draw(st.sampled_from(PRODUCTS)),
        quantity=draw(st.integers(1, 3)),
    )


def message(
    kind: str,
    *,
    number: int,
    user: str = "u1",
    at: int = START,
    yes: bool = True,
    product: str = "p1",
    quantity: int = 1,
) -> dict[str, Any]:
    made: dict[str, Any] = {"messageId": f"m{number}", "userId": user, "timestamp": iso(at)}
    if kind == "identify":
        traits = {"email": f"{user}@example.com", "email_opt_in": yes}
        return made | {"type": "identify", "traits": traits}
    line = {"product_id": product, "quantity": quantity, "price": 12.5, "currency": "CNY"}
    if kind == "Order Completed":
        line = {"order_id": f"o{number}", "total": 12.5, "products": [line]}
    return made | {"type": "track", "event": kind, "properties": line}


@settings(max_examples=80, deadline=None)
@given(histories())
def test_rekindle_sends_what_the_rules_alone_send(history: list[dict[str, Any]]) -> None:
    assert sorted(by_rekindle(history)) == sorted(job.replay(history))


def test_the_traffic_of_the_comparison_makes_every_rule_count() -> None:
    messages = list(traffic.messages(20_000, 200, START))
    messages += traffic.closing(1, START + 20_000 * traffic.GAP)

    sent = job.replay(messages)

    assert sorted(by_rekindle(messages)) == sorted(sent)
    assert len(sent) > 30
    per_user = [sum(one.user == user for one in sent) for user in {one.user for one in sent}]
    assert max(per_user) == job.LIMIT


def test_a_reminder_comes_three_minutes_after_the_last_change_and_is_worth_the_cart() -> None:
    history = [
        message("identify", number=1),
        message("Product Added", number=2, at=START + 1_000),
        message("Product Added", number=3, at=START + 5_000, product="p2", quantity=2),
        message("Product Viewed", number=4, at=START + 3_600_000, user="u2"),
    ]

    assert job.replay(history) == [Reminder("u1", "m2", START + 5_000 + job.DELAY, 37.5)]


@pytest.mark.parametrize("ends", ["Order Completed", "identify"])
def test_an_order_or_a_no_ends_a_reminder(ends: str) -> None:
    history = [
        message("identify", number=1),
        message("Product Added", number=2, at=START + 1_000),
        message(ends, number=3, at=START + 5_000, yes=False),
        message("identify", number=4, at=START + 6_000),
        message("Product Viewed", number=5, at=START + 3_600_000, user="u2"),
    ]

    assert job.replay(history) == []
