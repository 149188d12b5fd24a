"""Watches one worker: gathers facts for metrics and health; decides nothing."""

import logging
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from time import monotonic

import faust

from engine.errors import Refused
from engine.ports import Artefacts, InForce
from engine.report import Report
from engine.times import SECOND
from models.scorer import ModelScorer
from monitoring.health import Facts, Health, judge
from monitoring.metrics import MESSAGES
from monitoring.recorder import Recorder
from streams import campaigns_file, in_force
from streams.agents.decide import DecideLane, lanes
from streams.agents.intake import IntakeLane
from streams.log.source import Owned, Source, end_of, halted
from streams.log.ticks import Ticker
from streams.sources.reasons import MENDED, Notes

log = logging.getLogger(__name__)

# How often the loop's gap is measured, and how often what stands is sampled, seconds.
_BEAT = 0.05
_SAMPLE = 1.0
# A service that answered nothing for this long counts as away (ms).
_AWAY_FOR = 3 * SECOND
# An idle consumer is answered twice a second; a broker not heard of for this long is away (ms).
_UNHEARD_FOR = 5 * SECOND


class Watch(faust.Service):
    """The recorder of a worker, fed by its agents and by sampling."""

    def __init__(
        self,
        topics: Sequence[str],
        channels: Sequence[str],
        wall: Callable[[], int],
        artefacts: Artefacts,
        *,
        live: bool = True,
    ) -> None:
        """``topics``: the sources this worker reads; ``wall``: ms, what watermarks are told in.

        ``artefacts`` tell what settings put in force; ``live`` False: the data carries the time.
        """
        super().__init__()
        self.recorder = Recorder(
            topics, channels, version=version("rekindle"), python=platform.python_version()
        )
        self.sources: Mapping[str, Source] = {}
        # What parsers mended, and what came in at the HTTP door: they write, we count.
        self.notes, self.door = Notes(), Notes()
        self._wall = wall
        self._artefacts = artefacts
        self._live = live
        self.ticker: Ticker | None = None
        self._turned_at = _now()
        self._gap = 0
        self._away: dict[str, tuple[int, int]] = {}
        self._in_force = ""
        self._told: set[str] = set()
        self._counted = Notes()
        self._shown: set[tuple[str, int]] = set()

    # --- told by the agents ---------------------------------------------------------------------

    def step(self, report: Report, stages: Mapping[str, float], force: InForce) -> None:
        """Count one committed chunk of the decide agent."""
        self._put_in_force(force)
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

    def acted(self, channel: str, due_at: int) -> None:
        """Note an acknowledged action of a trigger that nothing had deferred, due at ``due_at``."""
        if self._live:  # else the two times are of different worlds
            self.recorder.event_to_action(channel, max(0, self._wall() - due_at) / SECOND)

    # --- what is in force -----------------------------------------------------------------------

    def _look_up_settings(self) -> None:
        """Tell what is in force also where nothing has been folded since the start."""
        if self._in_force:
            return
        for lane in self._decide_lanes():
            try:
                force = self._artefacts.resolve(lane.head.settings)
            except Refused:  # the lane itself says so when it comes to work
                continue
            if force is not None and force.policy is not None:
                self._put_in_force(force)
                return

    def _put_in_force(self, force: InForce) -> None:
        """Tell what is in force when it is something else than before."""
        if force.settings_hash == self._in_force:
            return
        self._in_force = force.settings_hash
        self.recorder.in_force(force.policy, force.settings_hash)
        scorer = force.scorer
        if isinstance(scorer, ModelScorer):
            self.recorder.model(scorer.ref.name, scorer.ref.version, scorer.provenance)
        else:
            self.recorder.model("prior", "", "prior")
        # Partitions take an apply one after the other: each of the two is said once.
        if force.settings_hash not in self._told and force.policy is not None:
            self._told.add(force.settings_hash)
            log.info("in force: %s", campaigns_file.summary(force.policy))

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
        for name, source in self.sources.items():
            self.recorder.owned(name, len(source.owned), len(halted([source])))
            heard = source.heard_at()
            if heard is not None and self._wall() - heard > _UNHEARD_FOR:
                self.unavailable("kafka")
        self._sample_lanes()
        self._count_notes()
        self._look_up_settings()
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

    def _sample_lanes(self) -> None:
        """Tell how the lanes stand, and nothing any more of those that were given up."""
        shown = set()
        for source in self.sources.values():
            for at, own in list(source.owned.items()):
                shown.add((at.topic, at.partition))
                self._sample_lane(own, end_of(source, at))
        for topic, partition in self._shown - shown:
            self.recorder.gone(topic, partition)
            if topic in self._topics_of("decide"):
                self.recorder.outbox_gone(partition)
        self._shown = shown

    def _sample_lane(self, own: Owned, end: int | None) -> None:
        lane = own.lane
        topic, partition = lane.at.topic, lane.at.partition
        if end is not None:
            self.recorder.lag(topic, partition, max(0, end - lane.offset))
        if isinstance(lane, IntakeLane) and lane.told is not None:
            self.recorder.watermark(topic, partition, lane.told)
        if isinstance(lane, DecideLane):
            self.recorder.outbox(partition, lane.waiting)

    def _topics_of(self, agent: str) -> Sequence[str]:
        source = self.sources.get(agent)
        return () if source is None else source.topics

    def _count_notes(self) -> None:
        """Count what was noted since the last time, and models refused since then."""
        noted = self.notes + self.door
        noted["models_refused"] = in_force.refused_models.total()
        news = noted - self._counted
        self._counted = noted
        self.recorder.mended(sum(count for name, count in news.items() if name in MENDED))
        for result in MESSAGES:
            self.recorder.received(result, news[result])
        for _ in range(news["models_refused"]):
            self.recorder.model_refused()

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

    def _decide_lanes(self) -> Iterator[DecideLane]:
        source = self.sources.get("decide")
        return iter(()) if source is None else lanes(source)

    def _without_settings(self) -> int:
        return sum(lane.head.settings.campaigns is None for lane in self._decide_lanes())

    def _gate_lane(self) -> str | None:
        return None if self.ticker is None else self.ticker.gate.blocking


def _now() -> int:
    """Return a clock for durations, ms; never the wall."""
    return int(monotonic() * SECOND)
