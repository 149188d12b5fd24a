"""What the audit exports: every verdict from 0 on, its horizon, its triggers."""

from typing import Final

from monitoring import metrics
from monitoring.audit.verdicts import PAUSING, Finding, Verdict
from monitoring.audit_recorder import AuditRecorder
from monitoring.instruments import value_of

_TOPICS: Final = ("rekindle.events", "rekindle.decisions")


def _finding(verdict: Verdict, channel: str) -> Finding:
    return Finding(verdict=verdict, channel=channel, action_id="a", user_id="u", partition=0, at=0)


def test_every_verdict_of_every_channel_is_there_at_0() -> None:
    text = AuditRecorder(["push", "sms"], _TOPICS).render().decode()

    for channel in ("push", "sms", "other"):
        for verdict in metrics.VERDICTS:
            name = f'rekindle_audit_actions_total{{channel="{channel}",verdict="{verdict}"}} 0.0'
            assert name in text
    assert set(metrics.VERDICTS) >= PAUSING


def test_verdicts_are_counted_and_unknown_channels_are_other() -> None:
    recorder = AuditRecorder(["push"], _TOPICS)

    recorder.passed({"push": 3, "pigeon": 2})
    recorder.found(_finding("over_cap", "push"))
    recorder.found(_finding("missing", "pigeon"))
    recorder.paused("push")

    def count(channel: str, verdict: str) -> float:
        return value_of(recorder.registry, metrics.AUDITED, channel=channel, verdict=verdict)

    assert (count("push", "ok"), count("other", "ok")) == (3, 2)
    assert (count("push", "over_cap"), count("other", "missing")) == (1, 1)
    assert value_of(recorder.registry, metrics.AUDIT_PAUSES, channel="push") == 1


def test_success_is_the_topic_that_is_furthest_behind() -> None:
    recorder = AuditRecorder(["push"], _TOPICS)

    recorder.horizon({"rekindle.events": 9_000, "rekindle.decisions": 4_000})
    recorder.triggers([{"armed": 5, "closed": 3, "open": 2, "unbalanced": 1}] * 2)

    def of(topic: str) -> float:
        return value_of(recorder.registry, metrics.AUDIT_HORIZON, topic=topic)

    assert (of("rekindle.events"), of("rekindle.decisions")) == (9.0, 4.0)
    assert value_of(recorder.registry, metrics.AUDIT_SUCCESS) == 4.0
    assert value_of(recorder.registry, metrics.AUDITED_TRIGGERS, state="open") == 4
