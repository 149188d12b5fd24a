"""How long the ports of a worker take, and how often they fail: Redis, Kafka, gateways, the model.

Called where a port is called, so every child is there beforehand and a call is one look-up in a
dictionary.
"""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from monitoring import metrics
from monitoring.instruments import Closed, Tally, counters_of, gauge, histogram
from monitoring.metrics import OTHER, Metric, values


class Timings:
    """The timings of one worker; ``prefix`` of its topics, ``channels`` of its deployment.

    ``folded`` gives what is called when a value of a metric counted as `other`.
    """

    def __init__(
        self,
        of: CollectorRegistry,
        prefix: str,
        channels: Sequence[str],
        folded: Callable[[Metric], Callable[[], object]],
    ) -> None:
        """Make every series at 0."""
        commands = histogram(metrics.REDIS_SECONDS, of)
        # No folding is noted of these two: what is `other` is known, and none of the hot path.
        ops = values(metrics.REDIS_SECONDS, "op")
        self._commands = Closed({op: commands.labels(op) for op in ops})
        self._redis_failed = counters_of(metrics.REDIS_FAILED, "kind", of)
        runs = histogram(metrics.PRODUCE_SECONDS, of)
        failed = counters_of(metrics.PRODUCE_FAILED, "topic", of)
        # by the topic's whole name, as the producer knows it
        names = {_full(prefix, topic): topic for topic in metrics.WRITTEN}
        self._runs = Closed({name: runs.labels(topic) for name, topic in names.items()})
        self._runs_failed = Closed({name: failed[topic] for name, topic in names.items()})
        calls = histogram(metrics.HANDOVER_SECONDS, of)
        self._calls = Closed(
            {name: calls.labels(name) for name in (*dict.fromkeys(channels), OTHER)},
            folded(metrics.HANDOVER_SECONDS),
        )
        self._scores = Tally(metrics.MODEL_SCORE, of)
        self._scored = Tally(metrics.MODEL_SECONDS, of)
        self._trained = gauge(metrics.MODEL_TRAINED, of)

    def redis_answered(self, op: str, seconds: float) -> None:
        """Note how long a command took; ``op`` is a command in small letters, or a script."""
        self._commands[op].observe(seconds)

    def redis_failed(self, kind: str) -> None:
        """Count a command that failed: away, timeout, busy or refused."""
        self._redis_failed[kind].inc()

    def produced(self, topic: str, seconds: float) -> None:
        """Note how long a run of records took to be acknowledged; ``topic`` with its prefix."""
        self._runs[topic].observe(seconds)

    def not_produced(self, topic: str) -> None:
        """Count a run of records that was not acknowledged."""
        self._runs_failed[topic].inc()

    def called(self, channel: str, seconds: float) -> None:
        """Note how long a gateway took."""
        self._calls[channel].observe(seconds)

    def scored(self, probability: float | None, seconds: float) -> None:
        """Note what the model said of one case, None = it could not, and how long it took."""
        self._scored.observe(seconds)
        if probability is not None:
            self._scores.observe(probability)

    def trained(self, at: int) -> None:
        """Tell when the model in force was trained (ms); 0 = there is none."""
        self._trained.set(at / 1000)


def _full(prefix: str, topic: str) -> str:
    return topic if topic == OTHER else prefix + topic


__all__ = ["Timings"]
