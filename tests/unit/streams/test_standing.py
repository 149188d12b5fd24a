"""What is held back is told once, with how far it has come."""

import pytest

from engine import controls
from engine.controls import Held
from engine.errors import Refused
from engine.events import Control, SettingsRecord
from engine.policy import Settings
from streams.applying import pause_name
from streams.standing import change, rows, told, told_change

ANNA = controls.operator("anna")
NOW = 1_772_620_260_000  # 2026-03-04 10:31 UTC
EMAIL = "channel:email"


def after(*did: Control) -> Settings:
    settings = Settings()
    for control in did:
        settings = settings.merged(SettingsRecord(control=control))
    return settings


PAUSE = controls.pause(EMAIL, actor=ANNA, at=NOW, reason="price", expires_at=NOW + 60_000)
THROTTLE = controls.throttle(EMAIL, 0.6, actor="brake", at=NOW, evidence={"rate": 0.061, "n": 820})


def test_a_pause_everywhere_and_at_hand_over_is_one_row() -> None:
    held = after(PAUSE)
    (row,) = rows([held, held], held.held, NOW)
    assert (row.share, row.partitions, row.at_handover) == (0.0, 2, True)
    assert told(row, 2) == (
        "e-mail is paused by anna since 2026-03-04 10:31 UTC until 2026-03-04 10:32 UTC: price"
    )


def test_what_some_partitions_have_not_folded_says_so() -> None:
    (row,) = rows([after(THROTTLE), Settings()], (), NOW)
    assert told(row, 2) == (
        "e-mail is throttled to 60 % by the brake since 2026-03-04 10:31 UTC "
        "(in 1 of 2 partitions so far)"
    )


def test_a_pause_the_log_does_not_know_is_told_with_how_to_mend_it() -> None:
    (row,) = rows([Settings(), Settings()], (Held(target=EMAIL, by=ANNA, since=NOW),), NOW)
    assert "at hand-over alone" in told(row, 2)
    assert f"rekindle resume {EMAIL}" in told(row, 2)


def test_a_pause_and_a_throttle_of_one_channel_are_two_rows_and_what_ended_is_none() -> None:
    both = after(PAUSE, THROTTLE)
    assert [row.share for row in rows([both], both.held[:1], NOW)] == [0.0, 0.6]
    assert [row.share for row in rows([both], both.held[:1], NOW + 60_000)] == [0.6]


def test_a_change_is_told_with_its_evidence() -> None:
    assert told_change(change(THROTTLE)) == (
        "2026-03-04 10:31 UTC e-mail throttled to 60 % by the brake: rate 0.061, n 820"
    )
    free = controls.throttle(EMAIL, 1.0, actor=ANNA, at=NOW)
    assert told_change(change(free)) == "2026-03-04 10:31 UTC e-mail no longer throttled by anna"


@pytest.mark.parametrize("name", ["channel:emial", "topic:x", "campaign:"])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        pause_name(name)
