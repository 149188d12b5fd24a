"""When ticks may be written: never while something that reached Kafka may be missing."""

from collections.abc import Sequence

import pytest

from streams.log.ticks import Gate

NOW = 1_767_258_000_000
LANES = [("raw", 0), ("raw", 1), ("feedback", 0)]


class Told:
    """Watermarks as intake lanes told them."""

    def __init__(self, *marks: int | None) -> None:
        self.marks = list(marks)

    async def watermarks(self, expected: Sequence[tuple[str, int]]) -> list[int | None]:
        return self.marks


@pytest.mark.parametrize(
    ("marks", "blocking"),
    [
        ((NOW, NOW - 4_999, NOW - 5_000), None),
        ((NOW, NOW - 5_001, NOW), "raw/1"),
        ((NOW, NOW, None), "feedback/0"),
        ((NOW - 9_000, NOW, None), "feedback/0"),
    ],
)
async def test_the_lane_that_is_behind_holds_time(
    marks: tuple[int | None, ...], blocking: str | None
) -> None:
    gate = Gate(Told(*marks), LANES)

    await gate.look(NOW)

    assert gate.blocking == blocking
    assert gate.open_at(NOW) == (blocking is None)


async def test_a_watermark_of_before_we_began_does_not_open_the_gate() -> None:
    """All workers were down for two seconds, and a purchase came in meanwhile."""
    told = Told(NOW - 2_000, NOW - 2_000, NOW - 2_000)
    gate = Gate(told, LANES, since=NOW)
    await gate.look(NOW + 500)
    assert not gate.open_at(NOW + 500)
    assert gate.blocking == "raw/0"

    told.marks = [NOW + 1, NOW + 2, NOW]
    await gate.look(NOW + 600)

    assert gate.open_at(NOW + 600)


async def test_a_look_that_is_too_old_closes_the_gate() -> None:
    gate = Gate(Told(NOW, NOW, NOW), LANES)
    await gate.look(NOW)

    assert gate.open_at(NOW + 5_000)
    assert not gate.open_at(NOW + 5_001)


async def test_a_shop_of_which_nothing_is_known_yet_does_not_tick() -> None:
    assert not Gate(Told(), LANES).open_at(NOW)
