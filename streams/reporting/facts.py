"""What the log of events tells a report: orders, outcomes, and which campaigns file was in force.

Reports of gateways are taken where the engine took them, from the outcomes in ``events``: every
record of ``feedback`` arrives there, and so do the outcomes that apps tell.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from engine.decisions import Decision
from engine.errors import InvalidEvent, Refused
from engine.events import OrderCompleted, Outcome, Record, SettingsRecord, Tick
from engine.policy import Policy, Settings
from rules import campaigns
from streams.log import codec
from streams.replay import recording

# What a machine does with a message (a mail filter that opens every link) is told apart.
BY_MACHINE: Final = "by_machine"
_ACTS: Final = frozenset({"opened", "clicked"})
# As the engine counts: such an action costs nothing unless one of the proofs came too.
_REFUSALS: Final = frozenset({"rejected", "expired", "cancelled", "failed"})
_PROOFS: Final = frozenset(
    {
        "accepted",
        "delivered",
        "opened",
        "clicked",
        "unknown",
        BY_MACHINE,
    }
)


class Judged(NamedTuple):
    """The policy a decision was made under; ``certain`` False = the best guess."""

    policy: Policy | None
    certain: bool


@dataclass(slots=True)
class Facts:
    """One reading of ``events``; times in ms.

    ``until``: how far the log reaches. ``complete_from``: before it retention removed events, so
    that an order may be missing. ``orders``: times by person, first telling of each.
    """

    until: int = 0
    complete_from: int = 0
    orders: dict[str, list[int]] = field(default_factory=dict)
    outcomes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    policies: dict[str, Policy] = field(default_factory=dict)
    _newest_event: int = 0
    _first_told: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Facts":
        """Read a recorded run; raises Refused when there is none, or no campaigns file in it."""
        facts, files = cls(), _campaigns_files(folder)
        for found in recording.partitions(folder):
            facts._partition(found.path, files)
        facts.until = facts.until or facts._newest_event
        for (user, _), at in facts._first_told.items():
            facts.orders.setdefault(user, []).append(at)
        return facts

    def _partition(self, path: Path, files: Mapping[str, Policy]) -> None:
        settings, first = Settings(), True
        for at, offset, record in _records(path):
            if first and offset > 0:
                self.complete_from = max(self.complete_from, at)
            first = False
            if isinstance(record, SettingsRecord):
                settings = settings.merged(record)
                policy = files.get(settings.campaigns or "")
                if policy is not None:
                    self.policies[settings.digest()] = policy
            elif isinstance(record, Tick):
                self.until = max(self.until, record.now)
            elif record is not None:
                self._newest_event = max(self._newest_event, record.received_at)
                self._note(record)

    def _note(self, record: Record) -> None:
        if isinstance(record, OrderCompleted):
            # Order Updated tells the order again: the purchase stays where it was
            key, at = (record.user_id, record.order_id), record.occurred_at
            self._first_told[key] = min(self._first_told.get(key, at), at)
        elif isinstance(record, Outcome):
            machine = record.machine and record.outcome in _ACTS
            self.outcomes[record.action_id].add(BY_MACHINE if machine else record.outcome)

    def judged(self, decision: Decision) -> Judged:
        """Return the campaigns file a decision was made under, by its settings hash.

        Where the settings record is gone, a file with that campaign and version stands in for it.
        """
        exact = self.policies.get(decision.settings_hash)
        if exact is not None:
            return Judged(exact, certain=True)
        for policy in reversed(self.policies.values()):
            campaign = policy.campaigns.get(decision.campaign)
            if campaign is not None and decision.campaign_version in (None, campaign.version):
                return Judged(policy, certain=False)
        return Judged(next(reversed(self.policies.values()), None), certain=False)

    def ordered(self, user: str, at: int, window: int) -> bool:
        """Return whether she ordered in (at, at + window]: one at ``at`` was known to the tick."""
        return any(at < order <= at + window for order in self.orders.get(user, ()))

    def refused(self, action_id: str) -> bool:
        """Return whether the action reached nobody, for all that was reported."""
        told = self.outcomes.get(action_id, set())
        return bool(told & _REFUSALS) and not told & _PROOFS


def _records(path: Path) -> Iterator[tuple[int, int, Record | None]]:
    """Yield (broker time, offset, record); what cannot be read was dead-lettered live: None."""
    for recorded in recording.records(path):
        record = None
        with suppress(InvalidEvent):
            record = codec.read_at(bytes(recorded.value), recorded.timestamp)
        yield recorded.timestamp, recorded.offset, record


def _campaigns_files(folder: Path) -> dict[str, Policy]:
    """Return the campaigns files among the artefacts, by hash; raises Refused without any."""
    files: dict[str, Policy] = {}
    for sha, content in sorted(recording.artefacts(folder).items()):
        with suppress(Refused):  # a template set or a model
            files[sha] = campaigns.load(content, f"campaigns {sha[:8]}")
    if not files:
        message = f"{folder} holds no campaigns file under artefacts/: nothing was ever applied."
        raise Refused(message)
    return files


__all__ = ["BY_MACHINE", "Facts", "Judged"]
