"""Wall clocks: calendar days over summer time, hours left out and doubled, zones of a country."""

import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.times import DAY, HOUR, MINUTE, from_iso
from rules.zones import MAX_CANDIDATES, ZONES, candidates, day_start, instant, known, offset, wall

NAMES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia")


@pytest.mark.parametrize("name", ["Asia/Shanghai", "UTC", "UTC+05:30", "UTC-03:00", "UTC+14:00"])
def test_names_of_people_are_known(name: str) -> None:
    assert known(name)


@pytest.mark.parametrize(
    "name",
    ["", "Shanghai", "Asia", "../etc/passwd", "/etc/localtime", "Factory", "UTC+5", "UTC+14:30",
     "UTC+05:60", "GMT+0530", "asia/shanghai", "Asia/Shanghai\n", "UTC+05:30\n"],
)  # fmt: skip
def test_anything_else_is_unknown_and_harmless(name: str) -> None:
    assert not known(name)
    assert ZONES.hour([name], "Asia/Shanghai", 0) == 8


def test_the_zones_of_the_machine_are_not_read() -> None:
    """Given a machine whose New York lies in India, when our clocks ask, then nothing changes."""
    script = (
        "import zoneinfo, pathlib, tempfile, importlib.resources as r\n"
        "place = pathlib.Path(tempfile.mkdtemp())\n"
        "(place / 'America').mkdir()\n"
        "india = r.files('tzdata').joinpath('zoneinfo/Asia/Kolkata').read_bytes()\n"
        "(place / 'America/New_York').write_bytes(india)\n"
        "zoneinfo.reset_tzpath(to=(str(place),))\n"
        "assert zoneinfo.ZoneInfo('America/New_York').utcoffset(__import__('datetime').datetime"
        "(2026, 1, 1)).total_seconds() == 19800\n"
        "from rules.zones import wall\n"
        "print(wall('America/New_York', 0).isoformat())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "1969-12-31T19:00:00-05:00\n", done.stderr


@pytest.mark.parametrize(
    ("name", "at", "days", "expected"),
    [
        # clocks go forward on 8 March 2026 at 2:00 and back on 1 November 2026 at 2:00
        ("America/New_York", "2026-03-07T09:00:00-05:00", 1, "2026-03-08T09:00:00-04:00"),
        ("America/New_York", "2026-03-01T02:30:00-05:00", 7, "2026-03-08T03:00:00-04:00"),
        ("America/New_York", "2026-10-25T01:30:00-04:00", 7, "2026-11-01T01:30:00-04:00"),
        ("America/New_York", "2026-11-01T01:30:00-05:00", 7, "2026-11-08T01:30:00-05:00"),
        ("Europe/Berlin", "2026-03-22T02:15:00+01:00", 7, "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "2026-10-18T02:15:00+02:00", 7, "2026-10-25T02:15:00+02:00"),
        # half an hour of summer time
        ("Australia/Lord_Howe", "2026-09-27T02:10:00+10:30", 7, "2026-10-04T02:30:00+11:00"),
        ("Australia/Lord_Howe", "2026-03-29T01:45:00+11:00", 7, "2026-04-05T01:45:00+11:00"),
        ("Asia/Kolkata", "2026-03-04T10:00:00+05:30", 30, "2026-04-03T10:00:00+05:30"),
        # Samoa had no 30 December 2011
        ("Pacific/Apia", "2011-12-23T10:00:00-10:00", 7, "2011-12-31T00:00:00+14:00"),
        ("UTC+05:30", "2026-03-04T10:00:00+05:30", 7, "2026-03-11T10:00:00+05:30"),
    ],
)  # fmt: skip
def test_days_later_is_the_same_time_on_the_wall(
    name: str, at: str, days: int, expected: str
) -> None:
    assert ZONES.days_later([name], "UTC", from_iso(at), days) == from_iso(expected)


@given(
    st.sampled_from(NAMES),
    st.integers(from_iso("2009-01-01T00:00Z"), from_iso("2037-01-01T00:00Z")),
    st.integers(0, 60),
)
def test_days_later_never_leaves_the_calendar_day_behind(name: str, at: int, days: int) -> None:
    """Law: the clock shows the wanted time, or it never shows it and nothing lies in between."""
    clock = wall(name, at).replace(tzinfo=None, fold=0) + timedelta(days=days)
    later = ZONES.days_later([name], "UTC", at, days)
    shown = wall(name, later).replace(tzinfo=None, fold=0)
    if shown != clock:
        assert shown > clock > wall(name, later - 1).replace(tzinfo=None)
    assert wall(name, later).fold == 0


@given(st.sampled_from(NAMES), st.integers(from_iso("2009-01-01T00:00Z"), 2_114_380_800_000))
def test_an_instant_is_the_first_that_shows_its_clock(name: str, at: int) -> None:
    clock = wall(name, at).replace(tzinfo=None, fold=0)
    first = instant(name, clock)
    assert first <= at
    assert at - first in {0, HOUR, HOUR // 2}


def test_a_day_may_begin_after_midnight_or_have_25_hours() -> None:
    # in Cairo the clocks go from 0:00 to 1:00 on the last Friday of April
    morning = from_iso("2026-04-24T10:00:00+03:00")
    assert day_start("Africa/Cairo", morning) == from_iso("2026-04-24T01:00:00+03:00")
    autumn = from_iso("2026-11-01T12:00:00-05:00")
    begins, ends = day_start("America/New_York", autumn), day_start("America/New_York", autumn, 1)
    assert ends - begins == 25 * HOUR


def test_times_outside_the_calendar_do_not_break_a_clock() -> None:
    """Go writes year 1 when no time was set."""
    assert ZONES.hour(["America/New_York"], "UTC", from_iso("0001-01-01T00:00Z")) in range(24)
    later = ZONES.days_later(["America/New_York"], "UTC", from_iso("0001-01-01T00:00Z"), 7)
    assert later < 0
    assert ZONES.weekday([], "UTC", 10**15) in range(7)


def test_the_first_known_zone_speaks_and_the_fallback_only_without_one() -> None:
    noon = from_iso("2026-03-04T12:00Z")
    assert ZONES.hour(["nowhere", "Asia/Kolkata", "UTC"], "UTC", noon) == 17
    assert ZONES.hour([], "Asia/Shanghai", noon) == 20
    assert ZONES.weekday(["Asia/Shanghai"], "UTC", noon + 5 * HOUR) == 3


def test_a_country_with_one_clock_has_one_candidate() -> None:
    assert candidates("DE") == ["Europe/Berlin"]
    assert candidates("jp") == ["Asia/Tokyo"]
    assert candidates("IN") == ["Asia/Kolkata"]
    assert candidates("CN") == ["Asia/Shanghai", "Asia/Urumqi"]
    assert candidates("ZZ") == candidates("") == []


@pytest.mark.parametrize("country", ["US", "RU", "AU", "CA", "BR", "MX", "ID", "CL"])
def test_a_big_country_keeps_its_extremes(country: str) -> None:
    from rules.zones import _by_country  # noqa: PLC0415 - the table it is drawn from

    found = candidates(country)
    assert 1 < len(found) <= MAX_CANDIDATES
    for day in ("2026-01-15T00:00Z", "2026-07-15T00:00Z"):
        at = from_iso(day)
        every = {offset(name, at) for name in _by_country()[country]}
        kept = {offset(name, at) for name in found}
        assert {min(every), max(every)} <= kept
    clocks = [(offset(name, 0 + 20_468 * DAY), offset(name, 20_650 * DAY)) for name in found]
    assert len(set(clocks)) == len(clocks)


def test_a_name_nobody_knows_is_refused_where_a_zone_is_needed() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        wall("Nowhere/Land", MINUTE)


def test_a_clock_without_zone_is_taken_as_the_wall_shows_it() -> None:
    clock = datetime.fromisoformat("2026-03-08T02:30:00")
    assert instant("America/New_York", clock) == from_iso("2026-03-08T03:00:00-04:00")
