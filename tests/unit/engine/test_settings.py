"""What is in force: deltas merged, and a hash that names the sum."""

from engine.events import SettingsRecord
from engine.policy import Cap, Settings
from engine.times import DAY, HOUR
from tests.support.builders import a_cart_campaign, a_policy


def test_a_delta_changes_what_it_names_and_nothing_else() -> None:
    before = Settings(campaigns="a", model="m")

    after = before.merged(SettingsRecord(campaigns="b"))

    assert after == Settings(campaigns="b", model="m")


def test_pauses_are_switched_on_and_off_by_name() -> None:
    paused = Settings().merged(SettingsRecord(pause={"channel:sms": True, "campaign:cart": True}))
    assert paused.paused == ("campaign:cart", "channel:sms")

    assert paused.merged(SettingsRecord(pause={"campaign:cart": False})).paused == ("channel:sms",)


def test_applying_a_record_twice_is_applying_it_once() -> None:
    record = SettingsRecord(campaigns="b", pause={"channel:sms": True})
    once = Settings().merged(record)

    assert once.merged(record) == once
    assert once.merged(record).digest() == once.digest()


def test_different_settings_have_different_hashes() -> None:
    assert Settings(campaigns="a").digest() != Settings(model="a").digest()
    assert len(Settings().digest()) == 16


def test_sends_are_kept_as_long_as_anything_asks_for_them() -> None:
    def longest(*caps: Cap, cooldown: int = 0) -> int:
        return a_policy(a_cart_campaign(cooldown=cooldown), caps=caps).longest_window

    assert longest() == 26 * HOUR, "a local day may have begun 25 hours ago"
    assert longest(Cap(name="w", kind="rolling", window=7 * DAY)) == 7 * DAY
    assert longest(cooldown=30 * DAY) == 30 * DAY
