"""Whole histories for Hypothesis: several people, several reasons due at once, every kind of cap.

A history is drawn as plain steps, then *realised*: played once by the real engine, because an
outcome can only name an action that was really sent. What comes out is a list of records.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from engine.events import Event, Line, OutcomeType, Position, Record, Tick
from engine.policy import Campaign, Cap, Policy, QuietHours
from engine.times import DAY, HOUR, MINUTE, SECOND
from tests.support.builders import (
    START,
    Told,
    a_cart_campaign,
    a_line,
    a_policy,
    a_post_purchase_campaign,
)
from tests.support.world import World

USERS: Final = ("u-1", "u-2", "anon:3")
PRODUCTS: Final = ("p-1", "p-2", "p-3")
CARTS: Final = ("", "c-1", "c-2")
ORDERS: Final = ("o-1", "o-2", "o-3")
CHECKOUTS: Final = ("", "k-1")
ZONES: Final = (
    ("Asia/Shanghai",),
    ("America/New_York",),
    ("Australia/Lord_Howe",),
    ("Europe/Berlin", "America/Los_Angeles"),
    (),
)
OUTCOMES: Final[tuple[OutcomeType, ...]] = (
    "accepted",
    "delivered",
    "rejected",
    "failed",
    "expired",
    "cancelled",
    "unknown",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "unsubscribed",
    "resubscribed",
)
GAPS: Final = (0, SECOND, MINUTE, MINUTE, 20 * MINUTE, HOUR, HOUR, 5 * HOUR, 13 * HOUR, 7 * DAY)
LATE: Final = (0, 0, 0, 0, MINUTE, HOUR, 30 * HOUR, 49 * HOUR)
# How often a loader ticks after so long a silence.
STRIDES: Final = (
    (2 * HOUR, 30 * MINUTE),
    (DAY, 3 * HOUR),
    (8 * DAY, DAY),
    (400 * DAY, 2 * DAY),
)
BUSY_GAPS: Final = (0, MINUTE, 20 * MINUTE, HOUR, HOUR, 5 * HOUR)


class Step(NamedTuple):
    """One thing somebody does ``gap`` ms after the one before; numbers choose what it names."""

    what: str
    gap: int
    user: int
    which: int
    other: int
    late: int


@dataclass(frozen=True)
class History:
    """A policy and the records of a log: events in order of arrival, and the ticks between."""

    policy: Policy
    records: tuple[Record, ...]

    def __repr__(self) -> str:
        """Return the policy and one line per event: ticks follow from them."""
        told = []
        for event in self.events[2 * len(USERS) :]:
            said = {
                name: value
                for name, value in msgspec.structs.asdict(event).items()
                if value and name not in {"source", "v", "user_id", "occurred_at"}
            }
            at = (event.occurred_at - START) / MINUTE
            told.append(f"  {at:9.2f}m {event.user_id} {type(event).__name__} {said}")
        return "\n".join([f"History({self.policy}", *told, ")"])

    @property
    def events(self) -> list[Event]:
        """Return the records that are events."""
        return [record for record in self.records if not isinstance(record, Tick)]  # type: ignore[misc]


# A law that plays a history two or three times gets half of the profile's examples.
HEAVY: Final = settings(max_examples=max(settings().max_examples // 2, 10))

# --- drawing ------------------------------------------------------------------------------------

_BUSY: Final = ("added",) * 6 + ("cart",) * 3 + ("checkout", "removed", "removed_all", "viewed")
_BOUGHT: Final = ("ordered",) * 4 + ("refunded", "refunded_line", "cancelled", "delivered")
_WHO: Final = ("identified", "consented", "withdrawn")
_SAID: Final = ("outcome",) * 4 + ("elsewhere",) * 2
_RARE: Final = ("emptied", "bounced", "erased", "searched", "wishlisted", "active")
_AGAIN: Final = ("repeated", "run_again", "history")
EVERYTHING: Final = _BUSY + _BOUGHT + _WHO + _SAID + _RARE + _AGAIN
# What may arrive in any order within a window; see test_reordering.py for what may not, and why.
COMMUTING: Final = (
    ("added",) * 6
    + ("cart", "checkout", "removed", "removed_all", "viewed", "searched")
    + ("ordered",) * 3
    + ("refunded", "refunded_line", "cancelled", "delivered", "elsewhere")
)


def steps(
    kinds: Sequence[str] = EVERYTHING, gaps: Sequence[int] = GAPS, late: Sequence[int] = LATE
) -> SearchStrategy[Step]:
    """One step, read off six drawn bytes: six draws for each would take longer than the play."""
    who = (0, 0, 0, 0, 1, 1, 2)
    sizes = len(kinds), len(gaps), len(who), 12, 12, len(late)

    def read(drawn: bytes) -> Step:
        chosen = (byte % size for byte, size in zip(drawn, sizes, strict=True))
        what, gap, user, which, other, lateness = chosen
        return Step(kinds[what], gaps[gap], who[user], which, other, late[lateness])

    return st.binary(min_size=len(sizes), max_size=len(sizes)).map(read)


def caps() -> SearchStrategy[tuple[Cap, ...]]:
    """Caps of every kind, over all channels and of one; sometimes none."""
    one = st.sampled_from(
        (
            Cap(name="any-24h", kind="rolling", window=DAY, limit=1),
            Cap(name="any-7d", kind="rolling", window=7 * DAY, limit=2),
            Cap(name="any-6h", kind="rolling", window=6 * HOUR, limit=2),
            Cap(name="sms-7d", kind="rolling", window=7 * DAY, limit=1, channel="sms"),
            Cap(name="push-day", kind="calendar_day", limit=1, channel="push"),
            Cap(name="any-day", kind="calendar_day", limit=1),
            Cap(name="any-gap", kind="gap", window=4 * HOUR, limit=1),
            Cap(name="push-gap", kind="gap", window=30 * HOUR, limit=1, channel="push"),
        )
    )
    return st.lists(one, max_size=4, unique_by=lambda cap: cap.name).map(tuple)


@st.composite
def policies(draw: Callable[..., object]) -> Policy:
    """A campaigns file: up to five campaigns, two of them on the same kind of trigger."""
    when_quiet = draw(st.sampled_from(("hold", "drop")))
    when_capped = draw(st.sampled_from(("hold", "drop")))
    cooldown = draw(st.sampled_from((0, 0, 72 * HOUR)))
    shared = {"when_quiet": when_quiet, "when_capped": when_capped, "cooldown": cooldown}
    campaigns: list[Campaign] = [a_cart_campaign(**shared)]
    if draw(st.booleans()):
        campaigns.append(a_cart_campaign(id="cart-two", channels=("sms", "email"), **shared))
    if draw(st.booleans()):
        campaigns.append(a_post_purchase_campaign(7, **shared))
        campaigns.append(a_post_purchase_campaign(30, **shared))
    if draw(st.booleans()):
        campaigns.append(a_post_purchase_campaign(7, id="seven-two", **shared))
    quiet = draw(st.sampled_from((QuietHours(), QuietHours(0, 0), QuietHours(13 * 60, 15 * 60))))
    assert isinstance(quiet, QuietHours)
    return a_policy(
        *campaigns,
        mode="dry_run" if draw(st.integers(0, 9)) == 9 else "live",
        caps=draw(caps()),  # type: ignore[arg-type]
        holdout=0.4 if draw(st.integers(0, 3)) == 3 else 0.0,
        exploration=0.5 if draw(st.integers(0, 3)) == 3 else 0.0,
        testers=("u-2",) if draw(st.integers(0, 5)) == 5 else (),
        quiet=quiet,
    )


@st.composite
def histories(
    draw: Callable[..., object],
    kinds: Sequence[str] = EVERYTHING,
    gaps: Sequence[int] = GAPS,
    late: Sequence[int] = LATE,
    *,
    length: int = 24,
) -> History:
    """A realised history under a drawn policy."""
    policy = draw(policies())
    # Five lists, because one long list is short on average and one of a least size cannot shrink.
    some = st.lists(steps(kinds, gaps, late), max_size=max(length // 3, 1))
    drawn = [step for part in draw(st.tuples(*[some] * 5)) for step in part]  # type: ignore[attr-defined]
    known = draw(st.lists(st.sampled_from(ZONES), min_size=3, max_size=3))
    assert isinstance(policy, Policy)
    return realise(policy, drawn, known)  # type: ignore[arg-type]


def talkative() -> SearchStrategy[History]:
    """Histories in which there is much to say: carts left for hours, and what comes of it."""
    kinds: tuple[str, ...] = ("added",) * 7 + ("ordered", "ordered", "cart", "outcome", "outcome")
    whoever = ("elsewhere", "erased", "consented", "withdrawn", "erased", "identified", "refunded")
    kinds = (*kinds, *whoever, "removed_all", "removed_all", "emptied", "bounced")
    return histories(kinds, (MINUTE, 20 * MINUTE, HOUR, HOUR, 5 * HOUR, DAY), (0,))


def ending() -> SearchStrategy[History]:
    """Histories in which what was armed is ended before it speaks, in every way there is."""
    bought = ("ordered", "ordered", "refunded", "cancelled")
    ends = ("erased", "emptied", "removed_all", "withdrawn", "consented", *bought)
    return histories((*("added",) * 5, *ends), (MINUTE, 20 * MINUTE, HOUR), (0,))


def everything() -> SearchStrategy[History]:
    """Histories of every kind."""
    return st.one_of(histories(), talkative(), ending())


def any_events() -> SearchStrategy[Event]:
    """Any event with any values its types allow, related to nothing."""
    return st.one_of([_any_of(kind) for kind in get_args(Event)])


def _any_of(kind: type[Event]) -> SearchStrategy[Event]:
    """Build from every field: Hypothesis would take the factory of a default for a value."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: _ANY[hint] for name, hint in hints.items()})


_TEXT: Final = st.text(max_size=8)
_MONEY: Final = st.floats(-1e9, 1e9)
_HUGE: Final = st.integers(-(2**60), 2**60)
_LINE: Final = st.builds(Line, _TEXT, _HUGE, st.none() | _MONEY, _TEXT, _TEXT)
_ANY: Final[dict[Any, SearchStrategy[Any]]] = {
    int: st.integers(-(2**53), 2**53),
    int | None: st.none() | _HUGE,
    bool: st.booleans(),
    str: _TEXT,
    str | None: st.none() | _TEXT,
    float | None: st.none() | _MONEY,
    Line: _LINE,
    list[Line]: st.lists(_LINE, max_size=20),
    list[Line] | None: st.none() | st.lists(_LINE, max_size=20),
    list[str] | None: st.none() | st.lists(_TEXT, max_size=10),
    dict[str, str]: st.dictionaries(_TEXT, _TEXT, max_size=4),
    Position | None: st.none() | st.builds(Position, _TEXT, *[st.integers(0, 2**40)] * 4),
    OutcomeType: st.sampled_from(get_args(OutcomeType)),
}

# --- realising ----------------------------------------------------------------------------------


def realise(
    policy: Policy, drawn: Sequence[Step], zones: Sequence[Sequence[str]] = ZONES
) -> History:
    """Turn steps into records by playing them once; all three people begin known and willing."""
    shop = _Shop(World(policy))
    for number, user in enumerate(USERS):
        told = Told(user, START)
        shop.write(told.identified(zones=zones[number]), told.consented())
    for step in drawn:
        shop.pass_to(shop.now + step.gap)
        shop.take(step)
    shop.pass_to(shop.now + 31 * DAY)
    return History(policy, tuple(shop.records))


def ticks_between(before: int, after: int) -> list[int]:
    """Return the loader's ticks between two records: half-hourly, sparser in long silences.

    A function of the two times alone, so that every replay of a source has the same ticks.
    """
    found: list[int] = []
    at = before
    while at < after:
        stride = next(stride for silence, stride in STRIDES if at - before < silence)
        at = (at // stride + 1) * stride
        if at <= after:
            found.append(at)
    return found


class _Shop:
    """Plays steps and writes down what came of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.records: list[Record] = []
        self.now = START
        self.offset = 0

    def pass_to(self, at: int) -> None:
        for now in ticks_between(self.now, at):
            self._append(Tick(now=now, origin="loader"))
        self.now = at

    def write(self, *events: Event) -> None:
        for event in events:
            self.offset += 1
            position = Position("app", 0, 0, self.offset)
            self._append(msgspec.structs.replace(event, source=position))

    def _append(self, record: Record) -> None:
        self.records.append(record)
        self.world.write(record)

    def take(self, step: Step) -> None:
        user = USERS[step.user]
        if step.what == "repeated":  # the same event id again, from another source position
            mine = [e for e in self._events() if e.user_id == user]
            self.write(*mine[-1 - step.which % 6 :][:1])
        elif step.what == "run_again":  # intake repeats a run: the same source positions
            for event in self._events()[-1 - step.which :]:
                self._append(event)
        else:
            late = step.late if step.what not in {"outcome", "bounced", "erased"} else 0
            told = Told(user, self.now - late, self.now, history=step.what == "history")
            told.event_id = f"e-{self.offset + 1}"
            self.write(*self._said(step, told))

    def _events(self) -> list[Event]:
        return [record for record in self.records if not isinstance(record, Tick)]  # type: ignore[misc]

    def _said(self, step: Step, told: Told) -> list[Event]:  # one flat table
        one, other = PRODUCTS[step.which % 3], PRODUCTS[step.other % 3]
        cart, order = CARTS[step.which % 4 % 3], ORDERS[step.other % 3]
        checkout = CHECKOUTS[step.which % 2]
        channel = ("*", "push", "*", "email", "*", "sms")[step.which % 6]
        match step.what:
            case "added" | "history":
                return [told.added(other, 1 + step.which % 2, 64.0 * (1 + step.which // 4), cart)]
            case "removed":
                return [told.removed(other, 1, cart)]
            case "emptied":
                return [told.cart(cart=cart, lines=[])]
            case "bounced":
                hard = told.outcome("unknown", "bounced", ("push", "email")[step.which % 2])
                return [msgspec.structs.replace(hard, permanent=True)]
            case "removed_all":
                return [told.removed(other, None, cart)]
            case "cart":
                seen = [a_line(product, 1, 128.0) for product in PRODUCTS[: step.other % 4]]
                return [told.cart(cart=cart, lines=seen)]
            case "checkout":
                return [told.checkout(checkout, cart, *PRODUCTS[: step.other % 3])]
            case "ordered":
                return [self._order(step, told)]
            case "refunded":
                return [told.refunded(order)]
            case "refunded_line":
                return [told.refunded(order, one)]
            case "cancelled":
                return [told.cancelled(order)]
            case "delivered":
                return [told.delivered(order)]
            case "identified":
                return [told.identified(zones=ZONES[step.which % len(ZONES)])]
            case "consented":
                return [told.consented(channel)]
            case "withdrawn":
                return [told.consented(channel, granted=False)]
            case "outcome":
                return self._outcome(step, told)
            case "elsewhere":
                return [told.sent_elsewhere(("push", "email", "sms")[step.which % 3])]
            case "erased":
                return [told.erased()] if step.which > 5 else []
            case "searched":
                return [told.searched()]
            case "active":
                return [told.active()]
        return [told.viewed(one)]

    def _order(self, step: Step, told: Told) -> Event:
        bought = [a_line(product, 1, 128.0) for product in PRODUCTS[: 1 + step.which % 3]]
        cart = CARTS[step.other // 3 % 3] if step.other < 9 else ""
        checkout = CHECKOUTS[step.which % 2]
        order = f"{ORDERS[step.other % 3]}"
        return told.ordered(order=order, cart=cart, checkout=checkout, lines=bought)

    def _outcome(self, step: Step, told: Told) -> list[Event]:
        actions = [action for action in self.world.sent if action.user_id == told.user]
        if not actions:
            return []
        action = actions[-1 - step.other % len(actions)]
        kind = OUTCOMES[(step.which + step.other * 5) % len(OUTCOMES)]
        return [told.outcome(action.action_id, kind, action.channel, permanent=True)]


def play(
    history: History,
    *,
    partitions: int = 1,
    chunk: int = 500,
    watch: Callable[[World], object] | None = None,
) -> World:
    """Play a history from an empty store; ``watch`` sees the world after every commit."""
    world = World(history.policy, partitions=partitions, chunk=chunk)
    if watch is not None:
        for lane in world.lanes:
            lane.committed = partial(watch, world)
    world.down = True
    world.write(*history.records)
    world.down = False
    world.work()
    return world
