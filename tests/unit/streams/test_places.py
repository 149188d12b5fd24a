"""How partitions are named to people."""

from aiokafka import TopicPartition

from streams.log.source import place, places


def test_runs_of_partitions_are_named_by_their_ends() -> None:
    owned = [TopicPartition("events", p) for p in (7, 0, 2, 1)] + [TopicPartition("feedback", 3)]

    assert places(owned) == "events/0-2,7 feedback/3"
    assert places([]) == ""
    assert place(TopicPartition("events", 7)) == "events/7"
