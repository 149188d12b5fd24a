"""What became of decisions: messages, their outcomes and cost, and the orders after them.

A decision to send, or to withhold as one of the holdout, opens a row with the campaign's conversion
window. When the window is over the row is counted, once, in its arm: with and without an order of
hers that *happened* within the window. An order is also attributed, with its value, to the last
message before it whose window holds it; that says nothing of cause, which is what the arms are for.
"""

from itertools import takewhile
from typing import Final, get_args

from msgspec import Struct, field

from engine.events import OutcomeType
from engine.times import DAY, HOUR, MINUTE, SECOND
from monitoring.figures.counts import Counts
from monitoring.figures.seen import Decided, Order, Reported, Terms

TREATED, WITHHELD = "treated", "withheld"
# An order within the window may arrive after it.
GRACE: Final = HOUR
# Opens and clicks are compared at one age: those within four hours of delivery.
COHORT_AGE: Final = 4 * HOUR
# Actions remembered for their outcomes, and for how long; people with rows; people with a message.
MOST_ACTIONS: Final = 100_000
ACTION_MEMORY: Final = 7 * DAY
MOST_ROWS: Final = 100_000
MOST_PEOPLE: Final = 100_000
# The window where the campaigns file does not say (its campaign was removed).
_WINDOW: Final = 7 * DAY
# People of whom each arm remembers rows and orders, for the interval of the lift.
_MOST_ANSWERS: Final = 20_000
# Upper bounds of the bands of chances in which predictions are held against what happened. Most
# people do not order: tenths of the scale would put nearly all of them into one band.
BANDS: Final = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.35, 0.6)

OUTCOMES: Final[tuple[str, ...]] = get_args(OutcomeType)
_BIT: Final = {name: 1 << place for place, name in enumerate(OUTCOMES)}
_BY_PERSON: Final = frozenset({"opened", "clicked"})
# What a gateway answers when it is handed a message.
_ANSWERS: Final = frozenset({"accepted", "bounced", "rejected", "failed"})
_ANSWERED: Final = sum(_BIT[name] for name in _ANSWERS)
# A bounce that is for good may follow one that was not.
_HARD: Final = 1 << 30  # far from the names, which may become more


class Sent(Struct, array_like=True):
    """One message: when it was decided, its channel, its provider once told, its outcomes."""

    at: int
    channel: str
    provider: str = ""
    told: int = 0


class Row(Struct, array_like=True):
    """One decision whose orders are watched for; ``due``: when it is counted."""

    at: int
    until: int
    due: int
    channel: str
    arm: str
    p0: float | None
    ordered: bool = False


class Touch(Struct, array_like=True):
    """The last message to a person."""

    at: int
    until: int
    channel: str


class Answers(Struct, array_like=True):
    """People of one arm of one channel with their counted (rows, rows with an order).

    Beyond the bound only people whose hash lies under ``share`` are kept: a fair sample.
    """

    share: float = 1.0
    people: dict[int, list[int]] = field(default_factory=dict)

    def take(self, user: int, *, ordered: bool) -> None:
        """Count one row of a person."""
        if _lot(user) >= self.share:
            return
        found = self.people.setdefault(user, [0, 0])
        found[0] += 1
        found[1] += ordered
        while len(self.people) > _MOST_ANSWERS:
            self.share /= 2
            self.people = {one: n for one, n in self.people.items() if _lot(one) < self.share}


def _lot(user: int) -> float:
    """Return a number in [0, 1) that depends on the person alone."""
    return (user & 0xFFFFFFFF) / 4294967296.0


class Sends(Struct):
    """Messages, rows and last messages in the order they came."""

    actions: dict[int, Sent] = field(default_factory=dict)
    rows: dict[int, list[Row]] = field(default_factory=dict)
    row_count: int = 0
    followed: float = 1.0
    due: dict[int, list[int]] = field(default_factory=dict)
    touches: dict[int, Touch] = field(default_factory=dict)
    delivered: list[tuple[int, int]] = field(default_factory=list)
    answers: dict[tuple[str, str], Answers] = field(default_factory=dict)
    latest: dict[int, int] = field(default_factory=dict)
    forgotten: int = 0

    # --- decisions --------------------------------------------------------------------------------

    def decide(self, seen: Decided, terms: Terms, counts: Counts) -> None:
        """Fold one decision."""
        counts.add(("decisions", seen.reason))
        if seen.first:
            late = max(0, seen.decided_at - seen.due_at) / SECOND
            counts.note(("decision_lateness",), late)
        if seen.outcome == "send":
            self._send(seen, terms, counts)
        elif seen.reason == "would_send_holdout":
            counts.add(("withheld", seen.channel))
            self._follow(seen, terms, WITHHELD)

    def _send(self, seen: Decided, terms: Terms, counts: Counts) -> None:
        counts.add(("sent", seen.channel))
        counts.add(("sent_for", seen.channel, seen.campaign))
        if seen.first:
            counts.note(("action_delay", seen.channel), max(0, seen.at - seen.due_at) / SECOND)
        price = terms.costs.get(seen.channel)
        if price is not None:
            counts.add(("send_cost", seen.channel), price)
        self.actions[seen.action] = Sent(seen.decided_at, seen.channel)
        if len(self.actions) > MOST_ACTIONS:
            del self.actions[next(iter(self.actions))]
            self.forgotten += 1
        window = terms.windows.get(seen.campaign, _WINDOW)
        self.touches.pop(seen.user, None)
        until = seen.decided_at + window
        self.touches[seen.user] = Touch(seen.decided_at, until, seen.channel)
        if len(self.touches) > MOST_PEOPLE:
            del self.touches[next(iter(self.touches))]
        self._follow(seen, terms, TREATED)

    def _follow(self, seen: Decided, terms: Terms, arm: str) -> None:
        if seen.tester or _lot(seen.user) >= self.followed:
            return
        until = seen.decided_at + terms.windows.get(seen.campaign, _WINDOW)
        due = (until + GRACE) // MINUTE
        row = Row(seen.decided_at, until, due, seen.channel, arm, seen.p0)
        # The order may have been read before a decision that was made before it.
        row.ordered = row.at < self.latest.get(seen.user, 0) <= until
        self.rows.setdefault(seen.user, []).append(row)
        self.due.setdefault(due, []).append(seen.user)
        self.row_count += 1
        while self.row_count > MOST_ROWS:
            self._follow_fewer()

    def _follow_fewer(self) -> None:
        """Follow half of the people from now on: a fair half, of both arms alike."""
        self.followed /= 2
        self.rows = {user: rows for user, rows in self.rows.items() if _lot(user) < self.followed}
        self.row_count = sum(map(len, self.rows.values()))

    # --- orders -----------------------------------------------------------------------------------

    def order(self, user: int, order: Order, currency: str, counts: Counts) -> None:
        """Fold an order told for the first time."""
        before = self.latest.pop(user, 0)
        self.latest[user] = max(before, order.occurred_at)
        for row in self.rows.get(user, ()):
            if row.at < order.occurred_at <= row.until:
                row.ordered = True
        touch = self.touches.get(user)
        if touch is None or not touch.at < order.occurred_at <= touch.until:
            return
        counts.add(("converted", touch.channel))
        if order.value is not None and order.currency in ("", currency):
            counts.add(("revenue", touch.channel), order.value)

    # --- outcomes ---------------------------------------------------------------------------------

    def report(self, seen: Reported, counts: Counts) -> None:
        """Fold one outcome; told again it changes nothing."""
        sent = self.actions.get(seen.action)
        if sent is None:
            counts.add(("unmatched", seen.channel))
            return
        if seen.machine and seen.type in _BY_PERSON:
            return
        hard = seen.type == "bounced" and seen.permanent
        # Of one message all counts as of who spoke first: its gateway says `webhook`, the provider
        # behind it its own name, and a share of bounces must have its messages below the line.
        sent.provider = sent.provider or seen.provider
        if hard and not sent.told & _HARD:
            sent.told |= _HARD
            counts.add(("hard_bounced", sent.channel, sent.provider))
        bit = _BIT[seen.type]
        if sent.told & bit:
            return
        answered = sent.told & _ANSWERED
        sent.told |= bit
        counts.add(("outcomes", sent.channel, sent.provider, seen.type))
        if seen.type in _ANSWERS and not answered:
            counts.add(("handed", sent.channel, sent.provider))
        if seen.type == "delivered":
            counts.note(
                ("delivery_delay", sent.channel), max(0, seen.occurred_at - sent.at) / SECOND
            )
            self.delivered.append((seen.at, seen.action))

    # --- what is over -----------------------------------------------------------------------------

    def close(self, now: int, counts: Counts) -> None:
        """Count rows and cohorts that are over at ``now`` (ms), and forget what is old."""
        for minute in sorted(one for one in self.due if one * MINUTE < now):
            for user in self.due.pop(minute):
                self._mature(user, minute, counts)
        self._cohorts(now, counts)
        late = takewhile(lambda one: one[1] < now - GRACE, self.latest.items())
        for user in [name for name, _ in late]:
            del self.latest[user]
        old = takewhile(lambda one: one[1].at < now - ACTION_MEMORY, self.actions.items())
        for action in [name for name, _ in old]:
            del self.actions[action]
        ended = takewhile(lambda one: one[1].until + GRACE < now, self.touches.items())
        for user in [name for name, _ in ended]:
            del self.touches[user]

    def _mature(self, user: int, minute: int, counts: Counts) -> None:
        rows = self.rows.get(user, [])
        left = [row for row in rows if row.due > minute]
        for row in rows:
            if row.due <= minute:
                self._count(user, row, counts)
        self.row_count -= len(rows) - len(left)
        if left:
            self.rows[user] = left
        else:
            self.rows.pop(user, None)

    def _count(self, user: int, row: Row, counts: Counts) -> None:
        key = row.channel, row.arm
        counts.add(("arm", *key))
        if row.ordered:
            counts.add(("arm_ordered", *key))
        self.answers.setdefault(key, Answers()).take(user, ordered=row.ordered)
        if row.arm == WITHHELD and row.p0 is not None:
            band = str(band_of(row.p0))
            counts.add(("band", band))
            counts.add(("predicted", band), row.p0)
            counts.add(("observed", band), float(row.ordered))

    def _cohorts(self, now: int, counts: Counts) -> None:
        done = 0
        for at, action in self.delivered:
            if at + COHORT_AGE >= now:
                break
            done += 1
            sent = self.actions.get(action)
            if sent is None:
                continue
            counts.add(("cohort", sent.channel))
            for name in ("opened", "clicked"):
                if sent.told & _BIT[name]:
                    counts.add((f"cohort_{name}", sent.channel))
        del self.delivered[:done]


def band_of(chance: float) -> int:
    """Return the band of a predicted chance, 0 to 9."""
    return sum(chance >= bound for bound in BANDS)


__all__ = [
    "BANDS",
    "COHORT_AGE",
    "GRACE",
    "OUTCOMES",
    "TREATED",
    "WITHHELD",
    "Answers",
    "Row",
    "Sends",
    "Sent",
    "Touch",
    "band_of",
]
