"""Counts what happened, for Prometheus: one registry of its own, every child resolved once.

Called from the event loop; :meth:`Recorder.render` may run in a thread (26 to 34 ms for 1,600
series, which the loop must not spend).
"""

from collections import Counter as Counts
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from engine.policy import Policy
from engine.reasons import CAP
from engine.report import Report
from engine.times import SECOND
from monitoring import metrics
from monitoring.metrics import OTHER, Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# A third of all series would be `_created` timestamps nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call] # the client left its types out


class _Incremented(Protocol):
    def inc(self, amount: float = 1, /) -> None: ...


_Child = TypeVar("_Child")


class Recorder:
    """The metrics of one worker; the closed lists of labels are those of `monitoring.metrics`."""

    def __init__(
        self,
        topics: Sequence[str] = (),
        channels: Sequence[str] = metrics.CHANNELS,
        version: str = "",
        python: str = "",
    ) -> None:
        """``topics`` this worker reads, with prefix; ``channels`` of the deployment."""
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._topics = (*dict.fromkeys(topics[: metrics.MAX_TOPICS]), OTHER)
        self._channels = (*dict.fromkeys(channels), OTHER)
        self._campaigns: set[str] = set()
        self._caps: set[str] = set()
        self._count_what_is_closed()
        self._count_campaigns()
        self._measure()
        self._describe(version, python)

    # --- making every series --------------------------------------------------------------------

    def _count_what_is_closed(self) -> None:
        self._events = self._counters(metrics.EVENTS, "type")
        self._skips = self._counters(metrics.SKIPS, "reason")
        self._bounds = self._counters(metrics.BOUNDS, "what")
        self._doubts = self._counters(metrics.DOUBTS_TOTAL, "doubt")
        self._recorded = self._counters(metrics.RECORDED, "result")
        self._away = self._counters(metrics.UNAVAILABLE, "service")
        self._received = self._counters(metrics.RECEIVED, "result")
        intake, actions = self._counter(metrics.INTAKE), self._counter(metrics.ACTIONS)
        self._intake = {topic: intake.labels(topic) for topic in self._topics}
        self._actions = {channel: actions.labels(channel) for channel in self._channels}
        letters, handovers = self._counter(metrics.LETTERS), self._counter(metrics.HANDOVERS)
        self._letters = {
            (topic, reason): letters.labels(topic, reason)
            for topic in self._topics
            for reason in metrics.values(metrics.LETTERS, "reason")
        }
        self._handovers = {
            (channel, result): handovers.labels(channel, result)
            for channel in self._channels
            for result in metrics.values(metrics.HANDOVERS, "result")
        }
        self._mended = self._counter(metrics.MENDED)
        self._commits = self._counter(metrics.COMMITS)
        self._ticks = self._counter(metrics.TICKS)
        self._settings_records = self._counter(metrics.SETTINGS_RECORDS)
        self._scoring_failures = self._counter(metrics.SCORING_FAILURES)
        self._models_refused = self._counter(metrics.MODELS_REFUSED)
        self._unknown_zones = self._counter(metrics.UNKNOWN_ZONES)

    def _count_campaigns(self) -> None:
        self._armed_by = self._counter(metrics.ARMED)
        self._due_by = self._counter(metrics.DUE)
        self._decisions_by = self._counter(metrics.DECISIONS)
        self._armed: dict[str, Counter] = {}
        self._due: dict[str, Counter] = {}
        self._decisions: dict[tuple[str, str], Counter] = {}
        self._add_campaigns([OTHER], [])

    def _measure(self) -> None:
        self._lateness = self._histogram(metrics.LATENESS)
        self._loop_gap = self._histogram(metrics.LOOP_GAP)
        stages, delays = (
            self._histogram(metrics.CHUNK),
            self._histogram(metrics.EVENT_TO_ACTION),
        )
        self._stages = {stage: stages.labels(stage) for stage in metrics.STAGES}
        self._delays = {channel: delays.labels(channel) for channel in self._channels}
        self._outbox = self._gauge(metrics.OUTBOX)
        self._lag = self._gauge(metrics.LAG)
        self._watermark = self._gauge(metrics.WATERMARK)
        self._gate = self._gauge(metrics.GATE)
        self._gate_age = self._gauge(metrics.GATE_AGE)
        owned, halted = self._gauge(metrics.OWNED), self._gauge(metrics.HALTED)
        self._owned = {agent: owned.labels(agent) for agent in metrics.AGENTS}
        self._halted = {agent: halted.labels(agent) for agent in metrics.AGENTS}

    def _describe(self, version: str, python: str) -> None:
        self._model = self._info(metrics.MODEL)
        self._settings = self._info(metrics.SETTINGS)
        self._info(metrics.BUILD).info({"version": version, "python": python})
        self.model("prior", "", "prior")
        self._settings.info({"settings_hash": "", "mode": "none"})

    def _counter(self, metric: Metric) -> Counter:
        return Counter(
            metric.exposed, metric.says, [x.name for x in metric.labels], registry=self.registry
        )

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(
            metric.exposed, metric.says, [x.name for x in metric.labels], registry=self.registry
        )

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(
            metric.exposed,
            metric.says,
            [label.name for label in metric.labels],
            registry=self.registry,
            buckets=metric.buckets,
        )

    def _info(self, metric: Metric) -> Info:
        return Info(metric.exposed, metric.says, registry=self.registry)

    def _counters(self, metric: Metric, label: str) -> dict[str, Counter]:
        counter = self._counter(metric)
        return {value: counter.labels(value) for value in metrics.values(metric, label)}

    # --- campaigns in force ---------------------------------------------------------------------

    def in_force(self, policy: Policy | None, settings_hash: str) -> None:
        """Make the series of the campaigns and caps of a policy at 0; may be called again.

        Campaigns beyond 50 and caps beyond 10 over the life of the process count as `other`.
        """
        mode = policy.mode if policy is not None else "none"
        self._settings.info({"settings_hash": settings_hash, "mode": mode})
        if policy is not None:
            self._add_campaigns(policy.campaigns, [cap.name for cap in policy.caps])

    def _add_campaigns(self, campaigns: Iterable[str], caps: Iterable[str]) -> None:
        for cap in caps:
            if len(self._caps) < metrics.MAX_CAPS:
                self._caps.add(cap)
        for campaign in campaigns:
            if len(self._campaigns) <= metrics.MAX_CAMPAIGNS:
                self._campaigns.add(campaign)
        reasons = [
            *metrics.values(metrics.DECISIONS, "reason"),
            *[CAP + cap for cap in sorted(self._caps)],
            CAP + OTHER,
        ]
        for campaign in sorted(self._campaigns):
            self._armed.setdefault(campaign, self._armed_by.labels(campaign))
            self._due.setdefault(campaign, self._due_by.labels(campaign))
            for reason in reasons:
                key = campaign, reason
                self._decisions.setdefault(key, self._decisions_by.labels(campaign, reason))

    def _decision(self, campaign: str, reason: str) -> Counter:
        if campaign not in self._campaigns:
            campaign = OTHER
        found = self._decisions.get((campaign, reason))
        if found is None:
            unlisted = CAP + OTHER if reason.startswith(CAP) else OTHER
            found = self._decisions[campaign, unlisted]
        return found

    # --- what the worker tells ------------------------------------------------------------------

    def report(self, report: Report) -> None:
        """Count what one step did."""
        names = metrics.EVENT_TYPES
        _add(self._events, {names.get(kind, OTHER): n for kind, n in report.events.items()})
        _add(self._skips, report.skipped)
        _add(self._bounds, report.bounded)
        _add(self._armed, report.armed)
        _add(self._due, report.due)
        _add(self._actions, report.actions)
        _add(self._recorded, report.recorded)
        for (campaign, reason), count in report.decisions.items():
            self._decision(campaign, reason).inc(count)
        for late in report.lateness:
            self._lateness.observe(late / SECOND)
        self._ticks.inc(report.ticks)
        self._settings_records.inc(report.settings)
        self._scoring_failures.inc(report.scoring_failures)
        self._unknown_zones.inc(report.unknown_zones)

    def chunk(self, stages: Mapping[str, float]) -> None:
        """Note one committed chunk: seconds by stage of :data:`metrics.STAGES`."""
        self._commits.inc()
        for stage, seconds in stages.items():
            self._stages[stage].observe(seconds)

    def intake(self, topic: str, records: int, refused: Sequence[str] = ()) -> None:
        """Count records taken from a topic, and of those the dead letters by reason."""
        _known(self._intake, topic).inc(records)
        for reason, count in Counts(refused).items():
            self.dead_letter(topic, reason, count)

    def mended(self, fields: int) -> None:
        """Count fields that intake mended."""
        self._mended.inc(fields)

    def received(self, result: str, messages: int) -> None:
        """Count messages that came over HTTP: accepted, quarantined or refused."""
        self._received[result].inc(messages)

    def dead_letter(self, topic: str, reason: str, count: int = 1) -> None:
        """Count records that went to the dead letters."""
        at = topic if topic in self._intake else OTHER
        found = self._letters.get((at, reason)) or self._letters[at, OTHER]
        found.inc(count)

    def handover(self, channel: str, result: str) -> None:
        """Count one action the deliver agent took up."""
        at = channel if channel in self._actions else OTHER
        found = self._handovers.get((at, result)) or self._handovers[at, OTHER]
        found.inc()

    def event_to_action(self, channel: str, seconds: float) -> None:
        """Note how long one action took from its due time to Kafka's acknowledgement."""
        _known(self._delays, channel).observe(seconds)

    def doubt(self, kind: str) -> None:
        """Count a lane that was closed and entered again: fenced, stale or rewind."""
        self._doubts[kind].inc()

    def unavailable(self, service: str, seconds: float) -> None:
        """Add time in which kafka or redis did not answer."""
        self._away[service].inc(seconds)

    def model_refused(self) -> None:
        """Count a model that may not be used."""
        self._models_refused.inc()

    # --- how things stand -----------------------------------------------------------------------

    def owned(self, agent: str, partitions: int, halted: int = 0) -> None:
        """Tell how many partitions an agent owns, and how many of them stopped."""
        self._owned[agent].set(partitions)
        self._halted[agent].set(halted)

    def outbox(self, partition: int, entries: int) -> None:
        """Tell how many committed records of a partition are not in Kafka yet."""
        self._outbox.labels(str(partition)).set(entries)

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Tell how many records of a partition wait."""
        self._lag.labels(self._topic(topic), str(partition)).set(records)

    def watermark(self, topic: str, partition: int, at: int) -> None:
        """Tell the time (ms) before which a source partition is acknowledged in ``events``."""
        self._watermark.labels(self._topic(topic), str(partition)).set(at / SECOND)

    def gone(self, topic: str, partition: int) -> None:
        """Forget the gauges of a partition given up: two workers must not report one partition."""
        for gauge in (self._lag, self._watermark):
            gauge.remove_by_labels({"topic": self._topic(topic), "partition": str(partition)})

    def outbox_gone(self, partition: int) -> None:
        """Forget the outbox of a partition given up."""
        self._outbox.remove_by_labels({"partition": str(partition)})

    def tick_gate(self, *, is_open: bool, behind: float = 0.0) -> None:
        """Tell whether ticks may be written, and how many seconds the blocking lane is behind."""
        self._gate.set(is_open)
        self._gate_age.set(0.0 if is_open else behind)

    def loop_gap(self, seconds: float) -> None:
        """Note the longest gap of the event loop in the last second."""
        self._loop_gap.observe(seconds)

    def model(self, name: str, version: str, provenance: str) -> None:
        """Tell which model is in force."""
        self._model.info({"name": name, "version": version, "provenance": provenance})

    def _topic(self, topic: str) -> str:
        return topic if topic in self._intake else OTHER

    # --- reading --------------------------------------------------------------------------------

    def render(self) -> bytes:
        """Return everything in Prometheus' text format; may run in a thread."""
        return generate_latest(self.registry)

    def value(self, metric: Metric, **labels: str) -> float:
        """Return one sample, as scraped; 0 where there is none."""
        found = self.registry.get_sample_value(metric.exposed, labels)
        return 0.0 if found is None else found


def _add(children: Mapping[str, _Incremented], counts: Mapping[str, int]) -> None:
    for value, count in counts.items():
        _known(children, value).inc(count)


def _known(children: Mapping[str, _Child], value: str) -> _Child:
    found = children.get(value)
    return children[OTHER] if found is None else found


__all__ = ["CONTENT_TYPE", "Recorder"]
