"""The JSON of the live page: one struct a panel. All times are int ms UTC; units stand beside."""

from typing import Any, Final, Literal

from msgspec import Struct, field

from monitoring.page.history import Point

VERSION: Final = 1

# live: its process spoke within 3 s; stale: it did not; absent: there is none.
State = Literal["live", "stale", "absent"]
Colour = Literal["ok", "warn", "bad", "unknown"]
Severity = Literal["page", "ticket", "info"]


class Figure(Struct, frozen=True, kw_only=True):
    """A number with its unit; ``value`` None says in ``reason`` why there is none."""

    value: float | None
    unit: str
    reason: str | None = None


class Panel(Struct, frozen=True, kw_only=True):
    """Where a panel's figures come from, and of when they are.

    ``as_of``: when its process last spoke. ``reason``: one sentence when it is not live.
    """

    state: State
    as_of: int | None = None
    reason: str | None = None


# --- 1 header ------------------------------------------------------------------------------------


class Clock(Struct, frozen=True, kw_only=True):
    """The time the page is about; ``simulated``: it is that of the data and not of the wall.

    Rates are per second of it; ``window`` is over how much of it (ms), ``kept`` how far points
    reach back.
    """

    simulated: bool
    now: int
    window: int
    kept: int


class Banner(Struct, frozen=True, kw_only=True):
    """The first thing to be read. ``runbook``: name of the page that says what to do."""

    severity: Severity
    sentence: str
    since: int | None = None
    runbook: str | None = None
    source: str = ""


class Process(Struct, frozen=True, kw_only=True):
    """One process of the deployment, and whether it still speaks."""

    kind: str
    name: str
    state: State
    at: int
    version: str


class Header(Panel, frozen=True, kw_only=True):
    """``expected``: workers the page has seen in the last half hour.

    ``environment``: the prefix of the deployment's topics. ``controls``: whether an operator's
    token is set. ``currency`` of all money, as the observer says; empty = it says none.
    """

    product: str = "rekindle"
    environment: str = ""
    controls: bool = False
    currency: str = ""
    versions: list[str] = field(default_factory=list)
    mode: str = "none"
    workers: int = 0
    expected: int = 0
    processes: list[Process] = field(default_factory=list)
    banners: list[Banner] = field(default_factory=list)


# --- 2 health ------------------------------------------------------------------------------------


class Tile(Struct, frozen=True, kw_only=True):
    """One figure against its ``target``; ``history`` in the unit of ``value``.

    ``bad_beyond``: where warning ends and trouble begins.
    """

    name: str
    value: float | None
    unit: str
    target: float | None
    bad_beyond: float | None
    state: Colour
    reason: str | None = None
    as_of: int | None = None
    audited_until: int | None = None
    history: list[Point] = field(default_factory=list)


class Health(Panel, frozen=True, kw_only=True):
    """The tiles in the order they are read."""

    tiles: list[Tile] = field(default_factory=list)


# --- 3 flow --------------------------------------------------------------------------------------


class Stage(Struct, frozen=True, kw_only=True):
    """One box; rates per second, ``p95`` in seconds, ``waiting`` in records.

    ``busy``: share of the time spent in it, added up over workers and divided by them.
    """

    name: str
    rate_in: float | None = None
    rate_out: float | None = None
    errors: float | None = None
    p95: float | None = None
    busy: float | None = None
    waiting: float | None = None
    state: Colour = "ok"
    findings: list[str] = field(default_factory=list)


class Flow(Panel, frozen=True, kw_only=True):
    """Boxes in the order a record meets them, each feeding the next."""

    stages: list[Stage] = field(default_factory=list)


# --- 4 traffic -----------------------------------------------------------------------------------


class Source(Struct, frozen=True, kw_only=True):
    """One topic of the apps. ``silent_for`` in ms; a band is there where the observer has one."""

    name: str
    rate: float | None
    last_at: int | None
    silent_for: int | None
    expected: float | None
    low: float | None
    high: float | None
    silent: bool
    history: list[Point] = field(default_factory=list)


class Rate(Struct, frozen=True, kw_only=True):
    """How much of one kind a second."""

    name: str
    rate: float | None
    count: float


class Traffic(Panel, frozen=True, kw_only=True):
    """Records per second by source, and what was folded by type."""

    sources: list[Source] = field(default_factory=list)
    types: list[Rate] = field(default_factory=list)
    dead_letters: list[Rate] = field(default_factory=list)


# --- 5 triggers ----------------------------------------------------------------------------------


class Campaign(Struct, frozen=True, kw_only=True):
    """One campaign: rates per second, counts over what is kept."""

    name: str
    armed_rate: float | None
    due_rate: float | None
    decided_rate: float | None
    armed: float
    due: float
    sent: float
    ended: float


class Triggers(Panel, frozen=True, kw_only=True):
    """``waiting``: people with a wake-up; ``next_due``: the earliest; lateness in seconds."""

    campaigns: list[Campaign] = field(default_factory=list)
    waiting: Figure = field(default_factory=lambda: Figure(value=None, unit="people"))
    next_due: int | None = None
    lateness_p99: Figure = field(default_factory=lambda: Figure(value=None, unit="seconds"))
    gate_open: bool | None = None
    gate_behind: float = 0.0


# --- 6 decisions ---------------------------------------------------------------------------------


class Reason(Struct, frozen=True, kw_only=True):
    """How often one reason was given over what is kept; ``group`` is a step of the funnel."""

    reason: str
    group: str
    count: float
    share: float
    campaigns: dict[str, float]


class Step(Struct, frozen=True, kw_only=True):
    """``passed`` of the decisions went on from here; ``stopped`` did not."""

    name: str
    passed: float
    stopped: float
    share: float


class Decisions(Panel, frozen=True, kw_only=True):
    """Why did nobody get a message: steps in the order of the guards, and every reason.

    Counts are decisions: one that was put off is made, and counted, again.
    """

    since: int | None = None
    decided: float = 0.0
    steps: list[Step] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)


# --- 7 channels ----------------------------------------------------------------------------------


class Lift(Struct, frozen=True, kw_only=True):
    """Conversions of the treated against those withheld: difference of shares, 95 % interval."""

    value: float
    low: float
    high: float
    treated: float
    withheld: float


class Pause(Struct, frozen=True, kw_only=True):
    """What stands still, and who said so."""

    name: str
    by: str
    share: float = 0.0
    reason: str | None = None
    since: int | None = None
    until: int | None = None


class Channel(Struct, frozen=True, kw_only=True):
    """One channel; ``per_minute`` is a rate, all else counts over what is kept.

    ``share``: of what is due is let out; 1 = unthrottled. Money in the deployment's currency.
    """

    name: str
    running: Literal["running", "throttled", "paused"]
    share: float
    paused: list[Pause]
    per_minute: float | None
    handed_over: dict[str, float]
    outcomes: dict[str, float]
    converted: Figure
    cost: Figure
    revenue: Figure
    roi: Figure
    lift: Lift | None
    lift_reason: str | None
    history: list[Point] = field(default_factory=list)


class Channels(Panel, frozen=True, kw_only=True):
    """``observer``: whether what comes back from channels is known, and of when it is."""

    channels: list[Channel] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    observer: Panel = field(default_factory=lambda: Panel(state="absent"))


# --- 8 acquisition -------------------------------------------------------------------------------


class Acquisition(Struct, frozen=True, kw_only=True):
    """One way people come; counts over what is kept, money in the deployment's currency."""

    source: str
    steps: dict[str, float]
    orders: float
    value: float
    cost: float
    per_order: Figure
    roi: Figure


class Funnel(Panel, frozen=True, kw_only=True):
    """From visit to purchase by where people came from, and what is sold.

    ``out_of_stock``: messages not handed over because all they offer is sold out.
    """

    sources: list[Acquisition] = field(default_factory=list)
    products: list[Rate] = field(default_factory=list)
    out_of_stock: float = 0.0


# --- 9 costs -------------------------------------------------------------------------------------


class Cost(Struct, frozen=True, kw_only=True):
    """What a channel cost over what is kept, and at the present rate in a day."""

    channel: str
    spent: float
    per_day: float | None


class Costs(Panel, frozen=True, kw_only=True):
    """Spending by channel, and how much is let out."""

    costs: list[Cost] = field(default_factory=list)


# --- 10 anomalies --------------------------------------------------------------------------------


class Kpi(Struct, frozen=True, kw_only=True):
    """One watched figure beside what was expected of it; ``active``: 0 no, 1 yes, 2 severe."""

    kpi: str
    dimension: str
    value: float | None
    expected: float | None
    low: float | None
    high: float | None
    score: float
    active: int


class Anomalies(Panel, frozen=True, kw_only=True):
    """Open episodes first; ``alerts`` are those that hold now, by the page's own thresholds."""

    open: list[dict[str, Any]] = field(default_factory=list)
    closed: list[dict[str, Any]] = field(default_factory=list)
    kpis: list[Kpi] = field(default_factory=list)
    alerts: list[Banner] = field(default_factory=list)


# --- 11 workers ----------------------------------------------------------------------------------


class Worker(Struct, frozen=True, kw_only=True):
    """One process; seconds, bytes and partitions as named."""

    kind: str
    name: str
    state: State
    at: int
    started_at: int
    version: str
    http: str
    partitions: dict[str, int]
    halted: int
    lag_records: float
    lag_seconds: float
    loop_gap_p99: float | None
    memory_bytes: float | None
    cpu: float | None
    redis_p99: float | None
    errors: float
    findings: list[str]


class Workers(Panel, frozen=True, kw_only=True):
    """Every process that left a summary, observers and audits included."""

    processes: list[Worker] = field(default_factory=list)


# --- 12 tail -------------------------------------------------------------------------------------


class Told(Struct, frozen=True, kw_only=True):
    """One decision as a sentence; ``user`` is a pseudonym that changes every day."""

    id: str
    at: int
    user: str
    campaign: str
    trigger: str
    outcome: str
    reason: str
    channel: str | None
    worth: float | None
    sentence: str


class Tail(Panel, frozen=True, kw_only=True):
    """The last decisions, newest first."""

    decisions: list[Told] = field(default_factory=list)


# --- 13 footer -----------------------------------------------------------------------------------


class Model(Struct, frozen=True, kw_only=True):
    """The model in force; ``provenance`` prior = none."""

    name: str
    version: str
    provenance: str


class Footer(Struct, frozen=True, kw_only=True):
    """What is in force, by hash; more than one hash = partitions on their way to a new one.

    ``links``: by name, where else one may look.
    """

    settings: list[str]
    models: list[Model]
    links: dict[str, str] = {}


class Audit(Panel, frozen=True, kw_only=True):
    """Verdicts since the audit began, by channel and verdict; ``until``: how far it has come."""

    until: int | None = None
    verdicts: dict[str, dict[str, float]] = field(default_factory=dict)
    triggers: dict[str, float] = field(default_factory=dict)


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything the page shows.

    ``observed``: the facts of the observer (:class:`monitoring.figures.told.Facts`) without its
    episodes, which are in ``anomalies``, and its tail; None = none speaks, and in a frame of the
    stream also that nothing of it changed.
    """

    version: int
    now: int
    since: int
    clock: Clock
    header: Header
    health: Health
    flow: Flow
    traffic: Traffic
    triggers: Triggers
    decisions: Decisions
    channels: Channels
    funnel: Funnel
    costs: Costs
    anomalies: Anomalies
    audit: Audit
    workers: Workers
    tail: Tail
    footer: Footer
    observed: dict[str, Any] | None = None
