"""The KPI file: what ships is sound, and what is wrong is told with its line."""

from pathlib import Path

import pytest

from engine.errors import Refused
from engine.times import MINUTE
from monitoring.figures.acquisition import Cost
from monitoring.figures.plan import Plan
from monitoring.figures.shelf import Limits
from monitoring.figures.watched import Table
from streams.observing import kpi_file

_KPI = """
[[kpi]]
name = "rate"
title = "Messages sent"
figure = "sent"
kind = "level"
window = "1m"
"""


def _read(text: str) -> Table:
    return kpi_file.read(text.encode(), "kpis.toml")


def test_what_ships_is_sound_and_watches_what_people_ask_for() -> None:
    table = kpi_file.load(None)
    names = {one.name for one in table.watched}
    assert names >= {"event_rate", "source_silent", "send_rate", "hard_bounce_share", "cpa"}
    assert len(table.origins.names) <= 10
    assert dict(table.origins.costs) == {}


def test_a_kpi_is_set_as_it_is_written() -> None:
    table = _read(_KPI + 'direction = "down"\nminimum = 3\nopen_after = 4\n')
    (one,) = table.watched
    assert (one.figure, one.title, one.kpi.window_ms) == ("sent", "Messages sent", MINUTE)
    assert (one.kpi.direction, one.kpi.minimum, one.kpi.opens_after) == ("down", 3.0, 4)
    assert one.kpi.counts


def test_costs_and_known_days_are_read() -> None:
    table = _read(
        'currency = "EUR"\nzone = "Europe/Rome"\n'
        '[[origin]]\nname = "paid"\nutm_medium = ["CPC"]\ncost_per_visit = 0.25\n'
        '[[origin]]\nname = "direct"\ncost_per_day = 50\n'
        '[[known]]\nwhat = "sale"\nfrom = 2026-11-27\nto = 2026-11-27\nkpis = ["rate"]\n' + _KPI
    )
    assert dict(table.origins.costs) == {"paid": Cost(0.25, "visit"), "direct": Cost(50.0, "day")}
    assert table.origins.name("x", "cpc", "") == "paid"
    (day,) = table.days
    assert day.end - day.start == 24 * 60 * MINUTE
    assert day.covers("rate", day.start - MINUTE, day.start + 1)
    assert not day.covers("other", day.start, day.end)


def test_a_plan_is_of_one_channel_and_in_the_zone_of_the_file() -> None:
    table = _read('zone = "Asia/Shanghai"\n[[plan]]\nchannel = "sms"\nper_day = 5000\n' + _KPI)
    assert table.plans == (Plan(channel="sms", per_day=5_000.0, zone="Asia/Shanghai"),)
    assert kpi_file.load(None).plans == ()


def test_when_stock_is_low_is_read_and_what_ships_says_the_defaults() -> None:
    table = _read("[stock]\nlow_days = 7.5\nbest_sellers = 5\n" + _KPI)
    assert table.stock == Limits(low_days=7.5, best_sellers=5)
    assert _read(_KPI).stock == kpi_file.load(None).stock == Limits()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[stock]\nlow_days = 0\n", "kpis.toml:2: `low_days = 0`"),
        ("[stock]\nbest_sellers = 21\n", "kpis.toml:2: `best_sellers = 21`"),
        ('[[plan]]\nchannel = "fax"\nper_day = 5\n', 'kpis.toml:2: `channel = "fax"`'),
        ('[[plan]]\nchannel = "sms"\nper_day = 0\n', "kpis.toml:3: `per_day = 0`"),
        ('[[plan]]\nchannel = "sms"\n', "per_day"),
        ("[stock]\nlow = 3\n", "kpis.toml:2: `low` is not a key"),
        ("x = ", "kpis.toml:1: this is not TOML"),
        (_KPI.replace("sent", "sents", 1).replace('"sent"', '"sents"'), "did you mean `sent`?"),
        (_KPI.replace('"level"', '"ratio"'), 'kpis.toml:6: `kind = "ratio"` does not fit sent'),
        (_KPI.replace('"1m"', '"7m"'), "kpis.toml:7: `window` is 1m, 5m"),
        (_KPI + _KPI, 'kpis.toml:10: `name = "rate"` stands twice'),
        (_KPI + "log = false\n", "counts are compared by log"),
        (_KPI + "treshold = 3\n", "kpis.toml:8: `treshold` is not a key"),
        ('zone = "Mars"\n', 'kpis.toml:1: `zone = "Mars"` is no time zone'),
        ('[[origin]]\nname = "a"\n', "a fits nothing"),
        (
            '[[origin]]\nname = "a"\nutm_source = ["a"]\nreferrer = ["a"]\n',
            "kpis.toml:4: a source is known by its campaign words or by its hosts",
        ),
        (
            '[[origin]]\nname = "a"\nutm_source = ["a"]\ncost_per_visit = 1\ncost_per_day = 1\n',
            "kpis.toml:5: a source costs per visit or per day",
        ),
        (
            '[[origin]]\nname = "a"\nutm_source = ["a"]\ncost_per_visit = 0\n',
            "kpis.toml:4: `cost_per_visit = 0` is not a cost",
        ),
        ('[[known]]\nwhat = "x"\nfrom = 2026-01-02\nto = 2026-01-01\n', "a later `to`"),
        (
            '[[known]]\nwhat = "x"\nfrom = 2026-01-01\nto = 2026-01-02\nkpis = ["none"]\n',
            '"none" is no KPI of this file',
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        _read(text)
    assert said in str(refused.value)


def test_too_many_sources_are_refused() -> None:
    rows = [f'[[origin]]\nname = "s{n}"\nutm_source = ["s{n}"]\n' for n in range(9)]
    with pytest.raises(Refused, match="8 are the most"):
        _read("".join(rows))


def test_a_file_that_is_not_there_is_refused_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"REKINDLE_KPIS=.*none\.toml cannot be read"):
        kpi_file.load(tmp_path / "none.toml")
