"""Laws of silence: a purchase, a withdrawal, an erasure or a tick behind the clock ends speech."""

from dataclasses import replace as with_

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from engine.events import ConsentChanged, Erased, Record, SettingsRecord, Tick
from engine.times import DAY, HOUR, MINUTE, from_iso
from tests.support import mutants
from tests.support.builders import START, Told
from tests.support.mutants import caught
from tests.support.recount import canonical
from tests.support.strategies import BUSY_GAPS, HEAVY, USERS, History, histories, play, talkative
from tests.support.world import World

# --- an order before the tick -------------------------------------------------------------------

Bought = tuple[History, int, bool]
bought: SearchStrategy[Bought] = st.tuples(
    histories(("added",) * 5 + ("cart", "viewed"), BUSY_GAPS, (0,)),
    st.integers(0, 40 * 60),
    st.booleans(),
)


def an_order_beats_its_reminder(case: Bought) -> None:
    """She buys everything; after that no cart of hers is spoken of, unless it was before.

    With ``outage`` no tick was written between her first step and long after the purchase: all
    workers were down, and find the whole log at once.
    """
    history, after, outage = case
    events: list[Record] = [r for r in history.records if not isinstance(r, Tick | SettingsRecord)]
    shop_closes = max(r.received_at for r in history.events) + after * 1000
    order_everything = [
        Told(user, shop_closes, event_id=f"order-{user}-{cart}").ordered(
            "p-1", "p-2", "p-3", order=f"o-{user}-{cart}", cart=cart
        )
        for user in USERS
        for cart in ("", "c-1", "c-2")
    ]
    ticks = [r for r in history.records if isinstance(r, Tick)]
    before = [tick for tick in ticks if tick.now < shop_closes and not outage]
    later = [Tick(now=shop_closes + ms) for ms in (0, MINUTE, HOUR, 5 * HOUR, 12 * HOUR, DAY)]
    records = _merged(events, before) + order_everything + later

    world = play(with_(history, records=tuple(records)))

    for action in world.sent:
        about_cart = action.trigger.kind == "cart_abandonment"
        assert not about_cart or from_iso(action.delivery.created_at) < shop_closes, action


def _merged(events: list[Record], ticks: list[Tick]) -> list[Record]:
    """Return events and ticks in order of time; a tick comes before what happens after it."""

    def when(record: Record) -> int:
        if isinstance(record, Tick):
            return record.now
        assert not isinstance(record, SettingsRecord)
        return record.received_at

    return sorted([*events, *ticks], key=when)


@HEAVY
@given(bought)
def test_an_order_before_the_tick_silences_its_cart_also_after_an_outage(case: Bought) -> None:
    an_order_beats_its_reminder(case)


# --- withdrawal and erasure ---------------------------------------------------------------------


def whoever_withdrew_is_closed_as_opted_out(history: History) -> None:
    """After a no on every channel nothing is armed any more, and it was closed at that moment."""
    world = World(history.policy)
    for record in history.records:
        world.write(record)
        if isinstance(record, ConsentChanged) and record.channel == "*" and not record.granted:
            profile = world.profile(record.user_id)
            word = profile.consent("marketing", "push")
            standing = word is not None and word.granted
            if not standing and not profile.erased_at and _newest_word(world, record):
                assert not profile.triggers, "what may never be said is still armed"


def _newest_word(world: World, told: ConsentChanged) -> bool:
    """Return whether this very record was folded, not skipped as repeated or too old."""
    words = [c for c in world.profile(told.user_id).consents if c.purpose == "marketing"]
    return all(not word.granted for word in words)


def the_erased_stay_silent(history: History) -> None:
    """Once erased, and until she says yes again, she is neither spoken to nor remembered."""
    world = World(history.policy)
    erased: dict[str, int] = {}
    for record in history.records:
        spoken = len(world.sent)
        world.write(record)
        if isinstance(record, Erased):
            erased[record.user_id] = max(record.occurred_at, erased.get(record.user_id, 0))
        elif isinstance(record, ConsentChanged) and _brings_back(record, erased):
            del erased[record.user_id]
        for user in erased:
            stub = world.profile(user)
            assert stub.erased_at, "the stub says when"
            kept = (stub.triggers, stub.carts, stub.orders, stub.sends, stub.consents, stub.reach)
            assert not any(kept), "an erased user is remembered"
            assert not world.addresses(user).by_channel, "her addresses are kept"
        for action in world.sent[spoken:]:
            assert action.user_id not in erased, "an erased user was spoken to"


def _brings_back(told: ConsentChanged, erased: dict[str, int]) -> bool:
    return told.granted and told.occurred_at > erased.get(told.user_id, told.occurred_at)


silencing = histories(
    ("added",) * 4 + ("withdrawn", "erased", "consented", "identified", "ordered"),
    (MINUTE, HOUR, 2 * HOUR, DAY),
    (0,),
    length=12,
)


@HEAVY
@given(silencing)
def test_a_withdrawn_consent_closes_at_once(history: History) -> None:
    whoever_withdrew_is_closed_as_opted_out(history)


@HEAVY
@given(silencing)
def test_erased_users_stay_silent_and_forgotten(history: History) -> None:
    the_erased_stay_silent(history)


# --- ticks --------------------------------------------------------------------------------------

Behind = tuple[History, int]
behind: SearchStrategy[Behind] = st.tuples(talkative(), st.sampled_from((1, MINUTE, DAY, 30 * DAY)))


def a_tick_behind_moves_nothing(case: Behind) -> None:
    history, far = case
    disturbed: list[Record] = []
    for record in history.records:
        disturbed.append(record)
        if isinstance(record, Tick):
            disturbed.append(msgspec.structs.replace(record, now=record.now - far))

    quiet, noisy = play(history), play(with_(history, records=tuple(disturbed)))

    assert canonical(quiet) == canonical(noisy)
    assert quiet.lanes[0].head.now == noisy.lanes[0].head.now


@HEAVY
@given(behind)
def test_a_tick_behind_now_moves_nothing(case: Behind) -> None:
    a_tick_behind_moves_nothing(case)


def test_time_starts_with_the_first_tick() -> None:
    world = World()

    world.event(Told(at=START).added())

    assert world.lanes[0].head.now == 0


withdrawing = histories(("added", "added", "withdrawn"), (MINUTE,), (0,), length=6)

# --- the checkers are checked -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "cases", "mutant"),
    [
        (an_order_beats_its_reminder, bought, mutants.reasons_not_rechecked),
        (an_order_beats_its_reminder, bought, mutants.orders_not_taken_from_carts),
        (whoever_withdrew_is_closed_as_opted_out, withdrawing, mutants.withdrawal_not_heard),
        (the_erased_stay_silent, silencing, mutants.erasure_keeps_the_profile),
        (a_tick_behind_moves_nothing, behind, mutants.ticks_move_time_back),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_engine_is_noticed(
    law: mutants.Law, cases: SearchStrategy[object], mutant: mutants.Mutant
) -> None:
    caught(law, cases, mutant)
