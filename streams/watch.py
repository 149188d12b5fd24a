"""Watches one worker: gathers facts for metrics and health; decides nothing."""

import asyncio
import logging
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from time import monotonic

import faust

from engine.controls import CHANNEL, Standing
from engine.errors import Refused
from engine.policy import Policy
from engine.ports import Artefacts, InForce
from engine.report import Report
from engine.times import SECOND
from monitoring.health import Facts, Health, judge
from monitoring.metrics import ACTORS, MESSAGES, OTHER
from monitoring.partitions import Partition
from monitoring.recorder import Recorder
from streams import campaigns_file, in_force
from streams.agents.decide import DecideLane, lanes
from streams.agents.intake import IntakeLane
from streams.ages import Ages
from streams.last_decisions import LastDecisions
from streams.log.source import Fetched, Owned, Source, fetched, halted
from streams.log.ticks import Ticker
from streams.sources.reasons import MENDED, Notes
from streams.watched_scorer import WatchedScorer, watched

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
        prefix: str = "",
        live: bool = True,
    ) -> None:
        """``topics``: the sources this worker reads; ``wall``: ms, what watermarks are told in.

        ``prefix`` of the topics of the product. ``artefacts`` tell what settings put in force;
        ``live`` False: the data carries the time.
        """
        super().__init__()
        self.recorder = Recorder(
            topics,
            channels,
            version=version("rekindle"),
            python=platform.python_version(),
            prefix=prefix,
        )
        self._channels = tuple(channels)
        self._ages = Ages(wall)
        self._assignments: dict[str, int] = {}
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
        # What is in force by the last chunk, for whoever tells decisions as sentences.
        self.policy: Policy | None = None
        self.last_decisions = LastDecisions()
        self._told: set[str] = set()
        self._counted = Notes()

    # --- told by the agents ---------------------------------------------------------------------

    def step(self, report: Report, stages: Mapping[str, float], force: InForce) -> None:
        """Count one committed chunk of the decide agent."""
        self._put_in_force(force)
        self.recorder.report(report)
        self.recorder.chunk(stages)

    def decided(self, values: Sequence[bytes]) -> None:
        """Keep the last decisions that reached their topic, as they were written."""
        self.last_decisions.add(values)

    def took_in(self, topic: str, records: int, refused: Sequence[str]) -> None:
        """Count what intake forwarded and what it could not read."""
        self.recorder.intake(topic, records, refused)

    def arrived(self, topic: str, at: int, delays: Sequence[int]) -> None:
        """Note when the newest record of a topic was appended, and how long its events took."""
        # else the times are of different worlds
        self.recorder.arrived(delays if self._live else (), {topic: at})

    def handed_over(self, channel: str, result: str) -> None:
        """Count one action that deliver took up."""
        self.recorder.handover(channel, result)

    def cancelled(self, reason: str) -> None:
        """Count one action that was decided and not handed over, by why."""
        self.recorder.cancelled(reason)

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

    def listened_to(self, force: InForce) -> InForce:
        """Return the same in force, with its model listened to."""
        return watched(force, self.recorder.timings.scored)

    def _put_in_force(self, force: InForce) -> None:
        """Tell what is in force when it is something else than before."""
        if force.settings_hash == self._in_force:
            return
        self._in_force = force.settings_hash
        self.policy = force.policy
        self.recorder.in_force(force.policy, force.settings_hash)
        scorer = force.scorer
        if isinstance(scorer, WatchedScorer):
            model = scorer.model
            self.recorder.model(model.ref.name, model.ref.version, model.provenance)
            self.recorder.timings.trained(model.trained_at)
        else:
            self.recorder.model("prior", "", "prior")
            self.recorder.timings.trained(0)
        # Partitions take an apply one after the other: each of the two is said once.
        if force.settings_hash not in self._told and force.policy is not None:
            self._told.add(force.settings_hash)
            log.info("in force: %s", campaigns_file.summary(force.policy))

    # --- sampled --------------------------------------------------------------------------------

    @faust.Service.task
    async def _loop_gap(self) -> None:
        while not self.should_stop:
            before = monotonic()
            await asyncio.sleep(_BEAT)  # mode's own makes a task and a timer of each
            self._turned_at = _now()
            self._gap = max(self._gap, int((monotonic() - before - _BEAT) * SECOND))

    @faust.Service.timer(_SAMPLE)
    async def _sample(self) -> None:
        self.recorder.loop_gap(self._gap / SECOND)
        self._gap = 0
        for name, source in self.sources.items():
            self.recorder.owned(name, len(source.owned), len(halted([source])))
            news = source.assignments - self._assignments.get(name, 0)
            self._assignments[name] = source.assignments
            self.recorder.rebalanced(name, news)
            heard = source.heard_at()
            if heard is not None and self._wall() - heard > _UNHEARD_FOR:
                self.unavailable("kafka")
        self._sample_lanes()
        self._count_notes()
        self._look_up_settings()
        self._sample_pauses()
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
        self.recorder.partitions.show(
            [
                self._stands(own, told.get(at, Fetched()))
                for source in self.sources.values()
                for told in [fetched(source)]
                for at, own in list(source.owned.items())
            ]
        )

    def _stands(self, own: Owned, told: Fetched) -> Partition:
        lane = own.lane
        # Before it is entered nobody knows where it stands.
        waiting = None if told.end is None or not own.entered else max(0, told.end - lane.offset)
        return Partition(
            topic=lane.at.topic,
            partition=lane.at.partition,
            waiting=waiting,
            oldest=self._ages.oldest(own, waiting, told.at),
            watermark=lane.told if isinstance(lane, IntakeLane) else None,
            outbox=lane.waiting if isinstance(lane, DecideLane) else None,
            ticked=(lane.head.now or None) if isinstance(lane, DecideLane) else None,
        )

    def _sample_pauses(self) -> None:
        """Tell what the settings of our partitions hold back; of partitions that differ, most."""
        paused: set[tuple[str, str]] = set()
        shares = dict.fromkeys(self._channels, 1.0)
        for lane in self._decide_lanes():
            standing = lane.head.settings.standing(self._wall() if self._live else lane.head.now)
            paused |= _pauses(standing)
            for channel, share in shares.items():
                shares[channel] = min(share, standing.share(CHANNEL + channel))
        self.recorder.held_back(sorted(paused), shares)

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


def _pauses(standing: Standing) -> set[tuple[str, str]]:
    """Return what is paused, by name and kind of actor; who said nothing is an operator."""
    return {(target, _kind(held.by)) for target, held in standing.paused.items()}


def _kind(actor: str) -> str:
    kind = actor.partition(":")[0] or "operator"
    return kind if kind in ACTORS else OTHER


def _now() -> int:
    """Return a clock for durations, ms; never the wall."""
    return int(monotonic() * SECOND)
