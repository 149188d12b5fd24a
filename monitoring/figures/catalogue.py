"""The figures a KPI may watch: from the counts of a closed window to one value per dimension."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, exp, log
from typing import Final, Literal, NamedTuple

from msgspec import Struct, field

from monitoring.figures.bounded import Key
from monitoring.figures.counts import Counts
from monitoring.figures.seen import STEPS

# Values of a dimension's labels, in the order of the figure's ``labels``.
Dimension = tuple[str, ...]
# Quantiles are known to 2.5 %.
_GROWTH: Final = log(1.05)
_LEAST: Final = 1e-3


class Share(NamedTuple):
    """``k`` of ``n``."""

    k: int
    n: int


Value = float | Share


class Window(Struct):
    """All that was counted in a window so far; single values as counts of growing buckets."""

    sums: dict[Key, float] = field(default_factory=dict)
    buckets: dict[Key, dict[int, int]] = field(default_factory=dict)

    def add(self, counts: Counts) -> None:
        """Add one minute."""
        for key, count in counts.sums.items():
            self.sums[key] = self.sums.get(key, 0.0) + count
        for key, values in counts.values.items():
            into = self.buckets.setdefault(key, {})
            for value in values:
                bucket = ceil(log(max(value, _LEAST)) / _GROWTH)
                into[bucket] = into.get(bucket, 0) + 1

    def of(self, *key: str) -> float:
        """Return a sum; 0 = nothing was counted."""
        return self.sums.get(key, 0.0)

    def quantile(self, key: Key, share: float) -> float | None:
        """Return a quantile of single values, to 2.5 %; None without any."""
        buckets = self.buckets.get(key, {})
        left = share * sum(buckets.values())
        for bucket in sorted(buckets):
            left -= buckets[bucket]
            if left <= 0:
                return exp((bucket - 0.5) * _GROWTH)
        return None


class Known(NamedTuple):
    """The dimensions there are: a figure that counts is 0, not missing, where nothing came."""

    topics: tuple[str, ...]
    channels: tuple[str, ...]
    providers: tuple[str, ...]
    acquisitions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; ``kind``: count (so many), share (k of n) or level (any number)."""

    name: str
    kind: Literal["count", "share", "level"]
    labels: tuple[str, ...]
    unit: str
    says: str
    read: Callable[[Window, Known], dict[Dimension, Value]]


def _counted(family: str, known: Callable[[Known], Iterable[str]]) -> "_Read":
    def read(window: Window, there: Known) -> dict[Dimension, Value]:
        return {(name,): window.of(family, name) for name in known(there)}

    return read


_Read = Callable[[Window, Known], dict[Dimension, Value]]


def _shared(part: str, whole: str, known: Callable[[Known], Iterable[Dimension]]) -> _Read:
    def read(window: Window, there: Known) -> dict[Dimension, Value]:
        found: dict[Dimension, Value] = {}
        for dimension in known(there):
            n = window.of(whole, *dimension)
            k = window.of(part, *dimension)
            if n or k:
                # What is told of a message later than its window may outnumber those of it.
                found[dimension] = Share(int(k), int(max(n, k)))
        return found

    return read


def _told(outcome: str) -> _Read:
    """Outcomes of one kind among the messages their gateway accepted."""

    def read(window: Window, there: Known) -> dict[Dimension, Value]:
        found: dict[Dimension, Value] = {}
        for channel, provider in _carriers(there):
            k = window.of("outcomes", channel, provider, outcome)
            if outcome == "bounced":
                k = window.of("hard_bounced", channel, provider)
            n = window.of("outcomes", channel, provider, "accepted")
            if n or (k and outcome == "bounced"):
                found[channel, provider] = Share(int(k), int(max(n, k)))
        return found

    return read


def _accepted(window: Window, there: Known) -> dict[Dimension, Value]:
    found: dict[Dimension, Value] = {}
    for channel, provider in _carriers(there):
        n = window.of("handed", channel, provider)
        if n:
            k = window.of("outcomes", channel, provider, "accepted")
            found[channel, provider] = Share(int(k), int(n))
    return found


def _conversion(window: Window, there: Known) -> dict[Dimension, Value]:
    found: dict[Dimension, Value] = {}
    for channel in there.channels:
        n = window.of("arm", channel, "treated")
        if n:
            found[channel,] = Share(int(window.of("arm_ordered", channel, "treated")), int(n))
    return found


def _steps(window: Window, there: Known) -> dict[Dimension, Value]:
    found: dict[Dimension, Value] = {}
    for name in there.acquisitions:
        for place in range(len(STEPS) - 1):
            step = f"{STEPS[place]}-{STEPS[place + 1]}"
            n = window.of("passed", name, step, "n")
            if n:
                found[name, step] = Share(int(window.of("passed", name, step, "k")), int(n))
    return found


def _cpa(window: Window, there: Known) -> dict[Dimension, Value]:
    found: dict[Dimension, Value] = {}
    for name in there.acquisitions:
        spent, orders = window.of("acquisition_cost", name), window.of("orders", name)
        if spent and orders:
            found[name,] = spent / orders
    return found


def _roi(window: Window, there: Known) -> dict[Dimension, Value]:
    found: dict[Dimension, Value] = {}
    for name in there.acquisitions:
        spent = window.of("acquisition_cost", name)
        if spent:
            found[name,] = (window.of("order_value", name) - spent) / spent
    return found


def _lateness(window: Window, _: Known) -> dict[Dimension, Value]:
    found = window.quantile(("decision_lateness",), 0.95)
    return {} if found is None else {(): found}


def _delay(window: Window, there: Known) -> dict[Dimension, Value]:
    told = ((name, window.quantile(("action_delay", name), 0.95)) for name in there.channels)
    return {(name,): value for name, value in told if value is not None}


def _mean_p0(window: Window, _: Known) -> dict[Dimension, Value]:
    n = window.of("scored")
    return {(): window.of("p0") / n} if n else {}


def _psi(window: Window, _: Known) -> dict[Dimension, Value]:
    found = window.quantile(("psi",), 1.0)
    return {} if found is None else {(): found}


def _carriers(there: Known) -> list[tuple[str, str]]:
    return [(channel, name) for channel in there.channels for name in there.providers]


_CHANNEL: Final = ("channel",)
_CARRIER: Final = ("channel", "provider")
_ORIGIN: Final = ("acquisition",)

FIGURES: Final[Mapping[str, Figure]] = {
    figure.name: figure
    for figure in (
        Figure(
            "records",
            "count",
            ("source",),
            "records",
            "Records that apps appended to a source topic.",
            _counted("records", lambda there: there.topics),
        ),
        Figure(
            "unreadable",
            "share",
            ("source",),
            "share",
            "Records of a source topic that nobody can read.",
            _shared("unreadable", "records", lambda there: [(name,) for name in there.topics]),
        ),
        Figure(
            "traffic",
            "count",
            _ORIGIN,
            "messages",
            "Messages of apps, by where the visit came from.",
            _counted("traffic", lambda there: there.acquisitions),
        ),
        Figure(
            "orders",
            "count",
            _ORIGIN,
            "orders",
            "Orders, by where the visit came from.",
            _counted("orders", lambda there: there.acquisitions),
        ),
        Figure(
            "sent",
            "count",
            _CHANNEL,
            "messages",
            "Decisions to send.",
            _counted("sent", lambda there: there.channels),
        ),
        Figure(
            "accepted",
            "share",
            _CARRIER,
            "share",
            "Messages a gateway accepted, of those it answered.",
            _accepted,
        ),
        Figure(
            "hard_bounced",
            "share",
            _CARRIER,
            "share",
            "Messages that bounced for good, of those accepted.",
            _told("bounced"),
        ),
        Figure(
            "complained",
            "share",
            _CARRIER,
            "share",
            "Messages somebody complained of, of those accepted.",
            _told("complained"),
        ),
        Figure(
            "unsubscribed",
            "share",
            _CARRIER,
            "share",
            "Messages that made somebody unsubscribe, of those accepted.",
            _told("unsubscribed"),
        ),
        Figure(
            "opened",
            "share",
            _CHANNEL,
            "share",
            "Messages opened within four hours of delivery, of those delivered.",
            _shared("cohort_opened", "cohort", lambda there: [(c,) for c in there.channels]),
        ),
        Figure(
            "clicked",
            "share",
            _CHANNEL,
            "share",
            "Messages clicked within four hours of delivery, of those delivered.",
            _shared("cohort_clicked", "cohort", lambda there: [(c,) for c in there.channels]),
        ),
        Figure(
            "conversion",
            "share",
            _CHANNEL,
            "share",
            "People who ordered within the conversion window after a message.",
            _conversion,
        ),
        Figure(
            "funnel_step",
            "share",
            ("acquisition", "step"),
            "share",
            "Ended visits that went on to the next step, of those that reached this one.",
            _steps,
        ),
        Figure("cpa", "level", _ORIGIN, "money", "Cost of an order.", _cpa),
        Figure(
            "roi", "level", _ORIGIN, "ratio", "Order value above cost, as a share of cost.", _roi
        ),
        Figure(
            "decision_lateness",
            "level",
            (),
            "seconds",
            "p95 of how late a trigger was decided about.",
            _lateness,
        ),
        Figure(
            "action_delay",
            "level",
            _CHANNEL,
            "seconds",
            "p95 from due to the decision to send in the log.",
            _delay,
        ),
        Figure(
            "mean_p0", "level", (), "share", "Mean chance of an order without a message.", _mean_p0
        ),
        Figure("drift", "level", (), "PSI", "Drift of the feature that drifted most.", _psi),
    )
}

__all__ = ["FIGURES", "Dimension", "Figure", "Known", "Share", "Value", "Window"]
