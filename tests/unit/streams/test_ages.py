"""How old what waits is at most: from what was done last, or from when nothing waited."""

from collections.abc import Sequence

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from streams.ages import Ages
from streams.log.source import Owned

START = 1_800_000_000_000


class IdleLane:
    """A lane that is never asked to work."""

    at = TopicPartition("rekindle.events", 3)
    offset = 0
    halted: str | None = None

    async def enter(self) -> None:
        raise AssertionError

    async def step(self, records: Sequence[ConsumerRecord]) -> bool:
        raise AssertionError(records)

    async def leave(self) -> None:
        raise AssertionError


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def after(self, seconds: float) -> int:
        self.now = START + int(seconds * 1_000)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ages(clock: Clock) -> Ages:
    return Ages(clock)


@pytest.fixture
def own() -> Owned:
    owned = Owned(IdleLane())
    owned.entered = True
    return owned


def test_while_none_waits_it_is_nothing(ages: Ages, own: Owned, clock: Clock) -> None:
    own.done_at = START - 3_600_000
    assert ages.oldest(own, 0, clock()) == 0


def test_what_waits_is_no_older_than_the_last_one_done(
    ages: Ages, own: Owned, clock: Clock
) -> None:
    own.done_at = START - 4_000
    assert ages.oldest(own, 17, clock()) == 4
    clock.after(10)
    assert ages.oldest(own, 17, clock()) == 14


def test_after_a_quiet_night_it_is_no_older_than_the_moment_nothing_waited(
    ages: Ages, own: Owned, clock: Clock
) -> None:
    own.done_at = START - 8 * 3_600_000
    ages.oldest(own, 0, clock())
    clock.after(1.5)
    assert ages.oldest(own, 1, clock()) == 1.5


def test_nothing_waited_when_kafka_said_so_and_not_when_it_was_asked(
    ages: Ages, own: Owned, clock: Clock
) -> None:
    own.done_at = START - 8 * 3_600_000
    ages.oldest(own, 0, START - 30_000)
    assert ages.oldest(own, 1, clock()) == 30


def test_a_partition_stuck_since_it_was_taken_over_grows_old(
    ages: Ages, own: Owned, clock: Clock
) -> None:
    assert ages.oldest(own, 5, clock()) == 0
    clock.after(90)
    assert ages.oldest(own, 5, clock()) == 90


def test_a_partition_that_cannot_be_entered_grows_old_too(
    ages: Ages, own: Owned, clock: Clock
) -> None:
    own.entered = False
    assert ages.oldest(own, None, None) is None
    clock.after(90)
    assert ages.oldest(own, None, None) == 90


def test_a_clock_of_another_machine_makes_no_negative_age(
    ages: Ages, own: Owned, clock: Clock
) -> None:
    own.done_at = START + 5_000
    assert ages.oldest(own, 1, clock()) == 0


def test_each_ownership_begins_anew(ages: Ages, own: Owned, clock: Clock) -> None:
    ages.oldest(own, 5, clock())
    clock.after(60)
    again = Owned(IdleLane())
    again.entered = True
    assert ages.oldest(again, 5, clock()) == 0
