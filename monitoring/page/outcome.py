"""The panels an observer and an audit fill: channels, funnel, costs, anomalies, verdicts."""

from collections.abc import Iterable
from math import sqrt
from typing import Any, Final, Literal

import msgspec

from engine.times import DAY, MINUTE, SECOND
from monitoring import metrics
from monitoring.page.schema import (
    Acquisition,
    Anomalies,
    Audit,
    Banner,
    Channel,
    Channels,
    Cost,
    Costs,
    Figure,
    Funnel,
    Kpi,
    Lift,
    Panel,
    Pause,
    Rate,
)
from monitoring.page.view import View, label_of

_MONEY: Final = "currency"
# 95 % of a normal distribution.
_Z: Final = 1.96
# Below this many on either side the interval says nothing.
_ENOUGH: Final = 30


# --- channels ------------------------------------------------------------------------------------


def channels(view: View) -> Channels:
    """Return what goes out on every channel, what came back, and what stands still."""
    panel = view.panel("worker")
    known = {
        label_of(series, "channel")
        for metric in (metrics.ACTIONS, metrics.HANDOVERS)
        for series in view.values(metric)
    }
    names = sorted({*metrics.CHANNELS, *known} - {metrics.OTHER})
    paused = pauses(view)
    observer = view.panel("observe")
    return Channels(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        channels=[_channel(view, name, paused, observer) for name in names],
        pauses=paused,
        observer=observer,
    )


def pauses(view: View) -> list[Pause]:
    """Return what stands still or is throttled, as workers have it in force."""
    found = {}
    for summary in view.of("worker"):
        for fact in summary.facts.get("pauses", ()):
            try:
                told = msgspec.convert(fact, Pause)
            except msgspec.ValidationError:  # of a worker of another version
                continue
            found[told.name, told.by, told.share] = told
    known = {name for name, _, _ in found}
    for series in view.values(metrics.PAUSED):
        name, by = label_of(series, "name"), label_of(series, "by")
        if name not in known:
            found[name, by, 0.0] = Pause(name=name, by=by)
    return [found[key] for key in sorted(found)]


def _channel(view: View, name: str, paused: list[Pause], observer: Panel) -> Channel:
    mine = [pause for pause in paused if pause.name in (name, f"channel:{name}")]
    said = view.lowest(metrics.SHARE, channel=name)
    share = 0.0 if any(pause.share <= 0 for pause in mine) else 1.0 if said is None else said
    running: Literal["running", "throttled", "paused"] = (
        "paused" if share <= 0 else "throttled" if share < 1 else "running"
    )
    per_second = view.rate(metrics.HANDOVERS, channel=name, result="accepted")
    cost, revenue = view.count(metrics.SEND_COST, channel=name), _revenue(view, name)
    lift, lift_reason = _lift(view, name, observer)
    unknown = _unknown(observer)
    return Channel(
        name=name,
        running=running,
        share=share,
        paused=mine,
        per_minute=None if per_second is None else per_second * MINUTE / SECOND,
        handed_over=view.counts_by(metrics.HANDOVERS, "result", channel=name),
        outcomes=view.counts_by(metrics.OUTCOMES_TOTAL, "type", channel=name),
        converted=_money_or_reason(
            view.count(metrics.CONVERSIONS, channel=name, arm="treated"), "orders", unknown
        ),
        cost=_money_or_reason(cost, _MONEY, unknown),
        revenue=_money_or_reason(revenue, _MONEY, unknown),
        roi=_roi(revenue, cost, unknown),
        lift=lift,
        lift_reason=lift_reason,
        history=view.history.rate_points(
            metrics.HANDOVERS.exposed, channel=name, result="accepted"
        ),
    )


def _revenue(view: View, channel: str) -> float:
    return view.count(metrics.REVENUE, channel=channel)


def _unknown(panel: Panel) -> str | None:
    return None if panel.state == "live" else panel.reason


def _money_or_reason(value: float, unit: str, unknown: str | None) -> Figure:
    return Figure(value=None if unknown else value, unit=unit, reason=unknown)


def _roi(revenue: float, cost: float, unknown: str | None) -> Figure:
    """Return (revenue - cost) / cost."""
    if unknown is None and cost <= 0:
        unknown = "Nothing was spent in this time."
    value = None if unknown else (revenue - cost) / cost
    return Figure(value=value, unit="ratio", reason=unknown)


def _lift(view: View, channel: str, observer: Panel) -> tuple[Lift | None, str | None]:
    """Return the difference of conversion between the arms, since the observer began to count."""
    if observer.state != "live":
        return None, observer.reason
    users, bought = (
        {arm: view.total(metric, channel=channel, arm=arm) for arm in metrics.ARMS}
        for metric in (metrics.ARM_USERS, metrics.CONVERSIONS)
    )
    if min(users.values()) < _ENOUGH:
        return None, f"Fewer than {_ENOUGH} people in one of the arms: not enough to compare."
    shares = {arm: min(1.0, bought[arm] / users[arm]) for arm in metrics.ARMS}
    value = shares["treated"] - shares["withheld"]
    error = sqrt(sum(shares[arm] * (1 - shares[arm]) / users[arm] for arm in metrics.ARMS))
    told = Lift(
        value=value,
        low=value - _Z * error,
        high=value + _Z * error,
        treated=users["treated"],
        withheld=users["withheld"],
    )
    return told, None


# --- funnel --------------------------------------------------------------------------------------


def funnel(view: View) -> Funnel:
    """Return where people come from, how far they go, what they buy, and what that costs."""
    panel = view.panel("observe")
    steps = view.counted(metrics.FUNNEL.exposed)
    names = sorted({label_of(series, "source") for series in steps})
    lines = view.counts_by(metrics.PRODUCT_ORDERS, "category")
    rates = view.rates_by(metrics.PRODUCT_ORDERS, "category")
    return Funnel(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        sources=[_acquisition(view, name) for name in names],
        products=sorted(
            (Rate(name=name, rate=rates.get(name, 0.0), count=n) for name, n in lines.items()),
            key=lambda each: (-each.count, each.name),
        ),
        out_of_stock=view.count(metrics.CANCELLED, reason="out_of_stock"),
    )


def _acquisition(view: View, source: str) -> Acquisition:
    orders = view.count(metrics.ORDERS, source=source)
    value = view.count(metrics.ORDER_VALUE, source=source)
    cost = view.count(metrics.ACQUISITION_COST, source=source)
    counted = view.counts_by(metrics.FUNNEL, "step", source=source)
    none = None if orders else "No order came from here in this time."
    free = None if cost else "The events do not say what these visits cost."
    return Acquisition(
        source=source,
        steps={step: counted.get(step, 0.0) for step in metrics.STEPS},
        orders=orders,
        value=value,
        cost=cost,
        per_order=Figure(
            value=None if none or free else cost / orders, unit=_MONEY, reason=none or free
        ),
        roi=Figure(value=None if free else (value - cost) / cost, unit="ratio", reason=free),
    )


# --- costs ---------------------------------------------------------------------------------------


def costs(view: View) -> Costs:
    """Return what messages cost."""
    panel = view.panel("observe")
    spent = view.counts_by(metrics.SEND_COST, "channel")
    elapsed = view.now - max(view.history.since, view.now - view.history.axis.kept)
    return Costs(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        costs=[
            Cost(
                channel=channel,
                spent=amount,
                per_day=amount * DAY / elapsed if elapsed >= MINUTE else None,
            )
            for channel, amount in spent.items()
        ],
    )


# --- anomalies -----------------------------------------------------------------------------------


def anomalies(view: View, alerts: Iterable[Banner]) -> Anomalies:
    """Return open episodes, the last closed ones and every watched figure."""
    panel = view.panel("observe")
    told = [
        episode
        for summary in view.of("observe")
        for episode in summary.facts.get("episodes", ())
        if isinstance(episode, dict)
    ]
    closed = [each for each in told if each.get("state") == "closed"]
    return Anomalies(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        open=[each for each in told if each.get("state") != "closed"],
        closed=sorted(closed, key=_closed_at, reverse=True)[:20],
        kpis=_kpis(view),
        alerts=list(alerts),
    )


def _kpis(view: View) -> list[Kpi]:
    names = {
        (label_of(series, "kpi"), label_of(series, "dimension"))
        for metric in (metrics.KPI_VALUE, metrics.KPI_EXPECTED, metrics.ANOMALY_ACTIVE)
        for series in view.values(metric)
    }
    return [
        Kpi(
            kpi=kpi,
            dimension=dimension,
            # What is zero is not said, and whoever has a name here has a value.
            value=_highest(view, metrics.KPI_VALUE, kpi, dimension),
            expected=_highest(view, metrics.KPI_EXPECTED, kpi, dimension),
            low=_highest(view, metrics.KPI_LOW, kpi, dimension),
            high=_highest(view, metrics.KPI_HIGH, kpi, dimension),
            score=_highest(view, metrics.ANOMALY_SCORE, kpi, dimension),
            active=int(_highest(view, metrics.ANOMALY_ACTIVE, kpi, dimension)),
        )
        for kpi, dimension in sorted(names)
    ]


def _highest(view: View, metric: metrics.Metric, kpi: str, dimension: str) -> float:
    return view.highest(metric, kpi=kpi, dimension=dimension) or 0.0


def _closed_at(episode: dict[str, Any]) -> int:
    at = episode.get("closed_at")
    return at if isinstance(at, int) else 0


def observed(view: View) -> dict[str, Any] | None:
    """Return what the observer at work knows, without what other panels have of it."""
    for summary in view.of("observe"):
        if summary.facts:  # one that waits to take over tells none
            left_out = ("episodes", "tail")
            return {name: fact for name, fact in summary.facts.items() if name not in left_out}
    return None


# --- audit ---------------------------------------------------------------------------------------


def audit(view: View) -> Audit:
    """Return the audit's verdicts since it began, and how far it has come."""
    panel = view.panel("audit")
    verdicts: dict[str, dict[str, float]] = {}
    for series, values in view.values(metrics.AUDITED).items():
        kept = verdicts.setdefault(label_of(series, "channel"), {})
        kept[label_of(series, "verdict")] = sum(values)
    until = view.lowest(metrics.AUDIT_HORIZON)
    return Audit(
        state=panel.state,
        as_of=panel.as_of,
        reason=panel.reason,
        until=None if until is None else round(until * SECOND),
        verdicts=verdicts,
        triggers={
            label_of(series, "state"): sum(values)
            for series, values in view.values(metrics.AUDITED_TRIGGERS).items()
        },
    )
