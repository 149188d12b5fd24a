"""Counts again what the engine claims, by brute force and without its rules.

Every checker reads a finished world (its logs and what left it) and raises AssertionError.
Nothing of ``rules`` is imported, and of the engine only what reads its records.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from engine import events as ev
from engine.actions import Action
from engine.decisions import Decision
from engine.events import Event
from engine.policy import Cap, Policy
from engine.reasons import is_reason
from engine.times import from_iso, utc
from tests.support.world import World

_REFUSED = {"rejected", "expired", "cancelled", "failed"}
_PROVEN = {"accepted", "delivered", "opened", "clicked", "unknown"}
_RING = 32


@dataclass
class Charge:
    """One message that counts: ours, or another system's (``decision`` None)."""

    at: int
    channel: str
    action_id: str
    withheld: bool = False
    dry: bool = False
    outcomes: set[str] = field(default_factory=set)

    @property
    def stands(self) -> bool:
        """Return whether it was not given back."""
        return bool(self.outcomes & _PROVEN) or not self.outcomes & _REFUSED


@dataclass
class Person:
    """What a careful clerk would know of one person at one point of the log."""

    charges: list[Charge] = field(default_factory=list)
    consents: dict[str, tuple[int, bool]] = field(default_factory=dict)
    zones: tuple[int, list[str]] = (0, [])
    erased_at: int = 0
    ids: list[str] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        """Take one event as it lies in the log."""
        if self.erased_at:
            back = isinstance(event, ev.ConsentChanged) and event.granted
            if isinstance(event, ev.Erased):
                self.erased_at = max(self.erased_at, event.occurred_at)
            if not back or event.occurred_at <= self.erased_at:
                return
        if event.event_id in self.ids[-_RING:]:
            return
        self.ids.append(event.event_id)
        self.erased_at = 0
        match event:
            case ev.Erased():
                ids = self.ids
                self.__init__()  # type: ignore[misc]  # everything is forgotten
                self.ids, self.erased_at = ids, event.occurred_at
            case ev.SentElsewhere():
                self.charges.append(Charge(event.occurred_at, event.channel, event.event_id))
            case ev.Outcome():
                self._outcome(event)
            case ev.ConsentChanged() if event.purpose == "marketing":
                self._consent(event.channel, event.occurred_at, event.granted)
            case ev.Identified() if event.zones is not None:
                if event.occurred_at >= self.zones[0]:
                    self.zones = event.occurred_at, event.zones

    def _outcome(self, event: ev.Outcome) -> None:
        for charge in self.charges:
            if charge.action_id == event.action_id:
                charge.outcomes.add(event.outcome)
        if event.outcome in ("complained", "unsubscribed", "resubscribed"):
            granted = event.outcome == "resubscribed"
            self._consent(event.channel, event.occurred_at, granted)

    def _consent(self, channel: str, at: int, granted: bool) -> None:
        before = self.consents.get(channel, (-1, True))
        if (at, not granted) > (before[0], not before[1]):
            self.consents[channel] = at, granted

    def agrees(self, channel: str) -> bool:
        """Return whether her last word that covers the channel was yes."""
        words = [word for key, word in self.consents.items() if key in (channel, "*")]
        return max(words, key=lambda word: (word[0], not word[1]))[1] if words else False

    def homes(self, policy: Policy) -> list[str]:
        """Return the zones she may be in."""
        return self.zones[1] or [policy.timezone]


@dataclass(frozen=True)
class Moment:
    """One decision that charged her, and the person as she stood just before it."""

    decision: Decision
    person: Person
    at: int


def moments(world: World) -> Iterator[Moment]:
    """Walk every log in order, and stop at each decision that spoke or was withheld."""
    for lane, log in zip(world.lanes, world.logs, strict=True):
        made: dict[int, list[Decision]] = defaultdict(list)
        for decision in world.decisions_of(lane):
            made[int(decision.pos.split(".")[0])].append(decision)
        people: dict[str, Person] = defaultdict(Person)
        highest = -1
        for offset, record in log:
            if isinstance(record, ev.Tick):
                for decision in made[offset]:
                    person = people[decision.user_id]
                    if decision.action_id is not None:
                        yield Moment(decision, person, record.now)
                        person.ids.append(decision.decision_id)
                        person.charges.append(_charge(decision, record.now))
            elif not isinstance(record, ev.SettingsRecord):
                position = record.source.offset if record.source is not None else None
                if position is None or position > highest:
                    highest = highest if position is None else position
                    people[record.user_id].hear(record)


def _charge(decision: Decision, at: int) -> Charge:
    dry = decision.reason == "would_send_dry_run"
    assert decision.channel is not None
    assert decision.action_id is not None
    return Charge(at, decision.channel, decision.action_id, decision.withheld, dry)


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
        assert moment.decision.channel is not None
        counting_dry = policy.mode == "dry_run"
        counted = [c for c in moment.person.charges if c.stands and (counting_dry or not c.dry)]
        for cap in policy.caps:
            if cap.channel not in (None, moment.decision.channel):
                continue
            mine = [c.at for c in counted if cap.channel in (None, c.channel)]
            for zone in moment.person.homes(policy):
                used = sum(_within(cap, at, moment.at, zone) for at in mine)
                assert used < cap.limit, f"{cap.name} held {used} before {moment.decision}"
        checked += 1
    return checked


def _within(cap: Cap, at: int, now: int, zone: str) -> bool:
    if cap.kind == "calendar_day":
        return _clock(at, zone).date() == _clock(now, zone).date()
    return now - cap.window < at <= now


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
                clock = _clock(moment.at + minutes * 60_000, zone)
                assert not _quiet(policy, clock), f"{clock} in {zone}: {moment.decision}"
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


def _clock(at: int, zone: str) -> datetime:
    return utc(at).astimezone(ZoneInfo(zone))


def _quiet(policy: Policy, clock: datetime) -> bool:
    hours = policy.quiet_hours
    minute = clock.hour * 60 + clock.minute
    if hours.start <= hours.end:
        return hours.start <= minute < hours.end
    return minute >= hours.start or minute < hours.end


def local(at: str, zone: str) -> str:
    """Return an ISO time as its wall clock ``2026-03-04 10:00`` in a zone."""
    clock = _clock(from_iso(at), zone)
    return f"{clock:%Y-%m-%d %H:%M}"


def days_between(before: str, after: str, zone: str) -> timedelta:
    """Return how far apart two ISO times are on the wall clocks of a zone."""
    first, second = _clock(from_iso(before), zone), _clock(from_iso(after), zone)
    return second.replace(tzinfo=None) - first.replace(tzinfo=None)
