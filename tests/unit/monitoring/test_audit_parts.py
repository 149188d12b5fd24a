"""The audit's own reading of zones, files and records agrees with who wrote them."""

import zoneinfo
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.times import DAY
from monitoring.audit import clocks, reading, terms
from monitoring.audit.balance import CART
from monitoring.audit.caps import full
from monitoring.audit.people import MOST_CHARGES, Charge, Person
from monitoring.audit.reading import Event, Unreadable
from monitoring.audit.state import State, pack, unpack
from rules import campaigns
from rules.zones import known
from streams.auditing.files import Files
from tests.support import audited
from tests.support.recorded import artefact_name
from tests.support.traffic import START

ROOT = Path(__file__).parents[3]
FILES = [ROOT / "rules" / "campaigns.toml", *sorted((ROOT / "docs" / "examples").glob("*.toml"))]


def test_it_knows_the_zones_that_intake_knows() -> None:
    odd = ["", "Europe", "../etc/passwd", "zone.tab", "leapseconds", "UTC+05:30", "UTC+14:01"]
    for name in [*zoneinfo.available_timezones(), *odd, "Factory", "localtime", "Mars/Olympus"]:
        assert (clocks.zone(name) is not None) == known(name), name


@pytest.mark.parametrize(("at", "years"), [(-(10**17), {1, 2}), (10**17, {9998, 9999})])
def test_a_time_beyond_the_calendar_stops_nobody(at: int, years: set[int]) -> None:
    for name in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC+14:00", "UTC-14:00"):
        assert clocks.wall(name, at).year in years


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_reads_a_campaigns_file_as_the_loader_does(path: Path) -> None:
    content = path.read_bytes()

    read = terms.read(content)

    loaded = audited.terms_of(campaigns.load(content, path.name))
    own = tuple(
        each if each.trigger == CART else replace(each, hard_limit=0) for each in loaded.campaigns
    )
    assert read == replace(loaded, campaigns=own)


_NO_CAP = b'app = "x"\ntimezone = "UTC"\ncap = ["x"]'


@pytest.mark.parametrize("content", [b"\xff", b"version =", b"version = 1", b'app = "x"', _NO_CAP])
def test_a_file_it_cannot_read_is_said_to_be_so(content: bytes) -> None:
    with pytest.raises(Unreadable):
        terms.read(content)


def test_a_file_is_kept_under_its_hash_alone_and_read_when_it_is_named() -> None:
    files, content = Files(), campaigns.shipped()
    name = artefact_name(content)

    files.keep(b"0" * 64, content)
    assert files.terms("0" * 64) is None
    files.keep(name.encode(), content)
    found = files.terms(name)
    assert found is not None
    assert found.app == "shop"
    assert files.terms("another") is None


def test_a_broken_file_that_arrives_is_waited_for_in_vain() -> None:
    files = Files()
    files.keep(artefact_name(b"version =").encode(), b"version =")

    assert files.terms(artefact_name(b"version =")) is None


def test_a_cap_of_a_day_binds_nobody_whose_day_is_not_known() -> None:
    daily = terms.Cap("daily", "calendar_day", DAY, 1, None)
    sent = [Charge(START, "push", "a")]

    assert full([daily], sent, "push", START + 1, ["UTC"]) == daily
    assert full([daily], sent, "push", START + 1, []) is None


def test_times_without_a_zone_are_refused() -> None:
    at = datetime(2026, 3, 4, 5, 6, 7, 8000, tzinfo=UTC)

    assert reading.ms("2026-03-04T05:06:07.008Z") == int(at.timestamp() * 1000)
    for wrong in ("2026-03-04T05:06:07", "yesterday", ""):
        with pytest.raises(Unreadable):
            reading.ms(wrong)


@pytest.mark.parametrize("header", [b"7", b"a.b", b"\xff.1", b""])
def test_a_position_that_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(Unreadable):
        reading.position(header)
    assert reading.position(None) is None
    assert reading.position(b"12.3") == (12, 3)


def test_a_checkpoint_of_another_version_is_none() -> None:
    state = State(now=7)

    again = unpack(pack(state))
    assert again is not None
    assert again.now == 7
    assert unpack(pack(State(v=0))) is None
    assert unpack(b"\xc1") is None


def test_a_person_forgets_what_no_cap_counts_and_very_many_charges() -> None:
    person = Person()
    for number in range(MOST_CHARGES + 10):
        person.charge(Charge(number, "push", f"a-{number}"))
    assert len(person.charges) == MOST_CHARGES

    person.forget_before(500)
    assert [charge.at for charge in person.charges] == list(range(500, MOST_CHARGES + 10))


def test_an_erasure_told_twice_does_not_erase_who_came_back() -> None:
    person = Person()
    erased = Event(type="erased", event_id="e-1", occurred_at=10)
    back = Event(type="consent_changed", event_id="e-2", occurred_at=11, granted=True)

    assert person.hear(erased)
    assert not person.hear(Event(type="consent_changed", occurred_at=9, granted=True))
    assert person.hear(back)
    assert person.hear(erased)
    assert person.agrees("sms")
