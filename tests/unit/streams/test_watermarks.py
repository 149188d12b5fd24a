"""How far intake vouches for having forwarded: never for what came after it had asked."""

from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition

from streams.agents.intake import IntakeLane, Watermarks

AT = TopicPartition("rekindle.events.raw", 0)


def a_lane(offset: int, forwarded_at: int | None = None) -> IntakeLane:
    lane = IntakeLane(AT, cast("Any", SimpleNamespace(reader=None)))
    lane.offset, lane.forwarded_at = offset, forwarded_at
    return lane


def test_an_answer_read_late_vouches_only_for_what_came_before_it_was_asked_for() -> None:
    """A process stopped with an answer in its socket reads it twenty seconds later."""
    marks = Watermarks(cast("Any", None), cast("Any", None))

    seen = [marks._as_of(AT, polled) for polled in (None, 100, 100, 600, 600, 20_600)]

    assert seen == [None, None, None, 100, 100, 600]


def test_a_lane_that_is_behind_vouches_for_what_it_has_forwarded() -> None:
    assert a_lane(5, forwarded_at=70).watermark(end=9, as_of=100) == 70
    assert a_lane(5).watermark(end=9, as_of=100) is None


def test_a_lane_at_the_end_vouches_for_the_later_of_both() -> None:
    assert a_lane(9, forwarded_at=70).watermark(end=9, as_of=100) == 100
    assert a_lane(9, forwarded_at=130).watermark(end=9, as_of=100) == 130
    assert a_lane(9, forwarded_at=70).watermark(end=9, as_of=None) == 70
