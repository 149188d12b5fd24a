"""Reading back what was decided: from where, how far, and what of it is not to be believed."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka import ConsumerRecord

from engine.decisions import Decision, DecisionTrigger, encode
from engine.errors import Unavailable
from engine.ports import OutboxId
from engine.recorded import RecordedDecision
from streams.log import recorded
from streams.log.reader import POSITION, Bounds
from streams.log.recorded import Past, look_back

PREFIX = "rk."


class Topic:
    """One partition of `decisions` as a list; ``gone`` first records fell to retention."""

    def __init__(
        self, positions: Sequence[tuple[int, int]], *, gone: int = 0, short: int = 0
    ) -> None:
        self.positions = positions
        self.begin = gone
        self.brought = len(positions) - short
        self.read = 0

    @property
    def tails(self) -> dict[str, OutboxId | None]:
        last = OutboxId(*self.positions[-1]) if self.positions else None
        return {"decisions": last, "actions.push": None}

    async def bounds(self, topic: str, partition: int) -> Bounds:
        assert (topic, partition) == ("rk.decisions", 3)
        return Bounds(self.begin, len(self.positions))

    async def span(
        self, topic: str, partition: int, bounds: Bounds
    ) -> AsyncIterator[ConsumerRecord]:
        for offset in range(bounds.begin, min(bounds.end, self.brought)):
            self.read += 1
            yield _kafka(topic, partition, offset, OutboxId(*self.positions[offset]))


def _kafka(topic: str, partition: int, offset: int, at: OutboxId) -> ConsumerRecord:
    value = encode(_decision(at)) if at.ordinal < 9 else b"\xff"
    headers = ((POSITION, str(at).encode()),)
    return ConsumerRecord(topic, partition, offset, 0, 0, b"u-1", value, None, 3, 5, headers)


def _decision(at: OutboxId) -> Decision:
    return Decision(
        decision_id=f"d-{at}",
        pos=str(at),
        at="2026-03-04T02:00:00Z",
        user_id="u-1",
        campaign="cart",
        campaign_version=1,
        trigger=DecisionTrigger(
            kind="cart_abandonment",
            key="",
            episode="e-1",
            armed_at="2026-03-04T02:00:00Z",
            due_at="2026-03-04T02:00:00Z",
        ),
        attempt=0,
        outcome="suppress",
        reason="cooldown",
    )


def looked_back(topic: Topic, offset: int) -> Past | None:
    return asyncio.run(look_back(topic, PREFIX, 3, topic.tails, offset))


def seen(topic: Topic, offset: int, after: int = 1_000_000) -> list[str]:
    """Return the positions that are found from ``offset`` on."""

    async def look() -> list[RecordedDecision]:
        past = await look_back(topic, PREFIX, 3, topic.tails, offset)
        assert past is not None
        found = await past.upto(offset, after)
        return [each for at in range(offset, min(after, 1_000)) for each in found.at(at)]

    return [str(each.id) for each in asyncio.run(look())]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "_BLOCK", 3)


def test_nothing_is_read_where_the_state_stands_behind_every_decision() -> None:
    topic = Topic([(5, 1), (7, 1), (7, 2)])

    assert looked_back(topic, 8) is None
    assert looked_back(Topic([]), 0) is None
    assert topic.read == 0


def test_what_lies_beyond_the_state_is_found_over_many_blocks() -> None:
    topic = Topic([(at, 1) for at in range(50)])

    assert seen(topic, 37) == [f"{at}.1" for at in range(37, 50)]
    assert topic.read < 40, "and little more is read: back to it, and from there on"


def test_only_as_much_is_kept_as_the_chunk_at_hand_needs() -> None:
    topic = Topic([(at, 1) for at in range(50)])

    async def look() -> tuple[int, int]:
        past = await look_back(topic, PREFIX, 3, topic.tails, 10)
        assert past is not None
        await past.upto(10, 15)
        found = await past.upto(15, 20)
        return len(found._kept), past.end

    assert asyncio.run(look()) == (6, 49)


def test_a_former_owners_late_repetition_is_dropped() -> None:
    topic = Topic([(1, 1), (4, 1), (5, 1), (6, 1), (4, 1), (5, 1), (8, 1), (9, 1)])

    assert seen(topic, 5) == ["5.1", "6.1", "8.1", "9.1"]


def test_decisions_that_retention_has_taken_are_made_again() -> None:
    past = looked_back(Topic([(at, 1) for at in range(20)], gone=12), 4)

    assert past is not None
    known = past._recorded
    assert not known.knows(12), "of the first one kept, some may be gone"
    assert not known.closed(12)
    assert known.knows(13)
    assert known.closed(13)
    assert not known.closed(19), "after the last one more may be decided"
    assert known.knows(19)
    assert not known.knows(20)


def test_what_kafka_does_not_bring_is_not_taken_for_nothing() -> None:
    with pytest.raises(Unavailable, match="did not bring all that rk"):
        looked_back(Topic([(at, 1) for at in range(20)], short=1), 4)


def test_a_read_that_ends_early_is_a_doubt() -> None:
    topic = Topic([(at, 1) for at in range(20)])

    async def look() -> None:
        past = await look_back(topic, PREFIX, 3, topic.tails, 4)
        assert past is not None
        topic.brought = 12
        await past.upto(4, 10)
        await past.upto(10, 20)

    with pytest.raises(Unavailable, match="did not bring all"):
        asyncio.run(look())


def test_what_is_no_decision_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    assert seen(Topic([(3, 1), (4, 9), (5, 1)]), 3) == ["3.1", "5.1"]
    assert "rk.decisions/3 holds at 1 what is no decision" in caplog.text
