"""A replay knows every pause and throttle: who, from when and until when, to the byte."""

import asyncio
from collections import Counter

import pytest

from engine import controls
from engine.decisions import decode
from engine.events import Record, SettingsRecord, Tick
from engine.memory import MemoryArtefacts
from engine.ports import InForce, Outgoing
from engine.times import HOUR, MINUTE
from rules import templates
from streams import in_force
from streams.artefacts import name_of
from streams.log import codec
from streams.replay.world import World as Replay
from tests.support.builders import START, Told
from tests.support.running import shipped

ANNA = controls.operator("anna")
WORDS = templates.artefact()
CAMPAIGNS = shipped(replace={"share = 0.05": "share = 0.0"}).encode()


def a_log() -> list[Record]:
    """Five groups who leave a cart an hour apart, while channels are held back and let go."""
    log: list[Record] = [SettingsRecord(campaigns=name_of(CAMPAIGNS), templates=name_of(WORDS))]
    log.append(Tick(now=START, origin="t"))
    for group in range(5):
        at = START + group * HOUR
        for number in range(30):
            told = Told(f"u-{group}-{number}", at, at)
            log += [told.identified(zones=["Asia/Shanghai"]), told.consented("*")]
            log.append(told.added(f"p-{number}", cart=f"c-{number}", price=300.0))
        log += _done(group, at)
        log += [Tick(now=at + minute * MINUTE, origin="t") for minute in range(0, 60, 5)]
    return log


def _done(group: int, at: int) -> list[Record]:
    ends = at + 90 * MINUTE
    done = {
        0: [controls.throttle("channel:push", 0.5, actor="brake", at=at, reason="pace")],
        1: [
            controls.pause("channel:push", actor=ANNA, at=at, expires_at=ends, reason="price"),
            controls.throttle("channel:push", 1.0, actor="brake", at=at),
        ],
        2: [controls.pause("campaign:cart", actor="audit", at=at + 1, expires_at=at + 30 * MINUTE)],
    }
    return [
        SettingsRecord(control=control, origin=control.actor) for control in done.get(group, [])
    ]


def replayed(log: list[Record], chunk: int) -> list[tuple[str, bytes]]:
    """Replay what the log holds as bytes, as a recorded one is read."""
    artefacts, out = MemoryArtefacts(in_force.build), list[tuple[str, bytes]]()
    artefacts.put(name_of(CAMPAIGNS), CAMPAIGNS)
    artefacts.put(name_of(WORDS), WORDS)

    def left(_: int, outgoing: Outgoing, __: InForce) -> None:
        out.append((outgoing.topic, outgoing.value))

    async def play() -> None:
        replay = Replay(artefacts, left, chunk)
        for offset, record in enumerate(log):
            await replay.feed(0, offset, codec.read(codec.write(record)))
        await replay.finish()

    asyncio.run(play())
    return out


@pytest.mark.parametrize("chunk", [1, 7])
def test_a_replay_in_other_chunks_silences_the_same_people_for_the_same_reasons(
    chunk: int,
) -> None:
    log = a_log()
    once = replayed(log, 500)

    assert replayed(log, chunk) == once
    decided = [decode(value) for topic, value in once if topic == "decisions"]
    reasons = Counter(one.reason for one in decided)
    objections = Counter(
        view.objection for one in decided if (view := one.channels.get("push")) is not None
    )
    assert reasons["campaign_paused"]
    assert objections["rate_brake"]
    assert objections["channel_paused"]
    assert {one.held.by for one in decided if one.reason == "campaign_paused" and one.held} == {
        "audit"
    }


def test_without_its_controls_a_log_comes_out_otherwise() -> None:
    log = a_log()
    bare = [one for one in log if not isinstance(one, SettingsRecord) or one.campaigns]
    kept = [topic for topic, _ in replayed(log, 500) if topic != "decisions"]
    free = [topic for topic, _ in replayed(bare, 500) if topic != "decisions"]
    assert 0 < len(kept) < len(free)
