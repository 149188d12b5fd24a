"""Counts a run again from its files alone: nothing of rekindle's own code is used for it.

So a mistake in the engine, the rules or the streams cannot hide itself here. Read are
``events/*.jsonl``, ``decisions.jsonl``, ``actions.*.jsonl``, ``feedback.jsonl``,
``gateway*.jsonl`` (one line per hand-over, with its ``action_id``), the campaigns file, and two
counts from elsewhere: ``armed.json`` (triggers armed per campaign, from a replay of the log) and
``open.json`` (triggers still armed per campaign, from the profiles in Redis).
"""

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import sqrt
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

Line = dict[str, Any]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_REFUSALS: Final = frozenset({"rejected", "expired", "cancelled", "failed"})
_PROOFS: Final = frozenset({"accepted", "delivered", "opened", "clicked", "unknown"})
# Standard normal quantile of a 95 % interval.
_Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Balance:
    """Where the triggers of one campaign went; ``armed`` and ``open`` None = not counted."""

    armed: int | None
    sent: int
    silenced: int
    disarmed: int
    open: int | None

    @property
    def holds(self) -> bool:
        """Return whether armed = sent + silenced + disarmed + open; True if it cannot be told."""
        if self.armed is None or self.open is None:
            return True
        return self.armed == self.sent + self.silenced + self.disarmed + self.open


@dataclass(frozen=True, slots=True)
class Group:
    """Messages sent, or withheld, and how many of their people ordered within the window.

    ``size`` is the number of independent messages they are worth: several messages to one person
    tell less than as many to different people.
    """

    messages: int
    ordered: int
    size: float

    @property
    def share(self) -> float:
        """Return the share that ordered."""
        return self.ordered / self.messages if self.messages else 0.0


@dataclass(frozen=True, slots=True)
class Lift:
    """Orders per 1,000 messages, treated minus withheld, with a 95 % interval."""

    treated: Group
    withheld: Group
    estimate: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Recount:
    """What the files say; the lists hold one sentence per finding.

    ``unknown``: hand-overs of which nobody can say whether they arrived; they are never repeated.
    """

    events: int
    profiles: int
    actions: dict[str, int]
    decisions: dict[str, int]
    balances: dict[str, Balance]
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    over_cap: tuple[str, ...]
    unexplained: tuple[str, ...]
    unknown: int
    lifts: dict[str, Lift]

    @property
    def clean(self) -> bool:
        """Return whether nothing is lost, doubled, over a cap, unexplained or out of balance."""
        found = self.lost or self.doubled or self.over_cap or self.unexplained
        return not found and all(balance.holds for balance in self.balances.values())


def recount(folder: Path, campaigns: Path) -> Recount:
    """Count the run recorded in ``folder`` under the campaigns file that was in force."""
    rules = tomllib.loads(campaigns.read_text())
    log = _Log.read(folder)
    closing = log.closings()
    return Recount(
        events=len(log.events),
        profiles=len({event["user_id"] for event in log.events}),
        actions=dict(Counter(action["channel"] for action in log.actions.values())),
        decisions=dict(Counter(decision["reason"] for decision in closing)),
        balances=_balances(closing, _counts(folder, "armed"), _counts(folder, "open")),
        lost=tuple(_lost(log)),
        doubled=tuple(_doubled(log)),
        over_cap=tuple(_over_cap(log, rules)),
        unexplained=tuple(_unexplained(log)),
        unknown=sum("unknown" in told for told in log.feedback.values()),
        lifts={c["id"]: _lift(log, c) for c in rules.get("campaign", [])},
    )


# --- reading ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Log:
    """The lines of one run, repetitions of the same record taken out of events."""

    events: list[Line]
    ends_at: int
    decisions: list[Line]
    action_lines: list[Line]
    actions: dict[str, Line]
    feedback: dict[str, set[str]]
    gateway: list[str]

    @classmethod
    def read(cls, folder: Path) -> "_Log":
        told, ends_at = events(folder)
        action_lines = [
            line for path in sorted(folder.glob("actions.*.jsonl")) for line in lines(path)
        ]
        feedback: dict[str, set[str]] = defaultdict(set)
        for line in lines(folder / "feedback.jsonl"):
            feedback[line["action_id"]].add(line["type"])
        gateway = [
            line.get("action", line)["action_id"]
            for path in sorted(folder.glob("gateway*.jsonl"))
            for line in lines(path)
        ]
        return cls(
            events=told,
            ends_at=ends_at,
            decisions=list(lines(folder / "decisions.jsonl")),
            action_lines=action_lines,
            actions={line["action_id"]: line for line in action_lines},
            feedback=feedback,
            gateway=gateway,
        )

    def closings(self) -> list[Line]:
        """Return the decisions that end a trigger, each once."""
        once = {line["decision_id"]: line for line in self.decisions}
        return [line for line in once.values() if line["outcome"] != "defer"]

    def given_back(self, action_id: str) -> bool:
        told = self.feedback.get(action_id, set())
        return bool(told & _REFUSALS) and not told & _PROOFS


def lines(path: Path) -> Iterator[Line]:
    """Yield the JSON lines of a file; none if it is not there."""
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                yield orjson.loads(line)


def events(folder: Path) -> tuple[list[Line], int]:
    """Return the events, each source position once, and the last tick's time (ms)."""
    once: dict[object, Line] = {}
    ends_at = 0
    for path in sorted((folder / "events").glob("*.jsonl")):
        for number, line in enumerate(lines(path)):
            record = line["value"]
            if record["type"] == "tick":
                ends_at = max(ends_at, record["now"])
            elif record["type"] != "settings":
                source = record.get("source")
                once[tuple(source) if source else (path.name, number)] = record
    return list(once.values()), ends_at


def _counts(folder: Path, name: str) -> dict[str, int] | None:
    path = folder / f"{name}.json"
    return orjson.loads(path.read_bytes()) if path.exists() else None


def ms(iso: str) -> int:
    """Return a time in ISO 8601 as ms, UTC."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return (datetime.fromisoformat(iso) - epoch) // timedelta(milliseconds=1)


def _duration(text: str) -> int:
    """Return the ms of a duration of the campaigns file, such as 24h or 1h30m."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    return round(sum(float(number) * _SECONDS[unit] for number, unit in parts) * 1000)


# --- what became of the triggers ----------------------------------------------------------------


def _balances(
    closings: Iterable[Line], armed: Mapping[str, int] | None, still: Mapping[str, int] | None
) -> dict[str, Balance]:
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    for decision in closings:
        ends[decision["campaign"]][decision["outcome"]] += 1
    return {
        name: Balance(
            armed=None if armed is None else armed.get(name, 0),
            sent=ends[name]["send"],
            silenced=ends[name]["suppress"],
            disarmed=ends[name]["disarm"],
            open=None if still is None else still.get(name, 0),
        )
        for name in sorted({*ends, *(armed or ()), *(still or ())})
    }


# --- lost, doubled, unexplained -----------------------------------------------------------------


def _lost(log: _Log) -> Iterator[str]:
    """Find what was decided and written nowhere, and what was written and reached nobody."""
    for decision in log.closings():
        if decision["outcome"] == "send" and decision["action_id"] not in log.actions:
            yield f"decision {decision['decision_id']} sent, and no action was written"
    handed_over = set(log.gateway)
    for action_id, action in log.actions.items():
        fate = log.feedback.get(action_id, set()) & (_REFUSALS | {"unknown"})
        if action_id not in handed_over and not fate:
            yield f"action {action_id} on {action['channel']} was never handed over"


def _doubled(log: _Log) -> Iterator[str]:
    for action_id, times in Counter(log.gateway).items():
        if times > 1:
            yield f"action {action_id} was handed over {times} times"
    for action_id, times in Counter(line["action_id"] for line in log.action_lines).items():
        if times > 1:
            yield f"action {action_id} stands {times} times in its topic"
    endings = Counter(_episode(d) for d in log.decisions if d["outcome"] != "defer")
    for episode, times in endings.items():
        if times > 1:
            yield f"trigger {' '.join(episode)} ended {times} times"


def _episode(decision: Line) -> tuple[str, ...]:
    trigger = decision["trigger"]
    return decision["user_id"], decision["campaign"], trigger["key"], trigger["episode"]


def _unexplained(log: _Log) -> Iterator[str]:
    """Find what was written or handed over and never decided."""
    decided = {d["action_id"] for d in log.decisions if d["outcome"] == "send"}
    for action_id in sorted(log.actions.keys() - decided):
        yield f"action {action_id} was written, and nobody decided it"
    for action_id in sorted(set(log.gateway) - log.actions.keys()):
        yield f"action {action_id} was handed over, and its topic does not hold it"


# --- caps ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spoken:
    """One message that counts: decided at ``at`` (ms); ``ours`` False = another system's."""

    at: int
    channel: str
    zone: str
    ours: bool


def _over_cap(log: _Log, rules: Line) -> Iterator[str]:
    """Count every window of every cap over what was handed over, counted at decision time."""
    said: dict[str, list[_Spoken]] = defaultdict(list)
    testers = set(rules.get("testers", []))
    for action_id in set(log.gateway) & log.actions.keys():
        action = log.actions[action_id]
        if not log.given_back(action_id) and action["user_id"] not in testers:
            at, zone = ms(action["delivery"]["created_at"]), action["to"]["timezone"]
            said[action["user_id"]].append(_Spoken(at, action["channel"], zone, ours=True))
    for event in log.events:
        if event["type"] == "sent_elsewhere" and event["user_id"] in said:
            spoken = _Spoken(event["occurred_at"], event["channel"], "", ours=False)
            said[event["user_id"]].append(spoken)
    for user, sends in sorted(said.items()):
        for cap in rules.get("cap", []):
            counted = [s for s in sends if cap.get("channel") in (None, s.channel)]
            for send in sorted(counted, key=lambda spoken: spoken.at):
                used = sum(1 for s in counted if _binds(cap, s, send)) if send.ours else 0
                if used > _limit(cap):
                    when = datetime.fromtimestamp(send.at / 1000, UTC).isoformat()
                    yield f"{user} heard {used} messages within {cap['name']} at {when}"


def _limit(cap: Line) -> int:
    return int(cap.get("limit", 1))


def _binds(cap: Line, earlier: _Spoken, send: _Spoken) -> bool:
    """Return whether a send lies in the cap's window that ends with ``send``, itself included."""
    if earlier.at > send.at:
        return False
    if cap["kind"] == "calendar_day":
        zone = ZoneInfo(send.zone)
        return _day(earlier.at, zone) == _day(send.at, zone)
    # one exactly a window ago has left it
    return earlier.at > send.at - _duration(cap["window"])


def _day(at: int, zone: ZoneInfo) -> tuple[int, int, int]:
    local = datetime.fromtimestamp(at / 1000, zone)
    return local.year, local.month, local.day


# --- the effect ---------------------------------------------------------------------------------


def _lift(log: _Log, campaign: Line) -> Lift:
    """Compare people who ordered within the window after a message, and after one withheld.

    Only windows that are over count: who still may order is no "no".
    """
    window = _duration(campaign["conversion_window"])
    orders = _orders(log.events)
    groups: dict[str, dict[str, list[bool]]] = {
        "sent": defaultdict(list),
        "would_send_holdout": defaultdict(list),
    }
    for decision in log.closings():
        at, user = ms(decision["at"]), decision["user_id"]
        group = groups.get(decision["reason"])
        if group is None or decision["campaign"] != campaign["id"] or at + window > log.ends_at:
            continue
        group[user].append(any(at < order <= at + window for order in orders.get(user, ())))
    treated, withheld = (_group(list(group.values())) for group in groups.values())
    if not treated.messages or not withheld.messages:
        return Lift(treated, withheld, None, None)
    low, high = newcombe(treated.share, treated.size, withheld.share, withheld.size)
    estimate = 1000 * (treated.share - withheld.share)
    return Lift(treated, withheld, estimate, (1000 * low, 1000 * high))


def _orders(events: Iterable[Line]) -> dict[str, list[int]]:
    """Return when each person ordered, each order once, at its first telling."""
    first: dict[tuple[str, str], int] = {}
    for event in events:
        if event["type"] == "order_completed":
            key = event["user_id"], event["order_id"]
            first[key] = min(first.get(key, event["occurred_at"]), event["occurred_at"])
    found: dict[str, list[int]] = defaultdict(list)
    for (user, _), at in first.items():
        found[user].append(at)
    return found


def _group(people: Sequence[Sequence[bool]]) -> Group:
    messages = sum(len(answers) for answers in people)
    ordered = sum(sum(answers) for answers in people)
    return Group(messages, ordered, messages / _design_effect(people, messages, ordered))


def _design_effect(people: Sequence[Sequence[bool]], messages: int, ordered: int) -> float:
    """Return how much wider the answers of the same people make the variance; at least 1."""
    if not 0 < ordered < messages or len(people) < 2:
        return 1.0
    share = ordered / messages
    residuals = sum((sum(answers) - share * len(answers)) ** 2 for answers in people)
    clustered = residuals / messages**2 * len(people) / (len(people) - 1)
    return max(1.0, clustered / (share * (1 - share) / messages))


def wilson(share: float, size: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    middle = (share + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = _Z / (1 + _Z**2 / size) * sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2))
    return middle - half, middle + half


def newcombe(share: float, size: float, other: float, other_size: float) -> tuple[float, float]:
    """Return Newcombe's 95 % interval of ``share`` - ``other`` (his method 10)."""
    low, high = wilson(share, size)
    other_low, other_high = wilson(other, other_size)
    difference = share - other
    return (
        difference - sqrt((share - low) ** 2 + (other_high - other) ** 2),
        difference + sqrt((high - share) ** 2 + (other - other_low) ** 2),
    )


__all__ = ["Balance", "Group", "Lift", "Recount", "newcombe", "recount", "wilson"]
