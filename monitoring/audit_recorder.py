"""Counts what the audit found, for Prometheus: its own registry, every child made once."""

from collections.abc import Iterable, Mapping
from typing import Final

from monitoring import instruments, metrics
from monitoring.audit.verdicts import Finding

_SECOND: Final = 1_000


class AuditRecorder:
    """The metrics of one audit; all times are ms."""

    def __init__(self, channels: Iterable[str], topics: Iterable[str]) -> None:
        """``channels`` that are audited, ``topics`` (without prefix) that are read."""
        self.registry = instruments.registry()
        verdicts = metrics.values(metrics.AUDITED, "verdict")
        names = [*dict.fromkeys([*channels, metrics.OTHER])]
        actions = instruments.counter(metrics.AUDITED, self.registry)
        self._actions = {
            (channel, verdict): actions.labels(channel, verdict)
            for channel in names
            for verdict in verdicts
        }
        pauses = instruments.counter(metrics.AUDIT_PAUSES, self.registry)
        self._pauses = {channel: pauses.labels(channel) for channel in names}
        triggers = instruments.gauge(metrics.AUDITED_TRIGGERS, self.registry)
        self._triggers = {
            state: triggers.labels(state)
            for state in metrics.values(metrics.AUDITED_TRIGGERS, "state")
        }
        horizon = instruments.gauge(metrics.AUDIT_HORIZON, self.registry)
        self._horizon = {topic: horizon.labels(topic) for topic in topics}
        self._success = instruments.gauge(metrics.AUDIT_SUCCESS, self.registry)

    def passed(self, counts: Mapping[str, int]) -> None:
        """Count actions by channel with which nothing was wrong."""
        for channel, count in counts.items():
            self._actions[self._channel(channel), "ok"].inc(count)

    def found(self, finding: Finding) -> None:
        """Count one violation."""
        self._actions[self._channel(finding.channel), finding.verdict].inc()

    def paused(self, channel: str) -> None:
        """Count a channel that was paused."""
        self._pauses[channel if channel in self._pauses else metrics.OTHER].inc()

    def triggers(self, totals: Iterable[Mapping[str, int]]) -> None:
        """Tell how triggers stand: armed, closed, open, unbalanced, by campaign."""
        every = list(totals)
        for state, gauge in self._triggers.items():
            gauge.set(sum(found[state] for found in every))

    def horizon(self, known: Mapping[str, int]) -> None:
        """Tell up to when each topic was audited, and with that the whole; 0 = not yet."""
        for topic, at in known.items():
            self._horizon[topic].set(at / _SECOND)
        self._success.set(min(known.values(), default=0) / _SECOND)

    def _channel(self, channel: str) -> str:
        return channel if (channel, "ok") in self._actions else metrics.OTHER

    def render(self) -> bytes:
        """Return everything in Prometheus' text format; may run in a thread."""
        return instruments.render(self.registry)


__all__ = ["AuditRecorder"]
