"""What the worker tells is what Prometheus reads; counters are there before anything happens."""

from collections import Counter

import msgspec

from engine.policy import Cap
from engine.report import Report
from monitoring import metrics
from monitoring.metrics import Metric
from monitoring.recorder import Recorder
from tests.unit.monitoring.test_metrics import a_crowded_policy

RAW = "rekindle.events.raw"


def a_recorder() -> Recorder:
    recorder = Recorder([RAW], version="0.1.0", python="3.11.7")
    recorder.in_force(a_crowded_policy(campaigns=2, caps=2), "abc")
    return recorder


def lines(recorder: Recorder) -> list[str]:
    return recorder.render().decode().splitlines()


def test_counters_are_born_at_zero() -> None:
    found = lines(a_recorder())
    assert 'rekindle_decisions_total{campaign="c0",reason="sent"} 0.0' in found
    assert 'rekindle_decisions_total{campaign="c1",reason="cap:cap1"} 0.0' in found
    assert 'rekindle_dead_letters_total{reason="not_json",topic="rekindle.events.raw"} 0.0' in found
    assert 'rekindle_handovers_total{channel="sms",result="unknown"} 0.0' in found
    assert 'rekindle_events_folded_total{type="order_completed"} 0.0' in found
    assert 'rekindle_unavailable_seconds_total{service="redis"} 0.0' in found


def test_no_created_timestamps_are_exposed() -> None:
    assert not [line for line in lines(a_recorder()) if "_created" in line]


def test_a_report_is_counted_under_its_labels() -> None:
    recorder = a_recorder()
    report = Report(
        events=Counter(OrderCompleted=2, ProductViewed=3),
        skipped=Counter(position=4),
        bounded=Counter(carts=1),
        armed=Counter(c0=5),
        due=Counter(c0=3),
        decisions=Counter({("c0", "sent"): 2, ("c1", "cap:cap0"): 1}),
        actions=Counter(push=2),
        lateness=[0, 4_000],
        scoring_failures=1,
        ticks=6,
    )
    recorder.report(report)
    recorder.report(report)
    assert recorder.value(metrics.EVENTS, type="order_completed") == 4
    assert recorder.value(metrics.SKIPS, reason="position") == 8
    assert recorder.value(metrics.BOUNDS, what="carts") == 2
    assert recorder.value(metrics.ARMED, campaign="c0") == 10
    assert recorder.value(metrics.DUE, campaign="c0") == 6
    assert recorder.value(metrics.DECISIONS, campaign="c0", reason="sent") == 4
    assert recorder.value(metrics.DECISIONS, campaign="c1", reason="cap:cap0") == 2
    assert recorder.value(metrics.ACTIONS, channel="push") == 4
    assert recorder.value(metrics.SCORING_FAILURES) == 2
    assert recorder.value(metrics.TICKS) == 12
    assert 'rekindle_decision_lateness_seconds_bucket{le="0.1"} 2.0' in lines(recorder)
    assert "rekindle_decision_lateness_seconds_count 4.0" in lines(recorder)


def test_what_is_not_in_a_closed_list_counts_as_other() -> None:
    recorder = a_recorder()
    recorder.report(
        Report(
            events=Counter(Surprise=1),
            decisions=Counter({("nobody", "sent"): 1, ("c0", "cap:unheard"): 1, ("c0", "odd"): 1}),
            armed=Counter(nobody=1),
        )
    )
    recorder.dead_letter("somewhere", "not_json")
    recorder.dead_letter(RAW, "a reason of tomorrow")
    recorder.handover("pigeon", "accepted")
    assert recorder.value(metrics.EVENTS, type="other") == 1
    assert recorder.value(metrics.DECISIONS, campaign="other", reason="sent") == 1
    assert recorder.value(metrics.DECISIONS, campaign="c0", reason="cap:other") == 1
    assert recorder.value(metrics.DECISIONS, campaign="c0", reason="other") == 1
    assert recorder.value(metrics.ARMED, campaign="other") == 1
    assert recorder.value(metrics.LETTERS, topic="other", reason="not_json") == 1
    assert recorder.value(metrics.LETTERS, topic=RAW, reason="other") == 1
    assert recorder.value(metrics.HANDOVERS, channel="other", result="accepted") == 1


def test_a_changed_campaigns_file_keeps_what_was_counted() -> None:
    recorder = a_recorder()
    recorder.report(Report(armed=Counter(c0=7)))
    recorder.in_force(a_crowded_policy(campaigns=3, caps=2), "def")
    assert recorder.value(metrics.ARMED, campaign="c0") == 7
    assert 'rekindle_triggers_armed_total{campaign="c2"} 0.0' in lines(recorder)
    assert 'rekindle_settings_info{mode="live",settings_hash="def"} 1.0' in lines(recorder)


def test_intake_counts_its_dead_letters_by_reason() -> None:
    recorder = a_recorder()
    recorder.intake(RAW, 10, ["not_json", "not_json", "no_user"])
    assert recorder.value(metrics.INTAKE, topic=RAW) == 10
    assert recorder.value(metrics.LETTERS, topic=RAW, reason="not_json") == 2
    assert recorder.value(metrics.LETTERS, topic=RAW, reason="no_user") == 1


def test_a_chunk_is_timed_by_stage_and_counted_as_a_commit() -> None:
    recorder = a_recorder()
    recorder.chunk({"take": 0.002, "commit": 0.001, "produce": 0.003})
    assert recorder.value(metrics.COMMITS) == 1
    assert 'rekindle_chunk_seconds_bucket{le="0.0025",stage="take"} 1.0' in lines(recorder)
    assert 'rekindle_chunk_seconds_bucket{le="0.001",stage="take"} 0.0' in lines(recorder)


def folded(recorder: Recorder, metric: Metric) -> float:
    return recorder.value(metrics.FOLDED_AWAY, metric=metric.name)


def test_what_is_folded_is_counted_by_metric() -> None:
    recorder = a_recorder()
    recorder.report(
        Report(
            events=Counter(Surprise=3),
            decisions=Counter({("nobody", "sent"): 1}),
            armed=Counter(x=1),
        )
    )
    recorder.intake("a topic of tomorrow", 5)
    recorder.dead_letter(RAW, "a reason of tomorrow")
    recorder.handover("pigeon", "accepted")
    recorder.event_to_action("pigeon", 1.0)
    recorder.timings.called("pigeon", 1.0)
    for metric in (
        metrics.EVENTS,
        metrics.DECISIONS,
        metrics.ARMED,
        metrics.INTAKE,
        metrics.LETTERS,
        metrics.HANDOVERS,
        metrics.EVENT_TO_ACTION,
        metrics.HANDOVER_SECONDS,
    ):
        assert folded(recorder, metric) == 1, metric.name
    assert folded(recorder, metrics.DUE) == 0


def test_what_is_in_the_lists_is_not_folded() -> None:
    recorder = a_recorder()
    recorder.report(
        Report(
            events=Counter(ProductAdded=1),
            decisions=Counter({("c0", "cap:cap0"): 2}),
            due=Counter(c0=1),
        )
    )
    recorder.intake(RAW, 5, ["not_json"])
    recorder.handover("push", "accepted")
    found = [line for line in lines(recorder) if line.startswith("rekindle_labels_folded_total{")]
    assert found
    assert all(line.endswith(" 0.0") for line in found), found


def test_events_of_the_future_took_no_time() -> None:
    recorder = a_recorder()
    recorder.arrived([-5_000, 400, 90_000], {RAW: 1_800_000_000_500})
    found = lines(recorder)
    assert 'rekindle_ingest_delay_seconds_bucket{le="0.1"} 1.0' in found
    assert 'rekindle_ingest_delay_seconds_bucket{le="0.5"} 2.0' in found
    assert 'rekindle_ingest_delay_seconds_bucket{le="60.0"} 2.0' in found
    assert "rekindle_ingest_delay_seconds_sum 90.4" in found
    assert recorder.value(metrics.LAST_RECORD, topic=RAW) == 1_800_000_000.5


def test_a_topic_nothing_came_from_has_no_time_of_its_newest_record() -> None:
    name = metrics.LAST_RECORD.exposed
    assert not [line for line in lines(a_recorder()) if line.startswith(name)]


def test_what_is_paused_says_by_whom_and_goes_when_it_is_resumed() -> None:
    recorder = a_recorder()
    recorder.held_back([("channel:sms", "audit"), ("campaign:c0", "operator")], {"sms": 0.0})
    assert recorder.value(metrics.PAUSED, name="channel:sms", by="audit") == 1
    assert recorder.value(metrics.PAUSED, name="campaign:c0", by="operator") == 1
    assert recorder.value(metrics.SHARE, channel="sms") == 0
    assert recorder.value(metrics.SHARE, channel="push") == 1
    recorder.held_back([], {"sms": 0.5})
    found = [line for line in lines(recorder) if line.startswith("rekindle_paused{")]
    assert found == [
        f'rekindle_paused{{by="operator",name="channel:{x}"}} 0.0' for x in metrics.CHANNELS
    ]
    assert recorder.value(metrics.SHARE, channel="sms") == 0.5


def test_the_live_page_counts_its_streams_and_what_it_dropped() -> None:
    recorder = a_recorder()
    recorder.clients(3)
    recorder.frame_dropped(2)
    recorder.rebalanced("decide", 2)
    assert recorder.value(metrics.CLIENTS) == 3
    assert recorder.value(metrics.DROPPED) == 2
    assert recorder.value(metrics.REBALANCES, agent="decide") == 2


def test_a_closed_gate_says_how_far_its_lane_is_behind() -> None:
    recorder = a_recorder()
    recorder.tick_gate(is_open=False, behind=7.5)
    assert recorder.value(metrics.GATE) == 0
    assert recorder.value(metrics.GATE_AGE) == 7.5
    recorder.tick_gate(is_open=True)
    assert recorder.value(metrics.GATE) == 1
    assert recorder.value(metrics.GATE_AGE) == 0


def test_states_and_doubts_are_told() -> None:
    recorder = a_recorder()
    recorder.owned("decide", 4, halted=1)
    recorder.doubt("stale")
    recorder.unavailable("redis", 2.5)
    recorder.event_to_action("push", 1.5)
    recorder.loop_gap(0.02)
    recorder.model("orders", "2026-11-01", "simulator")
    recorder.model_refused()
    recorder.mended(3)
    assert recorder.value(metrics.OWNED, agent="decide") == 4
    assert recorder.value(metrics.HALTED, agent="decide") == 1
    assert recorder.value(metrics.DOUBTS_TOTAL, doubt="stale") == 1
    assert recorder.value(metrics.UNAVAILABLE, service="redis") == 2.5
    assert recorder.value(metrics.MODELS_REFUSED) == 1
    assert recorder.value(metrics.MENDED) == 3
    found = lines(recorder)
    assert 'rekindle_event_to_action_seconds_bucket{channel="push",le="2.0"} 1.0' in found
    assert (
        'rekindle_model_info{name="orders",provenance="simulator",version="2026-11-01"} 1.0'
        in found
    )
    assert 'rekindle_build_info{python="3.11.7",version="0.1.0"} 1.0' in found


def test_two_recorders_share_nothing() -> None:
    first, second = a_recorder(), a_recorder()
    first.doubt("fenced")
    assert second.value(metrics.DOUBTS_TOTAL, doubt="fenced") == 0


def test_a_cap_of_a_later_file_gets_its_series() -> None:
    recorder = a_recorder()
    policy = a_crowded_policy(campaigns=1, caps=0)
    later = msgspec.structs.replace(policy, caps=(Cap(name="new", kind="gap"),))
    recorder.in_force(later, "x")
    assert 'rekindle_decisions_total{campaign="c0",reason="cap:new"} 0.0' in lines(recorder)
