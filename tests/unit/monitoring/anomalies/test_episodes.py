"""When an episode opens, what changes it, what closes it, and what an operator's word does."""

from engine.times import HOUR, MINUTE
from monitoring.anomalies.contributors import contributors
from monitoring.anomalies.episodes import Cause, Episode, Tracker
from monitoring.anomalies.kpi import Kpi
from monitoring.anomalies.verdict import Verdict

KPI = Kpi(name="sends", kind="level", window_ms=MINUTE)
SILENCE = Kpi(name="source", kind="absence", window_ms=MINUTE)
START = 1_767_571_200_000


def verdict(minute: float, score: float) -> Verdict:
    at = START + round(minute * MINUTE)
    return Verdict(at=at, value=5, expected=50, low=30, high=80, score=score, direction="down")


def fed(tracker: Tracker, scores: list[float], since: int = 0) -> list[Episode]:
    changes = [tracker.observe(verdict(since + at, score)) for at, score in enumerate(scores)]
    return [change for change in changes if change is not None]


def test_two_rare_windows_in_a_row_open_an_episode_and_one_does_not() -> None:
    assert not fed(Tracker(KPI), [9.0, 0.0, 9.0, 0.0])
    (opened,) = fed(Tracker(KPI), [0.0, 4.0, 4.0])
    assert (opened.state, opened.severity) == ("opened", "warning")
    assert opened.opened_at == START + 2 * MINUTE


def test_one_check_opens_a_silence() -> None:
    assert [one.state for one in fed(Tracker(SILENCE), [4.0])] == ["opened"]


def test_windows_that_were_left_out_do_not_join_two_rare_ones() -> None:
    tracker = Tracker(KPI)
    assert tracker.observe(verdict(0, 5.0)) is None
    assert tracker.observe(verdict(30, 5.0)) is None
    assert tracker.observe(verdict(31, 5.0)) is not None


def test_it_stays_open_through_four_quiet_windows_and_closes_with_the_fifth() -> None:
    tracker = Tracker(KPI)
    changes = fed(tracker, [5.0, 5.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0])
    assert [one.state for one in changes] == ["opened"]
    (closed,) = fed(tracker, [0.0], since=11)
    assert closed.state == "closed"
    assert closed.closed_at == START + 11 * MINUTE
    assert closed.id == changes[0].id
    assert tracker.episode is None


def test_a_high_score_or_an_hour_make_it_critical() -> None:
    high = fed(Tracker(KPI), [5.0, 5.0, 8.0])
    assert [one.severity for one in high] == ["warning", "critical"]
    tracker = Tracker(KPI)
    long = fed(tracker, [5.0] * 70)
    assert [one.severity for one in long] == ["warning", "critical"]
    assert tracker.active == 2
    assert long[1].last_seen_at - long[1].opened_at == HOUR


def test_a_known_cause_keeps_it_from_alerting_as_long_as_it_is_known() -> None:
    tracker = Tracker(KPI)
    paused = Cause(kind="control", ref="pause sms")
    tracker.observe(verdict(0, 9.0), [paused])
    opened = tracker.observe(verdict(1, 9.0), [paused])
    assert opened is not None
    assert (opened.severity, opened.suppressed_by, tracker.active) == ("info", paused, 0)
    assert tracker.observe(verdict(2, 9.0), [paused]) is None
    unexplained = tracker.observe(verdict(3, 9.0))
    assert unexplained is not None
    assert (unexplained.severity, unexplained.suppressed_by) == ("critical", None)
    assert tracker.active == 2


def false_alarm(tracker: Tracker, since: int) -> bool:
    fed(tracker, [6.0, 6.0], since)
    said = tracker.settle("false", by="anna", at=START)
    assert said is not None
    assert said.by == "anna"
    (closed,) = fed(tracker, [0.0], since + 2)
    assert closed.state == "closed"
    assert closed.verdict == said
    return said.widened


def test_three_false_alarms_in_a_row_widen_a_series_one_step() -> None:
    tracker = Tracker(KPI)
    assert [false_alarm(tracker, at) for at in (0, 10, 20)] == [False, False, True]
    assert tracker.opens_at == 5.0
    assert not fed(tracker, [4.5, 4.5], since=40)
    assert fed(tracker, [5.5, 5.5], since=50)


def test_a_true_one_stands_and_begins_the_count_anew() -> None:
    tracker = Tracker(KPI)
    false_alarm(tracker, 0)
    false_alarm(tracker, 10)
    fed(tracker, [6.0, 6.0], 20)
    assert tracker.settle("true", by="anna", at=START) is not None
    assert not fed(tracker, [6.0], 22)
    assert tracker.episode is not None
    fed(tracker, [0.0] * 5, 23)
    assert not false_alarm(tracker, 40)
    assert tracker.opens_at == 4.0


def test_a_verdict_without_an_episode_is_none() -> None:
    assert Tracker(KPI).settle("true", by="anna", at=START) is None


def test_a_restored_tracker_goes_on_in_the_middle_of_an_episode() -> None:
    tracker = Tracker(KPI, "channel=sms")
    for at in (0, 10, 20):
        false_alarm(tracker, at)
    fed(tracker, [6.0, 6.0, 0.0, 0.0, 0.0], 30)
    again = Tracker.restored(KPI, "channel=sms", tracker.state())
    assert again is not None
    assert (again.episode, again.opens_at) == (tracker.episode, 5.0)
    assert not fed(again, [0.0], 35)
    assert [one.state for one in fed(again, [0.0], 36)] == ["closed"]


def test_another_versions_state_is_not_read() -> None:
    assert Tracker.restored(KPI, "", b"\x97\x63\xc0\x00\x00\x00\x00\x00") is None
    assert Tracker.restored(KPI, "", b"no msgpack") is None


def test_contributors_are_the_largest_shares_of_the_shortfall() -> None:
    expected = {"web": 100.0, "app": 50.0, "mail": 30.0, "partner": 20.0, "shop": 5.0}
    seen = {"web": 10.0, "app": 40.0, "mail": 35.0, "partner": 16.0, "shop": 4.0}
    found = contributors(expected, seen)
    assert [one.dimension for one in found] == ["web", "app", "partner"]
    assert found[0].share == 0.9
    assert contributors(expected, expected) == []


def test_a_part_that_nobody_expected_contributes_to_a_surplus() -> None:
    (one,) = contributors({"web": 10.0}, {"web": 10.0, "bot": 90.0})
    assert (one.dimension, one.expected, one.share) == ("bot", 0.0, 1.0)
