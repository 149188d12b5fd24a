"""What the observer tells the page: the structure of the facts in its summary.

Times are ms UTC on the brokers' clock (of the data, where that is the clock; ``horizon`` of the
wall), money is in ``currency``, shares are 0 to 1. ``None`` means "not known", never nought:
:attr:`Facts.notes` says in a sentence each why something is missing.
Whatever carries an id of a person carries a hash of it.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

Severity = Literal["info", "warning", "critical"]


class Point(Struct, frozen=True, array_like=True):
    """One closed window: its end, the value seen, what was expected and the band around it."""

    at: int
    value: float | None
    expected: float | None
    low: float | None
    high: float | None


class Series(Struct, frozen=True, kw_only=True):
    """One KPI of one dimension, its last 60 windows, oldest first.

    ``dimension``: what it is about by label, for example ``{"channel": "sms"}``; empty = the whole
    shop. ``score``: -log10 of the chance of such a value. ``active``: 0 quiet, 1 an open episode,
    2 a critical one. ``enough`` False: too little traffic, or too short a history, to judge.
    ``suppressed_by``: the known cause while one is in force.
    """

    kpi: str
    title: str
    dimension: dict[str, str]
    unit: str
    kind: str
    direction: str
    window_s: int
    score: float = 0.0
    active: int = 0
    enough: bool = True
    suppressed_by: str = ""
    points: list[Point] = field(default_factory=list)


class Contributor(Struct, frozen=True):
    """One dimension's share of the distance between value and expectation."""

    dimension: dict[str, str]
    value: float
    expected: float
    share: float


class Cause(Struct, frozen=True):
    """What was done shortly before an episode began: ``control`` or ``deploy``."""

    type: Literal["control", "deploy"]
    at: int
    what: str
    by: str = ""


class OperatorVerdict(Struct, frozen=True):
    """What an operator said of an episode."""

    value: Literal["true", "false", "expected"]
    by: str
    at: int
    note: str = ""


class Episode(Struct, frozen=True, kw_only=True):
    """One episode of a KPI; ``closed_at`` None = open."""

    anomaly_id: str
    kpi: str
    title: str
    dimension: dict[str, str]
    state: Literal["opened", "updated", "closed"]
    severity: Severity
    direction: str
    unit: str
    opened_at: int
    last_seen_at: int
    closed_at: int | None
    value: float | None
    expected: float | None
    low: float | None
    high: float | None
    score: float
    suppressed_by: str = ""
    contributors: list[Contributor] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    verdict: OperatorVerdict | None = None


class SourceRow(Struct, frozen=True, kw_only=True):
    """One topic of the apps: records in the last closed minute and over the period."""

    source: str
    last_minute: int
    period: int
    unreadable: int
    last_record_at: int | None


class AcquisitionRow(Struct, frozen=True, kw_only=True):
    """One way people come: visits that reached each step, orders, and what they cost.

    ``cost`` None = no cost is configured for it; ``cpa`` = cost per order; ``roi`` =
    (order value - cost) / cost.
    """

    source: str
    visits: int
    product: int
    cart: int
    checkout: int
    purchase: int
    orders: int
    order_value: float
    cost: float | None = None
    cpa: float | None = None
    roi: float | None = None


class Behaviour(Struct, frozen=True, kw_only=True):
    """What people did over the period; ratios are None without what they divide by."""

    visits: int
    views: int
    cart_adds: int
    checkouts: int
    orders: int
    order_value: float
    views_per_visit: float | None
    adds_per_view: float | None
    checkouts_per_add: float | None
    orders_per_visit: float | None
    value_per_order: float | None


class ChannelRow(Struct, frozen=True, kw_only=True):
    """One channel over the period.

    ``accepted`` to ``unsubscribed``: different messages of which that was reported.
    ``converted``, ``revenue``: orders within the conversion window of the last message before
    them. ``cost``: messages sent at the price of the campaigns file. ``lift``: share of people
    who order after a message minus the share of those withheld, windows that are over, with its
    95 % interval; None until both groups have somebody.
    """

    channel: str
    sent: int
    withheld: int
    accepted: int
    delivered: int
    bounced: int
    failed: int
    opened: int
    clicked: int
    complained: int
    unsubscribed: int
    converted: int
    revenue: float
    cost: float | None
    roi: float | None
    lift: float | None = None
    lift_low: float | None = None
    lift_high: float | None = None
    treated_rows: int = 0
    treated_ordered: int = 0
    withheld_rows: int = 0
    withheld_ordered: int = 0
    paused: bool = False


class ProductRow(Struct, frozen=True, kw_only=True):
    """One product over the period; ``stock`` None = nobody tells it."""

    product_id: str
    name: str
    category: str
    quantity: int
    value: float
    stock: int | None = None


class CategoryRow(Struct, frozen=True, kw_only=True):
    """One category over the period."""

    category: str
    quantity: int
    value: float


class Sales(Struct, frozen=True, kw_only=True):
    """The best sold products and categories, largest value first."""

    products: list[ProductRow] = field(default_factory=list)
    categories: list[CategoryRow] = field(default_factory=list)


class StockRow(Struct, frozen=True, kw_only=True):
    """One product that sells and ends soon: pieces left, ordered a day, and days they last."""

    product_id: str
    name: str
    stock: int
    per_day: float
    days: float


class Stock(Struct, frozen=True, kw_only=True):
    """What the shop tells of its products, as of now.

    ``states``: products by ``in_stock``, ``low`` (what is left lasts less than ``low_days`` at the
    pace of the last week), ``sold_out``, ``unknown`` (no stock told) and ``unreadable``; disjoint.
    ``best``: the same of the ``best_sellers`` of the day by value. ``rows``: sold out or low, what
    ends first, first; at most 20. ``best_sold_out``: names. ``left_out``: products beyond those
    that are kept.
    """

    products: int
    states: dict[str, int] = field(default_factory=dict)
    best: dict[str, int] = field(default_factory=dict)
    best_sold_out: list[str] = field(default_factory=list)
    rows: list[StockRow] = field(default_factory=list)
    left_out: int = 0
    low_days: float = 0.0
    best_sellers: int = 0


class Decile(Struct, frozen=True, kw_only=True):
    """Withheld decisions whose window is over: what was predicted, what happened, of how many."""

    decile: int
    rows: int
    predicted: float
    observed: int


class Model(Struct, frozen=True, kw_only=True):
    """How the model stands: ``drift`` by feature (PSI), calibration by decile, mean chance."""

    mean_p0: float | None = None
    drift: dict[str, float] = field(default_factory=dict)
    calibration: list[Decile] = field(default_factory=list)


class ControlRow(Struct, frozen=True, kw_only=True):
    """One settings record with a control in it, newest first."""

    id: str
    at: int
    actor: str
    action: str
    target: str
    reason: str


class TailRow(Struct, frozen=True, kw_only=True):
    """One decision as a sentence; ``user`` is a hash."""

    at: int
    user: str
    campaign: str
    channel: str
    outcome: str
    reason: str
    text: str


class Facts(Struct, frozen=True, kw_only=True):
    """All the observer tells; ``until``: end of the last closed window; rows go back to ``since``.

    ``reasons``: closing decisions by reason over the period. ``series`` first, by KPI and
    dimension. ``episodes``: open ones, then the last 20 closed, newest first. ``tail``: newest
    first, at most 50. ``stock`` None = nobody tells it.
    """

    v: int = 1
    until: int = 0
    since: int = 0
    currency: str = ""
    horizon: dict[str, int] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    sources: list[SourceRow] = field(default_factory=list)
    acquisition: list[AcquisitionRow] = field(default_factory=list)
    behaviour: Behaviour | None = None
    channels: list[ChannelRow] = field(default_factory=list)
    sales: Sales = field(default_factory=Sales)
    stock: Stock | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    model: Model = field(default_factory=Model)
    controls: list[ControlRow] = field(default_factory=list)
    tail: list[TailRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def as_facts(facts: Facts) -> dict[str, Any]:
    """Return the facts as what a summary carries: plain JSON values."""
    found: dict[str, Any] = msgspec.to_builtins(facts)
    return found


def of_facts(found: dict[str, Any]) -> Facts:
    """Read the facts of an observer's summary; raises msgspec.ValidationError for what is none."""
    return msgspec.convert(found, Facts)


__all__ = [
    "AcquisitionRow",
    "Behaviour",
    "CategoryRow",
    "Cause",
    "ChannelRow",
    "Contributor",
    "ControlRow",
    "Decile",
    "Episode",
    "Facts",
    "Model",
    "OperatorVerdict",
    "Point",
    "ProductRow",
    "Sales",
    "Series",
    "Severity",
    "SourceRow",
    "Stock",
    "StockRow",
    "TailRow",
    "as_facts",
    "of_facts",
]
