"""Laws of the audit: it accuses nobody who is right, and counts as anybody else would count."""

from itertools import pairwise
from typing import Any

from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import decisions
from engine.changes import Memory
from engine.contact import consent
from engine.fold import fold
from engine.policy import Cap, QuietHours
from engine.profile import Consent, Profile
from engine.times import DAY, HOUR, MINUTE
from monitoring.audit import caps, clocks
from monitoring.audit.people import Charge, Person
from monitoring.audit.reading import Event
from monitoring.audit.repeats import note
from monitoring.audit.state import pack, unpack
from rules.guards.quiet_hours import span
from streams.log.horizon import Horizon
from tests.support import audited, clerk
from tests.support.builders import START, Told, a_policy
from tests.support.strategies import HEAVY, ZONES, History, everything, play


@HEAVY
@given(everything())
def test_no_history_of_the_real_engine_is_found_wrong(history: History) -> None:
    tape = audited.of_world(play(history, partitions=2))

    found = audited.audit(tape, every=7)

    assert found.clean, (found.findings, found.faults, found.unjudged)


@HEAVY
@given(everything(), st.integers(1, 40), st.integers(1, 40))
def test_how_much_is_read_at_once_changes_nothing(history: History, one: int, other: int) -> None:
    tape = audited.of_world(play(history))

    first, second = (audited.audit(tape, every=each) for each in (one, other))

    assert (first.passed, first.triggers) == (second.passed, second.triggers)


@HEAVY
@given(everything(), st.integers(1, 60))
def test_a_checkpoint_at_any_point_loses_and_doubles_nothing(history: History, cut: int) -> None:
    tape = audited.of_world(play(history))
    whole = audited.audit(tape)

    lane = audited.a_lane(tape, 0)
    begun = audited.begin(lane, tape, cut)
    state = unpack(lane.snapshot())
    assert state is not None
    assert pack(state) == lane.snapshot()
    again = audited.a_lane(tape, 0, state)
    rest = audited.follow(again, tape)

    assert begun + rest == whole.findings == []
    assert lane.passed + again.passed == whole.passed
    assert audited.totals([again.state.balance]) == whole.triggers


@HEAVY
@given(everything())
def test_every_trigger_it_takes_for_armed_was_armed(history: History) -> None:
    world = play(history)
    found = audited.audit(audited.of_world(world))

    for campaign, sums in found.triggers.items():
        assert sums["armed"] == sums["closed"] + sums["open"]
        assert sums["armed"] <= world.report.armed[campaign]
        left = sum(
            trigger.campaign == campaign
            for user in world.profiles()
            for trigger in world.profile(user).triggers
        )
        assert sums["open"] <= left


# --- parts, each against somebody who counts otherwise -------------------------------------------

_MOMENTS = st.integers(0, 4 * 14).map(lambda steps: START + steps * 6 * HOUR)
_CHANNELS = st.sampled_from(("push", "sms", "email"))
_CAPS = st.builds(
    Cap,
    name=st.just("cap"),
    kind=st.sampled_from(("rolling", "calendar_day", "gap")),
    window=st.sampled_from((6 * HOUR, DAY, 7 * DAY)),
    limit=st.integers(1, 3),
    channel=st.one_of(st.none(), _CHANNELS),
)
_CHARGES = st.builds(
    Charge,
    at=_MOMENTS,
    channel=_CHANNELS,
    action_id=st.uuids().map(str),
    dry=st.booleans(),
    refused=st.booleans(),
    proven=st.booleans(),
)


@given(_CAPS, st.lists(_CHARGES, max_size=8), _CHANNELS, _MOMENTS, st.sampled_from(ZONES))
def test_caps_are_counted_as_a_careful_clerk_counts_them(
    cap: Cap, charges: list[Charge], channel: str, at: int, zones: list[str]
) -> None:
    policy = a_policy(caps=[cap])
    person = clerk.Person(zones=(1, zones))
    charges = [charge for charge in charges if charge.at <= at]  # what was charged before it
    for charge in charges:
        told = clerk.Charge(charge.at, charge.channel, charge.action_id, dry=charge.dry)
        told.outcomes |= {"rejected"} if charge.refused else set()
        told.outcomes |= {"delivered"} if charge.proven else set()
        person.charges.append(told)
    moment = clerk.Moment(_sent(channel), person, at)
    homes = clocks.homes(zones, policy.timezone)

    found = caps.full(audited.terms_of(policy).caps, charges, channel, at, homes)

    assert (found is not None) == (clerk.broken_cap(moment, policy) is not None)


def _sent(channel: str) -> Any:
    class Sent:
        def __init__(self) -> None:
            self.channel = channel

    return Sent()


@given(
    st.sampled_from(("Asia/Shanghai", "America/New_York", "Europe/Berlin", "Asia/Kolkata")),
    st.builds(QuietHours, st.integers(0, 1439), st.integers(0, 1439)),
    st.integers(START, START + 400 * DAY),
)
def test_it_is_night_when_the_guard_says_so(zone: str, hours: QuietHours, at: int) -> None:
    minute = at - at % MINUTE

    mine = clocks.quiet((hours.start, hours.end), [zone], minute)

    assert mine == span(zone, hours, minute).quiet


@given(st.text(max_size=20), st.floats(0, 1), st.text("ab", max_size=3))
def test_it_draws_the_holdout_as_the_engine_does(user: str, share: float, app: str) -> None:
    policy = a_policy(holdout=share, app=app)

    assert audited.terms_of(policy).withholds(user) == decisions.in_holdout(policy, user)


_WORDS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.booleans(),
        st.sampled_from(("push", "email", "*")),
        st.sampled_from(("app", "trait", "context")),
    ),
    max_size=8,
)


@given(_WORDS)
@settings(max_examples=300)
def test_she_agrees_when_her_profile_says_so(words: list[tuple[int, bool, str, str]]) -> None:
    person, profile = Person(), Profile()
    for at, granted, channel, basis in words:
        event = Event(
            type="consent_changed", occurred_at=at, granted=granted, channel=channel, basis=basis
        )
        person.hear(event)
        consent(profile, Consent("marketing", channel, granted, at, basis))

    for channel in ("push", "email", "sms"):
        word = profile.consent("marketing", channel)
        assert person.agrees(channel) == (word is not None and word.granted)


@given(st.lists(st.integers(0, 45), max_size=120))
def test_an_id_is_a_repetition_when_the_engine_takes_it_for_one(ids: list[int]) -> None:
    profile, recent = Profile(), dict[str, bytes]()
    for number in ids:
        told = Told(event_id=f"e-{number}").active()
        repeated = fold(profile, None, told, Memory()).ignored == "duplicate"

        assert (note(recent, "u-1", told.event_id) == "repeated") == repeated


@given(st.lists(st.integers(0, 60), min_size=2, max_size=6, unique=True).map(sorted))
def test_a_topic_is_known_up_to_the_end_it_was_seen_with(moments: list[int]) -> None:
    at, horizon = TopicPartition("t", 0), Horizon()
    for end, (seen, later) in enumerate(pairwise(moments), 1):
        horizon.see({at: end}, seen)
        assert horizon.reached(at, end - 1) < max(seen, 1)
        assert horizon.reached(at, end) == seen
        assert horizon.unseen([at]) == [at]
        assert later > seen
