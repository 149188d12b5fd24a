"""How long and how safely Kafka must keep the topics, and what the doctor says of Redis."""

import pytest

from engine.times import DAY, HOUR
from streams.doctor import _memory, _persistence
from streams.log.keeping import Kept, span, too_short, unsafe

WEEK = {"retention.ms": str(7 * DAY), "retention.bytes": "-1"}


def test_a_topic_that_keeps_more_than_the_oldest_backup_needs_is_fine() -> None:
    assert too_short({"s.events": Kept(1, WEEK)}, "s.", 7 * DAY - 1) == []
    for_ever = {"retention.ms": "-1"}
    assert too_short({"s.events": Kept(1, for_ever)}, "s.", 400 * DAY) == []


@pytest.mark.parametrize("name", ["s.events", "s.decisions", "s.actions.push", "shop.web"])
def test_a_topic_that_keeps_no_more_than_the_backup_is_old_is_named(name: str) -> None:
    (problem,) = too_short({name: Kept(1, WEEK)}, "s.", 7 * DAY)

    assert problem == (
        f"{name} keeps 7 d, and a backup 7 d old needs more (REKINDLE_OLDEST_BACKUP): raise its "
        "retention.ms."
    )


def test_a_restore_reads_neither_artefacts_nor_dead_letters() -> None:
    topics = {"s.artefacts": Kept(1, WEEK), "s.dead-letters": Kept(1, WEEK)}

    assert too_short(topics, "s.", 30 * DAY) == []


def test_a_topic_cut_by_size_may_go_back_less_than_it_says() -> None:
    (problem,) = too_short({"s.events": Kept(3, WEEK | {"retention.bytes": "1000"})}, "s.", HOUR)

    assert "set it to -1" in problem


def test_three_copies_want_two_acknowledgements_and_no_unclean_election() -> None:
    safe = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
    assert unsafe({"s.events": Kept(3, safe)}) == []
    assert unsafe({"s.events": Kept(1, safe | {"min.insync.replicas": "1"})}) == []

    (alone,) = unsafe({"s.events": Kept(3, safe | {"min.insync.replicas": "1"})})
    assert alone.endswith("set it to 2.")
    (unclean,) = unsafe({"s.events": Kept(1, safe | {"unclean.leader.election.enable": "true"})})
    assert unclean.endswith("set it to false.")


def test_times_are_said_as_people_say_them() -> None:
    assert [span(7 * DAY), span(36 * HOUR), span(-1)] == ["7 d", "36 h", "everything"]


def test_a_redis_without_a_file_is_told_and_one_that_cannot_write_is_bad() -> None:
    well = {"": {"aof_enabled": "1", "aof_last_write_status": "ok"}}
    assert _persistence(well).ok
    told = _persistence({"a:1": {"aof_enabled": "0"}})
    assert told.ok
    assert "appendonly yes" in told.sentence
    assert not _persistence({"a:1": {"aof_enabled": "1", "aof_last_write_status": "err"}}).ok


def test_memory_is_told_and_a_redis_that_is_nearly_full_is_bad() -> None:
    mib = 2**20
    assert _memory({"": {"used_memory": str(5 * mib)}}).sentence == "used: 5 MiB, no maxmemory"
    half = _memory({"": {"used_memory": str(5 * mib), "maxmemory": str(10 * mib)}})
    assert half.ok
    assert half.sentence == "used: 5 MiB of 10 MiB"
    full = _memory({"a:1": {"used_memory": str(95 * mib), "maxmemory": str(100 * mib)}})
    assert not full.ok
    assert full.sentence.startswith("Redis a:1 uses 95 MiB of 100 MiB: raise maxmemory now")
