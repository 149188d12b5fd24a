"""Bounded reordering: what arrives in another order within a window comes to the same.

Every event keeps the time it reached us; only their order in the log changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace as with_
from itertools import groupby
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from engine.events import CheckoutStarted, OrderCompleted, Position, Record, Tick
from engine.policy import Exploration, QuietHours
from engine.profile import Cart, Profile
from engine.times import HOUR, MINUTE, SECOND
from tests.support import mutants
from tests.support.mutants import caught
from tests.support.strategies import COMMUTING, HEAVY, USERS, History, histories, play
from tests.support.world import World

GAPS = (0, SECOND, MINUTE, MINUTE, 20 * MINUTE, HOUR, 5 * HOUR)


def _shuffled(history: History, number: int) -> tuple[Record, ...]:
    """Permute every run of events between two ticks, as ``number`` says; place them anew.

    Who she is stays first: in which zone a day ends is asked when a trigger is armed.
    """
    known = 2 * len(USERS)
    placed = list(history.records[:known])
    rest = history.records[known:]
    for ticks, run in groupby(rest, key=lambda record: isinstance(record, Tick)):
        records = list(run)
        if not ticks:
            records = _permuted(records, number)
        placed.extend(records)
    return _placed(placed)


def _permuted(records: Sequence[Record], number: int) -> list[Record]:
    """Return one of the permutations, read off ``number`` digit by digit."""
    left, chosen = list(records), []
    while left:
        number, digit = divmod(number, 7)
        chosen.append(left.pop(digit % len(left)))
        number = number or 5040
    return chosen


def _placed(records: Sequence[Record]) -> tuple[Record, ...]:
    placed: list[Record] = []
    for offset, record in enumerate(records):
        if not isinstance(record, Tick):
            position = Position("app", 0, 0, offset)
            record = msgspec.structs.replace(record, source=position)  # noqa: PLW2901 - its place
        placed.append(record)
    return tuple(placed)


@st.composite
def reorderings(
    draw: Callable[..., Any], kinds: Sequence[str] = COMMUTING
) -> tuple[History, History]:
    """A history and one in which every window has another order.

    Without exploration and quiet hours: their draws are keyed by the episode, which is named by
    the event that armed first *as it arrived*.
    Each order is completed once: of a completion and a later update of the same order the fold
    cannot know, when the update comes first, what was put into the cart in between. And a
    checkout that tells neither lines nor id is forgotten where nothing is known of its cart: the
    reminder may then come earlier, by no more than the window.
    """
    drawn: History = draw(histories(kinds, GAPS, (0,), length=16))
    policy = msgspec.structs.replace(
        drawn.policy, exploration=Exploration(), quiet_hours=QuietHours(0, 0)
    )
    completed: set[tuple[str, str]] = set()
    records: list[Record] = []
    for record in drawn.records:
        if isinstance(record, CheckoutStarted) and not (record.lines or record.checkout_id):
            continue
        if isinstance(record, OrderCompleted):
            key = record.user_id, record.order_id
            if key in completed:
                continue
            completed.add(key)
        records.append(record)
    history = History(policy, _placed(records))
    number = draw(st.integers(0, 7**24))
    return history, with_(history, records=_shuffled(history, number))


def _held(cart: Cart) -> dict[str, tuple[int, float | None, str]]:
    return {line.product_id: (line.quantity, line.price, line.name) for line in cart.held()}


def _known(profile: Profile) -> dict[str, object]:
    carts = {cart.cart_id: _held(cart) for cart in profile.carts if cart.held()}
    orders = [
        msgspec.structs.replace(order, ended=sorted(order.ended), spoken=sorted(order.spoken))
        for order in profile.orders
    ]
    triggers = sorted((t.campaign, t.kind, t.key, t.due_at) for t in profile.triggers)
    sends = sorted((send.at, send.campaign, send.channel) for send in profile.sends)
    return {"carts": carts, "orders": orders, "triggers": triggers, "sends": sends}


def the_order_of_arrival_does_not_matter(case: tuple[History, History]) -> None:
    history, shuffled = case
    watched: list[list[dict[str, object]]] = [[], []]

    def watching(seen: list[dict[str, object]]) -> Callable[[World], object]:
        def watch(world: World) -> None:
            # what every tick finds: carts, orders, triggers and sends of everybody
            if isinstance(world.logs[0][world.lanes[0].head.offset - 1][1], Tick):
                seen.append({user: _known(world.profile(user)) for user in world.profiles()})

        return watch

    one = play(history, watch=watching(watched[0]))
    other = play(shuffled, watch=watching(watched[1]))

    for before, after in zip(*watched, strict=True):
        assert before == after
    said = [
        sorted(
            (a.user_id, a.campaign.id, a.trigger.key, a.channel, a.delivery.created_at) for a in w
        )
        for w in (one.sent, other.sent)
    ]
    assert said[0] == said[1]
    for user in one.profiles():
        _assert_close(one.profile(user), other.profile(user))


def _said(world: World) -> list[tuple[str, ...]]:
    return sorted(
        (a.user_id, a.campaign.id, a.trigger.key, a.channel, a.delivery.created_at)
        for a in world.sent
    )


def _assert_close(one: Profile, other: Profile) -> None:
    assert one.counters.at == other.counters.at
    pairs = [
        *zip(one.counters.short, other.counters.short, strict=True),
        *zip(one.counters.long, other.counters.long, strict=True),
        (one.fatigue, other.fatigue),
    ]
    for mine, yours in pairs:
        assert abs(mine - yours) <= 1e-9 * max(mine, yours)
    assert (one.first_seen, one.last_seen) == (other.first_seen, other.last_seen)


reordered: SearchStrategy[tuple[History, History]] = reorderings()


@HEAVY
@given(reordered)
def test_bounded_reordering_gives_the_same_carts_orders_triggers_and_sends(
    case: tuple[History, History],
) -> None:
    the_order_of_arrival_does_not_matter(case)


@pytest.mark.parametrize(
    ("kinds", "mutant"),
    [
        (("added", "added", "ordered"), mutants.carts_by_arrival),
        (("added", "cart"), mutants.prices_by_arrival),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_engine_is_noticed(kinds: Sequence[str], mutant: mutants.Mutant) -> None:
    caught(the_order_of_arrival_does_not_matter, reorderings(kinds), mutant)
