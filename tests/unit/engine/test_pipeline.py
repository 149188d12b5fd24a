"""How records are cut into chunks, and what one chunk comes to."""

from collections.abc import Sequence

import pytest

from engine.errors import Stale
from engine.events import Position, Record, SettingsRecord, Tick
from engine.memory import MemoryStore
from engine.pipeline import Chunk, chunks, take
from engine.policy import QuietHours, Settings
from engine.ports import Head
from engine.times import HOUR
from tests.support.builders import START, Told, a_cart_campaign, a_policy
from tests.support.world import World, in_force, now_done

EVENT = Told().viewed()
TICK = Tick(now=START)
SETTINGS = SettingsRecord(pause={"channel:push": True})


def shapes(records: Sequence[tuple[int, Record]], size: int, first: int = 0) -> list[object]:
    return [
        (chunk.first, chunk.after, [type(record).__name__ for _, record in chunk.records])
        for chunk in chunks(records, first, size)
    ]


def test_events_run_together_and_ticks_and_settings_stand_alone() -> None:
    log = list(enumerate([EVENT, EVENT, TICK, SETTINGS, EVENT, TICK, TICK]))

    assert shapes(log, 500) == [
        (0, 2, ["ProductViewed", "ProductViewed"]),
        (2, 3, ["Tick"]),
        (3, 4, ["SettingsRecord"]),
        (4, 5, ["ProductViewed"]),
        (5, 6, ["Tick"]),
        (6, 7, ["Tick"]),
    ]


def test_a_run_is_no_longer_than_asked() -> None:
    log = list(enumerate([EVENT] * 5))

    assert [(c.first, c.after) for c in chunks(log, 0, 2)] == [(0, 2), (2, 4), (4, 5)]


def test_gaps_of_the_log_belong_to_the_chunk_after_them() -> None:
    """A transaction marker or a compacted record leaves a hole in the offsets."""
    log: list[tuple[int, Record]] = [(3, EVENT), (7, EVENT), (9, TICK)]

    assert [(c.first, c.after) for c in chunks(log, 2)] == [(2, 8), (8, 10)]


def test_chunks_join_without_gap_or_overlap_for_any_size() -> None:
    log = list(enumerate([EVENT, TICK, EVENT, EVENT, EVENT, SETTINGS, EVENT]))
    for size in range(1, 8):
        cut = chunks(log, 0, size)
        assert [record for chunk in cut for record in chunk.records] == log
        assert [chunk.first for chunk in cut[1:]] == [chunk.after for chunk in cut[:-1]]


def test_a_chunk_carries_the_crc_of_its_last_record() -> None:
    log = list(enumerate([EVENT, EVENT, TICK]))

    assert [chunk.crc for chunk in chunks(log, 0, 500, lambda index: 100 + index)] == [101, 102]


def test_nothing_to_cut_is_no_chunk() -> None:
    assert chunks([], 5) == []


# --- one chunk ----------------------------------------------------------------------------------


def taken(chunk: Chunk, head: Head | None = None) -> tuple[Head, Head]:
    head = head or Head()
    after = now_done(take(MemoryStore(), 0, head, chunk, in_force(a_policy()))).commit.head
    return head, after


def test_the_head_that_was_given_is_not_changed() -> None:
    told = Told(source=_position(7)).viewed()
    head, after = taken(Chunk([(4, told)], 4, 5, 99), Head(offset=4))

    assert head == Head(offset=4)
    assert (after.offset, after.crc) == (5, 99)
    assert after.positions == {"app|0": _position(7)}


def _position(offset: int) -> Position:
    return Position("app", 0, 0, offset)


def test_a_settings_record_is_merged_into_what_is_in_force() -> None:
    _, after = taken(Chunk([(0, SETTINGS)], 0, 1))

    assert after.settings == Settings(paused=("channel:push",))


def test_a_later_generation_of_a_source_starts_anew() -> None:
    world = World()
    for generation, offset in ((0, 9), (0, 3), (1, 3), (0, 10)):
        place = Position("app", generation, 0, offset)
        world.event(Told(source=place, event_id=f"{generation}-{offset}").viewed())

    assert world.report.skipped["position"] == 2  # 0/3 and 0/10: before what was seen last
    assert world.report.events["ProductViewed"] == 2


def test_without_settings_events_fold_and_nothing_is_armed() -> None:
    world = World()
    world.force = in_force(None)
    world.event(world.told().added("coat"))
    world.wait("2h")

    assert world.profile().carts
    assert world.decisions == []
    assert world.lanes[0].head.now == START + 2 * HOUR


def test_a_limited_tick_takes_the_first_by_time_and_name() -> None:
    world = World()
    for user in ("c", "a", "b"):
        world.person(user)
        world.event(world.told(user).added("coat"))
    world.tick(START + HOUR, limit=2)

    assert [action.user_id for action in world.sent] == ["a", "b"]
    world.tick(START + HOUR, limit=2)
    assert [action.user_id for action in world.sent] == ["a", "b", "c"]


def test_outgoing_records_are_named_by_their_cause() -> None:
    world = World()
    for user in ("a", "b"):
        world.person(user)
        world.event(world.told(user).added("coat"))
    world.tick(START + HOUR)

    offset = len(world.logs[0]) - 1
    assert [str(entry.id) for entry in world.out] == [f"{offset}.{n}" for n in (1, 2, 3, 4)]
    assert [decision.pos for decision in world.decisions] == [f"{offset}.1", f"{offset}.3"]
    topics = [entry.topic for entry in world.out]
    assert topics == ["decisions", "actions.push"] * 2


def test_an_action_is_told_with_when_it_was_due_unless_something_had_deferred_it() -> None:
    until_noon = QuietHours(start=9 * 60, end=12 * 60)
    world = World(a_policy(a_cart_campaign(), quiet=until_noon))
    world.person()
    world.event(world.told().added("coat"))
    world.until(START + 3 * HOUR, step="1h")
    assert world.reasons == ["quiet_hours", "sent"]
    assert world.report.acted == []

    world = World(a_policy(a_cart_campaign()))
    world.person()
    world.event(world.told().added("coat"))
    world.tick(START + 2 * HOUR)
    assert world.report.acted == [("push", START + HOUR)]


def test_whoever_is_woken_too_early_sleeps_on() -> None:
    world = World()
    world.person()
    world.event(world.told().added("coat"))
    world.wait("30m")
    world.event(world.told().added("hat"))
    world.until(START + HOUR, step="1h")

    assert world.decisions == []
    assert world.profile().wake == START + HOUR + HOUR // 2


def test_the_thirty_third_trigger_ends_the_oldest() -> None:
    """Eight carts under five campaigns want forty; 32 stay."""
    campaigns = [a_cart_campaign(id=f"cart-{number}") for number in range(5)]
    world = World(a_policy(*campaigns))
    world.person()
    for number in range(8):
        world.now += 1000
        world.event(world.told().added("coat", cart=f"c-{number}"))

    assert len(world.profile().triggers) == 32
    assert world.reasons == ["superseded"] * 8
    assert world.report.bounded["triggers"] == 8


def test_a_store_refuses_a_commit_from_another_offset() -> None:
    world = World()
    world.event(Told().viewed())
    lane = world.lanes[0]
    lane.head = Head(offset=3)
    with pytest.raises(Stale):
        lane.one(Chunk([(3, Told().viewed())], 3, 4), world.force)
