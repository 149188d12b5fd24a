"""Whether a worker lives and is ready: facts in, a verdict with one sentence per finding out.

Pure: whoever serves /healthz and /readyz gathers the facts and passes the time in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.times import SECOND

# Two missed heartbeats of ten seconds: a loop that stands longer has lost its partitions anyway.
STUCK: Final = 30 * SECOND
# Concurrency x step time must stay below this: heartbeats share the loop.
SLOW_LOOP: Final = SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a worker stands; all times are ms of one clock, None = not the case.

    ``agents``: name of an agent that should run -> partitions it owns, None = it waits to join its
    group. ``without_settings``: owned partitions with no campaigns file in force. ``gate_lane``
    and ``gate_behind`` (ms): the intake lane that holds the ticks. ``away``: service -> since
    when it does not answer. ``halted``: sentences of partitions that stopped. ``loop_turned_at``:
    when the event loop last came round; ``loop_gap``: the longest gap lately, ms.
    """

    loop_turned_at: int
    loop_gap: int = 0
    stopping: bool = False
    agents: Mapping[str, int | None] = field(default_factory=dict)
    without_settings: int = 0
    gate_lane: str | None = None
    gate_behind: int | None = None
    away: Mapping[str, int] = field(default_factory=dict)
    halted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """``live``: leave it running; ``ready``: it does its work. ``findings``: what is not well."""

    live: bool
    ready: bool
    findings: tuple[str, ...]


def judge(facts: Facts, now: int) -> Health:
    """Judge the facts at ``now`` (ms)."""
    dead = _dead(facts, now)
    blocked = _blocked(facts, now)
    return Health(not dead, not dead and not blocked, (*dead, *blocked, *_worth_a_look(facts)))


def _dead(facts: Facts, now: int) -> list[str]:
    """Return why a restart would help. A service that is away is waited for, never a reason."""
    stood = now - facts.loop_turned_at
    if stood <= STUCK:
        return []
    return [f"The event loop has not come round for {_seconds(stood)} s."]


def _blocked(facts: Facts, now: int) -> list[str]:
    """Return why the work does not get done."""
    found = ["The worker is shutting down."] if facts.stopping else []
    found += [
        f"The {agent} agent has no partitions yet: it waits to join its consumer group."
        for agent, owned in sorted(facts.agents.items())
        if owned is None
    ]
    found += [
        f"{service.capitalize()} is away since {_seconds(now - since)} s; partitions are held."
        for service, since in sorted(facts.away.items())
    ]
    if facts.without_settings:
        found.append(
            f"No campaigns file is in force in {facts.without_settings} partition(s): "
            "nothing is armed until `rekindle apply` puts one in force."
        )
    if facts.gate_lane is not None:
        found.append(_held(facts.gate_lane, facts.gate_behind))
    return found + list(facts.halted)


def _held(lane: str, behind: int | None) -> str:
    if behind is None:
        return f"Time stands still: intake lane {lane} has not reported."
    return f"Time stands still: intake lane {lane} is {_seconds(behind)} s behind."


def _worth_a_look(facts: Facts) -> list[str]:
    """Return what is not well and blocks nothing yet."""
    found = []
    if facts.loop_gap > SLOW_LOOP:
        found.append(
            f"The event loop was held for {facts.loop_gap / SECOND:.1f} s: heartbeats share it."
        )
    found += [
        f"The {agent} agent owns no partition: there are more workers than partitions."
        for agent, owned in sorted(facts.agents.items())
        if owned == 0
    ]
    return found


def _seconds(ms: int) -> str:
    return f"{ms / SECOND:.0f}"


__all__ = ["Facts", "Health", "judge"]
