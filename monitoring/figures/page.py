"""The figures of the last day as the page tells them."""

from collections.abc import Mapping

from monitoring.effect import effect
from monitoring.effect import group as group_of
from monitoring.figures.acquisition import Cost
from monitoring.figures.bounded import Key
from monitoring.figures.counts import Counts
from monitoring.figures.seen import STEPS
from monitoring.figures.sends import TREATED, WITHHELD
from monitoring.figures.shelf import Limits, Shelf
from monitoring.figures.shop import Figures
from monitoring.figures.told import (
    AcquisitionRow,
    Behaviour,
    CategoryRow,
    ChannelRow,
    ControlRow,
    Decile,
    Model,
    ProductRow,
    Sales,
    SourceRow,
    Stock,
)

_PRODUCTS = 20
_CONTROLS = 20
Totals = Mapping[Key, float]


def _count(totals: Totals, *key: str) -> int:
    return int(totals.get(key, 0.0))


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def sources(
    figures: Figures, totals: Totals, last: Counts | None, topics: tuple[str, ...]
) -> list[SourceRow]:
    """Return a row per source topic; ``last``: what the last closed minute counted."""
    return [
        SourceRow(
            source=topic,
            last_minute=int(last.of(("records", topic))) if last is not None else 0,
            period=_count(totals, "records", topic),
            unreadable=_count(totals, "unreadable", topic),
            last_record_at=figures.last_record.get(topic),
        )
        for topic in topics
    ]


def acquisition(
    totals: Totals, names: tuple[str, ...], costs: Mapping[str, Cost]
) -> list[AcquisitionRow]:
    """Return a row per source of visits that had any."""
    rows = []
    for name in names:
        steps = [_count(totals, "funnel", name, step) for step in STEPS]
        spent = totals.get(("acquisition_cost", name), 0.0) if name in costs else None
        if not steps[0] and not spent:
            continue
        orders, value = _count(totals, "orders", name), totals.get(("order_value", name), 0.0)
        rows.append(
            AcquisitionRow(
                source=name,
                visits=steps[0],
                product=steps[1],
                cart=steps[2],
                checkout=steps[3],
                purchase=steps[4],
                orders=orders,
                order_value=round(value, 2),
                cost=None if spent is None else round(spent, 2),
                cpa=None if spent is None else _ratio(spent, orders),
                roi=None if spent is None else _ratio(value - spent, spent),
            )
        )
    return rows


def behaviour(totals: Totals) -> Behaviour:
    """Return what people did."""
    visits = sum(n for key, n in totals.items() if key[0] == "funnel" and key[2] == "visit")
    orders = sum(n for key, n in totals.items() if key[0] == "orders")
    value = sum(n for key, n in totals.items() if key[0] == "order_value")
    views, adds, checkouts = (totals.get((one,), 0.0) for one in ("views", "adds", "checkouts"))
    return Behaviour(
        visits=int(visits),
        views=int(views),
        cart_adds=int(adds),
        checkouts=int(checkouts),
        orders=int(orders),
        order_value=round(value, 2),
        views_per_visit=_ratio(views, visits),
        adds_per_view=_ratio(adds, views),
        checkouts_per_add=_ratio(checkouts, adds),
        orders_per_visit=_ratio(orders, visits),
        value_per_order=_ratio(value, orders),
    )


def channels(figures: Figures, totals: Totals, names: tuple[str, ...]) -> list[ChannelRow]:
    """Return a row per channel."""
    paused = figures.ruling.paused(figures.until)
    return [_channel(figures, totals, name, paused=f"channel:{name}" in paused) for name in names]


def _channel(figures: Figures, totals: Totals, name: str, *, paused: bool) -> ChannelRow:
    outcomes: dict[str, int] = {}
    for key, count in totals.items():
        if key[0] == "outcomes" and key[1] == name:
            outcomes[key[3]] = outcomes.get(key[3], 0) + int(count)
    known = name in figures.terms.costs
    cost = totals.get(("send_cost", name), 0.0) if known else None
    revenue = totals.get(("revenue", name), 0.0)
    arms = {
        arm: group_of((n, k) for n, k in figures.sends.answers[name, arm].people.values())
        if (name, arm) in figures.sends.answers
        else group_of([])
        for arm in (TREATED, WITHHELD)
    }
    found = effect(arms[TREATED], arms[WITHHELD])
    return ChannelRow(
        channel=name,
        sent=_count(totals, "sent", name),
        withheld=_count(totals, "withheld", name),
        accepted=outcomes.get("accepted", 0),
        delivered=outcomes.get("delivered", 0),
        bounced=outcomes.get("bounced", 0),
        failed=outcomes.get("failed", 0) + outcomes.get("rejected", 0),
        opened=outcomes.get("opened", 0),
        clicked=outcomes.get("clicked", 0),
        complained=outcomes.get("complained", 0),
        unsubscribed=outcomes.get("unsubscribed", 0),
        converted=_count(totals, "converted", name),
        revenue=round(revenue, 2),
        cost=None if cost is None else round(cost, 4),
        roi=None if cost is None else _ratio(revenue - cost, cost),
        lift=found.estimate,
        lift_low=None if found.interval is None else found.interval.low,
        lift_high=None if found.interval is None else found.interval.high,
        treated_rows=found.treated.rows,
        treated_ordered=found.treated.ordered,
        withheld_rows=found.withheld.rows,
        withheld_ordered=found.withheld.ordered,
        paused=paused,
    )


def sales(figures: Figures, shelf: Shelf | None = None) -> Sales:
    """Return the best sold, with what is left of them where ``shelf`` knows it."""
    return Sales(
        products=[
            ProductRow(
                product_id=product,
                name=rank.name,
                category=rank.category,
                quantity=rank.quantity,
                value=round(rank.value, 2),
                stock=None if shelf is None else shelf.stock_of(product),
            )
            for product, rank in figures.products.top(_PRODUCTS)
        ],
        categories=[
            CategoryRow(category=name, quantity=rank.quantity, value=round(rank.value, 2))
            for name, rank in figures.categories.top(_PRODUCTS)
        ],
    )


def stock(figures: Figures, shelf: Shelf, limits: Limits) -> Stock:
    """Return what is sold out, and what of that which sells soon will be."""
    best = [(product, rank.name) for product, rank in figures.products.top(limits.best_sellers)]
    return shelf.told(figures.pace.per_day(figures.until), best, limits)


def reasons(totals: Totals) -> dict[str, int]:
    """Return decisions by reason, most first."""
    found = {key[1]: int(count) for key, count in totals.items() if key[0] == "decisions"}
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def model(figures: Figures, totals: Totals) -> Model:
    """Return how the model stands; bands without a decision are left out."""
    return Model(
        mean_p0=_ratio(totals.get(("p0",), 0.0), totals.get(("scored",), 0.0)),
        drift={name: round(psi, 4) for name, psi in figures.drift.psi().items()},
        calibration=[
            Decile(
                decile=band,
                rows=_count(totals, "band", str(band)),
                predicted=round(totals.get(("predicted", str(band)), 0.0), 3),
                observed=_count(totals, "observed", str(band)),
            )
            for band in range(10)
            if _count(totals, "band", str(band))
        ],
    )


def controls(figures: Figures) -> list[ControlRow]:
    """Return the last controls, newest first."""
    return [
        ControlRow(
            id=one.control.id,
            at=one.at,
            actor=one.control.actor,
            action=one.control.action,
            target=one.control.target,
            reason=one.control.reason,
        )
        for one in reversed(figures.ruling.controls[-_CONTROLS:])
    ]


def notes(figures: Figures, names: tuple[str, ...], costs: Mapping[str, Cost]) -> list[str]:
    """Return in a sentence each what is not known, and why."""
    found = []
    free = [name for name in names if name not in costs]
    if free:
        found.append(
            f"No cost is configured for {', '.join(free)}: their CPA and ROI are not known."
        )
    if not figures.terms.currency:
        found.append("No campaigns file is in force: messages have no price.")
    if not figures.drift.bins:
        found.append("Drift is not known before the first week of decisions is over.")
    if figures.sends.followed < 1.0:
        share = figures.sends.followed
        found.append(f"Conversions are counted of a fair sample of {share:.0%} of the people.")
    if figures.visits.ended_early:
        found.append(f"{figures.visits.ended_early} visits ended early: too many were open.")
    return found


__all__ = [
    "acquisition",
    "behaviour",
    "channels",
    "controls",
    "model",
    "notes",
    "reasons",
    "sales",
    "sources",
    "stock",
]
