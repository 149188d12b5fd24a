"""The campaigns files of the demo are the shipped one, changed where it says, and good."""

from rules import campaigns
from streams.demo import files


def test_every_file_is_live_and_good() -> None:
    for content in (files.learning(), files.settled(), files.always(), files.stricter()):
        policy = campaigns.load(content, "demo")
        assert policy.mode == "live"
        assert policy.holdout.share == files.HOLDOUT
        assert policy.allow_simulated_model


def test_it_explores_more_while_it_learns() -> None:
    learning = campaigns.load(files.learning(), "learning")
    settled = campaigns.load(files.settled(), "settled")
    shipped = campaigns.load(campaigns.shipped(), "shipped")
    assert learning.exploration.share == files.EXPLORES
    assert set(learning.exploration.channels) == {"push", "email", "sms"}
    assert settled.exploration == shipped.exploration
    assert learning.campaigns == settled.campaigns == shipped.campaigns


def test_sending_always_keeps_caps_and_consent_and_leaves_nothing_to_worth() -> None:
    policy = campaigns.load(files.always(), "always")
    shipped = campaigns.load(campaigns.shipped(), "shipped")
    assert policy.caps == shipped.caps
    assert policy.exploration.share == 0.0
    assert {channel.patience for channel in policy.channels.values()} == {0.000001}
    assert {lift for one in policy.campaigns.values() for lift in one.lift.values()} == {50.0}


def test_the_file_to_try_differs_in_one_cap() -> None:
    settled = campaigns.load(files.settled(), "settled")
    stricter = campaigns.load(files.stricter(), "stricter")
    changed = [new for old, new in zip(settled.caps, stricter.caps, strict=True) if old != new]
    assert [(cap.name, cap.limit) for cap in changed] == [("any-7d", 2)]
