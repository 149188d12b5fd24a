"""Whose word counts: hers, and what an app says about her in passing."""

import pytest

from engine import events as ev
from engine.changes import Memory
from engine.fold import fold
from engine.profile import Profile


def told(*words: tuple[int, bool, str]) -> Profile:
    profile = Profile()
    for number, (at, granted, basis) in enumerate(words):
        event = ev.ConsentChanged(
            event_id=f"e{number}",
            user_id="u",
            occurred_at=at,
            received_at=at,
            channel="email",
            granted=granted,
            basis=basis,
        )
        fold(profile, None, event, Memory())
    return profile


@pytest.mark.parametrize(
    ("words", "agrees"),
    [
        ([(1, True, "trait")], True),
        ([(1, True, "form"), (2, False, "unsubscribed")], False),
        ([(1, False, "unsubscribed"), (2, True, "trait")], False),
        ([(1, False, "form"), (2, True, "context")], False),
        ([(1, False, "unsubscribed"), (2, True, "form")], True),
        ([(1, True, "form"), (2, False, "trait")], False),
        ([(2, True, "form"), (1, False, "trait")], True),
        ([(1, True, "trait"), (2, False, "trait")], False),
        ([(1, True, "form"), (1, False, "form")], False),
    ],
)
def test_an_app_never_lifts_her_own_refusal_whatever_order_it_arrives_in(
    words: list[tuple[int, bool, str]], agrees: bool
) -> None:
    for order in (words, words[::-1]):
        word = told(*order).consent("marketing", "email")
        assert word is not None
        assert word.granted is agrees
