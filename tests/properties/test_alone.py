"""The law of the timeline: folded alone, a person is decided about as she was among the others."""

import asyncio
from collections import defaultdict
from hashlib import sha256
from itertools import chain

import msgspec
from hypothesis import given

from engine import decisions
from engine.decisions import Decision
from engine.events import Event, SettingsRecord
from engine.ports import InForce, Outgoing
from rules import templates
from streams.replay.placed import Log, Origin, Placed
from streams.replay.rehearsal import Rehearsal
from streams.timeline.life import Decided, Life, lived
from streams.timeline.page import WIDTH, Page
from tests.support.recorded import live
from tests.support.strategies import BUSY_GAPS, HEAVY, USERS, History, any_events, histories

FILES = {sha256(content).hexdigest(): content for content in (live(), templates.artefact())}
CAMPAIGNS, TEMPLATES = FILES


def log_of(history: History) -> Origin:
    begin = SettingsRecord(campaigns=CAMPAIGNS, templates=TEMPLATES)

    async def log() -> Log:
        for offset, record in enumerate(chain([begin], history.records)):
            yield Placed(0, offset, record)

    return Origin(log=log(), files=FILES)


async def together(origin: Origin) -> dict[str, list[Decision]]:
    """Decide about everybody, every tick taken."""
    found: dict[str, list[Decision]] = defaultdict(list)

    def out(_: int, outgoing: Outgoing, __: InForce) -> None:
        if outgoing.topic == "decisions":
            found[outgoing.key].append(_placeless(decisions.decode(outgoing.value)))

    rehearsal = Rehearsal(origin.files, out)
    async for placed in origin.log:
        await rehearsal.feed(placed)
    await rehearsal.world.finish()
    return found


def _placeless(decision: Decision) -> Decision:
    """Leave out the position: it counts who else was decided about at the same tick."""
    return msgspec.structs.replace(decision, pos="0.0")


def of(life: Life | None) -> list[Decision]:
    moments = life.moments if life is not None else []
    return [_placeless(moment.decision) for moment in moments if isinstance(moment, Decided)]


@HEAVY
@given(histories(gaps=BUSY_GAPS))
def test_whoever_is_folded_alone_is_decided_about_as_among_the_others(history: History) -> None:
    everybody = asyncio.run(together(log_of(history)))

    for user in USERS:
        life = asyncio.run(lived(log_of(history), user, everybody[user]))
        anew = asyncio.run(lived(log_of(history), user, None))

        told = of(anew)
        forgotten = anew.forgotten_at if anew is not None else 0
        assert told == [one for one in everybody[user] if one in told or not forgotten]
        if life is not None:
            assert life.notes == []


@given(any_events())
def test_any_event_can_be_told_in_80_columns(event: Event) -> None:
    # a log of one event has no settings record, so nobody asks for the policy
    history = History(None, (event,))  # type: ignore[arg-type]
    life = asyncio.run(lived(log_of(history), event.user_id, []))

    assert life is not None
    for line in Page(life).lines():
        assert len(line) <= WIDTH or " " not in line.strip()
