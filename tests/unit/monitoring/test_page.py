"""The page as a pure function: what it says of workers, audits and observers, or that it cannot."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.reasons import REASONS
from engine.times import HOUR, MINUTE, SECOND
from monitoring import metrics
from monitoring.page import standing
from monitoring.page.history import History
from monitoring.page.schema import Banner, Snapshot, Tile
from monitoring.page.snapshot import encode, look, snapshot
from monitoring.page.work import GROUPS, SENT, group
from monitoring.recorder import Recorder
from monitoring.summary import Summary, samples_of, scraped

ROOT = Path(__file__).parents[3]
START = 1_700_000_000_000
LATER = START + 20 * SECOND


def a_summary(kind: Any = "worker", name: str = "a", at: int = LATER, **changes: Any) -> Summary:
    fields: dict[str, Any] = {"kind": kind, "name": name, "at": at, "started_at": START - HOUR}
    return Summary(**(fields | changes))


def said(metric: metrics.Metric, value: float, **labels: str) -> dict[str, float]:
    return {scraped(metric.exposed, labels): value}


def shown(*summaries: Summary, now: int = LATER, before: list[Summary] | None = None) -> Snapshot:
    history = History()
    look(history, before or [], START)
    look(history, summaries, now)
    return snapshot(history.summaries, history, now)


def tile(page: Snapshot, name: str) -> Tile:
    return next(each for each in page.health.tiles if each.name == name)


# --- nobody, and nobody any more -----------------------------------------------------------------


def test_where_nothing_runs_every_panel_says_so_and_nothing_is_green() -> None:
    page = shown()

    told = json.loads(encode(page))
    panels = {name: part for name, part in told.items() if isinstance(part, dict)}
    states = {name: part["state"] for name, part in panels.items() if "state" in part}
    assert set(states.values()) == {"absent"}
    assert len(states) == 13
    assert all(part["reason"] for part in panels.values() if "state" in part)
    assert {each.state for each in page.health.tiles} == {"unknown"}
    assert page.header.banners[0].severity == "page"


def test_a_worker_that_fell_silent_is_stale_and_its_good_figures_are_not_green() -> None:
    page = shown(a_summary(at=START))

    assert page.header.state == "stale"
    assert page.header.as_of == START
    assert page.header.reason == "a has said nothing for 20 s."
    assert tile(page, "oldest_record").state == "unknown"
    assert tile(page, "oldest_record").value == 0.0


def test_one_silent_worker_of_two_is_named_and_takes_the_green_away() -> None:
    page = shown(a_summary(), a_summary(name="b", at=START))

    assert (page.header.workers, page.header.expected) == (1, 2)
    assert page.header.state == "live"
    assert page.header.reason == "b has said nothing for 20 s."
    assert tile(page, "oldest_record").state == "unknown"
    assert [each.sentence for each in page.header.banners] == ["Worker b does not speak."]


def test_a_worker_that_left_is_still_expected_for_half_an_hour() -> None:
    history = History()
    look(history, [a_summary(at=START), a_summary(name="b", at=START)], START)
    look(history, [a_summary(at=START + MINUTE)], START + MINUTE)

    page = snapshot(history.summaries, history, START + MINUTE)

    assert (page.header.workers, page.header.expected) == (1, 2)


# --- health --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "state"), [(0.0, "ok"), (6.0, "warn"), (31.0, "bad")])
def test_the_oldest_record_colours_its_tile(seconds: float, state: str) -> None:
    samples = said(metrics.LAG_AGE, seconds, topic="t", partition="0")

    page = shown(a_summary(samples=samples))

    assert (tile(page, "oldest_record").value, tile(page, "oldest_record").state) == (
        seconds,
        state,
    )


def test_the_worst_partition_of_all_workers_counts() -> None:
    one = said(metrics.LAG_AGE, 1.0, topic="t", partition="0")
    other = said(metrics.LAG_AGE, 40.0, topic="t", partition="1")

    page = shown(a_summary(samples=one), a_summary(name="b", samples=other))

    assert tile(page, "oldest_record").value == 40.0


def test_a_trigger_that_is_due_and_not_decided_grows_old() -> None:
    page = shown(a_summary(facts={"next_due": LATER - 7_000}))

    assert tile(page, "oldest_due").value == pytest.approx(7.0)
    assert tile(page, "oldest_due").state == "warn"


def an_audit(last: int, **found: float) -> Summary:
    samples = said(metrics.AUDIT_SUCCESS, last / SECOND)
    samples |= said(metrics.AUDIT_HORIZON, (last - 2_000) / SECOND, topic="events")
    samples |= said(metrics.AUDIT_HORIZON, (last - 1_000) / SECOND, topic="decisions")
    for verdict, count in found.items():
        samples |= said(metrics.AUDITED, count, channel="sms", verdict=verdict)
    return a_summary("audit", "audit", samples=samples)


def test_an_audit_that_watches_and_finds_nothing_is_green_with_its_horizon() -> None:
    found = tile(shown(a_summary(), an_audit(LATER, ok=7)), "violations")

    assert (found.value, found.state, found.audited_until) == (0, "ok", LATER - 2_000)


def test_a_stale_audit_never_shows_green() -> None:
    page = shown(a_summary(), an_audit(LATER - 16 * MINUTE, ok=7))

    assert tile(page, "violations").state == "unknown"
    assert tile(page, "lost_or_doubled").state == "unknown"
    assert tile(page, "violations").reason == "The audit came to its last end 16 min ago."


def test_an_audit_that_never_came_to_an_end_shows_no_green() -> None:
    page = shown(a_summary(), a_summary("audit", "audit"))

    assert tile(page, "violations").state == "unknown"


@pytest.mark.parametrize(
    "verdict", ["undecided", "over_cap", "quiet_hours", "no_consent", "withheld"]
)
def test_a_violation_is_bad_and_heads_the_page(verdict: str) -> None:
    page = shown(a_summary(), an_audit(LATER, ok=7, **{verdict: 1}))

    assert tile(page, "violations").state == "bad"
    assert tile(page, "lost_or_doubled").state == "ok"
    assert page.header.banners[0].severity == "page"
    assert verdict.replace("_", " ") in page.header.banners[0].sentence


def test_one_banner_names_all_verdicts_and_leaves_to_alertmanager_what_it_tells() -> None:
    found = an_audit(LATER, ok=7, over_cap=1, undecided=2, missing=3)
    history = History()
    look(history, [a_summary(at=LATER), found], LATER)
    told = Banner(severity="page", sentence="Told.", runbook="ActionsUndecided", source="it")

    first, *others = snapshot([a_summary(at=LATER), found], history, LATER).header.banners
    again = snapshot([a_summary(at=LATER), found], history, LATER, [told]).header.banners

    assert first.sentence == (
        "The audit found wrong actions: 2 undecided, 1 over cap, 3 missing "
        "(one action may be several of these)."
    )
    assert first.runbook == "ActionsUndecided"
    assert not [each for each in others if each.source == "audit"]
    assert not [each for each in again if each.runbook == "ActionsUndecided" and each != told]
    assert [each.sentence for each in again if each.source == "audit"] == [
        "The audit found wrong actions: 1 over cap, 3 missing (one action may be several of these)."
    ]


def test_no_verdict_of_the_audit_is_left_out_of_tiles_banner_and_panel() -> None:
    wrong = set(metrics.VERDICTS) - {"ok"}
    panel = (ROOT / "streams/live/static/panels/audit.js").read_text()
    listed = re.search(r"const VERDICTS = \[(.*)\]", panel)

    assert {*standing._VIOLATIONS, *standing._BOOKS} == wrong == set(standing._RUNBOOKS)
    assert listed is not None
    assert set(re.findall(r'"(\w+)"', listed[1])) == set(metrics.VERDICTS)


def test_a_violation_found_by_an_audit_that_went_stale_stays_bad() -> None:
    page = shown(a_summary(), an_audit(LATER - HOUR, over_cap=1))

    assert tile(page, "violations").state == "bad"


# --- panels of workers ---------------------------------------------------------------------------


def a_recorder() -> Recorder:
    return Recorder(["events.raw"], ("push", "sms"))


def test_traffic_names_a_source_that_fell_silent() -> None:
    samples = said(metrics.LAST_RECORD, (LATER - 6 * MINUTE) / SECOND, topic="shop")
    samples |= said(metrics.LAST_RECORD, LATER / SECOND, topic="app")
    facts = {"sources": ["app", "shop"]}

    sources = {
        each.name: each for each in shown(a_summary(samples=samples, facts=facts)).traffic.sources
    }

    assert sources["shop"].silent
    assert sources["shop"].silent_for == 6 * MINUTE
    assert not sources["app"].silent


def test_a_source_that_never_spoke_is_there_all_the_same() -> None:
    page = shown(a_summary(facts={"sources": ["shop"]}))

    assert [(each.name, each.last_at) for each in page.traffic.sources] == [("shop", None)]


def test_every_reason_there_is_has_its_step_in_the_funnel() -> None:
    placed = {reason for those in GROUPS.values() for reason in those}

    assert placed == set(REASONS) - {SENT}
    assert group("cap:any-24h") == "caps"


def test_the_funnel_ends_with_what_was_sent_and_loses_nothing_on_the_way() -> None:
    before, after = a_recorder(), a_recorder()
    base = a_summary(at=START, samples=samples_of(before.registry))
    reasons = {"sent": 5, "no_consent": 7, "cap:any-24h": 2, "quiet_hours": 3, "converted": 4}
    counted = metrics.DECISIONS
    samples = dict(samples_of(after.registry))
    for reason, count in reasons.items():
        samples |= said(counted, count, campaign="cart", reason=reason)

    page = shown(a_summary(samples=samples), before=[base])

    assert page.decisions.decided == pytest.approx(21)
    assert page.decisions.steps[-1].passed == pytest.approx(5)
    assert sum(step.stopped for step in page.decisions.steps) == pytest.approx(16)
    assert {each.reason: round(each.count) for each in page.decisions.reasons} == reasons


def test_a_pause_is_told_with_who_and_why_and_until_when() -> None:
    pause = {"name": "channel:sms", "by": "brake", "reason": "bounces", "since": 5, "until": 9}
    samples = said(metrics.PAUSED, 1, name="channel:sms", by="brake")
    samples |= said(metrics.SHARE, 1, channel="push") | said(metrics.ACTIONS, 1, channel="push")

    page = shown(a_summary(samples=samples, facts={"pauses": [pause]}))

    found = {each.name: each for each in page.channels.channels}
    assert found["push"].running == "running"
    assert found["sms"].running == "paused"
    assert [(p.by, p.reason, p.until) for p in found["sms"].paused] == [("brake", "bounces", 9)]


def test_a_throttled_channel_shows_its_share() -> None:
    found = {
        each.name: each
        for each in shown(
            a_summary(samples=said(metrics.SHARE, 0.6, channel="sms"))
        ).channels.channels
    }

    assert (found["sms"].running, found["sms"].share) == ("throttled", 0.6)


def test_a_tail_entry_of_another_version_is_left_out_and_costs_no_page() -> None:
    assert shown(a_summary(facts={"tail": [{"id": 1}]})).tail.decisions == []


# --- panels of the observer ----------------------------------------------------------------------


def observed(**changes: Any) -> Snapshot:
    return shown(a_summary(), a_summary("observe", "observe", **changes))


def test_lift_needs_enough_people_in_both_arms() -> None:
    few = said(metrics.ARM_USERS, 1_000, channel="sms", arm="treated")
    few |= said(metrics.ARM_USERS, 29, channel="sms", arm="withheld")

    found = {each.name: each for each in observed(samples=few).channels.channels}["sms"]

    assert found.lift is None
    assert found.lift_reason is not None
    assert found.lift_reason.startswith("Fewer than 30")


def test_lift_is_the_difference_of_shares_with_its_interval() -> None:
    samples = said(metrics.ARM_USERS, 1_000, channel="sms", arm="treated")
    samples |= said(metrics.ARM_USERS, 500, channel="sms", arm="withheld")
    samples |= said(metrics.CONVERSIONS, 60, channel="sms", arm="treated")
    samples |= said(metrics.CONVERSIONS, 20, channel="sms", arm="withheld")

    lift = {each.name: each for each in observed(samples=samples).channels.channels}["sms"].lift

    assert lift is not None
    assert lift.value == pytest.approx(0.02)
    # 1.96 x sqrt(0.06 x 0.94 / 1000 + 0.04 x 0.96 / 500)
    assert lift.high - lift.value == pytest.approx(0.02262, abs=1e-4)


def test_without_an_observer_money_has_a_reason_and_no_number() -> None:
    for channel in shown(a_summary()).channels.channels:
        assert channel.cost.value is None
        assert channel.cost.reason == "No `rekindle observe` runs."
        assert channel.roi.value is None


def test_open_episodes_come_first_and_closed_ones_newest_first() -> None:
    episodes = [
        {"anomaly_id": "1", "state": "closed", "closed_at": 1_000},
        {"anomaly_id": "2", "state": "opened"},
        {"anomaly_id": "3", "state": "closed", "closed_at": 2_000},
    ]

    found = observed(facts={"episodes": episodes}).anomalies

    assert [each["anomaly_id"] for each in found.open] == ["2"]
    assert [each["anomaly_id"] for each in found.closed] == ["3", "1"]


def test_a_critical_episode_heads_the_page() -> None:
    samples = said(metrics.ANOMALY_ACTIVE, 2, kpi="events", dimension="shop")

    page = observed(samples=samples)

    assert page.header.banners[0].severity == "page"
    assert page.header.banners[0].sentence == "1 critical anomaly episode(s)."


def test_an_episode_of_simulated_time_wakes_nobody() -> None:
    samples = said(metrics.ANOMALY_ACTIVE, 2, kpi="events", dimension="shop")
    worker = a_summary(facts={"clock": "source", "now": START})

    page = shown(worker, a_summary("observe", "one", samples=samples))

    (banner,) = [one for one in page.header.banners if one.source == "observe"]
    assert (banner.severity, banner.sentence) == ("ticket", "1 critical anomaly episode(s).")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (["A", "B"], "2 of the day's best sellers are sold out: A, B."),
        (list("ABCDE"), "5 of the day's best sellers are sold out: A, B, C and 2 more."),
    ],
)
def test_best_sellers_that_are_sold_out_are_in_the_banner(gone: list[str], said: str) -> None:
    page = observed(facts={"stock": {"best_sold_out": gone}})

    (banner,) = [each for each in page.header.banners if each.source == "observe"]
    assert (banner.severity, banner.sentence) == ("ticket", said)


@pytest.mark.parametrize("stock", [None, {"best_sold_out": []}, {}, "of another version"])
def test_no_banner_speaks_of_stock_that_is_there_or_not_known(stock: object) -> None:
    page = observed(facts={"stock": stock})

    assert not [each for each in page.header.banners if each.source == "observe"]


def test_messages_stopped_because_all_is_sold_out_are_counted_from_the_hand_overs() -> None:
    before = said(metrics.CANCELLED, 1, reason="out_of_stock")
    history = History()
    look(history, [a_summary(at=START, samples=before)], START)
    after = said(metrics.CANCELLED, 4, reason="out_of_stock")
    look(history, [a_summary(samples=after)], LATER)

    assert snapshot(history.summaries, history, LATER).funnel.out_of_stock == 3


def test_what_the_observer_knows_is_passed_on_without_what_other_panels_have() -> None:
    facts = {"currency": "EUR", "sales": {"products": []}, "episodes": [], "tail": [{"at": 1}]}
    waiting = a_summary("observe", "a second one")

    page = shown(a_summary(), waiting, a_summary("observe", "observe", facts=facts))

    assert page.observed == {"currency": "EUR", "sales": {"products": []}}
    assert page.header.currency == "EUR"


def test_every_runbook_the_page_names_is_that_of_a_shipped_alert() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "ops/prometheus/rules").glob("*.yml"))
    shipped = set(re.findall(r"alert: (\w+)", rules))
    source = Path(standing.__file__).read_text()
    named = set(re.findall(r'runbook="(\w+)"', source)) | set(standing._RUNBOOKS.values())

    assert len(named) > 8
    assert named <= shipped


# --- the page as a whole -------------------------------------------------------------------------


def test_it_changes_nothing_and_says_the_same_twice() -> None:
    history = History()
    look(history, [a_summary(at=START, samples=said(metrics.ACTIONS, 1, channel="sms"))], START)
    look(history, [a_summary(samples=said(metrics.ACTIONS, 9, channel="sms"))], LATER)

    first = encode(snapshot(history.summaries, history, LATER))

    assert encode(snapshot(history.summaries, history, LATER)) == first


def test_in_a_simulation_the_page_is_about_simulated_time() -> None:
    simulated = START - 100 * HOUR
    facts = {"clock": "source", "now": simulated}

    page = shown(a_summary(facts=facts))

    assert page.clock.simulated
    assert page.clock.now == simulated
    assert page.now == LATER
