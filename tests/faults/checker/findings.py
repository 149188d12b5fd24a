"""What a check counts: what was promised never to happen, and what is merely told."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

# Each of these is a broken promise; a run that counts one of them has failed.
BROKEN: Final = {
    "sent_not_kept": "acknowledged by Kafka and not in its log as sent",
    "events_lost": "sent and not in `events`",
    "events_altered": "in `events` with another content than was sent",
    "events_unsent": "in `events` though nobody sent it",
    "events_reordered": "in `events` after a later event of the same person",
    "outputs_lost": "decisions and actions expected and not in the log",
    "outputs_altered": "decisions and actions with another content than expected",
    "outputs_unexpected": "decisions and actions nobody expected",
    "outputs_reordered": "decisions and actions after a later one of their partition",
    "doubles_unexplained": "repeated records that are no copy of the first",
    "doubled_after_rule": "decisions and actions doubled after the readers' rule",
    "profiles_differing": "profiles in Redis that differ",
    "addresses_differing": "addresses in Redis that differ",
    "wakes_differing": "wake-ups in Redis that differ",
    "heads_differing": "partitions that do not stand at the end of their log",
    "doubled_at_gateway": "messages a person got more than once",
    "hand_overs_lost": "actions nobody reported on",
    "hand_overs_untrue": "reports that the gateway's own book contradicts",
    "calls_undecided": "hand-overs of actions that are not in the log",
    "cap_violations": "messages beyond a cap",
    "bought_before_reminder": "reminders of what an order in the log had taken",
    "stale_decisions": "decisions without what had reached Kafka more than 5 s before",
    "letters_lost": "unreadable messages without a dead letter",
    "letters_unexpected": "dead letters of messages that can be read",
    "closed_twice": "episodes closed more than once, or closed and still open",
    "armed_unaccounted": "armed triggers neither closed nor open",
}

_KEPT: Final = 5


@dataclass
class Findings:
    """Counts by name, and the first few cases of what is broken."""

    counts: Counter[str] = field(default_factory=Counter)
    cases: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def tell(self, name: str, times: int = 1) -> None:
        """Count what is no fault."""
        self.counts[name] += times

    def broke(self, name: str, case: object) -> None:
        """Count a broken promise, and keep the case while there are few."""
        assert name in BROKEN, name
        self.counts[name] += 1
        if len(self.cases[name]) < _KEPT:
            self.cases[name].append(str(case)[:400])

    def add(self, other: "Findings") -> None:
        """Take the counts and cases of another check."""
        self.counts.update(other.counts)
        for name, cases in other.cases.items():
            self.cases[name] = (self.cases[name] + cases)[:_KEPT]

    @property
    def broken(self) -> dict[str, int]:
        """Return what was broken, and how often; empty = everything was kept."""
        return {name: self.counts[name] for name in BROKEN if self.counts[name]}
