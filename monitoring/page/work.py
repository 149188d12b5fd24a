"""The panels that workers fill: flow, traffic, triggers, decisions, workers, tail, footer."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from engine import reasons
from engine.times import MINUTE, SECOND
from monitoring import metrics
from monitoring.page.schema import (
    Campaign,
    Colour,
    Decisions,
    Figure,
    Flow,
    Footer,
    Model,
    Rate,
    Reason,
    Source,
    Stage,
    Step,
    Tail,
    Told,
    Traffic,
    Triggers,
    Worker,
    Workers,
)
from monitoring.page.view import View, label_of, samples
from monitoring.summary import Summary

# A source that spoke and then says nothing for this long is marked.
SILENT_AFTER: Final = 5 * MINUTE
# Over how much of the page's time percentiles are told.
RECENT: Final = 5 * MINUTE

# The funnel: groups of reasons in the order in which guards are asked.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "ended": reasons.ENDED,
    "stopped": (*reasons.STOPPED, "stale"),
    "consent": ("no_consent", "personalisation_off", "not_in_segment"),
    "address": ("unreachable", "suppressed_address"),
    "cooldown": ("cooldown",),
    "caps": (),
    "quiet_hours": ("quiet_hours",),
    "budget": ("budget", "rate_brake"),
    "weighed": reasons.WEIGHED,
    "failed": ("template_failed", "out_of_stock"),
    "held_out": ("would_send_holdout", "would_send_dry_run"),
}
SENT: Final = "sent"
_OTHER_GROUP: Final = "failed"


def group(reason: str) -> str:
    """Return the step of the funnel at which a reason stops a message."""
    if reason == SENT:
        return SENT
    if reason.startswith(reasons.CAP):
        return "caps"
    return next((name for name, those in GROUPS.items() if reason in those), _OTHER_GROUP)


# --- flow ----------------------------------------------------------------------------------------


def flow(view: View) -> Flow:
    """Return the boxes from the sources to the gateways."""
    panel = view.panel("worker")
    if panel.state == "absent":
        return Flow(state=panel.state, reason=panel.reason)
    stages = [_sources(view), _intake(view), _decide(view), _outbox(view), _deliver(view)]
    return Flow(state=panel.state, as_of=panel.as_of, reason=panel.reason, stages=stages)


def _sources(view: View) -> Stage:
    return Stage(
        name="sources",
        rate_out=view.rate(metrics.INTAKE),
        errors=_sum(view.rates_by(metrics.RECEIVED, "result"), ("refused", "quarantined")),
        p95=view.quantile(metrics.INGEST_DELAY, 0.95, _recent(view)),
    )


def _intake(view: View) -> Stage:
    halted = view.total(metrics.HALTED, agent="intake")
    taken, refused = view.rate(metrics.INTAKE), view.rate(metrics.LETTERS)
    out = None if taken is None or refused is None else max(0.0, taken - refused)
    waiting = _waiting(view, events=False)
    return Stage(
        name="intake",
        rate_in=taken,
        rate_out=out,
        errors=refused,
        waiting=waiting,
        state=_colour(halted, view.highest(metrics.GATE_AGE) or 0.0, warn=5.0, bad=30.0),
        findings=_findings(view, ("intake",)),
    )


def _decide(view: View) -> Stage:
    halted = view.total(metrics.HALTED, agent="decide")
    busy = _busy(view)
    slow = 0.0 if busy is None else busy
    return Stage(
        name="decide",
        rate_in=view.rate(metrics.EVENTS),
        rate_out=view.rate(metrics.DECISIONS),
        errors=view.rate(metrics.SCORING_FAILURES),
        p95=view.quantile(metrics.CHUNK, 0.95, _recent(view), stage="take"),
        busy=busy,
        waiting=_waiting(view, events=True),
        state=_colour(halted, slow, warn=0.7, bad=0.95),
        findings=_findings(view, ("decide", "No campaigns")),
    )


def _outbox(view: View) -> Stage:
    return Stage(
        name="outbox",
        rate_in=view.rate(metrics.ACTIONS),
        rate_out=view.rate(metrics.ACTIONS),
        errors=view.rate(metrics.PRODUCE_FAILED),
        p95=view.quantile(metrics.CHUNK, 0.95, _recent(view), stage="produce"),
        waiting=view.total(metrics.OUTBOX),
    )


def _deliver(view: View) -> Stage:
    failed = ("bounced", "rejected", "failed", "expired", "unknown")
    by_result = view.rates_by(metrics.HANDOVERS, "result")
    return Stage(
        name="deliver",
        rate_in=view.rate(metrics.HANDOVERS),
        rate_out=_sum(by_result, ("accepted",)),
        errors=_sum(by_result, failed),
        p95=view.quantile(metrics.HANDOVER_SECONDS, 0.95, _recent(view)),
        state=_colour(view.total(metrics.HALTED, agent="deliver"), 0.0, warn=1.0, bad=1.0),
        findings=_findings(view, ("deliver",)),
    )


def _waiting(view: View, *, events: bool) -> float:
    """Return records that wait: in the topic of decide, or in those of intake."""
    return sum(
        sum(values)
        for series, values in view.values(metrics.LAG).items()
        if _is_events(label_of(series, "topic")) is events
        and ".actions." not in label_of(series, "topic")
    )


def _is_events(topic: str) -> bool:
    return topic.endswith("events")


def _busy(view: View) -> float | None:
    """Return the share of wall time in which the mean worker works through chunks."""
    if view.history.simulated:
        return None
    rates = view.rates(f"{metrics.CHUNK.exposed}_sum")
    workers = len(view.of("worker"))
    if rates is None or not workers:
        return None
    # Chunks of several partitions wait for Redis side by side: what is computed is `take`.
    return sum(v for series, v in rates.items() if label_of(series, "stage") == "take") / workers


def _findings(view: View, words: Iterable[str]) -> list[str]:
    told = [text for summary in view.of("worker") for text in summary.findings]
    return [text for text in dict.fromkeys(told) if any(word in text for word in words)]


def _colour(halted: float, value: float, *, warn: float, bad: float) -> Colour:
    if halted or value >= bad:
        return "bad"
    return "warn" if value >= warn else "ok"


def _sum(rates: dict[str, float], names: Iterable[str]) -> float:
    return sum(rates.get(name, 0.0) for name in names)


def _recent(view: View) -> int:
    return view.history.axis.window if view.history.simulated else RECENT


# --- traffic -------------------------------------------------------------------------------------


def traffic(view: View) -> Traffic:
    """Return records per second of every source, and what they were."""
    panel = view.panel("worker")
    letters = view.rates_by(metrics.LETTERS, "reason")
    types = view.rates_by(metrics.EVENTS, "type")
    return Traffic(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        sources=[_source(view, topic) for topic in _topics(view)],
        types=_rates(types, view.counts_by(metrics.EVENTS, "type")),
        dead_letters=_rates(letters, view.counts_by(metrics.LETTERS, "reason")),
    )


def _topics(view: View) -> list[str]:
    told = {topic for summary in view.of("worker") for topic in summary.facts.get("sources", ())}
    return sorted({str(topic) for topic in told} | set(view.label_values(metrics.INTAKE, "topic")))


def _source(view: View, topic: str) -> Source:
    last = view.highest(metrics.LAST_RECORD, topic=topic)
    last_at = None if last is None else round(last * SECOND)
    silent_for = None if last_at is None or view.history.simulated else view.wall - last_at
    history = view.history.rate_points(metrics.INTAKE.exposed, topic=topic)
    expected, low, high = (
        view.highest(metric, kpi="events", dimension=topic)
        for metric in (metrics.KPI_EXPECTED, metrics.KPI_LOW, metrics.KPI_HIGH)
    )
    return Source(
        name=topic,
        rate=view.rate(metrics.INTAKE, topic=topic),
        last_at=last_at,
        silent_for=None if silent_for is None else max(0, silent_for),
        expected=expected,
        low=low,
        high=high,
        silent=silent_for is not None and silent_for > SILENT_AFTER,
        history=history,
    )


def _rates(rates: dict[str, float], counts: dict[str, float]) -> list[Rate]:
    named = [Rate(name=name, rate=rates.get(name, 0.0), count=n) for name, n in counts.items()]
    return sorted(named, key=lambda each: (-each.count, each.name))


# --- triggers ------------------------------------------------------------------------------------


def triggers(view: View) -> Triggers:
    """Return what is armed and becomes due, by campaign."""
    panel = view.panel("worker")
    workers = view.of("worker")
    pending = [s.facts["pending"] for s in workers if isinstance(s.facts.get("pending"), int)]
    due = [s.facts["next_due"] for s in workers if isinstance(s.facts.get("next_due"), int)]
    ticking = [summary for summary in workers if summary.facts.get("ticks")]
    lateness = view.quantile(metrics.LATENESS, 0.99, view.history.axis.kept)
    return Triggers(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        campaigns=_campaigns(view),
        waiting=Figure(
            value=sum(pending) if pending else None,
            unit="people",
            reason=None if pending else "No worker has counted its wake-ups yet.",
        ),
        next_due=min(due, default=None),
        lateness_p99=Figure(
            value=lateness,
            unit="seconds",
            reason=None if lateness is not None else "Nothing became due in this time.",
        ),
        gate_open=all(samples(s, metrics.GATE) for s in ticking) if ticking else None,
        gate_behind=view.highest(metrics.GATE_AGE) or 0.0,
    )


def _campaigns(view: View) -> list[Campaign]:
    armed, due = (view.counts_by(m, "campaign") for m in (metrics.ARMED, metrics.DUE))
    decided = view.counts_by(metrics.DECISIONS, "campaign")
    rates = [view.rates_by(m, "campaign") for m in (metrics.ARMED, metrics.DUE, metrics.DECISIONS)]
    known = {str(name) for s in view.of("worker") for name in s.facts.get("campaigns", ())}
    by_reason = _reasons_by_campaign(view)
    return [
        Campaign(
            name=name,
            armed_rate=rates[0].get(name, 0.0),
            due_rate=rates[1].get(name, 0.0),
            decided_rate=rates[2].get(name, 0.0),
            armed=armed.get(name, 0.0),
            due=due.get(name, 0.0),
            sent=by_reason.get(name, {}).get(SENT, 0.0),
            ended=sum(by_reason.get(name, {}).get(each, 0.0) for each in reasons.ENDED),
        )
        for name in sorted(known | armed.keys() | due.keys() | decided.keys())
    ]


def _reasons_by_campaign(view: View) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for series, count in view.counted(metrics.DECISIONS.exposed).items():
        kept = found.setdefault(label_of(series, "campaign"), {})
        reason = label_of(series, "reason")
        kept[reason] = round(kept.get(reason, 0.0) + count, 6)
    return found


# --- decisions -----------------------------------------------------------------------------------


def decisions(view: View) -> Decisions:
    """Return why somebody got a message, or did not."""
    panel = view.panel("worker")
    by_campaign = _reasons_by_campaign(view)
    counts: dict[str, dict[str, float]] = {}
    for campaign, told in by_campaign.items():
        for reason, count in told.items():
            counts.setdefault(reason, {})[campaign] = count
    decided = sum(sum(each.values()) for each in counts.values())
    found = [
        Reason(
            reason=reason,
            group=group(reason),
            count=sum(each.values()),
            share=sum(each.values()) / decided if decided else 0.0,
            campaigns=each,
        )
        for reason, each in counts.items()
    ]
    return Decisions(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        since=max(view.history.since, view.now - view.history.axis.kept),
        decided=decided,
        steps=_steps(found, decided),
        reasons=sorted(found, key=lambda each: (-each.count, each.reason)),
    )


def _steps(found: list[Reason], decided: float) -> list[Step]:
    left, steps = decided, []
    for name in GROUPS:
        stopped = sum(each.count for each in found if each.group == name)
        left = max(0.0, left - stopped)
        share = left / decided if decided else 0.0
        steps.append(Step(name=name, passed=left, stopped=stopped, share=share))
    return steps


# --- workers -------------------------------------------------------------------------------------


def workers(view: View) -> Workers:
    """Return every process as it stands."""
    panel = view.panel("worker")
    return Workers(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        processes=[_worker(view, summary) for summary in view.summaries],
    )


def _worker(view: View, summary: Summary) -> Worker:
    owned = {agent: int(samples(summary, metrics.OWNED, agent=agent)) for agent in metrics.AGENTS}
    waited = [v for series, v in summary.samples.items() if series.startswith(_LAG_SECONDS)]
    return Worker(
        kind=summary.kind,
        name=summary.name,
        state=view.state(summary),
        at=summary.at,
        started_at=summary.started_at,
        version=summary.version,
        http=summary.http,
        partitions=owned if summary.kind == "worker" else {},
        halted=int(samples(summary, metrics.HALTED)),
        lag_records=samples(summary, metrics.LAG),
        lag_seconds=max(waited, default=0.0),
        loop_gap_p99=_fact(summary, "loop_gap_p99"),
        memory_bytes=summary.samples.get("process_resident_memory_bytes"),
        cpu=_fact(summary, "cpu"),
        redis_p99=_fact(summary, "redis_p99"),
        errors=samples(summary, metrics.REDIS_FAILED) + samples(summary, metrics.PRODUCE_FAILED),
        findings=summary.findings,
    )


_LAG_SECONDS: Final = metrics.LAG_AGE.exposed


def _fact(summary: Summary, name: str) -> float | None:
    value = summary.facts.get(name)
    return float(value) if isinstance(value, int | float) else None


# --- tail and footer -----------------------------------------------------------------------------


def tail(view: View, most: int = 50) -> Tail:
    """Return the last decisions of all workers, newest first."""
    panel = view.panel("worker")
    told = [_told(entry) for s in view.of("worker") for entry in s.facts.get("tail", ())]
    found = sorted((each for each in told if each is not None), key=lambda e: (-e.at, e.id))
    return Tail(state=panel.state, as_of=panel.as_of, reason=panel.reason, decisions=found[:most])


def _told(entry: Any) -> Told | None:
    try:
        return msgspec.convert(entry, Told)
    except msgspec.ValidationError:  # of a worker of another version
        return None


def footer(view: View) -> Footer:
    """Return what is in force."""
    settings = {
        label_of(series, "settings_hash") for series in view.values(_info(metrics.SETTINGS))
    }
    models = {
        (
            label_of(series, "name"),
            label_of(series, "version"),
            label_of(series, "provenance"),
        )
        for series in view.values(_info(metrics.MODEL))
    }
    return Footer(
        settings=sorted(settings - {""}),
        models=[Model(name=n, version=v, provenance=p) for n, v, p in sorted(models)],
        links={
            str(name): str(url)
            for summary in view.of("worker")
            for name, url in summary.facts.get("links", {}).items()
        },
    )


def modes(view: View) -> list[str]:
    """Return the modes in force: live, dry_run; none = no campaigns file."""
    return sorted({label_of(series, "mode") for series in view.values(_info(metrics.SETTINGS))})


def _info(metric: metrics.Metric) -> metrics.Metric:
    """Return an info as it is scraped: its name ends with ``_info``."""
    return metrics.Metric(f"{metric.name}_info", "gauge", "", metric.says, metric.labels)
