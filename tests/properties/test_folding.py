"""Laws of the fold and of decay: total, composable, within their bounds."""

from hypothesis import given
from hypothesis import strategies as st

from engine import profile as bounds
from engine.changes import Memory
from engine.decay import decayed
from engine.events import Event
from engine.fold import fold
from engine.profile import Addresses, Profile, decode, encode
from engine.sends import fatigue
from engine.times import DAY
from tests.support.builders import START, Told
from tests.support.strategies import any_events

half_lives = st.sampled_from((DAY, 7 * DAY, 30 * DAY))
spans = st.integers(0, 400 * DAY)


@given(st.floats(1e-6, 1e6), spans, spans, half_lives)
def test_decay_composes(value: float, first: int, second: int, half_life: int) -> None:
    at_once = decayed(value, first + second, half_life)
    in_two = decayed(decayed(value, first, half_life), second, half_life)

    assert abs(at_once - in_two) <= 1e-9 * at_once


@given(st.floats(1e-6, 1e6), spans, half_lives)
def test_decay_is_the_power_it_claims_to_be(value: float, elapsed: int, half_life: int) -> None:
    exact = value * 2.0 ** (-elapsed / half_life)

    assert abs(decayed(value, elapsed, half_life) - exact) <= 1e-11 * exact


@given(spans, spans, half_lives)
def test_decay_never_grows(first: int, second: int, half_life: int) -> None:
    sooner, later = sorted((first, second))

    assert decayed(1.0, later, half_life) <= decayed(1.0, sooner, half_life) <= 1.0


@given(st.lists(any_events(), max_size=40))
def test_the_fold_never_raises_and_keeps_its_bounds(events: list[Event]) -> None:
    """Any values at all: times before the epoch, empty names, negative quantities, no prices."""
    profile, addresses = Profile(), Addresses()

    for event in events:
        fold(profile, addresses, event, Memory())

    assert len(profile.carts) <= bounds.MAX_CARTS
    assert all(len(cart.lines) <= bounds.MAX_LINES for cart in profile.carts)
    assert len(profile.orders) <= bounds.MAX_ORDERS
    assert all(len(order.refunded_lines) <= bounds.MAX_LINES for order in profile.orders)
    assert len(profile.sends) <= bounds.MAX_SENDS
    assert len(profile.event_ids) <= 8 * bounds.MAX_EVENT_IDS
    assert decode(encode(profile)) == profile


@given(
    st.lists(st.tuples(st.integers(0, 60 * DAY), st.booleans()), max_size=80), st.integers(1, 79)
)
def test_sends_in_any_order_give_the_same_log_and_nearly_the_same_fatigue(
    sends: list[tuple[int, bool]], stride: int
) -> None:
    events = []
    for number, (at, ours) in enumerate(sends):
        told = Told(at=START + at, event_id=f"s-{number}")
        events.append(told.queued(f"a-{number}") if ours else told.sent_elsewhere())
    shuffled = [event for start in range(stride) for event in events[start::stride]]
    in_order, mixed = Profile(), Profile()

    for event in events:
        fold(in_order, None, event, Memory(keep_sends=30 * DAY))
    for event in shuffled:
        fold(mixed, None, event, Memory(keep_sends=30 * DAY))

    assert mixed.sends == in_order.sends
    assert mixed.sends_lost_at == in_order.sends_lost_at
    now = START + 61 * DAY
    assert abs(fatigue(mixed, now) - fatigue(in_order, now)) <= 1e-9 * (1 + fatigue(mixed, now))
