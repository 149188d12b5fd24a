"""A worker that cannot do its work says why in one sentence."""

from monitoring.health import Facts, judge

NOW = 1_800_000_000_000
WELL = {"intake": 4, "decide": 4, "deliver": 12}


def test_a_worker_with_everything_in_place_is_ready() -> None:
    health = judge(Facts(loop_turned_at=NOW - 20, agents=WELL), NOW)
    assert (health.live, health.ready, health.findings) == (True, True, ())


def test_a_loop_that_stands_still_is_not_alive() -> None:
    health = judge(Facts(loop_turned_at=NOW - 31_000, agents=WELL), NOW)
    assert not health.live
    assert not health.ready
    assert health.findings == ("The event loop has not come round for 31 s.",)


def test_a_consumer_without_assignment_is_named() -> None:
    health = judge(Facts(loop_turned_at=NOW, agents={**WELL, "decide": None}), NOW)
    assert health.live
    assert not health.ready
    assert health.findings == (
        "The decide agent has no partitions yet: it waits to join its consumer group.",
    )


def test_without_campaigns_it_says_how_to_put_some_in_force() -> None:
    health = judge(Facts(loop_turned_at=NOW, agents=WELL, without_settings=4), NOW)
    assert not health.ready
    assert "`rekindle apply`" in health.findings[0]


def test_a_closed_gate_names_the_lane_and_how_far_it_is_behind() -> None:
    facts = Facts(
        loop_turned_at=NOW, agents=WELL, gate_lane="rekindle.events.raw/3", gate_behind=12_000
    )
    health = judge(facts, NOW)
    assert not health.ready
    assert health.findings == (
        "Time stands still: intake lane rekindle.events.raw/3 is 12 s behind.",
    )


def test_a_lane_that_never_reported_is_named_too() -> None:
    facts = Facts(loop_turned_at=NOW, agents=WELL, gate_lane="rekindle.feedback/0")
    assert judge(facts, NOW).findings == (
        "Time stands still: intake lane rekindle.feedback/0 has not reported.",
    )


def test_redis_away_is_waited_for_and_never_a_reason_to_restart() -> None:
    health = judge(Facts(loop_turned_at=NOW, agents=WELL, away={"redis": NOW - 3_600_000}), NOW)
    assert health.live
    assert not health.ready
    assert health.findings == ("Redis is away since 3600 s; partitions are held.",)


def test_a_halted_partition_speaks_with_its_own_sentence() -> None:
    sentence = "rekindle.events/2: record 17 is not the one that was folded."
    health = judge(Facts(loop_turned_at=NOW, agents=WELL, halted=(sentence,)), NOW)
    assert health.live
    assert not health.ready
    assert health.findings == (sentence,)


def test_a_slow_loop_and_an_idle_agent_are_told_and_block_nothing() -> None:
    facts = Facts(loop_turned_at=NOW, loop_gap=1_400, agents={**WELL, "deliver": 0})
    health = judge(facts, NOW)
    assert health.ready
    assert health.findings == (
        "The event loop was held for 1.4 s: heartbeats share it.",
        "The deliver agent owns no partition: there are more workers than partitions.",
    )


def test_a_worker_that_shuts_down_takes_no_more_work() -> None:
    health = judge(Facts(loop_turned_at=NOW, agents=WELL, stopping=True), NOW)
    assert health.live
    assert not health.ready
