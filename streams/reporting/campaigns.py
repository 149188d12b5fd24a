"""Counts decisions and what came of them, per campaign and in total.

The effect is read as the experiment was made: the holdout is drawn by person and applied after
the choice, so ``sent`` and ``would_send_holdout`` differ by nothing else. A message that was sent
counts as sent whatever its gateway made of it (intention to treat), and what chance chose counts
too: the lot of exploration is drawn before, and alike in both groups.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from engine import decisions as log
from engine.decisions import Decision
from engine.errors import Refused
from engine.policy import Policy
from engine.times import DAY, from_iso
from monitoring.effect import Effect, Group, effect, group, more_withheld
from streams.log.topics import DECISIONS
from streams.reporting.facts import BY_MACHINE, Facts

TOTAL: Final = "total"
_SENT: Final = "sent"
_WITHHELD: Final = "would_send_holdout"
_DRY: Final = "would_send_dry_run"
_LEFT: Final = ("unsubscribed", "complained")


class Needed(NamedTuple):
    """An effect (difference of shares) and how many more withheld rows would show it.

    ``rows`` None = it cannot be said; ``days`` at the pace so far, None = no pace is known yet.
    """

    difference: float
    rows: int | None
    days: int | None


@dataclass(slots=True)
class CampaignReport:
    """One campaign, testers and dry runs left out; ``cost`` by currency.

    ``armed`` None = not recorded; ``held`` = deferred and still open; ``open_windows`` and
    ``incomplete`` = decisions whose orders are not, or no longer, all in the log.
    """

    armed: int | None = None
    versions: set[int] = field(default_factory=set)
    sent: Counter[str] = field(default_factory=Counter)
    silenced: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    held: int = 0
    testers: int = 0
    dry_run: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    people: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    cost: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    open_windows: int = 0
    incomplete: int = 0
    shares: set[tuple[float, str]] = field(default_factory=set)
    prior: float = 0.0
    _answers: dict[str, dict[str, list[int]]] = field(
        default_factory=lambda: {_SENT: {}, _WITHHELD: {}}
    )
    _expected: float = 0.0
    _expected_rows: int = 0
    _first: int = 0
    _last: int = 0

    @property
    def closed(self) -> int:
        """Return how many triggers came to an end."""
        counted = (self.sent, self.silenced, self.ended)
        return sum(sum(reasons.values()) for reasons in counted)

    @property
    def open(self) -> int | None:
        """Return how many triggers are still open; None when what was armed is not recorded."""
        return None if self.armed is None else self.armed - self.closed

    @property
    def effect(self) -> Effect:
        """Return orders after messages and after messages withheld, windows that are over."""
        treated, withheld = (
            group((n, k) for n, k in people.values()) for people in self._answers.values()
        )
        return effect(treated, withheld)

    @property
    def assumed(self) -> float | None:
        """Return the mean effect the decisions themselves expected, as a difference of shares."""
        return self._expected / self._expected_rows if self._expected_rows else None

    def needed(self, difference: float) -> Needed:
        """Return what it takes to tell ``difference`` from zero."""
        found = self.effect
        share = next(iter(self.shares), (0.0, ""))[0]
        rows = more_withheld(
            found,
            difference,
            base=self.prior,
            treated_per_withheld=(1 - share) / share if share else 0.0,
        )
        return Needed(difference, rows, self._days(rows, found.withheld))

    def _days(self, rows: int | None, withheld: Group) -> int | None:
        span = self._last - self._first
        if rows is None or not withheld.rows or span < DAY:
            return None
        return round(rows * span / withheld.rows / DAY)

    # --- counting --------------------------------------------------------------------------------

    def count(self, decision: Decision) -> None:
        """Count one closing decision."""
        if decision.campaign_version is not None:
            self.versions.add(decision.campaign_version)
        match decision.outcome:
            case "send":
                self.sent[decision.channel or ""] += 1
            case "disarm":
                self.ended[decision.reason] += 1
            case _:
                self.silenced[decision.reason] += 1

    def charge(self, decision: Decision, policy: Policy | None, facts: Facts) -> None:
        """Count what came of a message, and what it cost unless it reached nobody."""
        action = decision.action_id or ""
        told = facts.outcomes.get(action, set())
        self.outcomes.update(told)
        for outcome in told:
            self.people[outcome].add(decision.user_id)
        if facts.refused(action):
            self.refused += 1
            return
        channel = policy.channels.get(decision.channel or "") if policy is not None else None
        if channel is not None:
            self.cost[decision.currency] += channel.cost

    def answer(self, decision: Decision, at: int, *, ordered: bool) -> None:
        """Take a decision with a closed window into its group."""
        counts = self._answers[decision.reason].setdefault(decision.user_id, [0, 0])
        counts[0] += 1
        counts[1] += ordered
        view = decision.channels.get(decision.channel or "")
        if view is not None and view.uplift is not None:
            self._expected += view.uplift
            self._expected_rows += 1
        self._first = min(self._first or at, at)
        self._last = max(self._last, at)

    # --- as JSON ---------------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """Return it with names in order; shares as orders per 1,000."""
        found = self.effect
        return {
            "versions": sorted(self.versions),
            "armed": self.armed,
            "closed": self.closed,
            "sent": _ordered(self.sent),
            "silenced": _ordered(self.silenced),
            "ended": _ordered(self.ended),
            "open": self.open,
            "held": self.held,
            "left_out": {"testers": self.testers, "dry_run": _ordered(self.dry_run)},
            "outcomes": _ordered(self.outcomes),
            "refused": self.refused,
            "people": {
                "opened": len(self.people["opened"]),
                "clicked": len(self.people["clicked"]),
                **{name: len(self.people[name]) for name in _LEFT},
            },
            "cost": {currency: round(cost, 6) for currency, cost in sorted(self.cost.items())},
            "treated": _group(found.treated),
            "withheld": _group(found.withheld),
            "open_windows": self.open_windows,
            "incomplete_windows": self.incomplete,
            "difference_per_1000": None if found.estimate is None else _mille(found.estimate),
            "difference_interval": None if found.interval is None else _milles(found.interval),
            "told_from_zero": found.told,
            "needed": {
                "assumed": self._needed(self.assumed),
                "observed": self._needed(found.estimate),
            },
        }

    def _needed(self, difference: float | None) -> dict[str, Any] | None:
        if difference is None:
            return None
        needed = self.needed(difference)
        return {
            "difference_per_1000": _mille(difference),
            "more_withheld": needed.rows,
            "days": needed.days,
        }

    @property
    def left(self) -> int:
        """Return how many people unsubscribed or complained."""
        return len(set().union(*(self.people[name] for name in _LEFT)))

    @property
    def clicked(self) -> int:
        """Return how many people clicked, machines left out."""
        return len(self.people["clicked"])

    @property
    def by_machine(self) -> int:
        """Return how many messages were opened or followed by a machine."""
        return self.outcomes[BY_MACHINE]


@dataclass(frozen=True, slots=True)
class Report:
    """All campaigns by id, and the total; ``until``: how far the log reaches, ms.

    ``since``: ms, None = all of the log. ``uncertain``: decisions whose campaigns file was guessed.
    """

    campaigns: Mapping[str, CampaignReport]
    total: CampaignReport
    since: int | None
    until: int
    uncertain: int

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "since": self.since,
            "until": self.until,
            "uncertain": self.uncertain,
            "campaigns": {name: one.as_json() for name, one in self.campaigns.items()},
            "total": self.total.as_json(),
        }


def report(folder: Path, since: int | None = None) -> Report:
    """Report on a recorded run; ``since``: only the last ms of it, by the log's own time.

    Raises Refused when the folder holds no run, or no decision.
    """
    facts = Facts.read(folder)
    counting = _Counting(facts, None if since is None else facts.until - since)
    for decision in _decisions(folder / f"{DECISIONS}.jsonl"):
        counting.take(decision)
    counting.close()
    if since is None:
        counting.armed(_armed(folder))
    return Report(
        campaigns=dict(sorted(counting.campaigns.items())),
        total=counting.total,
        since=counting.since,
        until=facts.until,
        uncertain=counting.uncertain,
    )


class _Counting:
    """Takes decisions, each once, into their campaign and the total."""

    def __init__(self, facts: Facts, since: int | None) -> None:
        self.campaigns: dict[str, CampaignReport] = {}
        self.total = CampaignReport()
        self.since = since
        self.uncertain = 0
        self._facts = facts
        self._seen: set[str] = set()
        # episode -> campaign, of what was held back and did not come to an end
        self._held: dict[tuple[str, ...], str] = {}

    def take(self, decision: Decision) -> None:
        """Take one record; a record written twice by a killed worker counts once."""
        if decision.decision_id in self._seen:
            return
        self._seen.add(decision.decision_id)
        policy, certain = self._facts.judged(decision)
        into = self.campaigns.setdefault(decision.campaign, CampaignReport()), self.total
        tester = decision.tester or (policy is not None and decision.user_id in policy.testers)
        dry = _dry(decision, policy)
        episode = _episode(decision)
        if decision.outcome == "defer":
            if not tester and not dry:
                self._held[episode] = decision.campaign
            return
        self._held.pop(episode, None)
        at = from_iso(decision.at)
        if self.since is not None and at < self.since:
            return
        self.uncertain += not certain
        for one in into:
            if tester:
                one.testers += 1
            elif dry:
                one.dry_run[decision.reason] += 1
            else:
                self._count(one, decision, policy, at)

    def _count(
        self, one: CampaignReport, decision: Decision, policy: Policy | None, at: int
    ) -> None:
        one.count(decision)
        if decision.outcome == "send":
            one.charge(decision, policy, self._facts)
        campaign = policy.campaigns.get(decision.campaign) if policy is not None else None
        if policy is None or campaign is None:
            return
        one.shares.add((policy.holdout.share, policy.holdout.epoch))
        one.prior = one.prior or campaign.prior_order_rate
        if decision.reason not in (_SENT, _WITHHELD):
            return
        if at + campaign.conversion_window > self._facts.until:
            one.open_windows += 1
        elif at < self._facts.complete_from:
            one.incomplete += 1
        else:
            window, user = campaign.conversion_window, decision.user_id
            one.answer(decision, at, ordered=self._facts.ordered(user, at, window))

    def close(self) -> None:
        """Count what is still held back."""
        for campaign in self._held.values():
            self.campaigns[campaign].held += 1
            self.total.held += 1

    def armed(self, armed: Mapping[str, int] | None) -> None:
        """Say how many triggers were armed; only where everything that was armed is counted."""
        whole = armed is not None
        for name, one in self.campaigns.items():
            if armed is not None and not one.testers and not one.dry_run:
                one.armed = armed.get(name, 0)
            whole = whole and one.armed is not None
        if whole:
            self.total.armed = sum(one.armed or 0 for one in self.campaigns.values())


def _dry(decision: Decision, policy: Policy | None) -> bool:
    """Return whether the file in force said dry run: nobody in it could have been treated."""
    if decision.reason == _DRY or policy is None:
        return decision.reason == _DRY
    campaign = policy.campaigns.get(decision.campaign)
    return policy.mode == "dry_run" or (campaign is not None and campaign.status == "dry_run")


def _episode(decision: Decision) -> tuple[str, ...]:
    trigger = decision.trigger
    return decision.user_id, decision.campaign, trigger.kind, trigger.key, trigger.episode


def _decisions(path: Path) -> Iterator[Decision]:
    if not path.is_file():
        message = f"There is no {path}: nothing was decided in this run."
        raise Refused(message)
    with path.open("rb") as file:
        yield from _read(path, file)


def _read(path: Path, lines: Iterable[bytes]) -> Iterator[Decision]:
    for number, line in enumerate(lines, 1):
        try:
            yield log.decode(line)
        except msgspec.MsgspecError as error:
            message = f"{path}:{number}: not a decision ({error})."
            raise Refused(message) from error


def _armed(folder: Path) -> Mapping[str, int] | None:
    """Return what a recorded demo counted as armed, by campaign; no topic tells it."""
    path = folder / "armed.json"
    return msgspec.json.decode(path.read_bytes(), type=dict[str, int]) if path.is_file() else None


def _ordered(counted: Counter[str]) -> dict[str, int]:
    return dict(sorted(counted.items()))


def _group(one: Group) -> dict[str, Any]:
    return {
        "rows": one.rows,
        "people": one.people,
        "ordered": one.ordered,
        "effective_rows": round(one.size, 1),
        "per_1000": _mille(one.share) if one.rows else None,
        "interval": None if one.interval is None else _milles(one.interval),
    }


def _mille(share: float) -> float:
    return round(1000 * share, 3)


def _milles(interval: tuple[float, float]) -> list[float]:
    return [_mille(bound) for bound in interval]


__all__ = ["TOTAL", "CampaignReport", "Needed", "Report", "report"]
