"""Laws of the figures: counted again from everything, cut anywhere, fetched in any order."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import SettingsRecord
from engine.ports import OutboxId
from engine.times import HOUR, MINUTE
from monitoring.figures.seen import (
    PURCHASE,
    Decided,
    Message,
    Order,
    Reported,
    Ruled,
    Seen,
    Terms,
)
from streams.observing.minutes import AHEAD, MOST_WAITING, Closed, Minutes, Standing
from tests.support.recounted import folded, recounted

_PRICE = 0.25
_WINDOW = 2 * HOUR
_TERMS = Ruled(
    0,
    SettingsRecord(),
    Terms("EUR", {"push": _PRICE, "sms": _PRICE}, {"cart": _WINDOW}),
)
_SPAN = 5 * HOUR
# Every visit and every window is over by then.
_UNTIL = _SPAN + _WINDOW + 2 * HOUR

_TIME = st.integers(1, _SPAN)
_USER = st.integers(1, 3)
_CHANNEL = st.sampled_from(["push", "sms"])


@st.composite
def _message(draw: st.DrawFn) -> Message:
    at, step = draw(_TIME), draw(st.integers(0, PURCHASE))
    user = draw(_USER)
    order = None
    if step == PURCHASE:
        number = 10 * user + draw(st.integers(0, 4))
        value = draw(st.one_of(st.none(), st.integers(1, 90).map(float)))
        order = Order(number, at, value, "EUR")
    source = draw(st.sampled_from(["", "search", "email"]))
    return Message(at, "app", user, source, step, views=step == 1, order=order)


@st.composite
def _decided(draw: st.DrawFn) -> Decided:
    at, action = draw(_TIME), draw(st.integers(1, 10**9))
    reason = draw(st.sampled_from(["sent", "would_send_holdout", "quiet_hours"]))
    outcome = "send" if reason == "sent" else "suppress"
    user, channel = draw(_USER), draw(_CHANNEL)
    return Decided(at, action, user, action, "cart", channel, outcome, reason, at, at)


@st.composite
def _shop(draw: st.DrawFn) -> list[Seen]:
    facts: list[Seen] = list(draw(st.lists(_message(), max_size=25)))
    decisions = draw(st.lists(_decided(), max_size=10, unique_by=lambda one: one.action))
    facts += decisions
    for _ in range(draw(st.integers(0, 8))):
        known = [(one.action, one.channel, one.at) for one in decisions]
        action, channel, since = draw(st.sampled_from([*known, (7, "sms", 1)]))
        kind = draw(st.sampled_from(["accepted", "delivered", "opened", "bounced"]))
        at = draw(st.integers(since, _SPAN))
        facts.append(Reported(at, action, channel, "acme", kind, at))
    # One at a time: what is told of two in the same minute has an order of its own.
    return sorted({one.at // MINUTE: one for one in facts}.values(), key=lambda one: one.at)


@given(_shop())
@settings(max_examples=80, deadline=None)
def test_figures_are_what_their_definitions_say(facts: list[Seen]) -> None:
    found = folded(facts, _UNTIL, terms=_TERMS)

    expected = recounted(facts, window=_WINDOW, until=_UNTIL, price=_PRICE)
    families = {
        *("traffic", "funnel", "passed", "orders", "order_value", "decisions", "sent"),
        *("send_cost", "arm", "arm_ordered", "converted", "revenue", "outcomes", "unmatched"),
    }
    told = {key: count for key, count in found.items() if key[0] in families}
    assert told == pytest.approx(expected)


@given(_shop(), st.sets(st.integers(0, _UNTIL // MINUTE), max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_restart_from_the_state_changes_no_figure(facts: list[Seen], cuts: set[int]) -> None:
    assert folded(facts, _UNTIL, terms=_TERMS, cuts=cuts) == folded(facts, _UNTIL, terms=_TERMS)


# --- minutes --------------------------------------------------------------------------------------

_PLACES = [("a", 0), ("a", 1), ("b", 0)]
_Records = dict[tuple[str, int], list[int]]
_records = st.fixed_dictionaries(
    {place: st.lists(st.integers(0, 6 * MINUTE), max_size=12).map(sorted) for place in _PLACES}
)


def _fed(
    minutes: Minutes, records: _Records, turns: Sequence[int], begins: dict[Any, Standing]
) -> list[Closed]:
    """Feed records a few at a time from this partition or that; each is idle when it is empty."""
    offsets = {place: begins[place].offset for place in _PLACES}
    closed: list[Closed] = []
    for turn in (*turns, *[n for n in range(len(_PLACES)) for _ in range(40)]):
        place = _PLACES[turn % len(_PLACES)]
        left = records[place][offsets[place] :]
        for at in left[: 1 + turn // len(_PLACES)]:
            time = minutes.time_of(place, at, 10 * MINUTE)
            fact = Message(time, place[0], offsets[place])
            minutes.take(place, offsets[place], time, [fact])
            offsets[place] += 1
        if not left:
            minutes.idle(place, 7 * MINUTE)
        closed += minutes.closed()
    return closed


@given(_records, st.lists(st.integers(0, 20), max_size=30))
@settings(max_examples=80, deadline=None)
def test_closed_minutes_do_not_depend_on_how_records_were_fetched(
    records: _Records, turns: list[int]
) -> None:
    begins = {place: Standing(0) for place in _PLACES}
    found = _fed(Minutes(0, begins), records, turns, begins)

    assert found == _fed(Minutes(0, begins), records, [], begins)
    assert [one.end for one in found] == [MINUTE * n for n in range(1, 8)]
    told = [fact for one in found for fact in one.facts]
    assert len(told) == sum(map(len, records.values()))
    assert all(one.end - MINUTE <= fact.at < one.end for one in found for fact in one.facts)


def test_a_record_counts_never_before_one_that_was_read_nor_after_now() -> None:
    minutes = Minutes(MINUTE, {("a", 0): Standing(0)})
    assert minutes.time_of(("a", 0), 5, 10 * MINUTE) == MINUTE
    minutes.take(("a", 0), 0, 3 * MINUTE, [])
    # A producer's own clock, which went back, and one that is ahead.
    assert minutes.time_of(("a", 0), 2 * MINUTE, 10 * MINUTE) == 3 * MINUTE
    assert minutes.time_of(("a", 0), 99 * MINUTE, 10 * MINUTE) == 10 * MINUTE


def test_a_record_that_was_written_twice_is_taken_once_also_across_a_restart() -> None:
    place = ("a", 0)
    minutes = Minutes(0, {place: Standing(0)})
    fact = Message(1, "a", 1)
    minutes.take(place, 0, 1, [fact], OutboxId(7, 0))
    minutes.take(place, 1, 2, [fact], OutboxId(7, 0))
    minutes.idle(place, MINUTE)
    (closed,) = minutes.closed()
    assert closed.facts == [fact]

    again = Minutes(closed.end, closed.standings)
    again.take(place, 2, MINUTE + 1, [fact], OutboxId(7, 0))
    again.take(place, 3, MINUTE + 2, [fact], OutboxId(7, 1))
    again.idle(place, 2 * MINUTE)
    (closed,) = again.closed()
    assert closed.facts == [fact]
    assert closed.standings == {place: Standing(4, (7, 1))}


def test_a_partition_that_runs_ahead_of_the_slowest_waits_for_it() -> None:
    minutes = Minutes(0, {("a", 0): Standing(0), ("b", 0): Standing(0)})
    minutes.take(("a", 0), 0, AHEAD + 1, [])
    assert minutes.ahead() == {("a", 0)}
    minutes.idle(("b", 0), MINUTE)
    assert minutes.ahead() == set()


@given(_records, st.lists(st.integers(0, 20), max_size=30), st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_going_on_from_any_closed_minute_gives_the_same_minutes(
    records: _Records, turns: list[int], cut: int
) -> None:
    begins = {place: Standing(0) for place in _PLACES}
    whole = _fed(Minutes(0, begins), records, turns, begins)
    until, standings = whole[cut].end, whole[cut].standings

    again = _fed(Minutes(until, standings), records, [], standings)

    assert again == whole[cut + 1 :]


# --- minutes of dated records ---------------------------------------------------------------------

_dated = st.fixed_dictionaries(
    {place: st.lists(st.integers(0, 6 * MINUTE), max_size=12) for place in _PLACES}
)


def _fed_dated(
    minutes: Minutes, records: _Records, turns: Sequence[int], begins: dict[Any, Standing]
) -> list[Closed]:
    """Feed dated records in any order; ticks pass a minute when all before it was fed."""
    offsets = {place: begins[place].offset for place in _PLACES}
    closed: list[Closed] = []
    for turn in (*turns, *[n for n in range(len(_PLACES)) for _ in range(40)]):
        place = _PLACES[turn % len(_PLACES)]
        for at in records[place][offsets[place] :][: 1 + turn // len(_PLACES)]:
            time = minutes.time_of_dated(place, at)
            minutes.take(place, offsets[place], time, [Message(time, place[0], offsets[place])])
            offsets[place] += 1
        left = [at for one in _PLACES for at in records[one][offsets[one] :]]
        for one in _PLACES:
            minutes.idle(one, min(left, default=7 * MINUTE))
        closed += minutes.closed()
    return closed


@given(_dated, st.lists(st.integers(0, 20), max_size=30))
@settings(max_examples=80, deadline=None)
def test_dated_records_count_in_their_own_minute_in_whatever_order_they_came(
    records: _Records, turns: list[int]
) -> None:
    begins = {place: Standing(0) for place in _PLACES}
    found = _fed_dated(Minutes(0, begins, dated=True), records, turns, begins)

    assert [one.end for one in found] == [MINUTE * n for n in range(1, 8)]
    told = {
        (fact.topic, fact.user): one.end
        for one in found
        for fact in one.facts
        if isinstance(fact, Message)
    }
    expected = [
        (place[0], offset, at - at % MINUTE + MINUTE)
        for place, times in records.items()
        for offset, at in enumerate(times)
    ]
    assert sum(len(one.facts) for one in found) == len(expected)
    ends = sorted(end for *_, end in expected)
    assert sorted(one.end for one in found for _ in one.facts) == ends
    assert set(told) == {(topic, offset) for topic, offset, _ in expected}


@given(_dated, st.lists(st.integers(0, 20), max_size=30), st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_going_on_from_any_closed_minute_counts_each_dated_record_once(
    records: _Records, turns: list[int], cut: int
) -> None:
    begins = {place: Standing(0) for place in _PLACES}
    whole = _fed_dated(Minutes(0, begins, dated=True), records, turns, begins)
    until, standings = whole[cut].end, whole[cut].standings

    again = _fed_dated(Minutes(until, standings, dated=True), records, [], standings)

    facts = [(one.end, one.facts) for one in whole[cut + 1 :]]
    assert [(one.end, one.facts) for one in again] == facts


def test_a_dated_record_that_comes_late_counts_in_the_first_minute_that_is_open() -> None:
    place = ("a", 0)
    minutes = Minutes(0, {place: Standing(0)}, dated=True)
    minutes.idle(place, 2 * MINUTE)
    assert [one.end for one in minutes.closed()] == [MINUTE, 2 * MINUTE]
    assert minutes.time_of_dated(place, 30_000) == 2 * MINUTE
    # and one without a time of its own when the latest did
    minutes.take(place, 0, 5 * MINUTE, [])
    assert minutes.time_of_dated(place, None) == 5 * MINUTE


def test_figures_of_dated_records_begin_with_the_first_in_which_something_happened() -> None:
    place = ("a", 0)
    minutes = Minutes(10 * MINUTE, {place: Standing(0)}, dated=True)
    minutes.take(place, 0, 10 * MINUTE, [Ruled(10 * MINUTE, SettingsRecord(), None)])
    assert not minutes.begin()
    at = 70 * MINUTE + 1
    minutes.take(place, 1, at, [Message(at, "a", 1)])
    assert minutes.begin()
    minutes.idle(place, 72 * MINUTE)
    first, *_ = minutes.closed()
    assert (first.end, first.facts) == (71 * MINUTE, [Message(at, "a", 1)])


def test_a_partition_full_of_dated_records_passes_what_it_was_read_up_to() -> None:
    """It is not read to its end before some of its minutes are closed, and they would never be."""
    full, empty = ("a", 0), ("b", 0)
    minutes = Minutes(0, {full: Standing(0), empty: Standing(0)}, dated=True)
    for offset in range(MOST_WAITING):
        minutes.take(full, offset, offset, [Message(offset, "a", 1)])
    assert minutes.ahead() == {full}
    minutes.idle(empty, 9 * MINUTE)
    minutes.crowded(MINUTE)
    assert [len(one.facts) for one in minutes.closed()] == []
    minutes.take(full, MOST_WAITING, 3 * MINUTE, [Message(3 * MINUTE, "a", 1)])
    minutes.crowded(2 * MINUTE)
    assert [len(one.facts) for one in minutes.closed()] == [MOST_WAITING, 0]
    assert minutes.ahead() == set()
