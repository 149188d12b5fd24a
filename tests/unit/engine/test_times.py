"""Milliseconds and their written form."""

import pytest

from engine.times import DAY, from_iso, iso, to_ms, utc


@pytest.mark.parametrize("ms", [0, 1, 999, 1_772_589_600_123, -1, 253_402_300_799_999])
def test_a_time_reads_back_as_itself(ms: int) -> None:
    assert from_iso(iso(ms)) == ms
    assert to_ms(utc(ms)) == ms


def test_it_is_written_in_utc_with_milliseconds() -> None:
    assert iso(1_772_589_600_007) == "2026-03-04T02:00:00.007Z"


def test_any_offset_is_read() -> None:
    assert from_iso("2026-03-04T10:00:00+08:00") == from_iso("2026-03-04T02:00:00Z")


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        from_iso("2026-03-04T10:00:00")


def test_a_day_has_a_day() -> None:
    assert iso(DAY) == "1970-01-02T00:00:00.000Z"
