"""What a message is worth by how likely an order is without it: rested and tired, per channel."""

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from engine.changes import Memory
from engine.decisions import uplift, worth
from engine.policy import Campaign, Policy
from engine.profile import Profile, Send
from engine.sends import charge, fatigue
from engine.times import DAY
from rules import campaigns
from streams.reference.pictures.canvas import MARGIN, WIDTH, Canvas, Role
from streams.sentence import channel_name, number

KIND: Final = "cart_abandonment"
# Days ago at which somebody tired has heard from us.
HEARD: Final = (5, 3, 1)
# Of p0, drawn.
MOST: Final = 0.5
_STEPS: Final = 500

_STYLES: Final[tuple[tuple[Role, str], ...]] = (
    ("first", ""),
    ("second", "7 4"),
    ("third", "2 3"),
    ("ink", "9 3 2 3"),
)
_HEIGHT: Final = 220
_BETWEEN: Final = 16
_TOP: Final = 94


@dataclass(frozen=True, slots=True)
class Curve:
    """One channel: worth at each p0 from 0 to :data:`MOST`, in the shop's currency."""

    channel: str
    points: tuple[tuple[float, float], ...]
    at_prior: float

    @property
    def even(self) -> float | None:
        """Return the lowest drawn p0 at which it is worth saying; None = there is none."""
        return next((p0 for p0, value in self.points if value > 0), None)


def shipped() -> tuple[Policy, Campaign]:
    """Return the shipped campaigns file and its cart campaign."""
    policy = campaigns.load(campaigns.shipped(), "the shipped campaigns file")
    return policy, next(one for one in policy.campaigns.values() if one.trigger == KIND)


def tiredness() -> float:
    """Return F of somebody who had one message on each day of :data:`HEARD`."""
    profile, now = Profile(), 100 * DAY
    for days in HEARD:
        charge(profile, Send(now - days * DAY, "any", "any", f"a-{days}"), Memory())
    return fatigue(profile, now)


def curves(tired: float) -> list[Curve]:
    """Return the curve of each channel of the cart campaign; ``tired`` is F."""
    policy, campaign = shipped()

    def value(channel: str, p0: float) -> float:
        gain = uplift(p0, campaign.lift.get(channel, 1.0))
        return worth(gain, campaign, policy.basket, policy, channel, 1.0 + tired)

    grid = [MOST * step / _STEPS for step in range(_STEPS + 1)]
    return [
        Curve(
            channel,
            tuple((p0, value(channel, p0)) for p0 in grid),
            value(channel, campaign.prior_order_rate),
        )
        for channel in campaign.channels
    ]


def picture() -> str:
    """Return the picture."""
    policy, campaign = shipped()
    tired = tiredness()
    rested, weary = curves(0.0), curves(tired)
    canvas = Canvas(
        "What a message is worth",
        "Worth over p0, the probability of an order without the message, for each channel; on the "
        "right for somebody who had three messages this week. Below 0 silence is best.",
    )
    _setting(canvas, policy, campaign)
    values = [value for curve in (*rested, *weary) for _, value in curve.points]
    scale = floor(min(values) * 2) / 2, ceil(max(values) * 2) / 2
    width = (WIDTH - 2 * MARGIN - _BETWEEN) / 2
    days = f"{len(HEARD)} messages in {max(HEARD)} days: F = {tired:.2f}"
    for place, (title, drawn) in enumerate(
        [("heard nothing lately: F = 0", rested), (days, weary)]
    ):
        left = MARGIN + place * (width + _BETWEEN)
        _Panel(canvas, left, width, scale).draw(title, drawn, campaign.prior_order_rate)
    return canvas.written(_legend(canvas, policy, campaign, rested, weary))


def _setting(canvas: Canvas, policy: Policy, campaign: Campaign) -> None:
    lifts = {campaign.lift.get(channel, 1.0) for channel in campaign.channels}
    lift = " / ".join(f"{lift:.2f}" for lift in sorted(lifts))
    said = (
        f"campaign {campaign.id}: basket {number(policy.basket)} {policy.currency}, "
        f"margin {campaign.margin:g}, lift {lift} (assumed)"
    )
    canvas.text(
        MARGIN, MARGIN + 10, f"worth of one message in {policy.currency}, by p0", bold=True, size=14
    )
    canvas.text(MARGIN, MARGIN + 29, said, size=12, role="soft")


class _Panel:
    """One pair of axes with its curves."""

    def __init__(
        self, canvas: Canvas, left: float, width: float, scale: tuple[float, float]
    ) -> None:
        self._canvas = canvas
        self._left, self._right = left + 34, left + width - 6
        self._low, self._high = scale

    def _x(self, p0: float) -> float:
        return self._left + p0 / MOST * (self._right - self._left)

    def _y(self, value: float) -> float:
        return _TOP + (self._high - value) / (self._high - self._low) * _HEIGHT

    def draw(self, title: str, drawn: list[Curve], prior: float) -> None:
        """Draw axes, the prior, and the curves."""
        canvas = self._canvas
        canvas.text(self._left, _TOP - 12, title, size=12.5, bold=True)
        canvas.bar(
            self._left,
            self._y(0),
            self._right - self._left,
            self._y(self._low) - self._y(0),
            "night",
            0,
        )
        for half in range(round(self._low * 2), round(self._high * 2) + 1):
            self._level(half / 2)
        for tenth in range(round(MOST * 10) + 1):
            x = self._x(tenth / 10)
            canvas.text(
                x, _TOP + _HEIGHT + 16, f"{tenth * 10} %", size=11, role="soft", anchor="middle"
            )
        canvas.text(
            self._right - 6,
            self._y(self._low) - 8,
            "silence is best",
            size=11.5,
            role="soft",
            anchor="end",
        )
        if prior <= MOST:
            canvas.curve(
                [(self._x(prior), _TOP), (self._x(prior), _TOP + _HEIGHT)], "soft", dashes="3 3"
            )
            canvas.text(self._x(prior) + 5, _TOP + 12, "prior", size=11, role="soft")
        for (role, dashes), curve in zip(_STYLES, drawn, strict=False):
            points = [(self._x(p0), self._y(value)) for p0, value in curve.points[::10]]
            canvas.curve(points, role, thick=2, dashes=dashes)

    def _level(self, value: float) -> None:
        canvas, y = self._canvas, self._y(value)
        canvas.curve([(self._left, y), (self._right, y)], "line" if value else "ink", thick=1)
        said = f"{value:g}".replace("-", "\N{MINUS SIGN}")
        canvas.text(self._left - 6, y + 4, said, size=11, role="soft", anchor="end")


def _legend(
    canvas: Canvas, policy: Policy, campaign: Campaign, rested: list[Curve], weary: list[Curve]
) -> float:
    """Write what each line is, with its figures; returns the height of the picture."""
    y = _TOP + _HEIGHT + 46
    columns = (MARGIN + 44, 150, 215, 320, 505)
    prior = f"{campaign.prior_order_rate:.0%}".replace("%", " %")
    titles = (
        "",
        "cost",
        "patience",
        "worth saying from p0",
        f"worth at the prior, {prior}",
    )
    for x, title in zip(columns, titles, strict=True):
        canvas.text(x, y, title, size=11.5, role="soft")
    for (role, dashes), fresh, tired in zip(_STYLES, rested, weary, strict=False):
        y += 21
        price = policy.channels[fresh.channel]
        canvas.curve([(MARGIN, y - 4), (MARGIN + 34, y - 4)], role, thick=2, dashes=dashes)
        row = (
            channel_name(fresh.channel),
            number(price.cost),
            number(price.patience),
            f"{_share(fresh.even)}, tired {_share(tired.even)}",
            f"{_money(fresh.at_prior)}, tired {_money(tired.at_prior)}",
        )
        for x, said in zip(columns, row, strict=True):
            canvas.text(x, y, said, size=12.5)
    return y + MARGIN


def _share(even: float | None) -> str:
    return "never" if even is None else f"{even * 100:.1f} %"


def _money(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


__all__ = ["HEARD", "MOST", "Curve", "curves", "picture", "shipped", "tiredness"]
