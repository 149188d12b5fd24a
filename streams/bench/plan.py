"""How large a bench is: the whole of it, or a quick look."""

from dataclasses import dataclass

from streams.bench.hop import Case

PARTS = (
    "whole",
    "growth",
    "restart",
    "idle",
    "soak",
    "live",
    "burst",
    "handovers",
    "door",
    "peers",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes; seconds are wall time. ``people`` live the past that all users are copies of."""

    runs: int
    events: int
    people: int
    idle: int
    soak: int
    quick: bool = False

    @property
    def reference(self) -> Case:
        """Return what every headline figure is measured on."""
        return Case(self.events, 20_000 if self.quick else 100_000)

    @property
    def cases(self) -> list[Case]:
        """Return the reference and its variations, one at a time."""
        if self.quick:
            return [self.reference]
        events = self.events
        return [
            self.reference,
            Case(events, 100_000, workers=2),
            Case(events, 100_000, partitions=64),
            Case(events, 1_000_000),
        ]

    @property
    def growing(self) -> list[Case]:
        """Return the cases that differ in their users alone."""
        sizes = (2_000, 20_000) if self.quick else (10_000, 100_000, 1_000_000)
        return [Case(self.events, users) for users in sizes]


def of(*, quick: bool, runs: int | None, events: int | None, soak: int | None) -> Plan:
    """Return the plan for what was asked; None = as large as it usually is."""
    if quick:
        return Plan(
            runs=runs or 1,
            events=events or 30_000,
            people=1_000,
            idle=10,
            soak=soak or 10,
            quick=True,
        )
    return Plan(runs=runs or 3, events=events or 50_000, people=4_000, idle=30, soak=soak or 40)


__all__ = ["PARTS", "Plan", "of"]
