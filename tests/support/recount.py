"""Counts again what the engine claims, by brute force and without its rules.

Every checker reads a finished world (its logs and what left it) and raises AssertionError.
Nothing of ``rules`` is imported, and of the engine only what reads its records.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from engine import events as ev
from engine.actions import Action
from engine.decisions import Decision
from engine.events import Record
from engine.policy import Policy
from engine.reasons import is_reason
from engine.times import from_iso
from tests.support import clerk
from tests.support.clerk import Moment, broken_cap, clock
from tests.support.world import World


def moments(world: World) -> Iterator[Moment]:
    """Walk every log in order, and stop at each decision that spoke or was withheld."""
    for lane, log in zip(world.lanes, world.logs, strict=True):
        yield from clerk.moments(_unrepeated(log), world.decisions_of(lane))


def _unrepeated(log: Iterable[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    highest = -1
    for offset, record in log:
        if not isinstance(record, ev.Tick | ev.SettingsRecord) and record.source is not None:
            if record.source.offset <= highest:
                continue
            highest = record.source.offset
        yield offset, record


Result = tuple[dict[str, bytes], list[str], list[str]]


def canonical(world: World) -> Result:
    """Return profiles, decisions and actions as replays are compared: sorted, without ``pos``."""
    made = [msgspec.structs.replace(decision, pos="") for decision in world.decisions]
    made.sort(key=lambda d: (d.at, d.user_id, d.decision_id))
    sent = sorted(world.sent, key=lambda action: (action.delivery.created_at, action.action_id))
    return world.profiles(), [repr(decision) for decision in made], [repr(each) for each in sent]


# --- the checkers -------------------------------------------------------------------------------


def check_caps(world: World) -> int:
    """No message in any window beyond its cap, counted when it was decided; returns how many."""
    policy = _policy(world)
    checked = 0
    for moment in moments(world):
        if moment.decision.user_id in policy.testers:
            continue
        broken = broken_cap(moment, policy)
        assert broken is None, broken
        checked += 1
    return checked


def check_consent(world: World) -> int:
    """Nobody was spoken to, or counted as if, who had not said yes or was erased."""
    checked = 0
    for moment in moments(world):
        assert moment.decision.channel is not None
        assert not moment.person.erased_at, f"erased: {moment.decision}"
        assert moment.person.agrees(moment.decision.channel), f"no consent: {moment.decision}"
        assert not moment.decision.user_id.startswith("anon:"), "nobody knows who that is"
        checked += 1
    return checked


def check_quiet_hours(world: World) -> int:
    """It was never night where she may have been, nor was it to be within ten minutes."""
    policy = _policy(world)
    checked = 0
    for moment in moments(world):
        for zone in moment.person.homes(policy):
            for minutes in range(10):
                wall = clock(moment.at + minutes * 60_000, zone)
                assert not _quiet(policy, wall), f"{wall} in {zone}: {moment.decision}"
        checked += 1
    return checked


def check_closings(world: World) -> int:
    """Armed = closed + open, per campaign; and each episode was closed at most once."""
    closings = Counter[tuple[str, ...]]()
    closed, left = Counter[str](), Counter[str]()
    for decision in world.decisions:
        assert is_reason(decision.reason), decision.reason
        if decision.outcome != "defer":
            trigger = decision.trigger
            key = decision.user_id, decision.campaign, trigger.kind, trigger.key, trigger.episode
            closings[key] += 1
            closed[decision.campaign] += 1
    for user in world.profiles():
        for armed in world.profile(user).triggers:
            key = user, armed.campaign, armed.kind, armed.key, armed.episode
            assert key not in closings, f"closed and still open: {key}"
            left[armed.campaign] += 1
    twice = {key: times for key, times in closings.items() if times > 1}
    assert not twice, f"closed more than once: {twice}"
    armed_ones = world.report.armed
    for campaign in {*armed_ones, *closed, *left}:
        assert armed_ones[campaign] == closed[campaign] + left[campaign], campaign
    return sum(closed.values())


def check_propensities(world: World) -> int:
    """What was logged as probabilities are probabilities."""
    checked = 0
    for decision in world.decisions:
        chances = [view.propensity for view in decision.channels.values()]
        chances.append(decision.none_propensity)
        assert all(0.0 <= chance <= 1.0 for chance in chances), decision
        assert abs(sum(chances) - 1.0) < 1e-9, decision
        checked += 1
    return checked


def check_actions(world: World) -> int:
    """Every action has its decision, one per action id, on the partition of its cause."""
    sent = {d.action_id: d for d in world.decisions if d.reason == "sent"}
    seen = Counter(action.action_id for action in world.sent)
    assert set(seen) == set(sent), "actions and decisions to send differ"
    assert all(times == 1 for times in seen.values()), "an action was written twice"
    for action in world.sent:
        _check_action(action, sent[action.action_id])
    return len(seen)


def _check_action(action: Action, decision: Decision) -> None:
    assert action.channel == decision.channel
    assert action.user_id == decision.user_id
    assert action.delivery.created_at == decision.at
    assert from_iso(action.delivery.expires_at) > from_iso(action.delivery.created_at)
    assert action.to.address


def check_wakes(world: World) -> None:
    """The index is the copy of the profiles' wake, and nobody wakes too late."""
    for lane in world.lanes:
        partition = world.store._at(lane.partition)
        for user in partition.users:
            profile = world.profile(user)
            assert partition.wakes.get(user, 0) == profile.wake, f"index of {user}"
            due = [trigger.wake_at for trigger in profile.triggers]
            assert not due or 0 < profile.wake <= min(due), f"{user} wakes too late"
        ordered = sorted((wake, user) for user, wake in partition.wakes.items())
        assert partition.order == ordered


def check_all(world: World) -> int:
    """Everything at once; returns how many messages were checked."""
    check_consent(world)
    check_quiet_hours(world)
    check_closings(world)
    check_propensities(world)
    check_actions(world)
    check_wakes(world)
    return check_caps(world)


def _policy(world: World) -> Policy:
    policy = world.force.policy
    assert policy is not None
    return policy


def _quiet(policy: Policy, clock: datetime) -> bool:
    hours = policy.quiet_hours
    minute = clock.hour * 60 + clock.minute
    if hours.start <= hours.end:
        return hours.start <= minute < hours.end
    return minute >= hours.start or minute < hours.end


def local(at: str, zone: str) -> str:
    """Return an ISO time as its wall clock ``2026-03-04 10:00`` in a zone."""
    told = clock(from_iso(at), zone)
    return f"{told:%Y-%m-%d %H:%M}"


def days_between(before: str, after: str, zone: str) -> timedelta:
    """Return how far apart two ISO times are on the wall clocks of a zone."""
    first, second = clock(from_iso(before), zone), clock(from_iso(after), zone)
    return second.replace(tzinfo=None) - first.replace(tzinfo=None)
