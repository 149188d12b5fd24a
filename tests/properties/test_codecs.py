"""Laws of what is written: it reads back as itself; a newer writer is refused in one sentence."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import actions, decisions
from engine import profile as profiles
from engine.errors import Refused
from engine.events import Event
from engine.profile import VERSION, Addresses, Profile
from streams.log import codec
from tests.support.strategies import HEAVY, History, any_events, histories, play, talkative

TEXT: Final = st.text(max_size=12)


@given(histories())
def test_every_record_reads_back_from_the_log_as_itself(history: History) -> None:
    for record in history.records:
        assert codec.read(codec.write(record)) == record


@given(any_events())
def test_an_event_of_any_values_reads_back_as_itself(event: Event) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


@HEAVY
@given(talkative())
def test_profiles_decisions_and_actions_read_back_as_themselves(history: History) -> None:
    world = play(history)

    for packed in world.profiles().values():
        profile = profiles.decode(packed)
        assert profiles.encode(profile) == packed
    for entry in world.out:
        if entry.topic == "decisions":
            assert decisions.encode(decisions.decode(entry.value)) == entry.value
        else:
            assert actions.encode(actions.decode(entry.value)) == entry.value


@given(st.dictionaries(TEXT, st.tuples(TEXT, st.integers(0, 2**53)), max_size=4))
def test_addresses_read_back_as_themselves(told: dict[str, tuple[str, int]]) -> None:
    addresses = Addresses(by_channel=told)

    assert profiles.decode_addresses(profiles.encode(addresses)) == addresses


def _packed(value: Profile | Addresses, version: int) -> bytes:
    fields: list[Any] = msgspec.msgpack.decode(profiles.encode(value))
    return msgspec.msgpack.encode([version, *fields[1:]])


def test_a_newer_profile_is_refused_with_one_sentence() -> None:
    with pytest.raises(Refused, match=f"version {VERSION + 1}.*start the release") as refusal:
        profiles.decode(_packed(Profile(), VERSION + 1))

    assert str(refusal.value).count(".") == 1
    assert "\n" not in str(refusal.value)


def test_newer_addresses_are_refused_whatever_shape_they_have() -> None:
    newer = msgspec.msgpack.encode([VERSION + 1, ["another", "shape"], 3])

    with pytest.raises(Refused, match=f"version {VERSION + 1}"):
        profiles.decode_addresses(newer)


def test_an_older_profile_is_migrated_step_by_step() -> None:
    """As if fields 1 and 2 had changed places, and before that the first one was in seconds."""
    steps: dict[int, profiles.Migration] = {
        -1: lambda fields: [0, fields[1] * 1000, *fields[2:]],
        0: lambda fields: [VERSION, fields[2], fields[1], *fields[3:]],
    }
    known = Profile(first_seen=5, last_seen=7000, locale="en")
    fields: list[Any] = msgspec.msgpack.decode(profiles.encode(known))
    packed = msgspec.msgpack.encode([-1, 7, 5, *fields[3:]])

    migrated = profiles.decode(packed, steps)

    assert migrated == known


def test_a_profile_written_before_a_field_was_added_takes_its_default() -> None:
    fields: list[Any] = msgspec.msgpack.decode(profiles.encode(Profile(last_seen=9)))

    assert profiles.decode(msgspec.msgpack.encode(fields[:-2])) == Profile(last_seen=9)
