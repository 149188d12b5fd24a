"""Windows against their series: silence is told, a known cause is not, operators are heard."""

from collections.abc import Callable, Iterable

from engine import controls
from engine.events import Control, SettingsRecord
from engine.times import HOUR, MINUTE
from monitoring.anomalies.kpi import Kpi
from monitoring.figures.acquisition import Cost, Origin, Origins
from monitoring.figures.catalogue import Known
from monitoring.figures.counts import Counts
from monitoring.figures.ruling import Ruling
from monitoring.figures.seen import Judged, Ruled
from monitoring.figures.watch import Change, Watch
from monitoring.figures.watched import KnownDay, Table, Watched

_ORIGINS = Origins(origins=(Origin(name="search", referrer=("g.com",), cost=Cost(1, "visit")),))
_SILENCE = Watched(
    kpi=Kpi(name="silent", kind="absence", window_ms=MINUTE, direction="down", counts=True),
    figure="sent",
    title="Silence of a channel",
)
_RATE = Watched(
    kpi=Kpi(name="rate", kind="level", window_ms=MINUTE, counts=True, minimum=5.0),
    figure="sent",
    title="Messages sent",
)
_KNOWN = Known(("app",), ("push", "sms"), ("acme",), _ORIGINS.names)
# Long enough for any detector to speak.
_HEALTHY = 260
# By minute: how many messages.
Course = Callable[[int], int]


def _steady(minute: int) -> int:
    return 20 + minute * 7 % 5


class _Shop:
    def __init__(self, *watched: Watched, days: tuple[KnownDay, ...] = ()) -> None:
        self.table = Table(watched=watched, origins=_ORIGINS, days=days)
        self.watch = Watch(self.table)
        self.ruling = Ruling()
        self.minute = 0
        self.verdicts = 0.0

    def run(
        self, minutes: int, sent: Course, judged: Iterable[Judged] = (), channel: str = "push"
    ) -> list[Change]:
        changes: list[Change] = []
        for _ in range(minutes):
            self.minute += 1
            counts = Counts()
            if count := sent(self.minute):
                counts.add(("sent", channel), count)
                counts.add(("sent_for", channel, "cart"), count)
            changes += self.watch.close(self.minute * MINUTE, counts, judged, _KNOWN, self.ruling)
            self.verdicts += sum(n for key, n in counts.sums.items() if key[0] == "verdicts")
            judged = ()
        return changes

    def restart(self) -> None:
        self.watch = Watch(self.table, self.watch.state())

    def rule(self, control: Control) -> None:
        seen = Ruled(self.minute * MINUTE, SettingsRecord(control=control))
        self.ruling.take(seen, Counts())


def _none(_: int) -> int:
    return 0


def test_a_silence_opens_one_episode_and_traffic_closes_it() -> None:
    shop = _Shop(_SILENCE)
    assert shop.run(_HEALTHY, _steady) == []

    opened = shop.run(3, _none)
    closed = shop.run(10, _steady)

    assert [one.episode.state for one in opened][:1] == ["opened"]
    assert [one.episode.state for one in closed][-1:] == ["closed"]
    ids = {one.episode.anomaly_id for one in opened + closed}
    assert len(ids) == 1
    assert [one.number for one in opened + closed] == list(range(1, len(opened + closed) + 1))
    assert opened[0].episode.dimension == {"channel": "push"}
    assert opened[0].window == ((_HEALTHY) * MINUTE, (_HEALTHY + 1) * MINUTE)


def test_the_next_episode_is_another_one_and_is_told_from_its_first_change() -> None:
    shop = _Shop(_SILENCE)
    shop.run(_HEALTHY, _steady)
    first = shop.run(3, _none) + shop.run(60, _steady)

    second = shop.run(3, _none)

    assert first[-1].episode.state == "closed"
    assert (second[0].episode.state, second[0].number) == ("opened", 1)
    assert second[0].episode.anomaly_id != first[0].episode.anomaly_id


def test_a_restart_at_any_minute_neither_loses_an_episode_nor_tells_it_twice() -> None:
    whole, cut = _Shop(_SILENCE, _RATE), _Shop(_SILENCE, _RATE)
    told = whole.run(_HEALTHY, _steady) + whole.run(8, _none) + whole.run(20, _steady)

    again: list[Change] = []
    for minutes, sent in ((_HEALTHY, _steady), (8, _none), (20, _steady)):
        for _ in range(minutes):
            again += cut.run(1, sent)
            cut.restart()

    assert again == told
    assert {one.episode.state for one in told} >= {"opened", "closed"}
    assert cut.watch.series() == whole.watch.series()


def test_a_channel_that_never_spoke_has_no_series() -> None:
    shop = _Shop(_SILENCE, _RATE)
    shop.run(10, _steady)
    assert {one.dimension["channel"] for one in shop.watch.series()} == {"push"}


def test_a_paused_channel_is_silent_for_a_known_reason() -> None:
    shop = _Shop(_SILENCE, _RATE)
    shop.run(_HEALTHY, _steady)
    shop.rule(controls.pause("channel:push", actor="operator:anna", at=shop.minute * MINUTE))

    assert shop.run(120, _none) == []

    told = shop.watch.series()
    assert {one.suppressed_by for one in told} == {"channel:push paused by operator:anna"}
    assert {one.active for one in told} == {0}


def test_what_was_silent_while_paused_has_taught_the_series_nothing() -> None:
    shop = _Shop(_SILENCE)
    shop.run(_HEALTHY, _steady)
    shop.rule(controls.pause("channel:push", actor="brake", at=shop.minute * MINUTE))
    shop.run(300, _none)
    shop.rule(controls.resume("channel:push", actor="operator:anna", at=shop.minute * MINUTE))
    shop.run(30, _steady)

    opened = shop.run(3, _none)

    assert [one.episode.state for one in opened][:1] == ["opened"]


def test_a_silence_is_counted_from_the_end_of_what_explained_it() -> None:
    """Three a minute: the next one may well take two minutes after a pause of two hours."""
    shop = _Shop(_SILENCE)
    shop.run(_HEALTHY, lambda _: 3)
    shop.rule(controls.pause("channel:push", actor="operator:anna", at=shop.minute * MINUTE))
    shop.run(120, _none)
    shop.rule(controls.resume("channel:push", actor="operator:anna", at=shop.minute * MINUTE))

    assert shop.run(3, _none) == []
    assert [one.episode.state for one in shop.run(10, _none)][:1] == ["opened"]


def test_an_open_episode_whose_cause_becomes_known_is_closed_by_it() -> None:
    shop = _Shop(_SILENCE)
    shop.run(_HEALTHY, _steady)
    shop.run(2, _none)
    shop.rule(controls.pause("channel:push", actor="operator:anna", at=shop.minute * MINUTE))

    changes = shop.run(20, _none)

    assert changes[-1].episode.state == "closed"
    assert "paused by operator:anna" in changes[-1].episode.suppressed_by
    assert shop.watch.episodes()[0].anomaly_id == changes[-1].episode.anomaly_id


def test_a_day_known_beforehand_opens_nothing() -> None:
    end = (_HEALTHY + 60) * MINUTE
    day = KnownDay(what="stocktaking", start=_HEALTHY * MINUTE, end=end)
    shop = _Shop(_SILENCE, days=(day,))
    shop.run(_HEALTHY, _steady)

    assert shop.run(60, _none) == []
    assert [one.episode.state for one in shop.run(2, _none)][:1] == ["opened"]


def test_a_false_alarm_is_closed_with_the_operators_word() -> None:
    shop = _Shop(_SILENCE)
    shop.run(_HEALTHY, _steady)
    opened = shop.run(2, _none)[0].episode
    said = Judged(shop.minute * MINUTE, opened.anomaly_id, "false", "anna", "stocktaking")

    changes = shop.run(3, _none, [said])

    assert [one.episode.state for one in changes][:2] == ["updated", "closed"]
    verdict = changes[0].episode.verdict
    assert verdict is not None
    assert (verdict.value, verdict.by) == ("false", "anna")
    assert shop.verdicts == 1.0


def test_a_verdict_on_nothing_that_is_known_changes_nothing() -> None:
    shop = _Shop(_SILENCE)
    shop.run(_HEALTHY, _steady)
    assert shop.run(1, _steady, [Judged(1, "0" * 16, "true", "anna")]) == []
    assert shop.verdicts == 0.0


def test_an_episode_names_what_was_ruled_shortly_before_and_what_it_is_made_of() -> None:
    shop = _Shop(_SILENCE)
    shop.run(_HEALTHY, _steady)
    record = SettingsRecord(campaigns="ab" * 32, origin="apply")
    shop.ruling.take(Ruled(shop.minute * MINUTE, record), Counts())

    episode = shop.run(2, _none)[0].episode

    assert [(one.type, one.what, one.by) for one in episode.causes] == [
        ("deploy", "campaigns abababab", "apply")
    ]
    assert episode.contributors[0].dimension == {"campaign": "cart"}
    assert episode.contributors[0].share == 1.0


def test_a_kpi_that_left_the_table_leaves_its_series_behind() -> None:
    shop = _Shop(_SILENCE, _RATE)
    shop.run(20, _steady)
    state = shop.watch.state()

    fewer = Watch(Table(watched=(_RATE,), origins=_ORIGINS), state)

    assert [one.kpi for one in fewer.series()] == ["rate"]
    assert len(fewer.series()[0].points) == 20


# --- by the hour ----------------------------------------------------------------------------------


def _by_the_hour(table: Table, hours: int, sent: Course) -> tuple[Watch, list[Change]]:
    """Feed hours of a shop that ticks once an hour; the day before the last a deploy was made."""
    watch, ruling, changes = Watch(table.by_the_hour(), by=HOUR), Ruling(), []
    for minute in range(1, hours * 60 + 1):
        counts = Counts()
        if minute % 60 == 1 and (count := sent(minute // 60)):
            counts.add(("sent", "push"), count)
            counts.add(("sent_for", "push", "cart" if count < 100 else "flood"), count)
        if minute == (hours - 3) * 60:
            for number, settings in enumerate((_MODEL, _CAMPAIGNS)):
                ruling.take(Ruled(minute * MINUTE + number, settings), counts)
        changes += watch.close(minute * MINUTE, counts, (), _KNOWN, ruling)
    return watch, changes


_MODEL = SettingsRecord(model="m" * 64, origin="demo")
_CAMPAIGNS = SettingsRecord(campaigns="c" * 64, origin="demo")


def test_by_the_hour_an_episode_names_the_hour_s_parts_and_the_deploys_of_the_day() -> None:
    hours = 60 * 24
    table = Table(watched=(_RATE,), origins=_ORIGINS)
    _, changes = _by_the_hour(
        table, hours, lambda hour: 900 if hour >= hours - 2 else 20 + hour * 7 % 5
    )
    (opened,) = [one for one in changes if one.episode.state == "opened"]
    assert opened.window[1] - opened.window[0] == HOUR
    assert [one.what for one in opened.episode.causes] == [
        "model mmmmmmmm",
        "campaigns cccccccc",
    ]
    assert opened.episode.contributors[0].dimension == {"campaign": "flood"}


def test_by_the_hour_a_band_that_says_nothing_is_not_shown() -> None:
    table = Table(watched=(_RATE,), origins=_ORIGINS)
    watch, changes = _by_the_hour(
        table, 9 * 24, lambda hour: 0 if hour % 24 < 8 else 3 + hour * hour % 700
    )
    (series,) = watch.series()
    assert changes == []
    assert not series.enough
    assert series.points[-1].value is not None
    assert {point.high for point in series.points} == {None}
    steady, _ = _by_the_hour(table, 30 * 24, lambda hour: 20 + hour * 7 % 5)
    assert steady.series()[0].enough


def test_by_the_hour_the_first_is_not_judged_for_all_people_are_told_in_it() -> None:
    table = Table(watched=(_RATE,), origins=_ORIGINS)
    watch, changes = _by_the_hour(table, 10 * 24, lambda hour: 20 + hour * 7 % 5 if hour else 4_000)
    (series,) = watch.series()
    assert changes == []
    assert series.enough
    assert series.points[-1].high is not None
    assert series.points[-1].high < 60
