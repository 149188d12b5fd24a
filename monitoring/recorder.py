"""Counts what a worker does, for Prometheus: one registry of its own, every child resolved once.

Called from the event loop; :meth:`Recorder.render` may run in a thread (26 to 34 ms for 1,600
series, which the loop must not spend). What stands per partition is in
:mod:`monitoring.partitions`, how long ports take in :mod:`monitoring.timings`.
"""

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

from engine.policy import Policy
from engine.reasons import CAP
from engine.report import Report
from engine.times import SECOND
from monitoring import instruments, metrics
from monitoring.instruments import CONTENT_TYPE, Closed, Tally, add, counters_of
from monitoring.metrics import OTHER, Metric
from monitoring.partitions import Partitions
from monitoring.timings import Timings

_Labelled = TypeVar("_Labelled", Counter, Gauge, Histogram)


class Recorder:
    """The metrics of one worker; the closed lists of labels are those of `monitoring.metrics`."""

    def __init__(
        self,
        topics: Sequence[str] = (),
        channels: Sequence[str] = metrics.CHANNELS,
        version: str = "",
        python: str = "",
        *,
        prefix: str = "",
    ) -> None:
        """``topics`` that intake reads, with their prefix; ``channels`` of the deployment.

        ``prefix`` of the topics of the product itself.
        """
        self.registry = instruments.registry()
        self._folded = self._counter(metrics.FOLDED_AWAY)
        self.timings = Timings(self.registry, prefix, channels, self._folds)
        own = [f"{prefix}{name}" for name in ("events", *(f"actions.{x}" for x in channels))]
        self.partitions = Partitions([*own, *topics], self.registry)
        self._topics = (*dict.fromkeys(topics[: metrics.MAX_TOPICS]), OTHER)
        self._channels = (*dict.fromkeys(channels), OTHER)
        self._campaigns: set[str] = set()
        self._caps: set[str] = set()
        self._count_what_is_closed()
        self._count_campaigns()
        self._measure()
        self._hold_back()
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
        self._rebalances = self._counters(metrics.REBALANCES, "agent")
        self._intake = self._children(metrics.INTAKE, self._counter, self._topics)
        self._actions = self._children(metrics.ACTIONS, self._counter, self._channels)
        letters, handovers = self._counter(metrics.LETTERS), self._counter(metrics.HANDOVERS)
        reasons = metrics.values(metrics.LETTERS, "reason")
        results = metrics.values(metrics.HANDOVERS, "result")
        self._letters = {x: letters.labels(*x) for x in product(self._topics, reasons)}
        self._handovers = {x: handovers.labels(*x) for x in product(self._channels, results)}
        self._folded_letter = self._folds(metrics.LETTERS)
        self._folded_handover = self._folds(metrics.HANDOVERS)
        self._cancelled = counters_of(metrics.CANCELLED, "reason", self.registry)
        self._mended = self._counter(metrics.MENDED)
        self._commits = self._counter(metrics.COMMITS)
        self._ticks = self._counter(metrics.TICKS)
        self._settings_records = self._counter(metrics.SETTINGS_RECORDS)
        self._scoring_failures = self._counter(metrics.SCORING_FAILURES)
        self._models_refused = self._counter(metrics.MODELS_REFUSED)
        self._unknown_zones = self._counter(metrics.UNKNOWN_ZONES)
        self._dropped = self._counter(metrics.DROPPED)

    def _count_campaigns(self) -> None:
        self._armed_by = self._counter(metrics.ARMED)
        self._due_by = self._counter(metrics.DUE)
        self._decisions_by = self._counter(metrics.DECISIONS)
        self._armed: Closed[Counter] = Closed({}, self._folds(metrics.ARMED))
        self._due: Closed[Counter] = Closed({}, self._folds(metrics.DUE))
        self._decisions: dict[tuple[str, str], Counter] = {}
        self._folded_decision = self._folds(metrics.DECISIONS)
        self._add_campaigns([OTHER], [])

    def _measure(self) -> None:
        self._lateness = Tally(metrics.LATENESS, self.registry)
        self._ingest = Tally(metrics.INGEST_DELAY, self.registry)
        self._loop_gap = Tally(metrics.LOOP_GAP, self.registry)
        stages = self._histogram(metrics.CHUNK)
        self._stages = {stage: stages.labels(stage) for stage in metrics.STAGES}
        self._delays = self._children(metrics.EVENT_TO_ACTION, self._histogram, self._channels)
        self._newest = self._gauge(metrics.LAST_RECORD)
        self._newest_of: dict[str, Gauge] = {}
        self._gate = self._gauge(metrics.GATE)
        self._gate_age = self._gauge(metrics.GATE_AGE)
        self._clients = self._gauge(metrics.CLIENTS)
        owned, halted = self._gauge(metrics.OWNED), self._gauge(metrics.HALTED)
        self._owned = {agent: owned.labels(agent) for agent in metrics.AGENTS}
        self._halted = {agent: halted.labels(agent) for agent in metrics.AGENTS}

    def _hold_back(self) -> None:
        self._paused = self._gauge(metrics.PAUSED)
        self._pauses: dict[tuple[str, str], Gauge] = {}
        self._folded_pause = self._folds(metrics.PAUSED)
        self._shares = self._children(metrics.SHARE, self._gauge, self._channels[:-1])
        self.held_back((), {})

    def _describe(self, version: str, python: str) -> None:
        self._model = instruments.info(metrics.MODEL, self.registry)
        self._settings = instruments.info(metrics.SETTINGS, self.registry)
        build = instruments.info(metrics.BUILD, self.registry)
        build.info({"version": version, "python": python})
        self.model("prior", "", "prior")
        self._settings.info({"settings_hash": "", "mode": "none"})

    def _counter(self, metric: Metric) -> Counter:
        return instruments.counter(metric, self.registry)

    def _gauge(self, metric: Metric) -> Gauge:
        return instruments.gauge(metric, self.registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return instruments.histogram(metric, self.registry)

    def _counters(self, metric: Metric, label: str) -> Closed[Counter]:
        folds = OTHER in metrics.values(metric, label)
        folded = self._folds(metric) if folds else None
        return instruments.counters_of(metric, label, self.registry, folded)

    def _children(
        self, metric: Metric, make: Callable[[Metric], _Labelled], values: Iterable[str]
    ) -> Closed[_Labelled]:
        """Make the children of the one label of a metric."""
        parent = make(metric)
        return Closed({value: parent.labels(value) for value in values}, self._folds(metric))

    def _folds(self, metric: Metric) -> Callable[[], None]:
        """Return what counts a value of a metric that is in no list."""
        return self._folded.labels(metric.name).inc

    # --- campaigns in force ---------------------------------------------------------------------

    def in_force(self, policy: Policy | None, settings_hash: str) -> None:
        """Make the series of the campaigns and caps of a policy at 0; may be called again.

        Campaigns beyond 25 and caps beyond 10 over the life of the process count as `other`.
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
            self._armed[campaign] = self._armed_by.labels(campaign)
            self._due[campaign] = self._due_by.labels(campaign)
            for reason in reasons:
                key = campaign, reason
                self._decisions[key] = self._decisions_by.labels(*key)

    def _decision(self, campaign: str, reason: str) -> Counter:
        found = self._decisions.get((campaign, reason))
        if found is not None:
            return found
        self._folded_decision()
        at = campaign if campaign in self._campaigns else OTHER
        unlisted = CAP + OTHER if reason.startswith(CAP) else OTHER
        return self._decisions.get((at, reason)) or self._decisions[at, unlisted]

    # --- what the worker tells ------------------------------------------------------------------

    def report(self, report: Report) -> None:
        """Count what one step did."""
        names = metrics.EVENT_TYPES
        add(self._events, {names.get(kind, kind): n for kind, n in report.events.items()})
        add(self._skips, report.skipped)
        add(self._bounds, report.bounded)
        add(self._armed, report.armed)
        add(self._due, report.due)
        add(self._actions, report.actions)
        add(self._recorded, report.recorded)
        for (campaign, reason), count in report.decisions.items():
            self._decision(campaign, reason).inc(count)
        self._lateness.observe_all(late / SECOND for late in report.lateness)
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
        self._intake[topic].inc(records)
        for reason, count in Counts(refused).items():
            self.dead_letter(topic, reason, count)

    def arrived(self, delays: Iterable[int], newest: Mapping[str, int]) -> None:
        """Note how long events took to reach Kafka (ms), and the newest append time by topic."""
        self._ingest.observe_all([delay / SECOND if delay > 0 else 0.0 for delay in delays])
        for topic, at in newest.items():
            label = topic if topic in self._intake else OTHER
            gauge = self._newest_of.get(label)
            if gauge is None:
                gauge = self._newest_of[label] = self._newest.labels(label)
            gauge.set(at / SECOND)

    def mended(self, fields: int) -> None:
        """Count fields that intake mended."""
        self._mended.inc(fields)

    def received(self, result: str, messages: int) -> None:
        """Count messages that came over HTTP: accepted, quarantined or refused."""
        self._received[result].inc(messages)

    def dead_letter(self, topic: str, reason: str, count: int = 1) -> None:
        """Count records that went to the dead letters."""
        found = self._letters.get((topic, reason))
        if found is None:
            self._folded_letter()
            at = topic if topic in self._intake else OTHER
            found = self._letters.get((at, reason)) or self._letters[at, OTHER]
        found.inc(count)

    def handover(self, channel: str, result: str) -> None:
        """Count one action the deliver agent took up."""
        found = self._handovers.get((channel, result))
        if found is None:
            self._folded_handover()
            at = channel if channel in self._actions else OTHER
            found = self._handovers.get((at, result)) or self._handovers[at, OTHER]
        found.inc()

    def cancelled(self, reason: str) -> None:
        """Count one action that was not handed over, by why."""
        self._cancelled[reason].inc()

    def event_to_action(self, channel: str, seconds: float) -> None:
        """Note how long one action took from its due time to Kafka's acknowledgement."""
        self._delays[channel].observe(seconds)

    def doubt(self, kind: str) -> None:
        """Count a lane that was closed and entered again: fenced, stale or rewind."""
        self._doubts[kind].inc()

    def rebalanced(self, agent: str, times: int) -> None:
        """Count assignments of partitions to an agent."""
        self._rebalances[agent].inc(times)

    def unavailable(self, service: str, seconds: float) -> None:
        """Add time in which kafka or redis did not answer."""
        self._away[service].inc(seconds)

    def frame_dropped(self, frames: int = 1) -> None:
        """Count frames of the live page that a slow client was not sent."""
        self._dropped.inc(frames)

    def model_refused(self) -> None:
        """Count a model that may not be used."""
        self._models_refused.inc()

    # --- how things stand -----------------------------------------------------------------------

    def owned(self, agent: str, partitions: int, halted: int = 0) -> None:
        """Tell how many partitions an agent owns, and how many of them stopped."""
        self._owned[agent].set(partitions)
        self._halted[agent].set(halted)

    def clients(self, streams: int) -> None:
        """Tell how many streams of the live page are open."""
        self._clients.set(streams)

    def held_back(self, paused: Iterable[tuple[str, str]], shares: Mapping[str, float]) -> None:
        """Tell what is paused, by name and actor, and the share that channels may send.

        What is not told any more is paused no more; a channel that is not told sends everything.
        """
        wanted = dict.fromkeys(
            (f"channel:{channel}", "operator") for channel in self._channels[:-1]
        )
        now: dict[tuple[str, str], float] = dict.fromkeys(wanted, 0.0)
        for name, by in paused:
            room = len(now) < metrics.MAX_PAUSES or (name, by) in now
            if not room:
                self._folded_pause()
            now[(name if room else OTHER, by)] = 1.0
        for gone in self._pauses.keys() - now.keys():
            self._paused.remove(*gone)
            del self._pauses[gone]
        for labels, value in now.items():
            gauge = self._pauses.get(labels)
            if gauge is None:
                gauge = self._pauses[labels] = self._paused.labels(*labels)
            gauge.set(value)
        for channel, gauge in self._shares.items():
            gauge.set(shares.get(channel, 1.0))

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

    # --- reading --------------------------------------------------------------------------------

    def render(self) -> bytes:
        """Return everything in Prometheus' text format; may run in a thread."""
        return instruments.render(self.registry)

    def value(self, metric: Metric, /, **labels: str) -> float:
        """Return one sample, as scraped; 0 where there is none."""
        return instruments.value_of(self.registry, metric, **labels)


__all__ = ["CONTENT_TYPE", "Recorder"]
