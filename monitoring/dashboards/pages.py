"""The eight dashboards, from the wall of the control room down to a single process.

Bounds are those of the alerts in ops/prometheus/rules. Quantiles are taken from buckets summed
over workers, never averaged; gauges of one owner are read with ``max``.
"""

from typing import Final

from monitoring.dashboards.panels import Dashboard, Panel, Query, Row, Variable

_RATE: Final = "$__rate_interval"


def _rate(metric: str, *by: str, of: str = "") -> str:
    kept = f" by ({', '.join(by)})" if by else ""
    return f"sum{kept} (rate(rekindle_{metric}{of}[{_RATE}]))"


def _by_minute(metric: str, *by: str, of: str = "") -> str:
    """Return the rate of what the observer counts: once a minute, so over five of them."""
    return f"sum by ({', '.join(by)}) (rate(rekindle_{metric}{of}[5m]))"


def _quantile(share: float, metric: str, *by: str, of: str = "") -> str:
    kept = ", ".join([*by, "le"])
    inner = f"sum by ({kept}) (rate(rekindle_{metric}_bucket{of}[{_RATE}]))"
    return f"histogram_quantile({share}, {inner})"


def _quantiles(metric: str, of: str = "") -> list[Query]:
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    return [Query(_quantile(share, metric, of=of), name) for share, name in shares]


def _age(metric: str) -> str:
    return f"time() - max(rekindle_{metric})"


# --- 1 ------------------------------------------------------------------------------------------

_OVERVIEW: Final = Dashboard(
    "rekindle-overview",
    "rekindle: overview",
    "Is it well? Objectives, violations, and what goes in and out. Made for a wall.",
    (
        Row(
            "Objectives of 30 days: what is left of their budgets",
            [
                *(
                    Panel(
                        title=title,
                        asks=asks,
                        queries=[Query(f"slo:{name}:budget_remaining_ratio30d")],
                        unit="percentunit",
                        kind="stat",
                        width=6,
                        height=4,
                        warn=0.5,
                        bad=0.1,
                        falling=True,
                        decimals=0,
                    )
                    for title, name, asks in (
                        (
                            "Event to action",
                            "event_to_action",
                            "How much of the month may still go wrong? 99 % within 2 s.",
                        ),
                        (
                            "Lateness",
                            "lateness",
                            "Are triggers decided when they are due? 99 % within 5 s.",
                        ),
                        (
                            "Freshness",
                            "freshness",
                            "Does anything wait? 99.9 % of minutes without a wait of over 30 s.",
                        ),
                        (
                            "Hand-over",
                            "handover",
                            "Do gateways take what we hand over? 99.5 % accepted.",
                        ),
                    )
                )
            ],
        ),
        Row(
            "Promises",
            [
                Panel(
                    title="Violations, last 24 h",
                    asks="Did anything go out that must not? Recounted by the audit from topics.",
                    queries=[
                        Query(
                            "sum by (verdict) "
                            '(increase(rekindle_audit_actions_total{verdict!="ok"}[24h]))',
                            "{{verdict}}",
                        )
                    ],
                    unit="short",
                    kind="stat",
                    width=12,
                    height=5,
                    bad=0.5,
                    decimals=0,
                ),
                Panel(
                    title="Audited up to",
                    asks="How old is the audit's last word? Without it a zero says nothing.",
                    queries=[
                        Query(_age("audit_last_success_timestamp_seconds"), "last word"),
                        Query("time() - min(rekindle_audit_horizon_timestamp_seconds)", "horizon"),
                    ],
                    unit="s",
                    kind="stat",
                    width=6,
                    height=5,
                    warn=900,
                    bad=3600,
                ),
                Panel(
                    title="Pages firing",
                    asks="How many alerts want a person now?",
                    queries=[
                        Query('count(ALERTS{alertstate="firing",severity="page"}) or vector(0)')
                    ],
                    unit="short",
                    kind="stat",
                    width=6,
                    height=5,
                    bad=1,
                    decimals=0,
                ),
            ],
        ),
        Row(
            "Flow",
            [
                Panel(
                    title="Events",
                    asks="How much do people do, by type?",
                    queries=[Query(_rate("events_folded_total", "type"), "{{type}}")],
                    unit="ops",
                    width=12,
                ),
                Panel(
                    title="Event to action",
                    asks="How long from due to acknowledged in Kafka?",
                    queries=_quantiles("event_to_action_seconds"),
                    unit="s",
                    width=12,
                    bad=2,
                ),
                Panel(
                    title="Actions",
                    asks="What goes out, by channel?",
                    queries=[Query(_rate("actions_total", "channel"), "{{channel}}")],
                    unit="ops",
                    width=8,
                ),
                Panel(
                    title="Oldest record that waits",
                    asks="Is anybody behind, by topic?",
                    queries=[Query("max by (topic) (rekindle_lag_seconds)", "{{topic}}")],
                    unit="s",
                    width=8,
                    bad=30,
                ),
                Panel(
                    title="Open anomalies",
                    asks="Which figures behave unlike themselves? 1 = look, 2 = now.",
                    queries=[
                        Query(
                            "max by (kpi, dimension) (rekindle_anomaly_active) > 0",
                            "{{kpi}} {{dimension}}",
                        )
                    ],
                    unit="short",
                    width=8,
                    warn=1,
                    bad=2,
                ),
            ],
        ),
    ),
)

# --- 2 ------------------------------------------------------------------------------------------

_PIPELINE: Final = Dashboard(
    "rekindle-pipeline",
    "rekindle: pipeline",
    "From the apps' topics into profiles: rates, errors, time taken, and why time stands still.",
    (
        Row(
            "Coming in",
            [
                Panel(
                    title="Taken in",
                    asks="How many records come, by topic?",
                    queries=[Query(_rate("intake_records_total", "topic"), "{{topic}}")],
                    unit="ops",
                ),
                Panel(
                    title="How old they are when they come",
                    asks="How long does an event need from the phone to us?",
                    queries=_quantiles("ingest_delay_seconds"),
                    unit="s",
                ),
                Panel(
                    title="Dead letters",
                    asks="What cannot be read, and why?",
                    queries=[
                        Query(
                            _rate("dead_letters_total", "topic", "reason") + " > 0",
                            "{{topic}} {{reason}}",
                        )
                    ],
                    unit="ops",
                    width=8,
                ),
                Panel(
                    title="Changed nothing",
                    asks="What was skipped: repeated, erased, behind its time?",
                    queries=[Query(_rate("events_skipped_total", "reason"), "{{reason}}")],
                    unit="ops",
                    width=8,
                ),
                Panel(
                    title="Posted over HTTP",
                    asks="What became of what apps posted?",
                    queries=[Query(_rate("http_messages_total", "result"), "{{result}}")],
                    unit="ops",
                    width=8,
                ),
            ],
        ),
        Row(
            "Going through",
            [
                Panel(
                    title="Oldest record that waits",
                    asks="How fresh is what we know, by topic?",
                    queries=[Query("max by (topic) (rekindle_lag_seconds)", "{{topic}}")],
                    unit="s",
                    bad=30,
                ),
                Panel(
                    title="Records that wait",
                    asks="How much work stands there, by topic?",
                    queries=[Query("sum by (topic) (rekindle_lag_records)", "{{topic}}")],
                    unit="short",
                ),
                Panel(
                    title="Time of a chunk, p95",
                    asks="Where does the time go: deciding, Redis or Kafka?",
                    queries=[Query(_quantile(0.95, "chunk_seconds", "stage"), "{{stage}}")],
                    unit="s",
                    width=8,
                ),
                Panel(
                    title="Busy share by stage",
                    asks="Which stage is full? 1 = the whole second, per worker.",
                    queries=[
                        Query(
                            f"sum by (stage, worker) (rate(rekindle_chunk_seconds_sum[{_RATE}]))",
                            "{{worker}} {{stage}}",
                        )
                    ],
                    unit="percentunit",
                    width=8,
                ),
                Panel(
                    title="Outbox",
                    asks="How many committed records are not in Kafka yet?",
                    queries=[Query("sum(rekindle_outbox_entries)", "entries")],
                    unit="short",
                    width=8,
                ),
            ],
        ),
        Row(
            "Time and doubt",
            [
                Panel(
                    title="Time stands still",
                    asks="How far behind is the intake lane that holds the ticks?",
                    queries=[
                        Query("max by (worker) (rekindle_tick_gate_blocking_seconds)", "{{worker}}")
                    ],
                    unit="s",
                    width=8,
                    bad=120,
                ),
                Panel(
                    title="Age of the last tick",
                    asks="Does time go on in every partition?",
                    queries=[
                        Query("time() - min(rekindle_last_tick_timestamp_seconds)", "oldest"),
                        Query("time() - max(rekindle_last_tick_timestamp_seconds)", "newest"),
                    ],
                    unit="s",
                    width=8,
                ),
                Panel(
                    title="Lanes entered again",
                    asks="Does another owner or a Redis that fell back interrupt the work?",
                    queries=[Query(_rate("lane_doubts_total", "doubt"), "{{doubt}}")],
                    unit="ops",
                    width=8,
                ),
                Panel(
                    title="Partitions that stopped",
                    asks="Which wait for a person?",
                    queries=[Query("sum by (agent) (rekindle_lanes_halted)", "{{agent}}")],
                    unit="short",
                    width=12,
                    bad=1,
                ),
                Panel(
                    title="Recorded decisions",
                    asks="After Redis fell back: would we say again what the log holds?",
                    queries=[Query(_rate("recorded_decisions_total", "result"), "{{result}}")],
                    unit="ops",
                    width=12,
                ),
            ],
        ),
    ),
)

# --- 3 ------------------------------------------------------------------------------------------

_ONE_CAMPAIGN: Final = '{campaign=~"$campaign"}'

_TRIGGERS: Final = Dashboard(
    "rekindle-triggers",
    "rekindle: triggers and decisions",
    "What is armed, what becomes due, how late, and why nobody got a message.",
    (
        Row(
            "Triggers",
            [
                Panel(
                    title="Armed",
                    asks="How many reasons to speak arise, by campaign?",
                    queries=[
                        Query(
                            _rate("triggers_armed_total", "campaign", of=_ONE_CAMPAIGN),
                            "{{campaign}}",
                        )
                    ],
                    unit="ops",
                ),
                Panel(
                    title="Due",
                    asks="How many come due, by campaign?",
                    queries=[
                        Query(
                            _rate("triggers_due_total", "campaign", of=_ONE_CAMPAIGN),
                            "{{campaign}}",
                        )
                    ],
                    unit="ops",
                ),
                Panel(
                    title="Lateness",
                    asks="How long after its due time is a trigger decided?",
                    queries=_quantiles("decision_lateness_seconds"),
                    unit="s",
                    bad=5,
                ),
                Panel(
                    title="Lateness, all of it",
                    asks="Is it few who wait long, or many who wait a little?",
                    queries=[
                        Query(
                            "sum by (le) "
                            f"(increase(rekindle_decision_lateness_seconds_bucket[{_RATE}]))",
                            "{{le}}",
                        )
                    ],
                    unit="s",
                    kind="heatmap",
                ),
            ],
        ),
        Row(
            "Decisions",
            [
                Panel(
                    title="By reason, last hour",
                    asks="Why did nobody get a message?",
                    queries=[
                        Query(
                            "sort_desc(sum by (reason) "
                            f"(increase(rekindle_decisions_total{_ONE_CAMPAIGN}[1h])) > 0)",
                            "{{reason}}",
                        )
                    ],
                    unit="short",
                    kind="bargauge",
                    height=12,
                    decimals=0,
                ),
                Panel(
                    title="Reasons over time",
                    asks="Did a reason grow suddenly?",
                    queries=[
                        Query(
                            _rate("decisions_total", "reason", of=_ONE_CAMPAIGN) + " > 0",
                            "{{reason}}",
                        )
                    ],
                    unit="ops",
                    height=12,
                ),
                Panel(
                    title="Share that is sent",
                    asks="Of what was decided, how much speaks, by campaign?",
                    queries=[
                        Query(
                            _rate(
                                "decisions_total",
                                "campaign",
                                of='{campaign=~"$campaign",reason="sent"}',
                            )
                            + " / ("
                            + _rate("decisions_total", "campaign", of=_ONE_CAMPAIGN)
                            + " > 0)",
                            "{{campaign}}",
                        )
                    ],
                    unit="percentunit",
                ),
                Panel(
                    title="Last resorts",
                    asks="How often did the prior or the file's own time zone have to serve?",
                    queries=[
                        Query(_rate("scoring_failures_total"), "model could not answer"),
                        Query(_rate("unknown_zones_total"), "no time zone known"),
                        Query(_rate("profile_bounds_reached_total", "what"), "full: {{what}}"),
                    ],
                    unit="ops",
                ),
            ],
        ),
    ),
    (Variable("campaign", "Campaign", "rekindle_triggers_armed_total"),),
)

# --- 4 ------------------------------------------------------------------------------------------

_ONE_CHANNEL: Final = '{channel=~"$channel"}'

_DELIVERY: Final = Dashboard(
    "rekindle-delivery",
    "rekindle: delivery, funnel and money",
    "What becomes of messages, what people do, and what it brings.",
    (
        Row(
            "Channels",
            [
                Panel(
                    title="Hand-overs",
                    asks="What do gateways answer?",
                    queries=[
                        Query(
                            _rate("handovers_total", "channel", "result", of=_ONE_CHANNEL) + " > 0",
                            "{{channel}} {{result}}",
                        )
                    ],
                    unit="ops",
                    width=8,
                ),
                Panel(
                    title="Time of a hand-over, p95",
                    asks="How long does a gateway take?",
                    queries=[
                        Query(
                            _quantile(0.95, "handover_seconds", "channel", of=_ONE_CHANNEL),
                            "{{channel}}",
                        )
                    ],
                    unit="s",
                    width=8,
                ),
                Panel(
                    title="Running",
                    asks="Is it paused, and what share is sent? 100 % = unthrottled.",
                    queries=[
                        Query(
                            f"min by (channel) (rekindle_send_share_ratio{_ONE_CHANNEL})",
                            "{{channel}}",
                        )
                    ],
                    unit="percentunit",
                    kind="stat",
                    width=8,
                    warn=0.999,
                    bad=0.1,
                    falling=True,
                    decimals=0,
                ),
                Panel(
                    title="Outcomes",
                    asks="Delivered, opened, clicked, complained?",
                    queries=[
                        Query(
                            _by_minute("outcomes_total", "channel", "type", of=_ONE_CHANNEL)
                            + " > 0",
                            "{{channel}} {{type}}",
                        )
                    ],
                    unit="ops",
                ),
                Panel(
                    title="Delivery delay, p95",
                    asks="How long from hand-over until it is delivered?",
                    queries=[
                        Query(
                            _quantile(0.95, "delivery_delay_seconds", "channel", of=_ONE_CHANNEL),
                            "{{channel}}",
                        )
                    ],
                    unit="s",
                ),
                Panel(
                    title="Events by source",
                    asks="Where do people come from?",
                    queries=[Query(_by_minute("source_events_total", "source"), "{{source}}")],
                    unit="ops",
                ),
                Panel(
                    title="Refused and unwelcome, of accepted, 1 h",
                    asks="Do bounces, complaints or unsubscribes rise?",
                    queries=[
                        Query(
                            "sum by (channel, type) (increase(rekindle_outcomes_total{channel=~"
                            '"$channel",type=~"bounced|complained|unsubscribed"}[1h]))'
                            " / on (channel) group_left () "
                            "(sum by (channel) (increase(rekindle_outcomes_total{channel=~"
                            '"$channel",type="accepted"}[1h])) > 0)',
                            "{{channel}} {{type}}",
                        )
                    ],
                    unit="percentunit",
                    warn=0.02,
                    bad=0.05,
                ),
            ],
        ),
        Row(
            "Effect and money",
            [
                Panel(
                    title="Lift, 7 days",
                    asks="How many more orders per person spoken to than per person withheld?",
                    queries=[Query("channel:rekindle_lift:difference_increase7d", "{{channel}}")],
                    unit="percentunit",
                    width=8,
                ),
                Panel(
                    title="Revenue and cost, last day",
                    asks="What do messages bring, and what do they cost?",
                    queries=[
                        Query(
                            "sum by (channel) (increase(rekindle_attributed_revenue_total[1d]))",
                            "{{channel}} revenue",
                        ),
                        Query(
                            "sum by (channel) (increase(rekindle_send_cost_total[1d]))",
                            "{{channel}} cost",
                        ),
                    ],
                    unit="short",
                    width=8,
                ),
                Panel(
                    title="Orders",
                    asks="What is sold, by where people came from?",
                    queries=[Query(_by_minute("orders_total", "source"), "{{source}}")],
                    unit="ops",
                    width=8,
                ),
                Panel(
                    title="Order value, last day",
                    asks="What is it worth, by where people came from?",
                    queries=[
                        Query(
                            "sum by (source) (increase(rekindle_order_value_total[1d]))",
                            "{{source}}",
                        )
                    ],
                    unit="short",
                    width=8,
                ),
                Panel(
                    title="Cost of getting people here, last day",
                    asks="What does each source cost? Only where a cost is told.",
                    queries=[
                        Query(
                            "sum by (source) (increase(rekindle_acquisition_cost_total[1d]))",
                            "{{source}}",
                        )
                    ],
                    unit="short",
                    width=8,
                ),
                Panel(
                    title="Sold, last day",
                    asks="Which categories sell?",
                    queries=[
                        Query(
                            "topk(10, sum by (category) "
                            "(increase(rekindle_product_orders_total[1d])))",
                            "{{category}}",
                        )
                    ],
                    unit="short",
                    kind="bargauge",
                    width=8,
                    decimals=0,
                ),
                Panel(
                    title="Sold out and low",
                    asks="How many products has the shop run out of, or soon will have?",
                    queries=[
                        Query(
                            "max by (seller, state) "
                            '(rekindle_products{state=~"sold_out|low|unreadable"})',
                            "{{seller}} sellers, {{state}}",
                        )
                    ],
                    unit="short",
                    width=8,
                ),
                Panel(
                    title="Decided and not handed over, last day",
                    asks="Why was a message stopped at the last moment?",
                    queries=[
                        Query(
                            "sum by (reason) "
                            "(increase(rekindle_handovers_cancelled_total[1d])) > 0",
                            "{{reason}}",
                        )
                    ],
                    unit="short",
                    kind="bargauge",
                    width=8,
                    decimals=0,
                ),
                Panel(
                    title="Funnel, last hour",
                    asks="Where do people leave between a visit and an order?",
                    queries=[
                        Query(
                            "sum by (step) (increase(rekindle_funnel_steps_total[1h]))", "{{step}}"
                        )
                    ],
                    unit="short",
                    kind="bargauge",
                    decimals=0,
                ),
                Panel(
                    title="Funnel by source",
                    asks="Which source brings visitors, and which brings buyers?",
                    queries=[
                        Query(
                            _by_minute("funnel_steps_total", "source", "step") + " > 0",
                            "{{source}} {{step}}",
                        )
                    ],
                    unit="ops",
                ),
            ],
        ),
        Row(
            "Acting",
            [
                Panel(
                    title="Paused",
                    asks="What is silent now, and by whom?",
                    queries=[Query("max by (name, by) (rekindle_paused)", "{{name}} by {{by}}")],
                    unit="short",
                    width=12,
                ),
                Panel(
                    title="Controls",
                    asks="Who paused, resumed or throttled, and how often?",
                    queries=[
                        Query(
                            "sum by (action, actor) (increase(rekindle_controls_total[1h]))",
                            "{{actor}}: {{action}}",
                        )
                    ],
                    unit="short",
                    width=12,
                ),
            ],
        ),
    ),
    (Variable("channel", "Channel", "rekindle_actions_total"),),
)

# --- 5 ------------------------------------------------------------------------------------------

_MODEL: Final = Dashboard(
    "rekindle-model",
    "rekindle: model",
    "Is the model the one we mean, and is it right?",
    (
        Row(
            "In force",
            [
                Panel(
                    title="Model",
                    asks="Which model speaks, and where does it come from? prior = none.",
                    queries=[
                        Query(
                            "count by (name, version, provenance) (rekindle_model_info)",
                            "{{name}} {{version}} {{provenance}}",
                        )
                    ],
                    unit="short",
                    kind="table",
                    height=5,
                    names={"Value": "workers"},
                ),
                Panel(
                    title="Trained",
                    asks="How old is it?",
                    queries=[
                        Query("time() - max(rekindle_model_trained_timestamp_seconds > 0)", "ago")
                    ],
                    unit="s",
                    kind="stat",
                    height=5,
                    warn=1_209_600,
                ),
            ],
        ),
        Row(
            "Answers",
            [
                Panel(
                    title="Scores",
                    asks="Do the scores keep their shape?",
                    queries=[
                        Query(
                            f"sum by (le) (increase(rekindle_model_score_ratio_bucket[{_RATE}]))",
                            "{{le}}",
                        )
                    ],
                    unit="percentunit",
                    kind="heatmap",
                ),
                Panel(
                    title="Time of an answer",
                    asks="Is it fast?",
                    queries=_quantiles("model_inference_seconds"),
                    unit="s",
                ),
                Panel(
                    title="No answer",
                    asks="How often did the prior speak for it?",
                    queries=[
                        Query(_rate("scoring_failures_total"), "could not answer"),
                        Query(_rate("models_refused_total"), "refused"),
                    ],
                    unit="ops",
                ),
            ],
        ),
        Row(
            "Right?",
            [
                Panel(
                    title="Predicted over observed, 7 days",
                    asks="Do so many buy as were foretold, by decile? 1 = exactly.",
                    queries=[
                        Query(
                            "sum by (decile) "
                            "(increase(rekindle_model_calibration_predicted_total[7d]))"
                            " / (sum by (decile) "
                            "(increase(rekindle_model_calibration_observed_total[7d])) > 0)",
                            "{{decile}}",
                        )
                    ],
                    unit="short",
                    kind="bargauge",
                ),
                Panel(
                    title="Drift of features",
                    asks="Do people look unlike those it learned from? 0.2 = much.",
                    queries=[
                        Query(
                            "topk(10, max by (feature) (rekindle_model_feature_drift_ratio))",
                            "{{feature}}",
                        )
                    ],
                    unit="short",
                    bad=0.2,
                ),
                Panel(
                    title="Verdicts on anomalies, 7 days",
                    asks="Are our alarms right?",
                    queries=[
                        Query(
                            "sum by (kpi, verdict) (increase(rekindle_anomaly_verdicts_total[7d]))",
                            "{{kpi}} {{verdict}}",
                        )
                    ],
                    unit="short",
                    kind="bargauge",
                    width=24,
                ),
            ],
        ),
    ),
)

# --- 6 ------------------------------------------------------------------------------------------

_STORES: Final = Dashboard(
    "rekindle-stores",
    "rekindle: Redis and Kafka",
    "What the workers feel, beside what the servers say (redis_* needs redis_exporter).",
    (
        Row(
            "Redis",
            [
                Panel(
                    title="Commands, p99",
                    asks="How long does a worker wait for Redis?",
                    queries=[Query(_quantile(0.99, "redis_command_seconds", "op"), "{{op}}")],
                    unit="s",
                    bad=0.025,
                ),
                Panel(
                    title="Errors",
                    asks="Does Redis refuse, or not answer?",
                    queries=[Query(_rate("redis_errors_total", "kind"), "{{kind}}")],
                    unit="ops",
                ),
                Panel(
                    title="Memory of the server",
                    asks="How full is it? A profile that is evicted is a cap forgotten.",
                    queries=[
                        Query("redis_memory_used_bytes", "used"),
                        Query("redis_memory_max_bytes > 0", "limit"),
                    ],
                    unit="bytes",
                ),
                Panel(
                    title="Away",
                    asks="For which share of the time did a server not answer?",
                    queries=[Query(_rate("unavailable_seconds_total", "service"), "{{service}}")],
                    unit="percentunit",
                ),
            ],
        ),
        Row(
            "Kafka",
            [
                Panel(
                    title="Acknowledgements, p99",
                    asks="How long until Kafka has what we write, by topic?",
                    queries=[Query(_quantile(0.99, "produce_seconds", "topic"), "{{topic}}")],
                    unit="s",
                ),
                Panel(
                    title="Writes that failed",
                    asks="Does Kafka refuse what we write?",
                    queries=[Query(_rate("produce_errors_total", "topic"), "{{topic}}")],
                    unit="ops",
                ),
                Panel(
                    title="Rebalances, last hour",
                    asks="Do partitions move about?",
                    queries=[
                        Query(
                            "sum by (agent) (increase(rekindle_rebalances_total[1h]))", "{{agent}}"
                        )
                    ],
                    unit="short",
                    warn=5,
                ),
                Panel(
                    title="Last record of each source",
                    asks="Is a source silent?",
                    queries=[
                        Query(
                            "time() - max by (topic) "
                            "(rekindle_source_last_record_timestamp_seconds > 0)",
                            "{{topic}}",
                        )
                    ],
                    unit="s",
                    bad=300,
                ),
            ],
        ),
    ),
)

# --- 7 ------------------------------------------------------------------------------------------

_ONE_KPI: Final = '{kpi=~"$kpi",dimension=~"$dimension"}'

_ANOMALIES: Final = Dashboard(
    "rekindle-anomalies",
    "rekindle: anomalies",
    "Figures that behave unlike themselves: what was seen, what was expected, and how sure we are.",
    (
        Row(
            "Now",
            [
                Panel(
                    title="Open",
                    asks="Which are open? 1 = look, 2 = now.",
                    queries=[Query("max by (kpi, dimension) (rekindle_anomaly_active) > 0")],
                    unit="short",
                    kind="table",
                    width=16,
                    names={"kpi": "figure", "dimension": "of", "Value": "severity"},
                ),
                Panel(
                    title="Last look",
                    asks="Does anybody look? Without it nothing can be open.",
                    queries=[Query(_age("anomaly_last_run_timestamp_seconds"), "ago")],
                    unit="s",
                    kind="stat",
                    width=4,
                    bad=180,
                ),
                Panel(
                    title="Behind",
                    asks="How far is the observer behind the topics?",
                    queries=[
                        Query(
                            "time() - min(rekindle_observer_horizon_timestamp_seconds > 0)", "ago"
                        )
                    ],
                    unit="s",
                    kind="stat",
                    width=4,
                    bad=300,
                ),
            ],
        ),
        Row(
            "Figures",
            [
                Panel(
                    title="Seen and expected",
                    asks="What was seen, and between which bounds was it expected?",
                    queries=[
                        Query(
                            f"max by (kpi, dimension) (rekindle_kpi_value{_ONE_KPI})",
                            "seen {{kpi}} {{dimension}}",
                        ),
                        Query(
                            f"max by (kpi, dimension) (rekindle_kpi_expected{_ONE_KPI})",
                            "expected {{kpi}} {{dimension}}",
                        ),
                        Query(
                            f"max by (kpi, dimension) (rekindle_kpi_band_low{_ONE_KPI})",
                            "low {{kpi}} {{dimension}}",
                        ),
                        Query(
                            f"max by (kpi, dimension) (rekindle_kpi_band_high{_ONE_KPI})",
                            "high {{kpi}} {{dimension}}",
                        ),
                    ],
                    unit="short",
                    width=24,
                    height=10,
                ),
                Panel(
                    title="Score",
                    asks="How unlikely is it, as zeros after the point? 4 opens, 8 pages.",
                    queries=[
                        Query(
                            f"max by (kpi, dimension) (rekindle_anomaly_score{_ONE_KPI})",
                            "{{kpi}} {{dimension}}",
                        )
                    ],
                    unit="short",
                    width=24,
                    warn=4,
                    bad=8,
                ),
            ],
        ),
    ),
    (
        Variable("kpi", "Figure", "rekindle_kpi_value"),
        Variable("dimension", "Of", "rekindle_kpi_value"),
    ),
)

# --- 8 ------------------------------------------------------------------------------------------

_WORKERS: Final = Dashboard(
    "rekindle-workers",
    "rekindle: workers",
    "Each process: what it owns, what it uses, and what it runs.",
    (
        Row(
            "There",
            [
                Panel(
                    title="Up",
                    asks="Which processes answer?",
                    queries=[Query('up{job="rekindle"}', "{{worker}}")],
                    unit="short",
                    kind="stat",
                    width=12,
                    height=5,
                    bad=1,
                    falling=True,
                    decimals=0,
                ),
                Panel(
                    title="Program",
                    asks="Do all run the same version with the same settings?",
                    queries=[
                        Query("count by (version, python) (rekindle_build_info)"),
                        Query("count by (settings_hash, mode) (rekindle_settings_info)"),
                    ],
                    unit="short",
                    kind="table",
                    width=12,
                    height=5,
                    names={"Value #A": "processes", "Value #B": "workers"},
                ),
                Panel(
                    title="Partitions",
                    asks="Is the work spread evenly?",
                    queries=[
                        Query(
                            "sum by (worker, agent) (rekindle_partitions_owned)",
                            "{{worker}} {{agent}}",
                        )
                    ],
                    unit="short",
                    width=12,
                ),
                Panel(
                    title="Event loop",
                    asks="How long does it not come round? Heartbeats share it.",
                    queries=[
                        Query(_quantile(0.99, "event_loop_gap_seconds", "worker"), "{{worker}}")
                    ],
                    unit="s",
                    width=12,
                    bad=0.25,
                ),
            ],
        ),
        Row(
            "Used",
            [
                Panel(
                    title="CPU",
                    asks="How much of a core does each use?",
                    queries=[
                        Query(
                            f'rate(process_cpu_seconds_total{{job="rekindle"}}[{_RATE}])',
                            "{{worker}}",
                        )
                    ],
                    unit="percentunit",
                    width=8,
                ),
                Panel(
                    title="Memory",
                    asks="Does it grow?",
                    queries=[Query('process_resident_memory_bytes{job="rekindle"}', "{{worker}}")],
                    unit="bytes",
                    width=8,
                ),
                Panel(
                    title="Open files",
                    asks="Does it come near its limit?",
                    queries=[
                        Query(
                            'process_open_fds{job="rekindle"} / process_max_fds{job="rekindle"}',
                            "{{worker}}",
                        )
                    ],
                    unit="percentunit",
                    width=8,
                    bad=0.9,
                ),
                Panel(
                    title="Commits",
                    asks="How many chunks does each commit?",
                    queries=[Query(_rate("commits_total", "worker"), "{{worker}}")],
                    unit="ops",
                    width=12,
                ),
                Panel(
                    title="Watching the live page",
                    asks="How many look, and does anybody fail to keep up?",
                    queries=[
                        Query("sum by (worker) (rekindle_live_clients)", "{{worker}} clients"),
                        Query(
                            _rate("live_frames_dropped_total", "worker"),
                            "{{worker}} frames dropped",
                        ),
                    ],
                    unit="short",
                    width=12,
                ),
            ],
        ),
    ),
)

DASHBOARDS: Final = (
    _OVERVIEW,
    _PIPELINE,
    _TRIGGERS,
    _DELIVERY,
    _MODEL,
    _STORES,
    _ANOMALIES,
    _WORKERS,
)

__all__ = ["DASHBOARDS"]
