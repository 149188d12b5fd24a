"""Two releases side by side: which profiles each reads, and what it says of the others."""

from typing import Any

import pytest

from engine import profile
from engine.errors import Refused


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
