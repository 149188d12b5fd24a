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
# also when an operator writes a hundred campaigns.
MAX_CAMPAIGNS: Final = 50
MAX_CAPS: Final = 10
MAX_TOPICS: Final = 8

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

# Bounds of the objectives are bounds of buckets: 2 s and 30 s from event to action, 5 s and 60 s
# of lateness.
FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
E2E: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
LATE: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)

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
    "partition", None, "partitions this worker owns; gone when it gives one up"
)
AGENT: Final = Label("agent", AGENTS)
SERVICE: Final = Label("service", SERVICES)

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

METRICS: Final[tuple[Metric, ...]] = (
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
)

_INTRODUCTION: Final = (
    "A worker serves them at `/metrics` of its HTTP port, beside the `process_*` figures of the "
    "client library. Every label has a closed list of values; whatever is not in it is counted as "
    "`other`. Counters stand at 0 from the start, so that the first occurrence is seen as an "
    "increase. Gauges of shared things are per worker: sum them `without (instance)`."
)
_PAGE: Final = (
    "# Metrics",
    "",
    "Written by `python -m monitoring.metrics`; the list lives in `monitoring/metrics.py`.",
    "",
    _INTRODUCTION,
    "",
    "| metric | type | unit | labels | meaning |",
    "|---|---|---|---|---|",
)


def markdown() -> str:
    """Return the reference page."""
    rows = [
        f"| `{_scraped(metric)}` | {metric.kind} | {metric.unit or '-'} | {_labels(metric)} | "
        f"{metric.says}{_buckets(metric)} |"
        for metric in METRICS
    ]
    return "\n".join([*_PAGE, *rows, ""])


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
