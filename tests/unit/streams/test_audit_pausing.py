"""A violation pauses its channel once; whoever resumes it is not overruled by what was before."""

from typing import Any

import pytest

from engine.controls import check
from engine.errors import Refused, Unavailable
from engine.events import Control
from engine.times import HOUR, MINUTE
from monitoring.audit.reading import Event
from monitoring.audit.state import State
from monitoring.audit.verdicts import Finding, Verdict
from streams.auditing.following import placed
from streams.auditing.pausing import Pausing

_NOW = 1_767_229_200_000


class _Hand:
    """Keeps what was asked of it; ``away``: so many times it cannot."""

    def __init__(self, away: int = 0) -> None:
        self.asked: list[Control] = []
        self.away = away
        self.now = _NOW

    async def act(self, control: Control) -> None:
        check(control)
        if self.away:
            self.away -= 1
            raise Unavailable("Kafka is away")
        self.asked.append(control)


def _finding(verdict: Verdict = "over_cap", at: int = _NOW, channel: str = "push") -> Finding:
    return Finding(
        verdict=verdict, channel=channel, action_id="a", user_id="u-1", partition=0, at=at
    )


def _pausing(hand: _Hand) -> Pausing:
    return Pausing(hand.act, lambda: hand.now)


async def _found(pausing: Pausing, *findings: Finding, known: int = _NOW + HOUR) -> list[str]:
    pausing.ask(findings)
    return await pausing.act(lambda _: known)


async def test_a_violation_pauses_its_channel_once_with_its_evidence() -> None:
    hand = _Hand()
    pausing = _pausing(hand)

    assert await _found(pausing, _finding(), _finding(), _finding(channel="sms")) == ["push", "sms"]
    assert await _found(pausing, _finding("no_consent")) == []

    first = hand.asked[0]
    assert (first.actor, first.action, first.target) == ("audit", "pause", "channel:push")
    assert first.reason == "audit: over cap"
    assert first.evidence["action_id"] == "a"
    assert "u-1" not in str(first)
    assert len(hand.asked) == 2


@pytest.mark.parametrize("verdict", ["missing", "expired"])
async def test_what_hurts_nobody_pauses_nothing(verdict: Verdict) -> None:
    hand = _Hand()

    assert await _found(_pausing(hand), _finding(verdict)) == []


async def test_what_lies_an_hour_back_pauses_nothing() -> None:
    hand = _Hand()

    assert await _found(_pausing(hand), _finding(at=_NOW - HOUR - 1)) == []


async def test_it_waits_until_nobody_can_have_resumed_the_channel_since() -> None:
    hand = _Hand()
    pausing = _pausing(hand)

    assert await _found(pausing, _finding(), known=_NOW - 1) == []
    pausing.heard(_resumed(), _NOW + MINUTE)
    assert await pausing.act(lambda _: _NOW + HOUR) == []
    assert hand.asked == []


async def test_after_somebody_resumed_it_only_what_is_newer_pauses_it_again() -> None:
    hand = _Hand()
    pausing = _pausing(hand)
    await _found(pausing, _finding())

    pausing.heard(_resumed(), _NOW + 2 * MINUTE)
    hand.now = _NOW + 10 * MINUTE
    assert await _found(pausing, _finding(at=_NOW + MINUTE)) == []
    assert await _found(pausing, _finding(at=_NOW + 3 * MINUTE)) == ["push"]
    assert len({control.id for control in hand.asked}) == 2


async def test_its_own_pause_in_the_log_ends_nothing() -> None:
    hand = _Hand()
    pausing = _pausing(hand)
    await _found(pausing, _finding())

    pausing.heard(Event(type="settings", pause={"channel:push": True}), _NOW + MINUTE)
    assert await _found(pausing, _finding()) == []


async def test_a_resumption_of_before_heard_late_ends_nothing() -> None:
    hand = _Hand()
    pausing = _pausing(hand)
    await _found(pausing, _finding())

    pausing.heard(_resumed(), _NOW - MINUTE)
    assert await _found(pausing, _finding(at=_NOW)) == []
    assert len(hand.asked) == 1


async def test_a_kafka_that_is_away_is_asked_again() -> None:
    hand = _Hand(away=1)
    pausing = _pausing(hand)

    assert await _found(pausing, _finding()) == []
    assert await pausing.act(lambda _: _NOW + HOUR) == ["push"]


async def test_a_kafka_that_is_away_is_asked_once_a_look_however_much_was_found() -> None:
    hand = _Hand(away=1)
    pausing = _pausing(hand)

    assert await _found(pausing, *[_finding() for _ in range(50)]) == []
    assert hand.asked == []
    assert pausing.waits
    assert await pausing.act(lambda _: _NOW + HOUR) == ["push"]
    assert not pausing.waits


async def test_what_may_not_be_done_is_said_and_not_tried_for_ever() -> None:
    async def refuse(_: Control) -> None:
        raise Refused("no such channel")

    pausing = Pausing(refuse, lambda: _NOW)

    await _found(pausing, _finding())
    assert await _found(pausing, _finding()) == []


def _resumed() -> Event:
    return Event(type="settings", pause={"channel:push": False})


# --- where to begin -------------------------------------------------------------------------------


def _bounds(**changes: Any) -> dict[str, tuple[int, int]]:
    return {"events": (0, 100), "decisions": (0, 10), "actions.push": (0, 5)} | changes


def test_without_a_checkpoint_it_begins_with_the_oldest_records() -> None:
    state = placed(None, _bounds(events=(40, 100)))

    assert state.after == {"events": 40, "decisions": 0, "actions.push": 0}
    assert not state.whole
    assert placed(None, _bounds()).whole


def test_a_checkpoint_goes_on_where_it_stood() -> None:
    state = State(after={"events": 60, "decisions": 7, "actions.push": 5})

    assert placed(state, _bounds()) is state
    assert state.whole


def test_a_checkpoint_of_a_log_that_was_made_anew_is_none() -> None:
    state = State(after={"events": 101, "decisions": 7, "actions.push": 5})

    assert placed(state, _bounds()).after["events"] == 0


def test_a_checkpoint_older_than_the_log_has_a_hole() -> None:
    state = placed(State(after={"events": 60, "decisions": 7}), _bounds(events=(80, 100)))

    assert (state.after["events"], state.whole, state.applied) == (80, False, 80)
