"""Law of learning: what is appended to the log later is in no vector that was logged before."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace as with_
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from engine import pipeline
from engine.decisions import Decision
from engine.events import Record, SettingsRecord, Tick
from engine.times import iso
from models import scorer
from rules.zones import ZONES
from tests.support.builders import START
from tests.support.mutants import caught, replaced
from tests.support.strategies import BUSY_GAPS, HEAVY, History, histories, talkative
from tests.support.world import World

# A history, which of its speaking ticks we stop at, and events per commit.
Looked = tuple[History, float, int]


def _looked(played: SearchStrategy[History]) -> SearchStrategy[Looked]:
    return st.tuples(played, st.floats(0, 1), st.sampled_from((1, 3, 500)))


def the_future_is_in_no_vector(case: Looked) -> None:
    """The log as it stood at a tick, and the same log with all that came after, decided alike.

    What came after holds late events too: they happened before the tick, and were not known.
    """
    history, share, size = case
    whole = _decided(history, size)
    spoke = {decision.at for decision in whole if decision.features}
    ends = [
        place
        for place, record in enumerate(history.records, 1)
        if isinstance(record, Tick) and iso(record.now) in spoke
    ]
    if not ends:
        return
    stood = history.records[: ends[int(share * (len(ends) - 1))]]

    then = _decided(with_(history, records=stood), size)

    assert whole[: len(then)] == then
    assert any(decision.features for decision in then)


def _decided(history: History, size: int) -> list[Decision]:
    """Return what the model's own features make of a history, without places in the log."""
    world = World(history.policy, chunk=size, at=START)
    local = scorer.build(None, allow_simulated=False, local=ZONES)
    world.force = with_(world.force, scorer=local)
    world.down = True
    world.write(*history.records)
    world.down = False
    world.work()
    return [msgspec.structs.replace(one, pos="") for one in world.decisions_of(world.lanes[0])]


@HEAVY
@given(_looked(st.one_of(talkative(), histories(gaps=BUSY_GAPS))))
def test_what_is_appended_later_is_in_no_vector_logged_before(case: Looked) -> None:
    the_future_is_in_no_vector(case)


# --- the checker is checked -----------------------------------------------------------------------


@contextmanager
def _what_follows_a_tick_is_folded_before_it() -> Iterator[None]:
    honest: Callable[..., list[pipeline.Chunk]] = pipeline.chunks

    def leaking(records: Sequence[tuple[int, Record]], *rest: Any) -> list[pipeline.Chunk]:
        order = [record for _, record in records]
        for place, (tick, event) in enumerate(pairwise(order)):
            if isinstance(tick, Tick) and not isinstance(event, Tick | SettingsRecord):
                order[place : place + 2] = event, tick
        offsets = [offset for offset, _ in records]
        return honest(list(zip(offsets, order, strict=True)), *rest)

    with replaced(pipeline, "chunks", leaking):
        yield


def test_a_vector_that_knows_what_followed_its_tick_is_noticed() -> None:
    cases = _looked(talkative())
    caught(the_future_is_in_no_vector, cases, _what_follows_a_tick_is_folded_before_it)
