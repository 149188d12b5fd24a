"""Four true stories, found by search in the files of a run and told in three lines each.

Nothing of rekindle's own code is used but the times of day: what is told stands in ``events``,
``decisions``, ``actions`` and ``feedback`` as they were recorded, so anybody can look it up with
``rekindle user why``.
"""

import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from streams.demo.recount import Line, events, lines, ms

WIDTH: Final = 80
_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE
_INDENT: Final = "   "
# What a reader believes at once: she clicked, and ordered within the hour.
_SOON: Final = _HOUR
# "Minutes before": at most this long before the reminder was due.
_JUST_BEFORE: Final = 15 * _MINUTE
# Hours at which the reminder would have gone out: by night it would have been held anyway.
_AWAKE: Final = (9, 20)


@dataclass(frozen=True, slots=True)
class Story:
    """One story about one person; ``title`` says its point, ``told`` are three lines of text."""

    title: str
    user_id: str
    told: tuple[str, ...]


def find(folder: Path) -> list[Story]:
    """Return a story of each kind that the run holds, at most four; the newest of its kind."""
    run = _Run.read(folder)
    searches: tuple[Callable[[_Run], Iterator[Story]], ...] = (
        _reminded_and_bought,
        _bought_just_before,
        _held_overnight,
        _refused_by_a_cap,
    )
    return [story for search in searches for story in _first(search(run))]


def _first(found: Iterator[Story]) -> list[Story]:
    story = next(found, None)
    return [] if story is None else [story]


@dataclass(slots=True)
class _Run:
    """A run by person; decisions newest first."""

    decisions: list[Line]
    by_episode: dict[tuple[str, ...], list[Line]]
    actions: dict[str, Line]
    feedback: dict[str, dict[str, int]]
    orders: dict[str, list[Line]]
    added: dict[str, list[Line]]
    zones: dict[str, ZoneInfo]
    worth: "_Worth"

    @classmethod
    def read(cls, folder: Path) -> "_Run":
        orders: dict[str, list[Line]] = defaultdict(list)
        added: dict[str, list[Line]] = defaultdict(list)
        zones: dict[str, ZoneInfo] = {}
        for event in events(folder)[0]:
            if event["type"] == "order_completed":
                orders[event["user_id"]].append(event)
            elif event["type"] == "product_added":
                added[event["user_id"]].append(event)
            elif event["type"] == "identified" and event.get("zones"):
                zones[event["user_id"]] = ZoneInfo(event["zones"][0])
        once = {line["decision_id"]: line for line in lines(folder / "decisions.jsonl")}
        decisions = sorted(once.values(), key=lambda line: (line["at"], line["decision_id"]))
        by_episode: dict[tuple[str, ...], list[Line]] = defaultdict(list)
        for decision in decisions:
            by_episode[_episode(decision)].append(decision)
        told = (line for path in sorted(folder.glob("actions.*.jsonl")) for line in lines(path))
        feedback: dict[str, dict[str, int]] = defaultdict(dict)
        for line in lines(folder / "feedback.jsonl"):
            feedback[line["action_id"]].setdefault(line["type"], ms(line["occurred_at"]))
        return cls(
            decisions=decisions[::-1],
            by_episode=by_episode,
            actions={line["action_id"]: line for line in told},
            feedback=feedback,
            orders=orders,
            added=added,
            zones=zones,
            worth=_Worth.read(folder),
        )

    def zone(self, user_id: str) -> ZoneInfo:
        return self.zones.get(user_id, ZoneInfo("UTC"))

    def ended_by(self, user_id: str, since: int, until: int) -> Line | None:
        """Return her first order in (since, until]."""
        found = [one for one in self.orders[user_id] if since < one["occurred_at"] <= until]
        return min(found, key=_occurred, default=None)

    def left(self, decision: Line) -> Line | None:
        """Return what she put last into the cart a decision is about."""
        key, due = decision["trigger"]["key"], ms(decision["trigger"]["due_at"])
        mine = self.added[decision["user_id"]]
        found = [one for one in mine if one.get("cart_id") == key and one["occurred_at"] < due]
        return max(found, key=_occurred, default=None)


def _episode(decision: Line) -> tuple[str, ...]:
    trigger = decision["trigger"]
    return decision["user_id"], decision["campaign"], trigger["key"], trigger["episode"]


def _nearest(found: tuple[int, str, Line, Line, Line]) -> tuple[int, str]:
    return found[0], found[1]


def _occurred(event: Line) -> int:
    return int(event["occurred_at"])


@dataclass(frozen=True, slots=True)
class _Worth:
    """What a refused channel would have been worth: the log has no figure, but all it rests on."""

    rules: Line
    measured: dict[tuple[str, str], Line]

    @classmethod
    def read(cls, folder: Path) -> "_Worth":
        measured = {}
        for path in (folder / "artefacts").glob("*"):
            content = path.read_bytes()
            manifest = orjson.loads(content).get("manifest") if content[:1] == b"{" else None
            if manifest is not None:
                measured[manifest["name"], manifest["version"]] = manifest.get("lifts", {})
        return cls(tomllib.loads((folder / "campaigns.toml").read_text()), measured)

    def of(self, decision: Line, channel: str) -> float | None:
        """Return it for a sent decision, None where a figure is missing."""
        spoken = decision["channels"][decision["channel"]]
        campaign = next(c for c in self.rules["campaign"] if c["id"] == decision["campaign"])
        ours, theirs = (self.rules["channel"][c] for c in (channel, decision["channel"]))
        value = campaign["margin"] * decision["basket"]
        # patience times (1 + fatigue) is what is missing from the worth of the channel that spoke
        tired = (spoken["uplift"] * value - theirs["cost"] - spoken["worth"]) / theirs["patience"]
        lift = self._lift(decision, channel, campaign)
        if lift is None:
            return None
        p0 = spoken["p0"]
        uplift = p0 * lift / (1 - p0 + p0 * lift) - p0
        return float(uplift * value - ours["cost"] - ours["patience"] * tired)

    def _lift(self, decision: Line, channel: str, campaign: Line) -> float | None:
        model = decision["model"]
        lifts = self.measured.get(tuple(model), {}) if model else {}
        found = lifts.get(decision["trigger"]["kind"], {}).get(channel)
        assumed: float | None = campaign["lift"].get(channel)
        return assumed if found is None else float(found["odds_ratio"])


# --- the four searches --------------------------------------------------------------------------


def _reminded_and_bought(run: _Run) -> Iterator[Story]:
    """A cart reminder she clicked, and an order of that cart within the hour."""
    for decision in run.decisions:
        if decision["reason"] != "sent" or decision["campaign"] != "cart":
            continue
        action, clock = run.actions.get(decision["action_id"]), _Clock.of(run, decision)
        told = run.feedback.get(decision["action_id"], {})
        left, clicked = run.left(decision), told.get("clicked")
        if action is None or left is None or clicked is None:
            continue
        order = run.ended_by(decision["user_id"], ms(decision["at"]), clicked + _SOON)
        if order is None or order.get("cart_id") != decision["trigger"]["key"]:
            continue
        yield _story(
            "Reminded, and bought",
            decision,
            f"{clock(left)} {_named(left)} went into her cart, and nothing more.",
            f"{clock(ms(decision['at']))} {_channel(action)}: {_words(action)}",
            f"{clock(clicked)} clicked; {clock(order)} ordered for {_money(order)}.",
        )


def _bought_just_before(run: _Run) -> Iterator[Story]:
    """An order minutes before its reminder was due; the nearest one."""
    found = []
    for decision in run.decisions:
        if decision["reason"] != "converted" or decision["campaign"] != "cart":
            continue
        due, left = ms(decision["trigger"]["due_at"]), run.left(decision)
        order = run.ended_by(decision["user_id"], due - _JUST_BEFORE, due)
        awake = _AWAKE[0] <= _local(due, run.zone(decision["user_id"])).hour < _AWAKE[1]
        if order is not None and left is not None and awake:
            found.append((due - _occurred(order), decision["decision_id"], decision, left, order))
    for before, _, decision, left, order in sorted(found, key=_nearest):
        clock, due = _Clock.of(run, decision), ms(decision["trigger"]["due_at"])
        yield _story(
            "Silent, because she bought minutes before",
            decision,
            f"{clock(left)} {_named(left)} went into her cart; reminder due {clock(due)}.",
            f"{clock(order)} ordered for {_money(order)}, {_minutes(before)} before it was due.",
            f"{clock(due)} nothing was said: the order was in the log before the tick.",
        )


def _held_overnight(run: _Run) -> Iterator[Story]:
    """A reminder held for the night, and an order before morning let it go."""
    for decision in run.decisions:
        if decision["reason"] != "converted":
            continue
        earlier = [
            one for one in run.by_episode[_episode(decision)] if one["reason"] == "quiet_hours"
        ]
        left = run.left(decision)
        if not earlier or left is None:
            continue
        clock, held = _Clock.of(run, decision), earlier[0]
        order = run.ended_by(decision["user_id"], ms(held["at"]), ms(held["until"]))
        if order is None or order.get("cart_id") != decision["trigger"]["key"]:
            continue
        yield _story(
            "Held overnight, then not needed",
            decision,
            f"{clock(left)} {_named(left)} went into her cart.",
            f"{clock(ms(held['at']))} due, but it is night: held until {clock(ms(held['until']))}.",
            f"{clock(order)} ordered for {_money(order)}: the reminder was dropped.",
        )


def _refused_by_a_cap(run: _Run) -> Iterator[Story]:
    """A cap closed the channel that was worth most, and another spoke; else a cap that silenced."""
    yield from _another_spoke(run)
    for decision in run.decisions:
        if decision["reason"].startswith("cap:"):
            name = decision["reason"].removeprefix("cap:")
            clock, at = _Clock.of(run, decision), ms(decision["at"])
            yield _story(
                "A cap refused every channel",
                decision,
                f"{clock(at)} {decision['campaign']} was due.",
                f"{_cap(decision, name)}.",
                "Nothing was said: a cap counts at the moment of decision.",
            )


def _another_spoke(run: _Run) -> Iterator[Story]:
    for decision in run.decisions:
        if decision["reason"] != "sent":
            continue
        chosen, action = decision["channel"], run.actions.get(decision["action_id"])
        for channel, view in decision["channels"].items():
            objection, worth = view["objection"] or "", run.worth.of(decision, channel)
            best = worth is not None and worth > decision["channels"][chosen]["worth"]
            if not best or action is None or not objection.startswith("cap:"):
                continue
            clock, spoken = _Clock.of(run, decision), decision["channels"][chosen]["worth"]
            yield _story(
                "A cap refused the best channel",
                decision,
                f"{clock(ms(decision['at']))} {_NAMES[channel]} was worth most, {worth:.2f} "
                f"{decision['currency']}.",
                f"{_cap(decision, objection.removeprefix('cap:'))}.",
                f"So she got {_A_CHANNEL[chosen]}, worth {spoken:.2f}: {_words(action)}",
            )


# --- words --------------------------------------------------------------------------------------

_NAMES: Final = {"push": "Push", "email": "E-mail", "sms": "SMS"}
_A_CHANNEL: Final = {"push": "a push", "email": "an e-mail", "sms": "an SMS"}


def _cap(decision: Line, name: str) -> str:
    _, used, limit = next(cap for cap in decision["caps"] if cap[0] == name)
    had = "1 had" if used == 1 else f"{used} had"
    return f"The cap {name} allows {limit}, and {had} gone out"


@dataclass(slots=True)
class _Clock:
    """Tells times as she saw them; the date only when it changes."""

    zone: ZoneInfo
    said: str = ""

    @classmethod
    def of(cls, run: _Run, decision: Line) -> "_Clock":
        return cls(run.zone(decision["user_id"]))

    def __call__(self, when: int | Line) -> str:
        at = when if isinstance(when, int) else _occurred(when)
        local = _local(at, self.zone)
        day = f"{local:%a} {local.day} {local:%b} "
        shown, self.said = ("" if day == self.said else day), day
        return f"{shown}{local:%H:%M}"


def _local(at: int, zone: ZoneInfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).astimezone(zone)


def _story(title: str, decision: Line, *told: str) -> Story:
    return Story(title, decision["user_id"], tuple(_cut(f"{_INDENT}{line}") for line in told))


def _cut(text: str) -> str:
    """Return the text with at most 80 columns; a Chinese character takes two."""
    width, kept = 0, ""
    for character in text:
        width += 2 if ord(character) > 0x2E7F else 1
        if width > WIDTH - 1:
            return kept.rstrip() + "…"
        kept += character
    return text


def _named(added: Line) -> str:
    _, count, price, name, currency = added["line"]
    return f"{name}{f' x {count}' if count > 1 else ''} ({price:g} {currency})"


def _money(order: Line) -> str:
    return f"{order['total']:g} {order['currency']}"


def _minutes(ms_: int) -> str:
    minutes = max(1, round(ms_ / _MINUTE))
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _channel(action: Line) -> str:
    return _NAMES[action["channel"]]


def _words(action: Line) -> str:
    content: dict[str, Any] = action["content"]
    return f"\u201c{content['body'].splitlines()[0]}\u201d"


def told(stories: Iterable[Story]) -> Iterator[str]:
    """Yield the stories as lines of at most 80 columns."""
    for number, story in enumerate(stories, 1):
        yield f"{number}. {story.title} ({story.user_id})"
        yield from story.told


__all__ = ["Story", "find", "told"]
