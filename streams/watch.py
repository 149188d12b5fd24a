"""Watches one worker: gathers facts for metrics and health; decides nothing."""

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from time import monotonic

import faust

from engine.ports import InForce
from engine.report import Report
from engine.times import SECOND
from monitoring.health import Facts, Health, judge
from monitoring.recorder import Recorder
from streams.agents.decide import DecideLane
from streams.log.source import Source, halted
from streams.log.ticks import Ticker

# How often the loop's gap is measured, and how often what stands is sampled, seconds.
_BEAT = 0.05
_SAMPLE = 1.0
# A service that answered nothing for this long counts as away (ms).
_AWAY_FOR = 3 * SECOND


class Watch(faust.Service):
    """The recorder of a worker, fed by its agents and by sampling."""

    def __init__(
        self, topics: Sequence[str], channels: Sequence[str], wall: Callable[[], int]
    ) -> None:
        """``topics``: the sources this worker reads; ``wall``: ms, what watermarks are told in."""
        super().__init__()
        self.recorder = Recorder(
            topics, channels, version=version("rekindle"), python=platform.python_version()
        )
        self.sources: Mapping[str, Source] = {}
        self._wall = wall
        self.ticker: Ticker | None = None
        self._turned_at = _now()
        self._gap = 0
        self._away: dict[str, tuple[int, int]] = {}
        self._known: str | None = None

    # --- told by the agents ---------------------------------------------------------------------

    def step(self, report: Report, stages: Mapping[str, float], force: InForce) -> None:
        """Count one committed chunk of the decide agent."""
        if force.settings_hash != self._known:
            self._known = force.settings_hash
            self.recorder.in_force(force.policy, force.settings_hash)
        self.recorder.report(report)
        self.recorder.chunk(stages)

    def took_in(self, topic: str, records: int, refused: Sequence[str]) -> None:
        """Count what intake forwarded and what it could not read."""
        self.recorder.intake(topic, records, refused)

    def handed_over(self, channel: str, result: str) -> None:
        """Count one action that deliver took up."""
        self.recorder.handover(channel, result)

    def unavailable(self, service: str) -> None:
        """Note that a service did not answer just now."""
        now = _now()
        since, last = self._away.get(service, (now, now))
        if now - last > _AWAY_FOR:
            since = now
        self._away[service] = since, now

    def doubt(self, kind: str) -> None:
        """Count a lane that was closed and enters again."""
        self.recorder.doubt(kind)

    # --- sampled --------------------------------------------------------------------------------

    @faust.Service.task
    async def _loop_gap(self) -> None:
        while not self.should_stop:
            before = monotonic()
            await self.sleep(_BEAT)
            self._turned_at = _now()
            self._gap = max(self._gap, int((monotonic() - before - _BEAT) * SECOND))

    @faust.Service.timer(_SAMPLE)
    async def _sample(self) -> None:
        self.recorder.loop_gap(self._gap / SECOND)
        self._gap = 0
        stopped = len(halted(self.sources.values()))
        for name, source in self.sources.items():
            self.recorder.owned(name, len(source.owned), stopped)
            self._lags(source)
        now = _now()
        for service, (_, last) in list(self._away.items()):
            if now - last > _AWAY_FOR:
                del self._away[service]
            else:
                self.recorder.unavailable(service, _SAMPLE)
        if self.ticker is not None:
            gate = self.ticker.gate
            behind = (gate.behind or 0) / SECOND
            self.recorder.tick_gate(is_open=gate.open_at(self._wall()), behind=behind)

    def _lags(self, source: Source) -> None:
        consumer = source.consumer
        if consumer is None:
            return
        for at, own in list(source.owned.items()):
            end = consumer.highwater(at) if at in consumer.assignment() else None
            if end is not None:
                self.recorder.lag(at.topic, at.partition, max(0, end - own.lane.offset))

    # --- asked over HTTP ------------------------------------------------------------------------

    def health(self) -> Health:
        """Return how this worker stands."""
        now = _now()
        away = {
            name: since for name, (since, last) in self._away.items() if now - last <= _AWAY_FOR
        }
        return judge(
            Facts(
                loop_turned_at=self._turned_at,
                loop_gap=self._gap,
                stopping=self.should_stop,
                agents={
                    name: len(source.owned) if source.assigned else None
                    for name, source in self.sources.items()
                },
                without_settings=self._without_settings(),
                gate_lane=self._gate_lane(),
                gate_behind=self.ticker.gate.behind if self.ticker is not None else None,
                away=away,
                halted=tuple(halted(self.sources.values())),
            ),
            now,
        )

    def _without_settings(self) -> int:
        decide = self.sources.get("decide")
        lanes = [own.lane for own in decide.owned.values()] if decide is not None else []
        return sum(
            isinstance(lane, DecideLane) and lane.head.settings.campaigns is None for lane in lanes
        )

    def _gate_lane(self) -> str | None:
        return None if self.ticker is None else self.ticker.gate.blocking


def _now() -> int:
    """Return a clock for durations, ms; never the wall."""
    return int(monotonic() * SECOND)
