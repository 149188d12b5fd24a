"""Laws of two runs: however a log is cut, spread, repeated or interrupted, the end is the same."""

from collections.abc import Sequence
from dataclasses import replace as with_
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from engine.events import Event, Position, Record, SettingsRecord, Tick
from engine.pipeline import chunks
from tests.support import mutants
from tests.support.mutants import caught
from tests.support.recount import Result, canonical
from tests.support.strategies import BUSY_GAPS, HEAVY, History, histories, play, talkative
from tests.support.world import World


def assert_same(one: Result, other: Result) -> None:
    assert one[1] == other[1]
    assert one[2] == other[2]
    assert one[0] == other[0]


# --- cutting and spreading ----------------------------------------------------------------------

Cut = tuple[History, int, int]
cuts: SearchStrategy[Cut] = st.tuples(histories(), st.integers(1, 500), st.integers(1, 8))
short_cuts: SearchStrategy[Cut] = st.tuples(
    talkative(), st.sampled_from((2, 3, 500)), st.sampled_from((1, 8))
)


def any_cut_gives_the_same(cut: Cut) -> None:
    history, size, partitions = cut

    reference = canonical(play(history, chunk=1))

    assert_same(reference, canonical(play(history, chunk=size, partitions=partitions)))


@HEAVY
@given(cuts)
def test_any_chunking_and_any_partition_count_give_the_same_result(cut: Cut) -> None:
    any_cut_gives_the_same(cut)


@HEAVY
@given(histories(gaps=BUSY_GAPS), st.integers(1, 3))
def test_live_ticks_with_a_limit_decide_about_the_same_people(history: History, limit: int) -> None:
    """The owner writes the next tick at once while somebody is still due."""
    bounded = World(history.policy)
    for record in history.records:
        if not isinstance(record, Tick):
            bounded.write(record)
            continue
        bounded.tick(record.now, limit=limit)
        while any(wake <= record.now for wake in bounded.store._at(0).wakes.values()):
            bounded.tick(record.now, limit=limit)

    assert_same(canonical(play(history)), canonical(bounded))


# --- repetition ---------------------------------------------------------------------------------

Repeated = tuple[History, int, int]
repeats: SearchStrategy[Repeated] = st.tuples(
    histories(gaps=BUSY_GAPS), st.integers(0, 30), st.integers(1, 30)
)


def a_repeated_run_changes_nothing(case: Repeated) -> None:
    """Intake starts again from an old offset: the same positions come once more."""
    history, start, length = case
    events = [index for index, record in enumerate(history.records) if not isinstance(record, Tick)]
    run = [history.records[index] for index in events[start : start + length]]
    cut = events[min(start + length, len(events)) - 1] + 1
    again = (*history.records[:cut], *run, *history.records[cut:])

    assert_same(canonical(play(history)), canonical(play(with_(history, records=again))))


def a_repeated_id_changes_nothing(case: Repeated) -> None:
    """An app sends an event again later: another source position, the same id."""
    history, start, length = case
    written: list[Record] = []
    mine: dict[str, list[Event]] = {}
    for index, record in enumerate(history.records):
        written.append(record)
        if isinstance(record, Tick | SettingsRecord):
            continue
        known = mine.setdefault(record.user_id, [])
        known.append(record)
        if index % 3 == start % 3:
            # 32 ids are remembered, of which decisions take some: well within.
            written.append(known[-1 - min(length, len(known) - 1, 15)])

    assert_same(
        canonical(play(with_(history, records=_placed(history.records)))),
        canonical(play(with_(history, records=_placed(written)))),
    )


def _placed(records: Sequence[Record]) -> tuple[Record, ...]:
    """Give every event a source position of its own."""
    placed: list[Record] = []
    for offset, record in enumerate(records):
        if isinstance(record, Tick | SettingsRecord):
            placed.append(record)
        else:
            position = Position("s", 0, 0, offset)
            placed.append(msgspec.structs.replace(record, source=position))
    return tuple(placed)


@HEAVY
@given(repeats)
def test_a_run_of_any_length_that_intake_repeats_is_skipped(case: Repeated) -> None:
    a_repeated_run_changes_nothing(case)


@HEAVY
@given(repeats)
def test_an_event_sent_again_within_the_last_32_changes_nothing(case: Repeated) -> None:
    a_repeated_id_changes_nothing(case)


# --- crashes ------------------------------------------------------------------------------------

Crash = tuple[History, int, int]
crashes: SearchStrategy[Crash] = st.tuples(talkative(), st.integers(0, 10_000), st.integers(0, 2))


def a_crash_loses_and_doubles_nothing(case: Crash) -> None:
    """The worker dies after a commit, with the outbox not, partly or wholly written."""
    history, point, written = case
    whole = play(history)
    broken = World(history.policy)
    lane = broken.lanes[0]
    log = list(enumerate(history.records))
    todo = chunks(log, 0)
    # crash where something leaves, otherwise there is nothing to lose
    speaking = sorted({entry.id.offset for entry in whole.lanes[0].out})
    dies_at = speaking[point % len(speaking)] if speaking else -1
    for chunk in todo:
        if chunk.first <= dies_at < chunk.after:
            taken = lane.commit(chunk, broken.force)
            lane._written(taken.commit.outbox[: written * len(taken.commit.outbox) // 2])
            break
        lane.one(chunk, broken.force)
    broken.logs[0] = log
    successor = type(lane)(broken.store, 0, token="successor", out=list(lane.out))
    successor.enter()
    successor.run(log, broken.force)
    broken.lanes = [successor]

    assert [entry.id for entry in successor.out] == [entry.id for entry in whole.lanes[0].out]
    assert_same(canonical(whole), canonical(broken))


@HEAVY
@given(crashes)
def test_a_crash_between_commit_and_outbox_loses_and_doubles_nothing(case: Crash) -> None:
    a_crash_loses_and_doubles_nothing(case)


# --- the checkers are checked -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "cases", "mutant"),
    [
        (any_cut_gives_the_same, short_cuts, mutants.chunk_folds_its_last_event_only),
        (any_cut_gives_the_same, short_cuts, mutants.one_user_per_tick),
        (a_repeated_run_changes_nothing, repeats, mutants.nothing_repeated_is_recognised),
        (a_repeated_id_changes_nothing, repeats, mutants.ids_not_checked),
        (a_crash_loses_and_doubles_nothing, crashes, mutants.outbox_not_in_the_commit),
        (a_crash_loses_and_doubles_nothing, crashes, mutants.tails_not_read),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_protocol_is_noticed(
    law: mutants.Law, cases: SearchStrategy[Any], mutant: mutants.Mutant
) -> None:
    caught(law, cases, mutant)
