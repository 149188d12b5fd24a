"""Two releases side by side: which profiles each reads, and what it says of the others."""

from typing import Any

import msgspec
import pytest

from engine import profile
from engine.changes import Memory
from engine.errors import Refused
from engine.events import Erased
from engine.fold import fold


def test_a_newer_form_of_the_profile_leaves_addresses_readable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = profile.encode(profile.Addresses(by_channel={"push": ("token", 5)}))
    monkeypatch.setattr(profile, "VERSION", profile.VERSION + 1)

    assert profile.decode_addresses(kept).by_channel == {"push": ("token", 5)}


def test_a_release_reads_what_the_one_before_wrote_and_refuses_what_the_next_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = profile.encode(profile.Profile())
    monkeypatch.setattr(profile, "VERSION", profile.VERSION + 1)
    with pytest.raises(Refused, match="start the release of rekindle that wrote it"):
        profile.decode(ours)  # no step was written for it

    def step(fields: list[Any]) -> list[Any]:
        return [profile.VERSION, *fields[1:]]

    read = profile.decode(ours, {profile.VERSION - 1: step})
    assert read.v == profile.VERSION


def _of_the_next_release(value: profile.Profile, version: int, *added: Any) -> bytes:
    """The same profile as a release packs it that knows more fields."""
    fields: list[Any] = msgspec.msgpack.decode(profile.encode(value))
    return msgspec.msgpack.encode([version, *fields[1:], *added])


ADDED = ({"segment": [1, 2.5, b"\xff"]}, "loyal", None)


@pytest.mark.parametrize("step", [0, 1])
def test_what_the_next_release_added_is_kept_by_one_that_does_not_know_it(step: int) -> None:
    known = profile.Profile(first_seen=5, zones=["Asia/Shanghai"])
    newer = _of_the_next_release(known, profile.VERSION + step, *ADDED)

    read = profile.decode(newer, ahead={profile.VERSION + 1: profile.appended})
    read.last_seen = 7  # as a fold does
    written = profile.encode(read)

    # Written as ours, with the other's fields behind; by a third worker once more the same.
    known.last_seen = 7
    assert written == _of_the_next_release(known, profile.VERSION, *ADDED)
    assert profile.encode(profile.decode(written)) == written
    # The next release finds its fields again, whoever wrote them.
    migrated: list[Any] = msgspec.msgpack.decode(written)
    assert migrated[-len(ADDED) :] == list(ADDED)


def test_a_person_who_is_erased_leaves_nothing_in_fields_that_are_not_known() -> None:
    newer = _of_the_next_release(profile.Profile(locale="en"), profile.VERSION, *ADDED)
    read = profile.decode(newer)
    erased = Erased(event_id="e", user_id="u", occurred_at=9, received_at=9)

    fold(read, None, erased, Memory())

    packed = profile.encode(read)
    assert packed == profile.encode(profile.Profile(erased_at=9, event_ids=read.event_ids))


def test_the_next_release_is_read_only_where_its_decoder_was_shipped() -> None:
    newer = _of_the_next_release(profile.Profile(), profile.VERSION + 1, *ADDED)

    with pytest.raises(Refused, match="start the release of rekindle that wrote it"):
        profile.decode(newer)
