"""Frequency caps at work: some days of asking, what was sent, and which cap refused what."""

from dataclasses import dataclass
from typing import Final

from engine.changes import Memory
from engine.policy import Cap, Policy
from engine.ports import CapState, Case
from engine.profile import Profile, Send, Trigger
from engine.sends import charge
from engine.times import DAY, HOUR, MINUTE, from_iso
from rules import campaigns, count_caps
from rules.charges import charged_since
from rules.frequency import fill
from rules.guards import caps
from rules.zones import day_start, wall
from streams.reference.pictures.canvas import MARGIN, Canvas
from streams.sentence import channel_name

# (day, ms of the day, channel) of each message somebody wants to send her.
ASKED: Final = (
    (1, 10 * HOUR, "push"),
    (1, 18 * HOUR, "email"),
    (3, 10 * HOUR, "email"),
    (5, 12 * HOUR, "sms"),
    (7, 15 * HOUR, "push"),
    (8, 10 * HOUR - MINUTE, "push"),
    (8, 10 * HOUR, "push"),
    (10, 12 * HOUR, "sms"),
)
_START: Final = from_iso("2026-11-02T12:00:00+08:00")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and its answer; ``cap`` None = it was sent, and charged at once.

    ``counted``: times (ms) of the charges in the window of that cap; ``free_at``: ms at which
    it has room again; ``caps``: all of them, before the answer.
    """

    at: int
    channel: str
    caps: list[CapState]
    cap: Cap | None = None
    counted: tuple[int, ...] = ()
    free_at: int = 0


def asked(policy: Policy) -> list[Asked]:
    """Ask the guard of the caps at every moment of :data:`ASKED`; what it allows is charged."""
    profile = Profile(zones=[policy.timezone])
    answers = []
    for number, (day, clock, channel) in enumerate(ASKED):
        at = day_start(policy.timezone, _START, days=day - 1) + clock
        case = _case(policy, profile, at)
        objection = caps.GUARD(case, channel)
        states = count_caps(case)
        if objection is None:
            charge(profile, Send(at, case.campaign.id, channel, f"a-{number}"), Memory())
            answers.append(Asked(at, channel, states))
            continue
        cap = next(one for one in policy.caps if objection.reason == f"cap:{one.name}")
        counted = charged_since(case, window_start(cap, case), channel=cap.channel)
        free_at = fill(cap, case).free_at
        answers.append(Asked(at, channel, states, cap, tuple(counted), free_at))
    return answers


def window_start(cap: Cap, case: Case) -> int:
    """Return the ms from which a cap counts."""
    if cap.kind == "calendar_day":
        return day_start(case.policy.timezone, case.now) - 1
    return case.now - cap.window


def _case(policy: Policy, profile: Profile, at: int) -> Case:
    campaign = next(iter(policy.campaigns.values()))
    trigger = Trigger(campaign.id, campaign.trigger, "k", "e", at, at, at, at, at)
    return Case("u-1", profile, trigger, campaign, policy, at, dry_run=False)


_LEFT: Final = 150
_RIGHT: Final = 444
_SAID: Final = _RIGHT + 14
_ROW: Final = 40


def picture() -> str:
    """Return the picture."""
    policy = campaigns.load(campaigns.shipped(), "the shipped campaigns file")
    answers = asked(policy)
    canvas = Canvas(
        "Frequency caps at work",
        "A row per message somebody wants to send. A dot was sent; a cross was refused, with the "
        "window of the cap that refused it and the messages that it counts.",
    )
    rules = ", ".join(_rule(cap) for cap in policy.caps)
    canvas.text(MARGIN, MARGIN + 10, "may she hear one more?", bold=True, size=14)
    canvas.text(MARGIN, MARGIN + 29, f"caps: {rules}", size=12, role="soft")
    top = MARGIN + 62
    bottom = top + 8 + _ROW * len(answers)
    first = day_start(policy.timezone, _START)
    last = max(day for day, _, _ in ASKED)
    share = (_RIGHT - _LEFT) / (last * DAY)
    for day in range(last + 1):
        x = _LEFT + day * DAY * share
        canvas.curve([(x, top), (x, bottom)], "line")
        if day < last:
            middle = x + DAY * share / 2
            canvas.text(middle, top - 6, str(day + 1), size=11, role="soft", anchor="middle")
    canvas.text(_LEFT - 8, top - 6, "day", size=11, role="soft", anchor="end")
    y = top + 20.0
    for number, answer in enumerate(answers):
        _row(canvas, policy, answer, first, share, y)
        day, _, channel = ASKED[number]
        clock = f"{wall(policy.timezone, answer.at):%H:%M}"
        canvas.text(MARGIN, y + 4, f"day {day}, {clock}, {channel_name(channel)}", size=12)
        y += _ROW
    return canvas.written(bottom + MARGIN - 4)


def _row(canvas: Canvas, policy: Policy, answer: Asked, first: int, share: float, y: float) -> None:
    x = _LEFT + (answer.at - first) * share
    if answer.cap is None:
        canvas.dot(x, y, "second", 6)
        fullest = ", ".join(
            f"{cap.name} {cap.used}/{cap.limit}" for cap in _binding(policy, answer)
        )
        canvas.text(_SAID, y - 3, "sent", size=12.5, bold=True, role="second")
        canvas.text(_SAID, y + 12, f"used: {fullest}", size=11, role="soft")
        return
    start = max(_start(policy, answer), first)
    left = _LEFT + (start - first) * share
    canvas.bar(left, y - 7, x - left, 14, "line")
    for at in answer.counted:
        canvas.dot(_LEFT + (at - first) * share, y, "second", 4)
    canvas.cross(x, y, "no", 6)
    said = f"refused: {answer.cap.name}, {len(answer.counted)} of {answer.cap.limit}"
    canvas.text(_SAID, y - 3, said, size=12.5, bold=True, role="no")
    day = (answer.free_at - first) // DAY + 1
    clock = f"{wall(policy.timezone, answer.free_at):%H:%M}"
    canvas.text(_SAID, y + 12, f"room again on day {day}, {clock}", size=11, role="soft")


def _start(policy: Policy, answer: Asked) -> int:
    assert answer.cap is not None
    return window_start(answer.cap, _case(policy, Profile(), answer.at))


def _binding(policy: Policy, answer: Asked) -> list[CapState]:
    """Return the caps that bind the channel that was asked for."""
    binding = {cap.name for cap in policy.caps if cap.channel in {None, answer.channel}}
    return [cap for cap in answer.caps if cap.name in binding]


def _rule(cap: Cap) -> str:
    of = f" {channel_name(cap.channel)}" if cap.channel else ""
    match cap.kind:
        case "rolling":
            return f"{cap.name} = {cap.limit}{of} in any {_spoken(cap.window)}"
        case "calendar_day":
            return f"{cap.name} = {cap.limit}{of} a day"
        case _:
            return f"{cap.name} = {_spoken(cap.window)} between two{of}"


def _spoken(window: int) -> str:
    days, rest = divmod(window, DAY)
    return f"{days} d" if days > 1 and not rest else f"{window // HOUR} h"


__all__ = ["ASKED", "Asked", "asked", "picture", "window_start"]
