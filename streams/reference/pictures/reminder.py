"""The life of one cart reminder: edits of an evening, the night, the morning, what counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.decisions import Decision
from engine.events import Line, ProductAdded
from engine.policy import Campaign
from engine.profile import Trigger
from engine.times import DAY, HOUR, from_iso
from rules.guards.quiet_hours import span
from streams.reference.pictures.canvas import (
    MARGIN,
    WIDTH,
    Canvas,
    Role,
    width_of,
    wrapped,
)
from streams.reference.pictures.tale import Tale
from streams.sentence import sentence

KIND: Final = "cart_abandonment"
USER: Final = "u-1"
# Hours of the day at which she puts one more thing into her cart; the night comes before the
# reminder is due.
TOUCHED: Final = (18 + 10 / 60, 18 + 50 / 60, 19 + 40 / 60, 20.5, 21 + 20 / 60)

_LEFT: Final = 150
_RIGHT: Final = WIDTH - MARGIN
_ROW: Final = 24
_BAR: Final = 12
_SMALL: Final = 12


@dataclass(frozen=True, slots=True)
class Life:
    """What came of it: the trigger after each touch, and every decision until the end."""

    tale: Tale
    campaign: Campaign
    armed: list[Trigger]
    decisions: list[Decision]


def lived() -> Life:
    """Tell the evening to the engine and let time pass until nothing is armed any more."""
    tale = Tale()
    campaign = next(one for one in tale.policy.campaigns.values() if one.trigger == KIND)
    tale.take(*tale.reachable(USER, tale.at(TOUCHED[0]) - HOUR))
    armed = []
    for number, hour in enumerate(TOUCHED):
        at = tale.at(hour)
        tale.take(
            ProductAdded(
                event_id=f"added-{number}",
                user_id=USER,
                occurred_at=at,
                received_at=at,
                cart_id="c-1",
                line=Line(f"p-{number}", 1, 99.0, "", tale.policy.currency),
            )
        )
        trigger = tale.profile(USER).trigger(campaign.id, KIND, "c-1")
        assert trigger is not None
        armed.append(trigger)
    tale.tick_while_due(armed[-1].due_at + campaign.stale_after + HOUR)
    told = [one for one in tale.decisions() if one.campaign == campaign.id]
    return Life(tale, campaign, armed, told)


class _Axis:
    """Places times of one panel between its two edges."""

    def __init__(self, first: int, last: int, left: float, right: float) -> None:
        self.first, self.last, self.left, self.right = first, last, left, right

    def __call__(self, at: int) -> float:
        share = (min(max(at, self.first), self.last) - self.first) / (self.last - self.first)
        return self.left + share * (self.right - self.left)


def picture() -> str:
    """Return the picture."""
    life = lived()
    canvas = Canvas(
        "The life of one cart reminder",
        "Each change of the cart starts the delay anew, never beyond the hard limit. A tick decides"
        " what is due; in quiet hours it waits for the morning, or is dropped.",
    )
    y = _evening(canvas, life, MARGIN + 8)
    return canvas.written(_whole(canvas, life, y + 32) + MARGIN - 12)


def _evening(canvas: Canvas, life: Life, y: float) -> float:
    """Draw each touch of the cart and the due time that it led to."""
    tale, last = life.tale, life.armed[-1]
    start = tale.at(TOUCHED[0] // 1)
    axis = _Axis(start, last.due_at + HOUR // 2, _LEFT, _RIGHT)
    canvas.text(MARGIN, y + 4, "The evening: when is it due?", bold=True, size=14)
    top, bottom = y + 34, y + 42 + _ROW * len(TOUCHED)
    _nights(canvas, life, axis, top, bottom)
    _hours(canvas, life, axis, top, bottom, HOUR)
    y = top + 20
    for number, trigger in enumerate(life.armed):
        touched = tale.at(TOUCHED[number])
        canvas.text(
            MARGIN, y + 4, f"{tale.clock(touched)} {'changed' if number else 'added'}", size=12.5
        )
        canvas.curve([(axis(touched), y), (axis(trigger.due_at), y)], "first", thick=2)
        canvas.dot(axis(touched), y, "first")
        _due(canvas, life, axis, trigger, y)
        y += _ROW
    return bottom + 16


def _due(canvas: Canvas, life: Life, axis: _Axis, trigger: Trigger, y: float) -> None:
    """Mark a due time, and say where the hard limit has cut it short."""
    tale, last = life.tale, life.armed[-1]
    x = axis(trigger.due_at)
    canvas.curve([(x, y - 6), (x, y + 6)], "first", thick=2)
    cut = trigger.edited_at + life.campaign.delay > trigger.due_at
    clock = tale.clock(trigger.due_at)
    if trigger is not last:
        canvas.text(x + 6, y + 4, f"due {clock}", size=12)
    elif cut:
        limit = (
            f"hard limit: due {clock}, not {tale.clock(trigger.edited_at + life.campaign.delay)}"
        )
        canvas.text(axis(trigger.edited_at) - 10, y + 4, limit, size=12, anchor="end", bold=True)
    else:
        canvas.text(x - 6, y - 6, f"due {clock}", size=12, anchor="end", bold=True)


@dataclass(frozen=True, slots=True)
class _Span:
    name: str
    first: int
    last: int
    said: str
    role: Role


def _whole(canvas: Canvas, life: Life, y: float) -> float:
    """Draw what happens from the first touch to the end of what counts."""
    tale, spans = life.tale, list(_spans(life))
    start = tale.at(TOUCHED[0] // 1)
    end = max(one.last for one in spans)
    axis = _Axis(start, end + 2 * HOUR, _LEFT, _RIGHT)
    canvas.text(MARGIN, y + 4, "Night, morning, and what counts", bold=True, size=14)
    top, bottom = y + 34, y + 42 + _ROW * len(spans)
    _nights(canvas, life, axis, top, bottom)
    _hours(canvas, life, axis, top, bottom, 6 * HOUR)
    for decision in life.decisions:
        x = axis(from_iso(decision.at))
        canvas.curve([(x, top), (x, bottom)], "third", thick=1.5, dashes="4 3")
    y = top + 18
    for one in spans:
        canvas.text(MARGIN, y + 4, one.name, size=12.5)
        canvas.bar(axis(one.first), y - 6, max(axis(one.last) - axis(one.first), 3), _BAR, one.role)
        _said(canvas, axis, one, y)
        y += _ROW
    return _told(canvas, life, bottom + 44)


def _said(canvas: Canvas, axis: _Axis, one: _Span, y: float) -> None:
    """Write what a bar says behind it, or before it where no room is left behind."""
    room = axis.right - axis(one.last) - 6
    if width_of(one.said, _SMALL) <= room:
        canvas.text(axis(one.last) + 6, y + 4, one.said, size=_SMALL)
    else:
        canvas.text(axis(one.first) - 6, y + 4, one.said, size=_SMALL, anchor="end")


def _told(canvas: Canvas, life: Life, y: float) -> float:
    """Write what each tick decided; returns where the picture may end."""
    tale = life.tale
    for decision in life.decisions:
        canvas.curve([(MARGIN, y - 4), (MARGIN + 24, y - 4)], "third", thick=1.5, dashes="4 3")
        said = sentence(decision, tale.policy, lambda at: tale.moment(from_iso(at or "")))
        said = f"{tale.moment(from_iso(decision.at))}, a tick decides: {said}"
        lines = wrapped(said, WIDTH - 2 * MARGIN - 32, _SMALL)
        y = canvas.lines(MARGIN + 32, y, lines, size=_SMALL) + 4
    return y


def _spans(life: Life) -> Iterator[_Span]:
    tale, campaign, trigger = life.tale, life.campaign, life.armed[-1]
    moment = tale.moment
    closing = from_iso(life.decisions[-1].at)
    yield _Span(
        "armed, not due", trigger.armed_at, trigger.due_at, f"due {moment(trigger.due_at)}", "first"
    )
    stale = trigger.due_at + campaign.stale_after
    yield _Span("may be said", trigger.due_at, stale, f"stale after {moment(stale)}", "second")
    if len(life.decisions) > 1:
        yield _Span("held for her", trigger.due_at, closing, f"until {moment(closing)}", "soft")
    for action in tale.actions():
        expires = from_iso(action.delivery.expires_at)
        counted = closing + campaign.conversion_window
        yield _Span("may be delivered", closing, expires, f"until {moment(expires)}", "first")
        yield _Span("an order counts", closing, counted, f"until {moment(counted)}", "second")


def _nights(canvas: Canvas, life: Life, axis: _Axis, top: float, bottom: float) -> None:
    """Shade the quiet hours of her zone."""
    policy, at = life.tale.policy, axis.first
    while at < axis.last:
        stretch = span(policy.timezone, policy.quiet_hours, at)
        if stretch.quiet:
            canvas.bar(axis(at), top, axis(stretch.until) - axis(at), bottom - top, "night", 0)
            canvas.text(
                (axis(at) + axis(stretch.until)) / 2,
                top - 6,
                "quiet hours",
                size=11,
                role="soft",
                anchor="middle",
            )
        at = stretch.until


def _hours(canvas: Canvas, life: Life, axis: _Axis, top: float, bottom: float, every: int) -> None:
    """Draw the axis with its clock, below."""
    canvas.curve([(axis.left, bottom), (axis.right, bottom)], "line")
    for at in range(axis.first, axis.last + 1, every):
        canvas.curve([(axis(at), top), (axis(at), bottom + 4)], "line")
        days, rest = divmod(at - life.tale.at(0), DAY)
        said = life.tale.clock(at) if rest or not days else f"day {days + 1}"
        canvas.text(axis(at), bottom + 17, said, size=11, role="soft", anchor="middle")


__all__ = ["Life", "lived", "picture"]
