"""The metrics of the observer: what the closed minutes counted, and how the KPIs stand."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Counter

from monitoring import metrics
from monitoring.figures.bounded import Key
from monitoring.figures.counts import Counts
from monitoring.figures.seen import STEPS
from monitoring.figures.told import Series, Stock
from monitoring.instruments import (
    Bounded,
    Closed,
    counter,
    counters_of,
    gauge,
    histogram,
    registry,
    render,
)
from monitoring.metrics import OTHER

_SECOND: Final = 1_000
_GAUGES: Final = (
    metrics.KPI_VALUE,
    metrics.KPI_EXPECTED,
    metrics.KPI_LOW,
    metrics.KPI_HIGH,
    metrics.ANOMALY_SCORE,
    metrics.ANOMALY_ACTIVE,
)


class ObserverRecorder:
    """Counts closed minutes. Its counters begin at 0 with the process, as counters do."""

    def __init__(
        self,
        origins: Iterable[str],
        costed: Iterable[str],
        channels: Iterable[str],
        topics: Iterable[str],
        kpis: Iterable[str],
    ) -> None:
        """The closed lists of labels; ``costed``: the origins whose cost is known."""
        self.registry = registry()
        self._origins = tuple(origins)
        self._channels = (*channels, OTHER)
        self._of_visits(tuple(costed))
        self._of_messages()
        self._of_model()
        self._of_kpis(tuple(kpis))
        lines = counter(metrics.PRODUCT_ORDERS, self.registry)
        self._lines = Bounded(lines.labels, metrics.MAX_CATEGORIES)
        self._products = gauge(metrics.PRODUCTS, self.registry)
        horizon = gauge(metrics.OBSERVER_HORIZON, self.registry)
        self._horizon = {topic: horizon.labels(topic) for topic in topics}
        controls = counter(metrics.CONTROLS_TOTAL, self.registry)
        self._controls = {
            (action, actor): controls.labels(action, actor)
            for action in metrics.CONTROLS
            for actor in metrics.ACTORS
        }

    # --- making every series --------------------------------------------------------------------

    def _of_visits(self, costed: tuple[str, ...]) -> None:
        made = {
            "traffic": counter(metrics.SOURCE_EVENTS, self.registry),
            "orders": counter(metrics.ORDERS, self.registry),
            "order_value": counter(metrics.ORDER_VALUE, self.registry),
            "acquisition_cost": counter(metrics.ACQUISITION_COST, self.registry),
        }
        self._visits = {
            (family, name): one.labels(name)
            for family, one in made.items()
            for name in (costed if family == "acquisition_cost" else self._origins)
        }
        funnel = counter(metrics.FUNNEL, self.registry)
        self._funnel = {
            (name, step): funnel.labels(name, step) for name in self._origins for step in STEPS
        }

    def _of_messages(self) -> None:
        outcomes = counter(metrics.OUTCOMES_TOTAL, self.registry)
        kinds = metrics.values(metrics.OUTCOMES_TOTAL, "type")

        def carriers(channel: str) -> Bounded[Closed[Counter]]:
            def kinds_of(provider: str) -> Closed[Counter]:
                return Closed({kind: outcomes.labels(channel, provider, kind) for kind in kinds})

            return Bounded(kinds_of, metrics.MAX_PROVIDERS)

        self._outcomes = Closed({channel: carriers(channel) for channel in self._channels})
        hard = counter(metrics.HARD_BOUNCES, self.registry)

        def bounces(channel: str) -> Bounded[Counter]:
            return Bounded(lambda provider: hard.labels(channel, provider), metrics.MAX_PROVIDERS)

        self._hard = Closed({channel: bounces(channel) for channel in self._channels})
        delay = histogram(metrics.DELIVERY_DELAY, self.registry)
        self._delay = Closed({channel: delay.labels(channel) for channel in self._channels})
        made = {
            "unmatched": counter(metrics.UNMATCHED, self.registry),
            "revenue": counter(metrics.REVENUE, self.registry),
            "send_cost": counter(metrics.SEND_COST, self.registry),
        }
        self._sums = {
            family: Closed({channel: one.labels(channel) for channel in self._channels})
            for family, one in made.items()
        }
        arms = {
            "arm": counter(metrics.ARM_USERS, self.registry),
            "arm_ordered": counter(metrics.CONVERSIONS, self.registry),
        }
        self._arms = {
            (family, channel, arm): one.labels(channel, arm)
            for family, one in arms.items()
            for channel in self._channels
            for arm in metrics.ARMS
        }

    def _of_model(self) -> None:
        self._bands = {
            "predicted": counters_of(metrics.PREDICTED, "decile", self.registry),
            "observed": counters_of(metrics.OBSERVED, "decile", self.registry),
        }
        self._drift = gauge(metrics.DRIFT, self.registry)
        self._drifting: set[str] = set()

    def _of_kpis(self, kpis: tuple[str, ...]) -> None:
        self._gauges = [gauge(metric, self.registry) for metric in _GAUGES]
        verdicts = counter(metrics.ANOMALY_VERDICTS_TOTAL, self.registry)
        self._verdicts = {
            (kpi, verdict): verdicts.labels(kpi, verdict)
            for kpi in kpis
            for verdict in metrics.ANOMALY_VERDICTS
        }
        self._run = gauge(metrics.ANOMALY_RUN, self.registry)
        self._shown: dict[tuple[str, str], tuple[float | None, ...]] = {}

    def meet(self, providers: Iterable[str]) -> None:
        """Begin the series of providers at 0.

        A series that begins with its first minute's count has risen by nothing for Prometheus, and
        a whole mailing may be in that minute.
        """
        for provider in providers:
            for channel in self._channels:
                self._outcomes[channel][provider]
                self._hard[channel][provider]

    # --- counting -------------------------------------------------------------------------------

    def count(self, counts: Counts) -> None:
        """Count one closed minute."""
        for key, amount in counts.sums.items():
            self._count(key, amount)
        for key, values in counts.values.items():
            if key[0] == "delivery_delay":
                child = self._delay[key[1]]
                for value in values:
                    child.observe(value)

    def _count(self, key: Key, amount: float) -> None:
        family, *labels = key
        if family in ("traffic", "orders", "order_value", "acquisition_cost"):
            self._visits[family, labels[0]].inc(amount)
        elif family == "funnel":
            self._funnel[labels[0], labels[1]].inc(amount)
        elif family == "outcomes":
            channel, provider, kind = labels
            self._outcomes[channel][provider][kind].inc(amount)
        elif family == "hard_bounced":
            self._hard[labels[0]][labels[1]].inc(amount)
        elif family == "product_orders":
            self._lines[labels[0]].inc(amount)
        elif family in self._sums:
            self._sums[family][labels[0]].inc(amount)
        elif family in ("arm", "arm_ordered"):
            channel = labels[0] if labels[0] in self._channels else OTHER
            self._arms[family, channel, labels[1]].inc(amount)
        elif family in self._bands:
            self._bands[family][labels[0]].inc(amount)
        elif family == "controls" and (labels[0], labels[1]) in self._controls:
            self._controls[labels[0], labels[1]].inc(amount)
        elif family == "verdicts" and (labels[0], labels[1]) in self._verdicts:
            self._verdicts[labels[0], labels[1]].inc(amount)

    # --- how it stands --------------------------------------------------------------------------

    def stand(self, series: Iterable[Series], drift: Mapping[str, float]) -> None:
        """Show the KPIs as of their last closed windows."""
        shown: dict[tuple[str, str], tuple[float | None, ...]] = {}
        for one in series:
            if one.points:
                last = one.points[-1]
                numbers = (last.value, last.expected, last.low, last.high)
                place = one.kpi, "/".join(one.dimension.values())
                shown[place] = (*numbers, one.score, float(one.active))
        for place, values in shown.items():
            if self._shown.get(place) != values:
                self._show(place, values)
        for place in self._shown.keys() - shown.keys():
            self._show(place, (None,) * len(_GAUGES))
        self._shown = shown
        for name in self._drifting - drift.keys():
            self._drift.remove(name)
        for name, psi in drift.items():
            self._drift.labels(name).set(psi)
        self._drifting = set(drift)

    def reached(self, horizon: Mapping[str, int]) -> None:
        """Show up to when each topic was read, wall ms; also while no minute closes.

        One topic that stands still holds every minute open, and must be told from the others.
        """
        for topic, at in horizon.items():
            self._horizon[topic].set(at / _SECOND)

    def stock(self, told: Stock | None) -> None:
        """Show how many products are in which state; nothing while that is not known."""
        if told is None:
            self._products.clear()
            return
        for state, count in told.states.items():
            best = told.best.get(state, 0)
            self._products.labels("best", state).set(best)
            self._products.labels("other", state).set(count - best)

    def _show(self, place: tuple[str, str], values: tuple[float | None, ...]) -> None:
        """Set the gauges of one series; what is not known has none."""
        before = self._shown.get(place, (None,) * len(_GAUGES))
        for one, value, old in zip(self._gauges, values, before, strict=True):
            if value is not None:
                one.labels(*place).set(value)
            elif old is not None:
                one.remove(*place)

    def ran(self, at: int) -> None:
        """Say that the detectors judged a window at ``at`` (wall ms)."""
        self._run.set(at / _SECOND)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format; may run in a thread."""
        return render(self.registry)


__all__ = ["ObserverRecorder"]
