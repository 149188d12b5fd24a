"""The observer's book: what it knows at the end of a minute, and what follows from it.

Takes closed minutes one after the other; reads no topic and writes none.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Final

from engine.events import Control, SettingsRecord
from engine.policy import Settings
from engine.times import DAY, HOUR, MINUTE, iso
from monitoring import brakes
from monitoring.brakes import Brakes
from monitoring.business import ObserverRecorder
from monitoring.figures import page
from monitoring.figures.acquisition import Cost
from monitoring.figures.catalogue import Known
from monitoring.figures.counts import Counts
from monitoring.figures.plan import Ahead, Sent
from monitoring.figures.seen import Judged, Terms
from monitoring.figures.shelf import Shelf
from monitoring.figures.shop import OTHER, Figures
from monitoring.figures.told import Facts, TailRow
from monitoring.figures.watch import Change, Watch
from monitoring.figures.watched import Table
from streams.log.topics import CHANNELS
from streams.observing import messages
from streams.observing.kept import Kept
from streams.observing.minutes import Closed, Place, Standing

log = logging.getLogger(__name__)

# What happened longer ago is history: no brake answers it.
FRESH: Final = 10 * MINUTE
# What brakes judge.
_BRAKED: Final = frozenset({"outcomes", "hard_bounced"})


class Book:
    """Figures, series, brakes; messages to be told by id, controls to be carried out.

    In simulated time figures are judged by the hour, and brakes say what they would do: they stand
    beside the clock, so a pause would come at another moment of it in every run.
    """

    def __init__(
        self,
        table: Table,
        sources: Iterable[str],
        prefix: str,
        observer: str,
        *,
        simulated: bool = False,
    ) -> None:
        """``sources``: topics of the apps; ``prefix`` of ours; ``observer``: who keeps the book.

        ``simulated``: time is that of the data.
        """
        self._table, self._sources = table.by_the_hour() if simulated else table, tuple(sources)
        self._by = HOUR if simulated else MINUTE
        self._braking = Counts()
        self._spared: dict[str, Control] = {}
        self._prefix, self._observer = prefix, observer
        self.figures = Figures()
        self._watch = Watch(self._table, by=self._by)
        self._brakes = Brakes()
        self._last: Counts | None = None
        self._ahead: dict[str, Ahead] = {}
        self.outbox: dict[str, tuple[bytes, bytes]] = {}
        self.asked: list[Control] = []

    # --- kept and opened again --------------------------------------------------------------------

    def kept(self, until: int, standings: dict[Place, Standing], tail: list[TailRow]) -> Kept:
        """Return all that is known at the end of the minute ``until`` (ms)."""
        return Kept(
            prefix=self._prefix,
            until=until,
            standings=standings,
            figures=self.figures,
            watch=self._watch.state(),
            outbox=self.outbox,
            tail=tail,
            brakes=self._brakes.state(),
        )

    def open(self, kept: Kept) -> None:
        """Go on from what was kept."""
        self.figures, self._watch = kept.figures, Watch(self._table, kept.watch, by=self._by)
        self._brakes = Brakes(kept.brakes or None)
        self.outbox, self.asked, self._last = kept.outbox, [], None

    def begin(self, settings: Settings, terms: Terms | None) -> None:
        """Take what is in force when a book begins: its records may be long gone."""
        self.figures.ruling.settings = settings
        self.figures.terms = terms or self.figures.terms

    @staticmethod
    def record_of(settings: Settings) -> SettingsRecord:
        """Return the record that would put the artefacts of settings in force."""
        return SettingsRecord(
            campaigns=settings.campaigns, templates=settings.templates, model=settings.model
        )

    # --- one minute -------------------------------------------------------------------------------

    def close(self, closed: Closed, now: int) -> Counts:
        """Take one closed minute; ``now``: wall ms, so that no brake answers what is history."""
        end, figures = closed.end, self.figures
        counts = figures.close(end, closed.facts, self._costs())
        judged = [one for one in closed.facts if isinstance(one, Judged)]
        known = self._known()
        self._look_ahead(end, counts, known)
        for change in self._watch.close(end, counts, judged, known, figures.ruling):
            self._note(change)
        if self._by == MINUTE:
            for control in self._braked(end, counts, known):
                if end > now - FRESH:
                    self.asked.append(control)
        else:
            self._spare(end, counts, known)
        self._last = counts
        return counts

    def _look_ahead(self, end: int, counts: Counts, known: Known) -> None:
        """Hold what went out against what was planned, channel by channel."""
        self._ahead = {}
        for plan in self._table.plans:
            of = [("outcomes", plan.channel, provider, "accepted") for provider in known.providers]
            accepted = int(sum(counts.of(key) for key in of))
            sent = self.figures.sent.setdefault(plan.channel, Sent())
            ahead = sent.close(plan, end, accepted)
            if ahead is not None:
                self._ahead[plan.channel] = ahead

    def _costs(self) -> dict[str, Cost]:
        """Return what visits cost; in another currency than the orders' it is not known."""
        ours = self.figures.terms.currency
        if ours and self._table.currency not in ("", ours):
            return {}
        return dict(self._table.origins.costs)

    def _known(self) -> Known:
        return Known(
            topics=self._sources,
            channels=CHANNELS,
            providers=(*self.figures.providers, OTHER),
            acquisitions=self._table.origins.names,
        )

    def _note(self, change: Change) -> None:
        message = messages.of_episode(change, observer=self._observer, kpi_file=self._table.sha)
        key = messages.key(message.kpi, message.dimension)
        self.outbox[message.message_id] = key, messages.encode(message)
        if message.state != "updated":
            log.warning(
                "episode %s %s: %s of %s, %s where %s was expected",
                message.anomaly_id,
                message.state,
                message.kpi,
                "/".join(message.dimension.values()) or "the shop",
                message.value,
                message.expected,
            )

    def _braked(self, end: int, counts: Counts, known: Known) -> Iterator[Control]:
        """Yield what must be held back because of a closed window."""
        standing = self.figures.ruling.settings.standing(end)
        for channel in known.channels:
            ahead = self._ahead.get(channel)
            for provider in known.providers:
                figures = _braked(channel, provider, end, counts, ahead)
                control = self._brakes.judge(figures, standing)
                if control is not None:
                    yield control

    def _spare(self, end: int, counts: Counts, known: Known) -> None:
        """Note what brakes would do in simulated time, an hour at once."""
        for key, count in counts.sums.items():
            if key[0] in _BRAKED:
                self._braking.add(key, count)
        if end % HOUR == 0:
            for control in self._braked(end, self._braking, known):
                log.info("brake: would %s %s: %s", control.action, control.target, control.reason)
                self._spared[control.target] = control
            self._braking = Counts()

    # --- what is told -----------------------------------------------------------------------------

    def facts(
        self, horizon: dict[str, int], tail: list[TailRow], shelf: Shelf | None = None
    ) -> Facts:
        """Return what the page is told; ``shelf`` None = what is left of products is not known."""
        figures, origins = self.figures, self._table.origins
        totals, known, costs = figures.day.totals(), self._known(), self._costs()
        notes = page.notes(figures, origins.names, costs)
        if origins.costs and not costs:
            notes.append(
                f"Costs of visits are in {self._table.currency} and orders in "
                f"{figures.terms.currency}: name them in one currency in the KPI file."
            )
        if self._watch.left_out:
            notes.append("There are more series than are watched: name fewer KPIs or dimensions.")
        if self._by == HOUR:
            notes += _simulated(self._spared.values(), figures.until)
        return Facts(
            until=figures.until,
            since=figures.day.since,
            currency=figures.terms.currency,
            horizon=horizon,
            series=self._watch.series(),
            episodes=self._watch.episodes(),
            sources=page.sources(figures, totals, self._last, known.topics),
            acquisition=page.acquisition(totals, known.acquisitions, costs),
            behaviour=page.behaviour(totals),
            channels=page.channels(figures, totals, known.channels),
            sales=page.sales(figures, shelf),
            stock=None if shelf is None else page.stock(figures, shelf, self._table.stock),
            reasons=page.reasons(totals),
            model=page.model(figures, totals),
            controls=page.controls(figures),
            tail=tail,
            notes=notes,
        )


def _simulated(spared: Iterable[Control], until: int) -> list[str]:
    """Return what is otherwise where time is simulated; ``spared``: of the last day."""
    return [
        "Time is that of the data: figures are judged by the hour of it, and brakes do not pull.",
        *[
            f"At {iso(one.at)} brakes would have {one.action}d {one.target}: {one.reason}."
            for one in spared
            if one.at > until - DAY
        ],
    ]


def recorder_of(table: Table, topics: Iterable[str]) -> ObserverRecorder:
    """Return the recorder of an observer that reads these topics."""
    return ObserverRecorder(
        origins=table.origins.names,
        costed=table.origins.costs,
        channels=CHANNELS,
        topics=topics,
        kpis=[one.name for one in table.watched],
    )


def _braked(
    channel: str, provider: str, end: int, counts: Counts, ahead: Ahead | None
) -> brakes.Figures:
    def told(outcome: str) -> int:
        return int(counts.of(("outcomes", channel, provider, outcome)))

    return brakes.Figures(
        channel=channel,
        end=end,
        provider=provider,
        accepted=told("accepted"),
        complaints=told("complained"),
        unsubscribes=told("unsubscribed"),
        hard_bounces=int(counts.of(("hard_bounced", channel, provider))),
        planned=None if ahead is None else ahead.planned,
        projected=None if ahead is None else ahead.projected,
    )


__all__ = ["FRESH", "Book", "recorder_of"]
