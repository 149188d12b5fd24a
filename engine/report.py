"""What a step did, counted: handed to whoever watches; never read by the step itself."""

from collections import Counter
from dataclasses import dataclass, field

from engine.events import Position


@dataclass(slots=True)
class Report:
    """Counts of one step or of many, added up. Keys of the counters are closed label sets.

    ``repeated``: lanes (source, partition) of which events were left out as repetitions of what is
    at or below a position. ``acted``: channel and due time (ms) of each action of a trigger that
    nothing had deferred.
    """

    events: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    bounded: Counter[str] = field(default_factory=Counter)
    armed: Counter[str] = field(default_factory=Counter)
    due: Counter[str] = field(default_factory=Counter)
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    recorded: Counter[str] = field(default_factory=Counter)
    lateness: list[int] = field(default_factory=list)
    acted: list[tuple[str, int]] = field(default_factory=list)
    scoring_failures: int = 0
    unknown_zones: int = 0
    ticks: int = 0
    settings: int = 0
    repeated: dict[tuple[str, int], Position] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        """Add another report to this one."""
        self.events.update(other.events)
        self.skipped.update(other.skipped)
        self.bounded.update(other.bounded)
        self.armed.update(other.armed)
        self.due.update(other.due)
        self.decisions.update(other.decisions)
        self.actions.update(other.actions)
        self.recorded.update(other.recorded)
        self.lateness.extend(other.lateness)
        self.acted.extend(other.acted)
        self.scoring_failures += other.scoring_failures
        self.unknown_zones += other.unknown_zones
        self.ticks += other.ticks
        self.settings += other.settings
        self.repeated.update(other.repeated)
