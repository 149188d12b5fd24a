"""The runs: how hard each is, and which check must notice which broken worker."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tests.faults.checker.findings import Findings
from tests.faults.world.plan import Plan

# Faults of a minute, and of two: something of everything.
MINUTE: Final[Mapping[str, int]] = {
    "kill": 14,
    "kill_at": 14,
    "replace": 1,
    "freeze": 1,
    "redis_kill": 2,
    "redis_back": 2,
    "redis_cut": 1,
    "kafka_cut": 1,
    "gateway_ill": 1,
}
TWO_MINUTES: Final[Mapping[str, int]] = {
    "kill": 22,
    "kill_at": 27,
    "replace": 2,
    "freeze": 2,
    "roll": 1,
    "scale": 1,
    "nobody": 1,
    "redis_kill": 3,
    "redis_back": 3,
    "redis_full": 1,
    "redis_cut": 2,
    "redis_slow": 1,
    "kafka_stop": 1,
    "kafka_cut": 2,
    "kafka_slow": 1,
    "gateway_slow": 1,
    "gateway_ill": 1,
}
# What is added to kills and falls of Redis in each round of a long run.
BESIDE: Final[Mapping[str, int]] = {
    "freeze": 3,
    "roll": 2,
    "scale": 2,
    "nobody": 2,
    "redis_full": 2,
    "redis_cut": 4,
    "redis_slow": 2,
    "kafka_stop": 1,
    "kafka_cut": 4,
    "kafka_slow": 2,
    "gateway_slow": 2,
    "gateway_ill": 3,
}


def plain(seed: int, seconds: float, rate: float = 800.0) -> Plan:
    """Return the run of one or two minutes; two from 90 s on."""
    faults = TWO_MINUTES if seconds >= 90 else MINUTE
    return Plan(
        seed=seed, seconds=seconds, rate=rate, users=2_000, partitions=8, workers=3, faults=faults
    )


def long_rounds(
    seed: int, kills: int, redis_falls: int, events: int, minutes: float, rate: float
) -> list[Plan]:
    """Divide a long run into rounds, each with topics and servers of its own and another seed.

    A round sends for about four of its ``minutes``: a round is what is read into memory at once.
    """
    rounds = max(1, round(minutes / 4.9))
    seconds = max(events / rounds / rate, 60.0)
    each = -(-kills // rounds), -(-redis_falls // rounds)
    faults = {
        **BESIDE,
        "kill": each[0] // 2,
        "kill_at": each[0] - each[0] // 2 - each[0] // 20,
        "replace": each[0] // 20,
        "redis_kill": each[1] - each[1] // 2,
        "redis_back": each[1] // 2,
    }
    return [
        Plan(
            seed=seed + number,
            seconds=seconds,
            rate=rate,
            users=20_000,
            partitions=8,
            workers=3,
            faults=faults,
            kafka_stop=30.0,
            drain=600.0,
        )
        for number in range(rounds)
    ]


class Trial(NamedTuple):
    """A broken worker: the run that exposes it, and the count that must not be 0 then."""

    plan: Plan
    notices: str

    def caught(self, findings: Findings) -> bool:
        """Return whether it was noticed for the right reason."""
        return findings.counts[self.notices] > 0


def _trial(
    mutant: str, notices: str, *labels: str, crashes: int = 3, users: int = 300
) -> tuple[str, Trial]:
    plan = Plan(
        seed=1,
        seconds=12.0,
        rate=500.0,
        users=users,
        partitions=2,
        workers=1,
        mutant=mutant,
        faults={"kill_at": crashes} if labels else {},
        labels=labels,
        drain=40.0,
    )
    return mutant, Trial(plan, notices)


TRIALS: Final[dict[str, Trial]] = dict(
    (
        _trial("actions_before_commit", "doubled_in_log", "actions_produced"),
        _trial("no_outbox", "outputs_lost", "outbox_committed"),
        _trial("one_tail", "outputs_lost", "decisions_produced", crashes=8),
        _trial("trim_by_count", "outputs_lost", "outbox_committed", crashes=6),
        _trial("events_fire", "outputs_unexpected"),
        _trial("ticks_not_gated", "stale_decisions"),
        _trial("no_source_positions", "profiles_differing", "forwarded", users=3),
        _trial("caps_on_the_old_profile", "cap_violations"),
        _trial("committed_on_receipt", "events_lost", "saved"),
    )
)
