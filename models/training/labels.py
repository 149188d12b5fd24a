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


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows in order of (time, decision id), and what was learned on the way.

    ``sent``: something was really sent (the vector's channel says what); ``kind`` indexes
    ``kinds``; ``until``: how far the events reach; ``left_out`` counts decisions by reason.
    """

    vectors: Floats
    converted: Flags
    at: Ints
    window: Ints
    kind: Ints
    user: Ints
    sent: Flags
    kinds: tuple[str, ...]
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
) -> Labelled:
    """Read both streams once, decisions first, and label what has a closed window.

    ``conversion_windows``: ms per campaign id. ``until``: how far the events are complete (ms);
    None = to the newest arrival among them. Raises Refused for a decision that cannot be read.
    """
    rows = _Rows(conversion_windows, max_rows)
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

    def __init__(self, windows: Mapping[str, int], max_rows: int) -> None:
        self.left_out: Counter[str] = Counter()
        self.users: dict[str, int] = {}
        self.kinds: dict[str, int] = {}
        self.currency = ""
        self._windows, self._max_rows = windows, max_rows
        self._below = _EVERY_LOT
        self._values = array("d")
        self._lots = array("Q")
        # time, window, kind, user, sent
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
        ))  # fmt: skip
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

    def columns(self) -> tuple[Floats, npt.NDArray[np.uint64], Ints]:
        """Return vectors, lots and facts as matrices over the same memory."""
        return (
            np.frombuffer(self._values, dtype=np.float64).reshape(-1, len(NAMES)),
            np.frombuffer(self._lots, dtype=np.uint64),
            np.frombuffer(self._facts, dtype=np.int64).reshape(-1, 5),
        )


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
    facts = facts[closed]
    times = orders.times()
    converted = np.fromiter(
        (_bought(times.get(user, []), at, window) for at, window, _, user, _ in facts.tolist()),
        dtype=np.bool_,
        count=len(facts),
    )
    return Labelled(
        vectors=values[closed],
        converted=converted,
        at=facts[:, 0],
        window=facts[:, 1],
        kind=facts[:, 2],
        user=facts[:, 3],
        sent=facts[:, 4] == 1,
        kinds=tuple(rows.kinds),
        until=until,
        left_out={reason: n for reason, n in sorted(rows.left_out.items()) if n},
        mean_order=orders.mean(),
        currency=rows.currency,
    )


def _bought(times: list[int], at: int, window: int) -> bool:
    """Return whether an order lies in (at, at + window]: one at ``at`` was known to the tick."""
    place = bisect_right(times, at)
    return place < len(times) and times[place] <= at + window
