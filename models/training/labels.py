"""Point-in-time labels: logged decisions and events become rows of (vector, did she order).

A label is 1 when an order was completed in (at, at + conversion window]. What was not over when
the events end is left out: it is no negative. Vectors are the logged ones, so nothing that became
known later can be in them.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine import decisions as log
from engine.decisions import Decision
from engine.draws import fingerprint
from engine.errors import Refused
from engine.events import Event, OrderCompleted
from engine.times import from_iso
from models.features import CHANNEL_AT, NAMES, SCHEMA_HASH, channel_code, from_dict

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# About 200 MB of vectors. Beyond it rows are thinned by a hash of their id, which is blind to what
# became of them; the learning curve of such models is flat long before.
MAX_ROWS: Final = 500_000
# A mean of fewer orders than this says less than the operator's own guess.
_ENOUGH_ORDERS: Final = 20
_WINSORISED: Final = 0.995
_EVERY_LOT: Final = 1 << 64
# What was done, where it can be compared: see Labelled.done.
UNCOMPARED: Final = -1
NOTHING: Final = 0
_FACTS: Final = 8
_WITHHELD: Final = "would_send_holdout"
_UNTOUCHED: Final = frozenset({"explored_none", "not_worth_it", _WITHHELD})
_NOT_GIVEN: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows in order of (time, decision id), and what was learned on the way.

    ``sent``: something was really sent (the vector's channel says what); ``kind`` indexes
    ``kinds``, ``user`` indexes ``users``; ``until``: how far the events reach; ``left_out`` counts
    decisions by reason.

    For comparing what was done: ``done`` is 0 for nothing, n for a message by ``channels[n - 1]``
    and -1 where neither was up to chance alone (words that failed, campaigns in dry run).
    ``withheld``: a channel was chosen, and she is of the holdout. ``silence`` and ``chance`` (a
    column per channel) are the logged propensities; ``assumed`` the odds ratio the campaign
    assumed, NaN for a channel that could not speak.
    """

    vectors: Floats
    converted: Flags
    at: Ints
    window: Ints
    kind: Ints
    user: Ints
    sent: Flags
    done: Ints
    withheld: Flags
    silence: Floats
    chance: Floats
    assumed: Floats
    channels: tuple[str, ...]
    kinds: tuple[str, ...]
    users: tuple[str, ...]
    until: int
    left_out: Mapping[str, int]
    mean_order: float | None
    currency: str


def label(
    decisions: Iterable[bytes],
    events: Iterable[Event],
    conversion_windows: Mapping[str, int],
    *,
    until: int | None = None,
    max_rows: int = MAX_ROWS,
    assumed: Mapping[str, Mapping[str, float]] = _NOT_GIVEN,
) -> Labelled:
    """Read both streams once, decisions first, and label what has a closed window.

    ``conversion_windows``: ms per campaign id. ``until``: how far the events are complete (ms);
    None = to the newest arrival among them. ``assumed``: odds ratio by campaign and channel;
    where it says nothing, the one the decision was made with (1 where it does not tell). Raises
    Refused for a decision that cannot be read.
    """
    rows = _Rows(conversion_windows, max_rows, assumed)
    for number, value in enumerate(decisions, start=1):
        rows.take(_read(number, value))
    rows.thin()
    orders = _Orders(rows.users, rows.currency)
    for event in events:
        orders.take(event)
    return _join(rows, orders, orders.newest if until is None else until)


def _read(number: int, value: bytes) -> Decision:
    try:
        return log.decode(value)
    except msgspec.MsgspecError as error:
        raise Refused(
            f"Decision {number} cannot be read ({error}): give the records of the topic decisions, "
            "or a file that replay wrote with --decisions."
        ) from error


class _Rows:
    """The columns kept of the decisions that can be learned from."""

    def __init__(
        self, windows: Mapping[str, int], max_rows: int, assumed: Mapping[str, Mapping[str, float]]
    ) -> None:
        self.left_out: Counter[str] = Counter()
        self.users: dict[str, int] = {}
        self.kinds: dict[str, int] = {}
        self.currency = ""
        self.alternatives = _Alternatives(assumed)
        self._regimes: dict[tuple[str, str], int] = {}
        self._windows, self._max_rows = windows, max_rows
        self._below = _EVERY_LOT
        self._values = array("d")
        self._lots = array("Q")
        # time, window, kind, user, sent, done, withheld, regime
        self._facts = array("q")

    def take(self, decision: Decision) -> None:
        """Keep what is needed of one decision, or count why it is of no use."""
        reason = self._unusable(decision)
        if reason is not None:
            self.left_out[reason] += 1
            return
        lot = int.from_bytes(fingerprint(decision.decision_id), "big")
        if lot >= self._below:
            self.left_out["thinned"] += 1
            return
        sent = decision.channel if decision.outcome == "send" else None
        values = from_dict(decision.features)
        # What the gateway made of it is not asked: a message is also held back *because* she
        # bought, and a row moved by its own outcome would teach the model its label.
        values[CHANNEL_AT] = channel_code(sent)
        self._values.extend(values)
        self._lots.append(lot)
        self._facts.extend((
            from_iso(decision.at),
            self._windows[decision.campaign],
            self.kinds.setdefault(decision.trigger.kind, len(self.kinds)),
            self.users.setdefault(decision.user_id, len(self.users)),
            sent is not None,
            self.alternatives.done(decision),
            decision.reason == _WITHHELD,
            self._regimes.setdefault(
                (decision.settings_hash, decision.campaign), len(self._regimes)
            ),
        ))  # fmt: skip
        self.alternatives.take(decision)
        self.currency = decision.currency or self.currency
        if len(self._lots) > self._max_rows:
            self._below //= 2
            self.thin()

    def _unusable(self, decision: Decision) -> str | None:
        if decision.outcome not in ("send", "suppress"):
            return decision.outcome  # disarmed: no choice was made; deferred: it is still to come
        if not decision.features:
            return "not_weighed"  # every channel was objected to
        if decision.tester:
            return "tester"
        if decision.schema_hash != SCHEMA_HASH:
            return "other_schema"
        if decision.campaign not in self._windows:
            return "unknown_campaign"
        return None

    def thin(self) -> None:
        """Drop repeated decisions and those whose lot is drawn out; sort by (time, id)."""
        values, lots, facts = self.columns()
        _, first = np.unique(lots, return_index=True)
        self.left_out["repeated"] += len(lots) - len(first)
        keep = first[lots[first] < self._below] if self._below < _EVERY_LOT else first
        self.left_out["thinned"] += len(first) - len(keep)
        keep = keep[np.argsort(facts[keep, 0], kind="stable")]  # unique() sorted them by id
        self._values = array("d", values[keep].tobytes())
        self._lots = array("Q", lots[keep].tobytes())
        self._facts = array("q", facts[keep].tobytes())
        self.alternatives.keep(keep)

    def columns(self) -> tuple[Floats, npt.NDArray[np.uint64], Ints]:
        """Return vectors, lots and facts as matrices over the same memory."""
        return (
            np.frombuffer(self._values, dtype=np.float64).reshape(-1, len(NAMES)),
            np.frombuffer(self._lots, dtype=np.uint64),
            np.frombuffer(self._facts, dtype=np.int64).reshape(-1, _FACTS),
        )


class _Alternatives:
    """What each decision could have done: a pair (propensity, assumed lift) per channel."""

    def __init__(self, assumed: Mapping[str, Mapping[str, float]]) -> None:
        self._assumed = assumed
        self._silence = array("d")
        self._channels: dict[str, array[float]] = {}

    def done(self, decision: Decision) -> int:
        """Return what was done, as in :class:`Labelled`."""
        if decision.outcome == "send" and decision.channel is not None:
            self._column(decision.channel)
            return 1 + list(self._channels).index(decision.channel)
        return NOTHING if decision.reason in _UNTOUCHED else UNCOMPARED

    def take(self, decision: Decision) -> None:
        """Append one decision; a channel that could not speak has no chance and no lift."""
        for channel in decision.channels:
            self._column(channel)
        self._silence.append(decision.none_propensity)
        assumed = self._assumed.get(decision.campaign, {})
        for channel, column in self._channels.items():
            view = decision.channels.get(channel)
            if view is None or view.objection is not None:
                column.extend((0.0, nan))
            else:
                lift = assumed.get(channel, view.lift)
                column.extend((view.propensity, 1.0 if lift is None else lift))

    def _column(self, channel: str) -> None:
        """Open a column for a channel, empty for the decisions before it."""
        if channel not in self._channels:
            self._channels[channel] = array("d", (0.0, nan) * len(self._silence))

    def keep(self, places: Ints) -> None:
        """Keep the decisions at these places, in this order."""
        silence, chance, assumed = self.columns()
        self._silence = array("d", silence[places].tobytes())
        for number, channel in enumerate(self._channels):
            pairs = np.column_stack((chance[places, number], assumed[places, number]))
            self._channels[channel] = array("d", pairs.tobytes())

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self._channels)

    def columns(self) -> tuple[Floats, Floats, Floats]:
        """Return the propensity of silence, and propensity and lift with a column per channel."""
        rows = len(self._silence)
        pairs = np.empty((rows, len(self._channels), 2))
        for number, column in enumerate(self._channels.values()):
            pairs[:, number] = np.frombuffer(column, dtype=np.float64).reshape(rows, 2)
        silence = np.array(self._silence, dtype=np.float64)
        return silence, pairs[:, :, 0], pairs[:, :, 1]


class _Orders:
    """The orders of the users that were decided about: first completion and last told value."""

    def __init__(self, users: Mapping[str, int], currency: str) -> None:
        self._users, self._currency = users, currency
        # (user, order) -> first completed at, last told at, value
        self._orders: dict[tuple[int, bytes], tuple[int, int, float | None]] = {}
        self.newest = 0

    def take(self, event: Event) -> None:
        """Note an order; any event tells how far the log reaches."""
        self.newest = max(self.newest, event.received_at)
        if not isinstance(event, OrderCompleted) or event.user_id not in self._users:
            return
        key = self._users[event.user_id], fingerprint(event.order_id)
        at, told = event.occurred_at, event.occurred_at
        ours = event.currency in ("", self._currency)
        value = event.total if ours else None
        known = self._orders.get(key)
        if known is not None:
            # Order Updated tells the order again: the purchase stays where it was.
            at = min(at, known[0])
            if told < known[1]:
                told, value = known[1], known[2]
        self._orders[key] = at, told, value

    def times(self) -> dict[int, list[int]]:
        """Return the times of every user's orders, oldest first."""
        times: dict[int, list[int]] = {}
        for (user, _), (at, _, _) in self._orders.items():
            times.setdefault(user, []).append(at)
        for mine in times.values():
            mine.sort()
        return times

    def mean(self) -> float | None:
        """Return the mean order value, winsorised at P99.5; None = too few orders."""
        values = [value for _, _, value in self._orders.values() if value is not None]
        if len(values) < _ENOUGH_ORDERS:
            return None
        cut = np.minimum(values, np.quantile(values, _WINSORISED))
        return round(float(np.mean(cut)), 6)


def _join(rows: _Rows, orders: _Orders, until: int) -> Labelled:
    values, _, facts = rows.columns()
    at, window = facts[:, 0], facts[:, 1]
    closed = at + window <= until
    rows.left_out["open_window"] += int(np.count_nonzero(~closed))
    done = _compared(facts)[closed]
    silence, chance, assumed = (column[closed] for column in rows.alternatives.columns())
    facts = facts[closed]
    times = orders.times()
    converted = np.fromiter(
        (_bought(times.get(user, []), at, window) for at, window, _, user, *_ in facts.tolist()),
        dtype=np.bool_,
        count=len(facts),
    )
    # numbered by name, not by who came first: partitions are recorded in any order, and a bootstrap
    # over people must draw the same ones
    users = sorted(rows.users)
    number = np.empty(len(users), dtype=np.int64)
    number[[rows.users[name] for name in users]] = np.arange(len(users))
    return Labelled(
        vectors=values[closed],
        converted=converted,
        at=facts[:, 0],
        window=facts[:, 1],
        kind=facts[:, 2],
        user=number[facts[:, 3]],
        sent=facts[:, 4] == 1,
        done=done,
        withheld=facts[:, 6] == 1,
        silence=silence,
        chance=chance,
        assumed=assumed,
        channels=rows.alternatives.channels,
        kinds=tuple(rows.kinds),
        users=tuple(users),
        until=until,
        left_out={reason: n for reason, n in sorted(rows.left_out.items()) if n},
        mean_order=orders.mean(),
        currency=rows.currency,
    )


def _compared(facts: Ints) -> Ints:
    """Return what was done, -1 throughout the settings under which a campaign sent nothing at all.

    In a dry run silence is certain, whatever the propensities say, and nobody stands against it;
    which settings were one is not logged, but then nothing was sent under them.
    """
    regime = facts[:, 7]
    live = np.isin(regime, regime[facts[:, 4] == 1])
    return np.where(live, facts[:, 5], UNCOMPARED)


def _bought(times: list[int], at: int, window: int) -> bool:
    """Return whether an order lies in (at, at + window]: one at ``at`` was known to the tick."""
    place = bisect_right(times, at)
    return place < len(times) and times[place] <= at + window
