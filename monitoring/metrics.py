"""Every metric once: name, labels with closed lists, unit, and one sentence that says what it is.

``python -m monitoring.metrics`` prints docs/reference/metrics.md; a test holds it up to date.
"""

import sys
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from engine.events import Event
from engine.reasons import REASONS
from engine.recorded import RESULTS

PREFIX: Final = "rekindle_"
OTHER: Final = "other"

# A value beyond these bounds is counted under `other`: at most 2,500 series a worker
# also when an operator writes a hundred campaigns, and owns 64 partitions of eight topics.
MAX_CAMPAIGNS: Final = 25
MAX_CAPS: Final = 10
MAX_TOPICS: Final = 8
MAX_PARTITIONS: Final = 16
MAX_PAUSES: Final = 30
MAX_FEATURES: Final = 30
MAX_CATEGORIES: Final = 20
MAX_SOURCES: Final = 9
MAX_PROVIDERS: Final = 4
MAX_SERIES: Final = 300

CHANNELS: Final = ("push", "sms", "email")
EVENT_TYPES: Final[dict[str, str]] = {
    kind.__name__: str(kind.__struct_config__.tag) for kind in get_args(Event)
}
SKIPPED: Final = ("position", "duplicate", "erased", "tick_behind")
BOUNDED: Final = ("cart_lines", "carts", "orders", "sends", "triggers")
INVALID: Final = (
    "bad_consent",
    "bad_line",
    "empty",
    "newer_version",
    "no_action_id",
    "no_channel",
    "no_event_name",
    "no_order_id",
    "no_product_id",
    "no_user",
    "not_json",
    "not_object",
    "oversize",
    "undecodable",
    "unknown_outcome",
    "unknown_type",
)
HANDOVER_RESULTS: Final = (
    "accepted",
    "deferred",
    "bounced",
    "rejected",
    "failed",
    "expired",
    "cancelled",
    "unknown",
    "claimed",
)
MESSAGES: Final = ("accepted", "quarantined", "refused")
STAGES: Final = ("take", "commit", "produce")
AGENTS: Final = ("intake", "decide", "deliver")
DOUBTS: Final = ("fenced", "stale", "rewind")
SERVICES: Final = ("kafka", "redis")
REDIS_OPS: Final = ("acquire", "commit", "claim", "mget", "mset", "zrangebyscore")
REDIS_ERRORS: Final = ("away", "timeout", "busy", "refused")
# Who may pause and throttle.
ACTORS: Final = ("operator", "audit", "brake")
CONTROLS: Final = ("pause", "resume", "throttle")
# Topics a worker writes, without the prefix; the raw topics of the HTTP door are `other`.
WRITTEN: Final = (
    "events",
    "decisions",
    *("actions." + channel for channel in CHANNELS),
    "feedback",
    "dead-letters",
    OTHER,
)
VERDICTS: Final = (
    "ok",
    "missing",
    "undecided",
    "doubled",
    "over_cap",
    "quiet_hours",
    "no_consent",
    "withheld",
    "expired",
)
# Of a product: whether its last record can be read, tells its stock, and how much that is.
PRODUCT_STATES: Final = ("in_stock", "low", "sold_out", "unknown", "unreadable")
SELLERS: Final = ("best", "other")
STEPS: Final = ("visit", "product", "cart", "checkout", "purchase")
ARMS: Final = ("treated", "withheld")
OUTCOMES: Final = (
    "accepted",
    "deferred",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "rejected",
    "failed",
    "expired",
    "unsubscribed",
    "cancelled",
    "unknown",
    OTHER,
)
ANOMALY_VERDICTS: Final = ("true", "false", "expected")
DECILES: Final = tuple(str(decile) for decile in range(10))

# Bounds of the objectives are bounds of buckets: 2 s and 30 s from event to action, 5 s and 60 s
# of lateness.
FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
E2E: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
LATE: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
DELIV: Final = (1, 5, 15, 30, 60, 300, 900, 3600, 14400, 86400)
# A gateway is given seconds, a redis milliseconds.
CALL: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# One row of a model takes microseconds.
ROW: Final = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05)
# A probability in steps of a twentieth.
SCORE: Final = tuple(step / 20 for step in range(1, 21))

Kind = Literal["counter", "gauge", "histogram", "info"]


@dataclass(frozen=True, slots=True)
class Label:
    """One label. ``values`` is closed; None = known at run time, and ``bound`` says how many."""

    name: str
    values: tuple[str, ...] | None
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; ``name`` without prefix, ``unit`` a base unit, ``says`` one sentence."""

    name: str
    kind: Kind
    unit: str
    says: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def exposed(self) -> str:
        """Return the name as scraped."""
        return PREFIX + self.name


CAMPAIGN: Final = Label("campaign", None, f"campaigns in force, {MAX_CAMPAIGNS} and `other`")
REASON: Final = Label("reason", (*REASONS, OTHER), f"and `cap:<name>`, {MAX_CAPS} and `cap:other`")
CHANNEL: Final = Label("channel", None, "channels of the deployment and `other`")
TOPIC: Final = Label("topic", None, f"topics this worker reads, {MAX_TOPICS} and `other`")
PARTITION: Final = Label(
    "partition",
    None,
    f"partitions this worker owns, the first {MAX_PARTITIONS} of a topic and `other` for the rest "
    "(their sum of records, their worst of times); gone when it gives one up",
)
AGENT: Final = Label("agent", AGENTS)
SERVICE: Final = Label("service", SERVICES)
WRITTEN_TOPIC: Final = Label("topic", WRITTEN)
HORIZON_TOPIC: Final = Label("topic", None, "topics this process reads")
ARM: Final = Label("arm", ARMS)
SOURCE: Final = Label("source", None, f"where visits came from, {MAX_SOURCES} and `other`")
KPI: Final = Label("kpi", None, "KPIs configured")
DIMENSION: Final = Label(
    "dimension", None, f"values of a KPI's dimension, {MAX_SERIES} of all KPIs"
)

EVENTS = Metric(
    "events_folded_total",
    "counter",
    "events",
    "Events folded into profiles, by type.",
    (Label("type", (*EVENT_TYPES.values(), OTHER)),),
)
SKIPS = Metric(
    "events_skipped_total",
    "counter",
    "records",
    "Records of `events` that changed nothing, by why: repeated position, repeated id, erased "
    "person, tick behind the time already reached.",
    (Label("reason", (*SKIPPED, OTHER)),),
)
BOUNDS = Metric(
    "profile_bounds_reached_total",
    "counter",
    "times",
    "Times the oldest entry of a profile gave way because a bound was reached, by what it was.",
    (Label("what", (*BOUNDED, OTHER)),),
)
INTAKE = Metric(
    "intake_records_total",
    "counter",
    "records",
    "Records intake took from its topics, dead letters included.",
    (TOPIC,),
)
MENDED = Metric(
    "intake_mended_total",
    "counter",
    "fields",
    "Fields that intake and the HTTP door mended in records they did not refuse.",
)
RECEIVED = Metric(
    "http_messages_total",
    "counter",
    "messages",
    "Messages posted over HTTP: accepted into the raw topic, or quarantined because they could be "
    "no record; refused counts whole requests.",
    (Label("result", MESSAGES),),
)
LETTERS = Metric(
    "dead_letters_total",
    "counter",
    "records",
    "Records that can never be read and went to the dead letters.",
    (TOPIC, Label("reason", (*INVALID, OTHER))),
)
ARMED = Metric("triggers_armed_total", "counter", "triggers", "Triggers armed anew.", (CAMPAIGN,))
DUE = Metric(
    "triggers_due_total",
    "counter",
    "triggers",
    "Triggers that became due for the first time.",
    (CAMPAIGN,),
)
DECISIONS = Metric(
    "decisions_total",
    "counter",
    "decisions",
    "Decisions, by the reason they carry.",
    (CAMPAIGN, REASON),
)
LATENESS = Metric(
    "decision_lateness_seconds",
    "histogram",
    "seconds",
    "How long after its due time a trigger was first decided about: tick's time minus due time.",
    buckets=LATE,
)
ACTIONS = Metric("actions_total", "counter", "actions", "Actions put into the outbox.", (CHANNEL,))
HANDOVERS = Metric(
    "handovers_total",
    "counter",
    "actions",
    "Actions taken up by the deliver agent, by what came of it; `claimed` = handed over before.",
    (CHANNEL, Label("result", (*HANDOVER_RESULTS, OTHER))),
)
CANCELLED = Metric(
    "handovers_cancelled_total",
    "counter",
    "actions",
    "Actions that were decided and then not handed over, by why; those that expired apart.",
    (Label("reason", (*REASONS, OTHER)),),
)
EVENT_TO_ACTION = Metric(
    "event_to_action_seconds",
    "histogram",
    "seconds",
    "From a trigger's due time to the acknowledged action, where nothing had deferred it.",
    (CHANNEL,),
    E2E,
)
CHUNK = Metric(
    "chunk_seconds",
    "histogram",
    "seconds",
    "Time of one chunk, by stage: take = load and decide, commit = Redis, produce = Kafka.",
    (Label("stage", STAGES),),
    FAST,
)
COMMITS = Metric("commits_total", "counter", "commits", "Chunks committed.")
TICKS = Metric("ticks_total", "counter", "ticks", "Ticks taken.")
SETTINGS_RECORDS = Metric("settings_records_total", "counter", "records", "Settings records taken.")
DOUBTS_TOTAL = Metric(
    "lane_doubts_total",
    "counter",
    "times",
    "Times a lane was closed and entered again: another owner, another offset, a store that fell "
    "back.",
    (Label("doubt", DOUBTS),),
)
RECORDED = Metric(
    "recorded_decisions_total",
    "counter",
    "decisions",
    "Decisions that the log held already when the store had fallen back, taken as recorded: this "
    "worker would say the same, or something different; missing = it has no such trigger; extra = "
    "it would decide one that is not recorded, and puts it off; unsaid = a message that never "
    "reached its topic and cannot be made any more.",
    (Label("result", RESULTS),),
)
OUTBOX = Metric(
    "outbox_entries", "gauge", "records", "Records committed and not yet in Kafka.", (PARTITION,)
)
OWNED = Metric("partitions_owned", "gauge", "partitions", "Partitions this worker owns.", (AGENT,))
HALTED = Metric(
    "lanes_halted",
    "gauge",
    "partitions",
    "Partitions that stopped with a sentence a person must act on.",
    (AGENT,),
)
LAG = Metric(
    "lag_records",
    "gauge",
    "records",
    "Records of a topic's partition that wait for this worker.",
    (TOPIC, PARTITION),
)
GATE = Metric(
    "tick_gate_open",
    "gauge",
    "boolean",
    "1 while ticks may be written; 0 = time stands still because an intake lane is behind.",
)
GATE_AGE = Metric(
    "tick_gate_blocking_seconds",
    "gauge",
    "seconds",
    "How far the intake lane that holds the ticks is behind; 0 while the gate is open.",
)
WATERMARK = Metric(
    "intake_watermark_timestamp_seconds",
    "gauge",
    "seconds since the epoch",
    "Everything appended to this partition before it is acknowledged in `events`.",
    (TOPIC, PARTITION),
)
SCORING_FAILURES = Metric(
    "scoring_failures_total",
    "counter",
    "decisions",
    "Decisions in which the model could not answer and the prior spoke.",
)
MODELS_REFUSED = Metric(
    "models_refused_total",
    "counter",
    "models",
    "Models named by settings that may not be used; the prior speaks instead.",
)
UNKNOWN_ZONES = Metric(
    "unknown_zones_total",
    "counter",
    "decisions",
    "Decisions for which the campaigns file's own time zone had to serve.",
)
UNAVAILABLE = Metric(
    "unavailable_seconds_total",
    "counter",
    "seconds",
    "Time in which a service did not answer and partitions were held.",
    (SERVICE,),
)
LOOP_GAP = Metric(
    "event_loop_gap_seconds",
    "histogram",
    "seconds",
    "Longest time in each second during which the event loop did not come round.",
    buckets=FAST,
)
MODEL = Metric(
    "model",
    "info",
    "",
    "The model in force: name, version, provenance (real, simulator, public; prior = none).",
    (
        Label("name", None, "one at a time"),
        Label("version", None, "one at a time"),
        Label("provenance", ("real", "simulator", "public", "prior")),
    ),
)
SETTINGS = Metric(
    "settings",
    "info",
    "",
    "The settings in force, by their hash.",
    (Label("settings_hash", None, "one at a time"), Label("mode", ("live", "dry_run", "none"))),
)
BUILD = Metric(
    "build",
    "info",
    "",
    "The program that runs: its version and its Python.",
    (Label("version", None, "one"), Label("python", None, "one")),
)

LAG_AGE = Metric(
    "lag_seconds",
    "gauge",
    "seconds",
    "How old the oldest record is at most that waits for this worker; 0 while none waits. Kafka "
    "does not tell that age: it is now minus the append time of the last record done, or minus the "
    "moment when nothing waited, whichever is later. Until a partition taken over has done its "
    "first record it is the time since it was taken over, which the true age can only exceed.",
    (TOPIC, PARTITION),
)
TICKED = Metric(
    "last_tick_timestamp_seconds",
    "gauge",
    "seconds since the epoch",
    "Time this partition of `events` has reached: the time that its last tick carries. A quiet "
    "partition ticks once a minute.",
    (PARTITION,),
)
INGEST_DELAY = Metric(
    "ingest_delay_seconds",
    "histogram",
    "seconds",
    "From when an event says it happened to when it reached Kafka; an event of the future counts "
    "as 0. Only of live data.",
    buckets=LATE,
)
LAST_RECORD = Metric(
    "source_last_record_timestamp_seconds",
    "gauge",
    "seconds since the epoch",
    "Append time of the newest record this worker took from a topic of the apps or of the "
    "gateways; max over the workers. There is no series before the first.",
    (TOPIC,),
)
REDIS_SECONDS = Metric(
    "redis_command_seconds",
    "histogram",
    "seconds",
    "Time of a command of Redis that was answered, as the event loop saw it.",
    (Label("op", (*REDIS_OPS, OTHER)),),
    FAST,
)
REDIS_FAILED = Metric(
    "redis_errors_total",
    "counter",
    "commands",
    "Commands that failed: away = no connection, timeout = no answer in time, busy = Redis answers "
    "and cannot work (it loads, has no memory, no master), refused = any other error.",
    (Label("kind", REDIS_ERRORS),),
)
PRODUCE_SECONDS = Metric(
    "produce_seconds",
    "histogram",
    "seconds",
    "From handing a run of records of one partition to the producer to Kafka's acknowledgement, "
    "waiting for the partition's turn included.",
    (WRITTEN_TOPIC,),
    FAST,
)
PRODUCE_FAILED = Metric(
    "produce_errors_total",
    "counter",
    "runs",
    "Runs of records that Kafka did not acknowledge; they are written again.",
    (WRITTEN_TOPIC,),
)
REBALANCES = Metric(
    "rebalances_total",
    "counter",
    "rebalances",
    "Times the group of an agent gave this worker its partitions, the first time included.",
    (AGENT,),
)
MODEL_SCORE = Metric(
    "model_score_ratio",
    "histogram",
    "probability",
    "Chance of an order that the model gave where it was asked.",
    buckets=SCORE,
)
MODEL_SECONDS = Metric(
    "model_inference_seconds",
    "histogram",
    "seconds",
    "Time in which the model made the features of one case and scored it.",
    buckets=ROW,
)
MODEL_TRAINED = Metric(
    "model_trained_timestamp_seconds",
    "gauge",
    "seconds since the epoch",
    "When the model in force was trained; 0 = no model is in force.",
)
FOLDED_AWAY = Metric(
    "labels_folded_total",
    "counter",
    "times",
    "Times a value that is in no closed list was counted as `other`, by metric.",
    (Label("metric", None, "metrics of a worker with a label `other`"),),
)
PAUSED = Metric(
    "paused",
    "gauge",
    "boolean",
    "1 = paused in the settings in force of at least one partition of this worker, by whom. "
    "What is not paused has no series, but for channels, which stand at 0.",
    (
        Label("name", None, f"`channel:<name>`, `campaign:<id>`, {MAX_PAUSES} and `other`"),
        Label("by", (*ACTORS, OTHER)),
    ),
)
SHARE = Metric(
    "send_share_ratio",
    "gauge",
    "ratio",
    "Share of a channel's messages that may go out: 1 = unthrottled, 0 = paused.",
    (CHANNEL,),
)
HANDOVER_SECONDS = Metric(
    "handover_seconds",
    "histogram",
    "seconds",
    "Time of one call of a channel's gateway, whatever came of it.",
    (CHANNEL,),
    CALL,
)
CLIENTS = Metric("live_clients", "gauge", "streams", "Open streams of the live page.")
DROPPED = Metric(
    "live_frames_dropped_total",
    "counter",
    "frames",
    "Frames of the live page that a slow client was not sent.",
)

# --- the audit ----------------------------------------------------------------------------------

AUDITED = Metric(
    "audit_actions_total",
    "counter",
    "actions",
    "Actions the audit recomputed from topics alone, by its verdict.",
    (CHANNEL, Label("verdict", VERDICTS)),
)
AUDITED_TRIGGERS = Metric(
    "audit_triggers",
    "gauge",
    "triggers",
    "Triggers by the audit's own book: armed = closed + open, or else unbalanced says how many "
    "are missing.",
    (Label("state", ("armed", "closed", "open", "unbalanced")),),
)
AUDIT_SUCCESS = Metric(
    "audit_last_success_timestamp_seconds",
    "gauge",
    "seconds since the epoch",
    "When the audit last came to the end of a round with all of its topics read; 0 = never. Old = "
    "nobody watches.",
)
AUDIT_HORIZON = Metric(
    "audit_horizon_timestamp_seconds",
    "gauge",
    "seconds since the epoch",
    "How far the audit has read a topic.",
    (HORIZON_TOPIC,),
)
AUDIT_PAUSES = Metric(
    "audit_pauses_total", "counter", "pauses", "Channels the audit paused.", (CHANNEL,)
)

# --- the observer -------------------------------------------------------------------------------

SOURCE_EVENTS = Metric(
    "source_events_total",
    "counter",
    "messages",
    "Messages of apps, by where the visit came from.",
    (SOURCE,),
)
FUNNEL = Metric(
    "funnel_steps_total",
    "counter",
    "steps",
    "Visits that reached a step of the purchase funnel, by where they came from.",
    (SOURCE, Label("step", STEPS)),
)
ORDERS = Metric("orders_total", "counter", "orders", "Orders, each once.", (SOURCE,))
ORDER_VALUE = Metric(
    "order_value_total",
    "counter",
    "currency",
    "Value of the orders, in the shop's money.",
    (SOURCE,),
)
ACQUISITION_COST = Metric(
    "acquisition_cost_total",
    "counter",
    "currency",
    "What the visits cost by the KPI file, in its money; no series where it says no cost.",
    (SOURCE,),
)
PRODUCT_ORDERS = Metric(
    "product_orders_total",
    "counter",
    "lines",
    "Order lines by category of product.",
    (Label("category", None, f"categories seen first, {MAX_CATEGORIES} and `other`"),),
)
PRODUCTS = Metric(
    "products",
    "gauge",
    "products",
    "Products by what the shop told last of their stock; no series while no topic tells it.",
    (Label("seller", SELLERS), Label("state", PRODUCT_STATES)),
)
OUTCOMES_TOTAL = Metric(
    "outcomes_total",
    "counter",
    "outcomes",
    "What became of messages, as the gateways tell it.",
    (
        CHANNEL,
        Label("provider", None, f"providers, {MAX_PROVIDERS} and `other`"),
        Label("type", OUTCOMES),
    ),
)
HARD_BOUNCES = Metric(
    "hard_bounces_total",
    "counter",
    "messages",
    "Messages that bounced for good; those that may come through later are not among them.",
    (CHANNEL, Label("provider", None, f"providers, {MAX_PROVIDERS} and `other`")),
)
DELIVERY_DELAY = Metric(
    "delivery_delay_seconds",
    "histogram",
    "seconds",
    "From the decision to the delivery, as its gateway tells it.",
    (CHANNEL,),
    DELIV,
)
UNMATCHED = Metric(
    "outcomes_unmatched_total",
    "counter",
    "outcomes",
    "Outcomes of messages whose decision was not seen in the last seven days.",
    (CHANNEL,),
)
ARM_USERS = Metric(
    "arm_users_total",
    "counter",
    "users",
    "Decisions whose conversion window is over, by arm: spoken to, or withheld for comparison.",
    (CHANNEL, ARM),
)
CONVERSIONS = Metric(
    "conversions_total",
    "counter",
    "orders",
    "Of those, after which she ordered within the window.",
    (CHANNEL, ARM),
)
REVENUE = Metric(
    "attributed_revenue_total",
    "counter",
    "currency",
    "Value of orders after a message, in the shop's money; not all of it is caused by it.",
    (CHANNEL,),
)
SEND_COST = Metric(
    "send_cost_total",
    "counter",
    "currency",
    "What the messages cost at the campaigns file's price, refused ones included.",
    (CHANNEL,),
)
KPI_VALUE = Metric(
    "kpi_value", "gauge", "as the KPI", "A KPI in its last closed window.", (KPI, DIMENSION)
)
KPI_EXPECTED = Metric(
    "kpi_expected", "gauge", "as the KPI", "What was expected of it.", (KPI, DIMENSION)
)
KPI_LOW = Metric(
    "kpi_band_low",
    "gauge",
    "as the KPI",
    "Lower end of what would surprise nobody.",
    (KPI, DIMENSION),
)
KPI_HIGH = Metric(
    "kpi_band_high",
    "gauge",
    "as the KPI",
    "Upper end of what would surprise nobody.",
    (KPI, DIMENSION),
)
ANOMALY_SCORE = Metric(
    "anomaly_score",
    "gauge",
    "-log10 of a probability",
    "How improbable the last closed window is: 3 = one in a thousand.",
    (KPI, DIMENSION),
)
ANOMALY_ACTIVE = Metric(
    "anomaly_active",
    "gauge",
    "state",
    "Whether an episode is open: 0 = none, 1 = a warning, 2 = critical.",
    (KPI, DIMENSION),
)
ANOMALY_VERDICTS_TOTAL = Metric(
    "anomaly_verdicts_total",
    "counter",
    "verdicts",
    "What operators said of episodes.",
    (KPI, Label("verdict", ANOMALY_VERDICTS)),
)
ANOMALY_RUN = Metric(
    "anomaly_last_run_timestamp_seconds",
    "gauge",
    "seconds since the epoch",
    "When the detectors last judged a window; 0 = never. Old = nobody watches.",
)
OBSERVER_HORIZON = Metric(
    "observer_horizon_timestamp_seconds",
    "gauge",
    "seconds since the epoch",
    "How far the observer has read a topic.",
    (HORIZON_TOPIC,),
)
CONTROLS_TOTAL = Metric(
    "controls_total",
    "counter",
    "controls",
    "Pauses, resumptions and throttles in the log, by who set them.",
    (Label("action", CONTROLS), Label("actor", ACTORS)),
)
DRIFT = Metric(
    "model_feature_drift_ratio",
    "gauge",
    "PSI",
    "How far a feature of the decisions has drifted from the week before the model came into "
    "force, or the first week under its schema (population stability index: beyond 0.2 look at "
    "it).",
    (Label("feature", None, f"features of the model, {MAX_FEATURES}"),),
)
PREDICTED = Metric(
    "model_calibration_predicted_total",
    "counter",
    "orders",
    "Orders the model foresaw: sum of the chances it gave to decisions that were withheld and "
    "whose window is over, by band of the chance (1, 2, 3, 5, 8, 12, 20, 35, 60 %).",
    (Label("decile", DECILES),),
)
OBSERVED = Metric(
    "model_calibration_observed_total",
    "counter",
    "orders",
    "Orders that happened, of the same decisions.",
    (Label("decile", DECILES),),
)

# By the process that exposes them.
WORKER: Final[tuple[Metric, ...]] = (
    EVENTS,
    SKIPS,
    BOUNDS,
    INTAKE,
    MENDED,
    RECEIVED,
    LETTERS,
    ARMED,
    DUE,
    DECISIONS,
    LATENESS,
    ACTIONS,
    HANDOVERS,
    CANCELLED,
    EVENT_TO_ACTION,
    CHUNK,
    COMMITS,
    TICKS,
    SETTINGS_RECORDS,
    DOUBTS_TOTAL,
    RECORDED,
    OUTBOX,
    OWNED,
    HALTED,
    LAG,
    GATE,
    GATE_AGE,
    WATERMARK,
    SCORING_FAILURES,
    MODELS_REFUSED,
    UNKNOWN_ZONES,
    UNAVAILABLE,
    LOOP_GAP,
    MODEL,
    SETTINGS,
    BUILD,
    LAG_AGE,
    TICKED,
    INGEST_DELAY,
    LAST_RECORD,
    REDIS_SECONDS,
    REDIS_FAILED,
    PRODUCE_SECONDS,
    PRODUCE_FAILED,
    REBALANCES,
    MODEL_SCORE,
    MODEL_SECONDS,
    MODEL_TRAINED,
    FOLDED_AWAY,
    PAUSED,
    SHARE,
    HANDOVER_SECONDS,
    CLIENTS,
    DROPPED,
)
AUDIT: Final[tuple[Metric, ...]] = (
    AUDITED,
    AUDITED_TRIGGERS,
    AUDIT_SUCCESS,
    AUDIT_HORIZON,
    AUDIT_PAUSES,
)
OBSERVER: Final[tuple[Metric, ...]] = (
    SOURCE_EVENTS,
    FUNNEL,
    ORDERS,
    ORDER_VALUE,
    ACQUISITION_COST,
    PRODUCT_ORDERS,
    PRODUCTS,
    OUTCOMES_TOTAL,
    HARD_BOUNCES,
    DELIVERY_DELAY,
    UNMATCHED,
    ARM_USERS,
    CONVERSIONS,
    REVENUE,
    SEND_COST,
    KPI_VALUE,
    KPI_EXPECTED,
    KPI_LOW,
    KPI_HIGH,
    ANOMALY_SCORE,
    ANOMALY_ACTIVE,
    ANOMALY_VERDICTS_TOTAL,
    ANOMALY_RUN,
    OBSERVER_HORIZON,
    CONTROLS_TOTAL,
    DRIFT,
    PREDICTED,
    OBSERVED,
)
METRICS: Final[tuple[Metric, ...]] = (*WORKER, *AUDIT, *OBSERVER)

_INTRODUCTION: Final = (
    "Three kinds of processes serve them at `/metrics` of their HTTP ports, beside the `process_*` "
    "figures of the client library. Every label has a closed list of values or a bound; whatever "
    "is not in it is counted as `other`. Counters of closed lists stand at 0 from the start, so "
    "that the first occurrence is seen as an increase. Gauges of shared things are per worker: sum "
    "them `without (instance)`."
)
_PAGE: Final = (
    "# Metrics",
    "",
    "Written by `python -m monitoring.metrics`; the list lives in `monitoring/metrics.py`.",
    "",
    _INTRODUCTION,
    "",
)
_EXPOSED: Final[tuple[tuple[str, str, tuple[Metric, ...]], ...]] = (
    ("A worker", "Every `rekindle worker` and `rekindle up`.", WORKER),
    ("The audit", "The one `rekindle audit`.", AUDIT),
    ("The observer", "The one `rekindle observe`.", OBSERVER),
)


def markdown() -> str:
    """Return the reference page."""
    lines = list(_PAGE)
    for title, exposed_by, family in _EXPOSED:
        lines += [f"## {title}", "", exposed_by, "", *_table(family), ""]
    return "\n".join(lines)


def _table(family: tuple[Metric, ...]) -> list[str]:
    rows = [
        f"| `{_scraped(metric)}` | {metric.kind} | {metric.unit or '-'} | {_labels(metric)} | "
        f"{metric.says}{_buckets(metric)} |"
        for metric in family
    ]
    return ["| metric | type | unit | labels | meaning |", "|---|---|---|---|---|", *rows]


def _scraped(metric: Metric) -> str:
    return metric.exposed + "_info" * (metric.kind == "info")


def _labels(metric: Metric) -> str:
    return "<br>".join(_label(label) for label in metric.labels) or "-"


def _label(label: Label) -> str:
    said = [", ".join(label.values)] if label.values is not None else []
    return f"`{label.name}`: " + "; ".join(said + [label.bound] * bool(label.bound))


def _buckets(metric: Metric) -> str:
    if not metric.buckets:
        return ""
    return " Buckets: " + ", ".join(f"{bound:g}" for bound in metric.buckets) + "."


def folding(family: tuple[Metric, ...]) -> tuple[str, ...]:
    """Return the names of the metrics in which a value may count as ``other``."""
    return tuple(metric.name for metric in family if any(_folds(x) for x in metric.labels))


def _folds(label: Label) -> bool:
    return f"`{OTHER}`" in label.bound or OTHER in (label.values or ())


def values(metric: Metric, name: str) -> tuple[str, ...]:
    """Return the closed values of a label; raises KeyError for a label known at run time."""
    for label in metric.labels:
        if label.name == name and label.values is not None:
            return label.values
    raise KeyError(name)


def _main(out: Any = sys.stdout) -> None:
    out.write(markdown())


if __name__ == "__main__":
    _main()
