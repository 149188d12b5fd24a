"""Broken engines, kept beside the checkers: a checker that never fired proves nothing.

Each mutant is a context in which one protection is missing. :func:`caught` looks for a history
on which a law notices.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from engine import carts, decisions, fold, orders, pipeline, recorded, sends, triggers
from engine.changes import NOTHING
from engine.events import ActionQueued, Event
from engine.memory import MemoryStore
from engine.pipeline import Step
from engine.ports import Commit
from engine.profile import Profile
from engine.recorded import Recorded, _Again
from engine.times import DAY
from rules import TRIGGERS
from rules.guards import GUARDS
from tests.support import fallen, world

T = TypeVar("T")
Law = Callable[[Any], Any]
Mutant = Callable[[], AbstractContextManager[None]]


def caught(law: Callable[[T], Any], cases: SearchStrategy[T], mutant: Mutant) -> None:
    """Raise unless ``law`` fails on some case while the mutant is at work."""

    @settings(
        max_examples=500,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(cases)
    def attempt(case: T) -> None:
        with mutant():
            law(case)

    try:
        attempt()
    except AssertionError:
        return
    raise AssertionError(f"{law.__name__} does not notice {mutant.__name__}")


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Put another value in place for a while."""
    before = vars(owner)[name]  # as it is kept: a static method must come back as one
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _without(guard: str) -> AbstractContextManager[None]:
    kept = tuple(each for each in GUARDS if not type(each).__module__.endswith(f".{guard}"))
    assert len(kept) == len(GUARDS) - 1, guard
    return replaced(world, "GUARDS", kept)


# --- guards -------------------------------------------------------------------------------------


def no_caps() -> AbstractContextManager[None]:
    """The guard of the caps was forgotten in the tuple."""
    return _without("caps")


def no_consent() -> AbstractContextManager[None]:
    """The guard of consent was forgotten in the tuple."""
    return _without("consent")


def no_quiet_hours() -> AbstractContextManager[None]:
    """The guard of quiet hours was forgotten in the tuple."""
    return _without("quiet_hours")


# --- the step -----------------------------------------------------------------------------------


def decisions_not_folded() -> AbstractContextManager[None]:
    """A decision is not charged before the next candidate is judged, nor ever."""

    def forgetful(profile: Profile, addresses: Any, event: Event, memory: Any) -> Any:
        if isinstance(event, ActionQueued):
            return NOTHING
        return fold.fold(profile, addresses, event, memory)

    return replaced(pipeline, "fold", forgetful)


def all_judged_before_any_is_charged() -> AbstractContextManager[None]:
    """Candidates of one user are all judged against the profile that came in."""

    def at_once(self: Step, name: str, user: Any, now: int, policy: Any) -> None:
        waiting = self._candidates(name, user.profile, now, policy)
        for trigger, weighed in self._weigh(waiting, name, user.profile, now, policy):
            self._conclude(user, trigger, weighed, outranked=False)

    return replaced(Step, "_decide", at_once)


def reports_forget_the_send() -> AbstractContextManager[None]:
    """Any report on a message gives its charge back."""
    return replaced(sends, "report", lambda profile, send, event: profile.sends.remove(send))


def positions_not_checked() -> AbstractContextManager[None]:
    """Runs that intake repeats are folded again."""
    return replaced(pipeline, "_repeated", lambda highest, position: False)


def ids_not_checked() -> AbstractContextManager[None]:
    """An event id that was seen is not recognised."""
    return replaced(fold, "_seen", lambda profile, event_id: False)


def carts_by_arrival() -> AbstractContextManager[None]:
    """What arrives after an order counts, whenever it happened."""
    return replaced(carts, "_ordered_since", lambda profile, cart, product_id, at: False)


def prices_by_arrival() -> AbstractContextManager[None]:
    """The price that arrives last stands, whenever it was told."""

    def last(held: Any, line: Any, at: int) -> None:
        held.price, held.name, held.currency = line.price, line.name, line.currency

    return replaced(carts, "_describe", last)


def closings_forgotten() -> AbstractContextManager[None]:
    """What an event ends leaves no record."""
    return replaced(Step, "_closed", lambda self, event, trigger, reason: None)


def decisions_not_written() -> AbstractContextManager[None]:
    """What is decided is done, and not written down."""

    def only_closings(self: Step, decision: decisions.Decision) -> None:
        if decision.outcome == "disarm":
            original(self, decision)

    original = Step._decided
    return replaced(Step, "_decided", only_closings)


def decided_but_still_armed() -> AbstractContextManager[None]:
    """A trigger stays armed after its decision, until tomorrow."""

    def lingering(profile: Profile, campaign: str, kind: str, key: str) -> Any:
        trigger = profile.trigger(campaign, kind, key)
        if trigger is not None:
            trigger.wake_at += DAY
        return trigger

    return replaced(triggers, "end", lingering)


def reasons_not_rechecked() -> AbstractContextManager[None]:
    """Nobody asks at the tick whether the reason still holds, nor hears the order before it."""

    @contextmanager
    def deaf() -> Iterator[None]:
        rule = type(TRIGGERS["cart_abandonment"])
        with (
            replaced(Step, "_ended", lambda self, profile, trigger, policy: (None, "disarm")),
            replaced(rule, "react", _only_arming(rule.react)),
        ):
            yield

    return deaf()


def _only_arming(react: Callable[..., Sequence[Any]]) -> Callable[..., list[Any]]:
    def armed(*asked: Any) -> list[Any]:
        return [answer for answer in react(*asked) if isinstance(answer, triggers.Arm)]

    return armed


def orders_not_taken_from_carts() -> AbstractContextManager[None]:
    """What was bought stays in the carts."""
    return replaced(orders, "take_out", lambda profile, order: ())


def wakes_not_lowered() -> AbstractContextManager[None]:
    """A trigger that becomes due earlier does not wake her earlier."""

    def lazy(profile: Profile, at: int) -> None:
        profile.wake = profile.wake or at

    return replaced(triggers, "wake", lazy)


def index_not_written() -> AbstractContextManager[None]:
    """Only the first wake-up of a user reaches the index."""

    def once(at: Any, commit: Commit) -> None:
        fresh = {user: wake for user, wake in commit.wakes.items() if user not in at.wakes}
        _apply(at, replace(commit, wakes=fresh))

    return replaced(MemoryStore, "_apply", staticmethod(once))


_apply = MemoryStore._apply


def ticks_move_time_back() -> AbstractContextManager[None]:
    """A tick behind ``now`` is obeyed."""

    def obeys(self: Step, tick: Any) -> bool:
        self.after.now = tick.now
        return self.force.policy is not None

    return replaced(Step, "moves_time", obeys)


def erasure_keeps_the_profile() -> AbstractContextManager[None]:
    """An erased user is left as she is."""
    return replaced(fold, "_erase", lambda profile, addresses, event: NOTHING)


def withdrawal_not_heard() -> AbstractContextManager[None]:
    """A withdrawn consent is only found at the next tick."""
    return replaced(Step, "_opted_out", lambda self, event, profile: None)


def chunk_folds_its_last_event_only() -> AbstractContextManager[None]:
    """Of several events in one chunk only the last is folded."""

    def hasty(self: Step, fresh: Sequence[tuple[int, Event]]) -> None:
        original(self, fresh[-1:])

    original = Step.events
    return replaced(Step, "events", hasty)


def one_user_per_tick() -> AbstractContextManager[None]:
    """A tick wakes one user of the partition, whoever else is due."""

    async def first(self: MemoryStore, partition: int, now: int, limit: int) -> list[str]:
        return await original(self, partition, now, 1)

    original = MemoryStore.due
    return replaced(MemoryStore, "due", first)


def nothing_repeated_is_recognised() -> AbstractContextManager[None]:
    """Neither source positions nor ids are checked."""

    @contextmanager
    def both() -> Iterator[None]:
        with positions_not_checked(), ids_not_checked():
            yield

    return both()


def propensities_of_the_chosen() -> AbstractContextManager[None]:
    """The chosen channel is logged as certain beside the chances of the others."""

    def certain(weighed: Any, decision_id: str) -> Any:
        choice = original(weighed, decision_id)
        choice.propensities[choice.channel] = 1.0
        return choice

    original = decisions.choose
    return replaced(decisions, "choose", certain)


# --- the protocol -------------------------------------------------------------------------------


def outbox_not_in_the_commit() -> AbstractContextManager[None]:
    """Outgoing records are kept beside the commit, and die with the process."""

    def torn(at: Any, commit: Commit) -> None:
        _apply(at, replace(commit, outbox=[]))

    return replaced(MemoryStore, "_apply", staticmethod(torn))


def tails_not_read() -> AbstractContextManager[None]:
    """After a crash the outbox is written whole, whatever stands in the topics."""
    return replaced(world.Lane, "_drain", world.Lane._written)


# --- a store that fell back ---------------------------------------------------------------------


def recorded_decisions_not_taken() -> AbstractContextManager[None]:
    """What was decided is decided again, by whatever is in force now."""
    return replaced(fallen.Returned, "take", world.Lane.take)


def tails_not_kept() -> AbstractContextManager[None]:
    """What is folded again leaves again."""
    return replaced(fallen.Returned, "_written", world.Lane._written)


def recorded_sends_not_charged() -> AbstractContextManager[None]:
    """What was said before the fall does not stand in her log."""
    return replaced(_Again, "_conclude_as", lambda self, user, decision, trigger: False)


def recorded_messages_not_made() -> AbstractContextManager[None]:
    """A decision had reached the log, its message had not: nobody makes it."""
    return replaced(_Again, "_speak", lambda self, user, found, trigger: None)


def passed_positions_decided() -> AbstractContextManager[None]:
    """A new decision takes a position that readers have passed."""
    return replaced(Recorded, "closed", lambda self, offset: False)


def ended_without_a_record() -> AbstractContextManager[None]:
    """What the rules end below the tail is gone, recorded or not."""
    return replaced(_Again, "_put_back", lambda self, event, trigger: None)


def the_tail_taken_for_whole() -> AbstractContextManager[None]:
    """What of the last cause had not reached the log any more is put off."""
    return replaced(Recorded, "closed", Recorded.knows)


def an_episode_of_its_own() -> AbstractContextManager[None]:
    """A recorded end does not end the trigger that stands for the same reason."""
    original = recorded._advance

    def stubborn(profile: Profile, trigger: Any, decision: Any) -> None:
        if decision.outcome == "defer":
            original(profile, trigger, decision)

    return replaced(recorded, "_advance", stubborn)
