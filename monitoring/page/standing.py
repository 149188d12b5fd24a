"""How the whole stands at a glance: six tiles against their targets, and what alarms.

The numbers are those of the alerts: a tile turns bad where somebody is called.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final

from engine.times import MINUTE, SECOND
from monitoring import metrics
from monitoring.page.schema import Banner, Clock, Colour, Header, Health, Panel, Process, Tile
from monitoring.page.view import View
from monitoring.page.work import RECENT, modes
from monitoring.summary import Summary

# Seconds: the objective, and where it is missed badly.
SLOW: Final = 2.0
VERY_SLOW: Final = 30.0
LAG_WARN: Final = 5.0
LAG_BAD: Final = 30.0
DUE_WARN: Final = 5.0
DUE_BAD: Final = 60.0
# Products a banner names.
_NAMED: Final = 3
# ms after which the audit's word counts for nothing.
AUDIT_STALE_AFTER: Final = 15 * MINUTE

LAG: Final = "lag_seconds"
OLDEST_DUE: Final = "oldest_due_seconds"

# What nobody decided comes first: all else that is wrong with it follows from that.
_VIOLATIONS: Final = (
    "undecided",
    "over_cap",
    "quiet_hours",
    "no_consent",
    "withheld",
    "expired",
)
_BOOKS: Final = ("missing", "doubled")


def gauges(view: View) -> dict[str, float]:
    """Return what is noted at each look, so that tiles have points."""
    return {LAG: view.highest(metrics.LAG_AGE) or 0.0, OLDEST_DUE: _oldest_due(view)}


def _oldest_due(view: View) -> float:
    """Return for how many seconds the earliest trigger has been due; 0 = none is."""
    told = [summary.facts.get("next_due") for summary in view.of("worker")]
    due = [at for at in told if isinstance(at, int)]
    if not due or view.history.simulated:
        return 0.0
    return max(0, view.now - min(due)) / SECOND


# --- tiles ---------------------------------------------------------------------------------------


def health(view: View) -> Health:
    """Return the six tiles."""
    panel, audited = view.panel("worker"), view.panel("audit")
    tiles = [
        _event_to_action(view, panel),
        _gauge(view, panel, LAG, "oldest_record", (LAG_WARN, LAG_BAD)),
        _gauge(view, panel, OLDEST_DUE, "oldest_due", (DUE_WARN, DUE_BAD)),
        _actions(view, panel),
        _verdicts(view, audited, "violations", _VIOLATIONS),
        _verdicts(view, audited, "lost_or_doubled", _BOOKS),
    ]
    return Health(state=panel.state, as_of=panel.as_of, reason=panel.reason, tiles=tiles)


def _event_to_action(view: View, panel: Panel) -> Tile:
    value = view.quantile(metrics.EVENT_TO_ACTION, 0.95, RECENT)
    reason = panel.reason
    if reason is None and view.history.simulated:
        reason = "In simulated time an action has no delay of the wall."
    elif reason is None and value is None:
        reason = "No action in the last five minutes."
    return Tile(
        name="event_to_action_p95",
        value=value,
        unit="seconds",
        target=SLOW,
        bad_beyond=VERY_SLOW,
        state=_colour(panel, value, SLOW, VERY_SLOW),
        reason=reason,
        as_of=panel.as_of,
        history=view.history.quantile_points(
            metrics.EVENT_TO_ACTION.exposed, metrics.EVENT_TO_ACTION.buckets, 0.95
        ),
    )


def _gauge(view: View, panel: Panel, gauge: str, name: str, bounds: tuple[float, float]) -> Tile:
    value = None if panel.state == "absent" else gauges(view)[gauge]
    return Tile(
        name=name,
        value=value,
        unit="seconds",
        target=bounds[0],
        bad_beyond=bounds[1],
        state=_colour(panel, value, *bounds),
        reason=panel.reason,
        as_of=panel.as_of,
        history=view.history.gauge_points(gauge),
    )


def _actions(view: View, panel: Panel) -> Tile:
    value = None if panel.state == "absent" else view.rate(metrics.ACTIONS)
    known = value is not None and panel.reason is None
    return Tile(
        name="actions",
        value=value,
        unit="per second",
        target=None,
        bad_beyond=None,
        state="ok" if known else "unknown",
        reason=panel.reason or (None if known else "Two looks are needed for a rate."),
        as_of=panel.as_of,
        history=view.history.rate_points(metrics.ACTIONS.exposed),
    )


def _verdicts(view: View, audited: Panel, name: str, verdicts: tuple[str, ...]) -> Tile:
    """Return what the audit found since it began; grey unless it watches."""
    if audited.state == "absent":
        value = None
    else:
        value = sum(view.total(metrics.AUDITED, verdict=verdict) for verdict in verdicts)
    until = view.lowest(metrics.AUDIT_HORIZON)
    reason = audited.reason or _audit_behind(view)
    state: Colour = "bad" if value else "unknown" if value is None or reason else "ok"
    return Tile(
        name=name,
        value=value,
        unit="actions",
        target=0.0,
        bad_beyond=0.0,
        state=state,
        reason=reason,
        as_of=audited.as_of,
        audited_until=None if until is None else round(until * SECOND),
    )


def _audit_behind(view: View) -> str | None:
    """Return why the audit's silence is no good news."""
    last = view.highest(metrics.AUDIT_SUCCESS)
    if last is None:
        return "The audit has not come to the end of a round yet."
    age = view.wall - round(last * SECOND)
    if age > AUDIT_STALE_AFTER:
        return f"The audit came to its last end {age // MINUTE} min ago."
    return None


def _colour(panel: Panel, value: float | None, warn: float, bad: float) -> Colour:
    if value is None:
        return "unknown"
    if value > bad:
        return "bad"
    if panel.reason is not None:  # a good figure of a process that does not speak is no good news
        return "unknown"
    return "warn" if value > warn else "ok"


# --- header --------------------------------------------------------------------------------------


def header(view: View, banners: list[Banner]) -> Header:
    """Return who is there, and what must be read first."""
    panel = view.panel("worker")
    workers = view.of("worker")
    told = modes(view)
    return Header(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        versions=sorted({each.version for each in view.summaries if each.version}),
        environment=_first_fact(workers, "environment"),
        controls=any(each.facts.get("controls") is True for each in workers),
        currency=_first_fact(view.of("observe"), "currency"),
        mode=next((mode for mode in ("live", "dry_run") if mode in told), "none"),
        workers=sum(view.state(each) == "live" for each in workers),
        expected=view.history.expected,
        processes=[
            Process(
                kind=each.kind,
                name=each.name,
                state=view.state(each),
                at=each.at,
                version=each.version,
            )
            for each in view.summaries
        ],
        banners=banners,
    )


def _first_fact(summaries: Iterable[Summary], name: str) -> str:
    told = (summary.facts.get(name) for summary in summaries)
    return next((fact for fact in told if isinstance(fact, str) and fact), "")


def clock(view: View) -> Clock:
    """Return which time the page is about."""
    history = view.history
    return Clock(
        simulated=history.simulated,
        now=view.now,
        window=history.axis.window,
        kept=history.axis.kept,
    )


# --- what alarms ---------------------------------------------------------------------------------


def alarms(view: View, alerts: Sequence[Banner] = ()) -> list[Banner]:
    """Return what holds now, the most severe first; runbooks are named as the alerts are."""
    told = {alert.runbook for alert in alerts}
    own = [*_of_workers(view), *_of_audit(view, told), *_of_observer(view)]
    found = [*alerts, *[alarm for alarm in own if alarm.runbook not in told]]
    order = ("page", "ticket", "info")
    return sorted(found, key=lambda each: order.index(each.severity))


def _of_workers(view: View) -> Iterator[Banner]:
    if not any(view.state(each) == "live" for each in view.of("worker")):
        yield Banner(
            severity="page", sentence="No worker speaks.", runbook="NoWorkers", source="worker"
        )
    for summary in view.of("worker"):
        if view.state(summary) == "stale":
            yield Banner(
                severity="ticket",
                sentence=f"Worker {summary.name} does not speak.",
                since=summary.at,
                runbook="WorkerDown",
                source=summary.name,
            )
    halted = view.total(metrics.HALTED)
    if halted:
        yield Banner(
            severity="page",
            sentence=f"{halted:.0f} partition(s) stopped and wait for a person.",
            runbook="LanesHalted",
            source="worker",
        )
    behind = view.highest(metrics.GATE_AGE) or 0.0
    if behind > LAG_BAD:
        yield Banner(
            severity="page",
            sentence=f"Time stands still: an intake lane is {behind:.0f} s behind.",
            runbook="TimeStandsStill",
            source="worker",
        )
    lag = view.highest(metrics.LAG_AGE) or 0.0
    if lag > LAG_BAD:
        yield Banner(
            severity="page",
            sentence=f"The oldest record that waits is {lag:.0f} s old.",
            runbook="ConsumerLag",
            source="worker",
        )


def _of_audit(view: View, told: Container[str | None]) -> Iterator[Banner]:
    """Yield one banner of all verdicts; those whose alert is ``told`` are left to it."""
    counts = {
        verdict: view.total(metrics.AUDITED, verdict=verdict)
        for verdict, runbook in _RUNBOOKS.items()
        if runbook not in told
    }
    found = {verdict: count for verdict, count in counts.items() if count}
    if found:
        words = [f"{count:.0f} {verdict.replace('_', ' ')}" for verdict, count in found.items()]
        twice = " (one action may be several of these)" if len(found) > 1 else ""
        yield Banner(
            severity="page",
            sentence=f"The audit found wrong actions: {', '.join(words)}{twice}.",
            runbook=_RUNBOOKS[next(iter(found))],
            source="audit",
        )
    if view.of("audit") and (behind := view.panel("audit").reason or _audit_behind(view)):
        yield Banner(severity="ticket", sentence=behind, runbook="AuditStale", source="audit")


def _of_observer(view: View) -> Iterator[Banner]:
    for severity, least in (("page", 2), ("ticket", 1)):
        count = sum(max(values) == least for values in view.values(metrics.ANOMALY_ACTIVE).values())
        if count:
            word = "critical" if least == 2 else "open"
            wakes = severity == "page" and not view.history.simulated  # nobody lives in that time
            yield Banner(
                severity="page" if wakes else "ticket",
                sentence=f"{count} {word} anomaly episode(s).",
                runbook="KpiAnomalyCritical" if least == 2 else "KpiAnomaly",
                source="observe",
            )
    gone = _best_sold_out(view)
    if gone:
        others = len(gone) - _NAMED
        named = ", ".join(gone[:_NAMED]) + (f" and {others} more" if others > 0 else "")
        yield Banner(
            severity="ticket",
            sentence=f"{len(gone)} of the day's best sellers are sold out: {named}.",
            runbook="BestSellersSoldOut",
            source="observe",
        )


def _best_sold_out(view: View) -> list[str]:
    """Return what of that which sells best has run out, as the observer at work tells it."""
    for summary in view.of("observe"):
        stock = summary.facts.get("stock")
        if isinstance(stock, dict):
            return [str(name) for name in stock.get("best_sold_out", ())]
    return []


# In the order in which they are told.
_RUNBOOKS: Final = {
    "undecided": "ActionsUndecided",
    "over_cap": "CapViolation",
    "quiet_hours": "QuietHoursViolation",
    "no_consent": "ConsentViolation",
    "withheld": "WithheldViolation",
    "expired": "ExpiredHandedOver",
    "missing": "ActionsLost",
    "doubled": "ActionsDuplicated",
}
