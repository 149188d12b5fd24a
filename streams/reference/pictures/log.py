"""The log of one partition: its records, and what the commit of each step carried."""

from typing import Final

from engine import decisions
from engine.events import Line, OrderCompleted, ProductAdded, Record, SettingsRecord, Tick
from engine.pipeline import DECISIONS
from engine.ports import Commit, Outgoing
from engine.times import MINUTE
from streams.reference.pictures.canvas import MARGIN, WIDTH, Canvas, Role, wrapped
from streams.reference.pictures.tale import Step, Tale

HERS, ANOTHERS = "u-1", "u-2"


def told() -> Tale:
    """Tell a small afternoon: two carts, one bought before its reminder, one reminded, a pause."""
    tale = Tale()
    start = tale.at(14)
    campaign = next(iter(tale.policy.campaigns.values()))
    tale.take(
        *tale.reachable(HERS, start),
        _added(tale, HERS, "c-1", start),
        _added(tale, ANOTHERS, "c-2", start + 2 * MINUTE),
    )
    tale.tick(start + 3 * MINUTE)
    bought = start + 20 * MINUTE
    tale.take(
        OrderCompleted(
            event_id="bought",
            user_id=ANOTHERS,
            occurred_at=bought,
            received_at=bought,
            order_id="o-1",
            cart_id="c-2",
        )
    )
    tale.tick_while_due(start + campaign.delay + MINUTE)
    tale.take(SettingsRecord(pause={"channel:push": True}, origin="picture"))
    tale.tick(start + campaign.delay + 2 * MINUTE)
    return tale


def _added(tale: Tale, user: str, cart: str, at: int) -> ProductAdded:
    return ProductAdded(
        event_id=f"added-{cart}",
        user_id=user,
        occurred_at=at,
        received_at=at,
        cart_id=cart,
        line=Line("p-1", 1, 299.0, "", tale.policy.currency),
    )


_NUMBER: Final = MARGIN + 24
_RECORD: Final = MARGIN + 34
_WIDE: Final = 226
_COMMIT: Final = _RECORD + _WIDE + 40
_ROW: Final = 30
_SIZE: Final = 12
_GAP: Final = 10


def picture() -> str:
    """Return the picture."""
    tale = told()
    canvas = Canvas(
        "One partition of the log, and what each step commits",
        "On the left the records by offset: events, ticks and settings. On the right what the "
        "commit of each step writes at once: profiles, wake-ups, the next offset, and what leaves.",
    )
    top = MARGIN + 10
    canvas.text(_RECORD, top, "records of events, one partition", bold=True, size=13)
    canvas.text(_COMMIT, top, "what each commit carries", bold=True, size=13)
    y = top + 14.0
    for step in tale.steps:
        y = _step(canvas, tale, step, y) + _GAP
    return canvas.written(y + MARGIN - _GAP)


def _step(canvas: Canvas, tale: Tale, step: Step, y: float) -> float:
    """Draw the records of one step and its commit; returns where they end."""
    carried = [
        line
        for said in carries(tale, step)
        for line in wrapped(said, WIDTH - MARGIN - _COMMIT - 20, _SIZE)
    ]
    records = step.chunk.records
    height = len(carried) * 17 + 10.0
    for place, (offset, record) in enumerate(records):
        row = y + place * _ROW
        role = _role(record)
        canvas.text(_NUMBER, row + 17, str(offset), size=11, role="soft", anchor="end", mono=True)
        canvas.bar(_RECORD, row, _WIDE, _ROW - 4, "plate")
        canvas.bar(_RECORD, row, 5, _ROW - 4, role, 2)
        canvas.text(_RECORD + 14, row + 17, named(tale, record), size=_SIZE)
    _brace(canvas, y, y + len(records) * _ROW - 4)
    canvas.frame(_COMMIT, y, WIDTH - MARGIN - _COMMIT, height, "line")
    for number, line in enumerate(carried):
        canvas.text(_COMMIT + 10, y + 18 + number * 17, line, size=_SIZE)
    return y + max(len(records) * _ROW - 4, height)


def _brace(canvas: Canvas, top: float, bottom: float) -> None:
    """Draw which records are taken together."""
    x, middle = _RECORD + _WIDE + 6, min(top + 13, (top + bottom) / 2)
    canvas.curve([(x, top + 2), (x + 8, top + 2), (x + 8, bottom - 2), (x, bottom - 2)], "soft")
    canvas.curve([(x + 8, middle), (_COMMIT - 4, middle)], "soft")
    canvas.shape(
        [(_COMMIT - 8, middle - 4), (_COMMIT - 8, middle + 4), (_COMMIT - 1, middle)], "soft"
    )


def _role(record: Record) -> Role:
    if isinstance(record, Tick):
        return "third"
    return "second" if isinstance(record, SettingsRecord) else "first"


def named(tale: Tale, record: Record) -> str:
    """Return a record in a few words."""
    match record:
        case Tick(now=now):
            return f"tick: it is {tale.clock(now)}"
        case SettingsRecord(pause=pause) if pause:
            return f"settings: pause {', '.join(pause)}"
        case SettingsRecord():
            return "settings: campaigns, templates"
        case _:
            kind = str(record.__struct_config__.tag).replace("_", " ")
            return f"{record.user_id}: {kind}, {tale.clock(record.occurred_at)}"


def carries(tale: Tale, step: Step) -> list[str]:
    """Return what a commit changes, part by part."""
    commit = step.commit
    found = [f"next offset {commit.head.offset}"]
    if commit.head.now != step.before.now:
        found[0] += f"; time {tale.clock(commit.head.now)}"
    if commit.head.settings != step.before.settings:
        found[0] += "; settings in force"
    if commit.profiles:
        kept = f"profiles {', '.join(commit.profiles)}"
        told_to = [user for user, addresses in commit.addresses.items() if addresses]
        found.append(kept + (f"; addresses {', '.join(told_to)}" if told_to else ""))
    if commit.wakes:
        found.append(f"wake-ups: {_wakes(tale, commit)}")
    found += [f"leaves: {_leaving(outgoing)}" for outgoing in commit.outbox]
    return found


def _wakes(tale: Tale, commit: Commit) -> str:
    return ", ".join(
        f"{user} at {tale.moment(at)}" if at else f"{user} none"
        for user, at in commit.wakes.items()
    )


def _leaving(outgoing: Outgoing) -> str:
    if outgoing.topic != DECISIONS:
        return f"{outgoing.topic} {outgoing.id}"
    decision = decisions.decode(outgoing.value)
    return f"{outgoing.topic} {outgoing.id}: {decision.outcome} ({decision.reason})"


__all__ = ["carries", "named", "picture", "told"]
