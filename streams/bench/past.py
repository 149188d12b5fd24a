"""Shoppers with a past: profiles the real engine folded, and a model that learned from them.

A shop that runs has a profile for everybody, so a bench on an empty Redis would flatter itself.
Some people live three weeks in memory first; everybody in Redis then starts as a copy of one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import redis

from engine.decisions import decode as decode_decision
from engine.errors import Refused
from engine.events import Position, SettingsRecord, Tick
from engine.memory import MemoryArtefacts
from engine.pipeline import DECISIONS
from engine.ports import InForce, Outgoing
from engine.profile import decode as decode_profile
from engine.times import DAY, HOUR
from models.features import from_dict
from models.training.lots import from_lots
from rules import TRIGGERS, campaigns, templates
from streams import in_force, sources
from streams.artefacts import name_of
from streams.bench.mix import identify, messages
from streams.log.topics import partition_of
from streams.replay.world import World
from streams.state.keys import keys_of

# Monday, 10 in the morning in Shanghai: nobody is asleep, whatever the hour of the bench.
NOW: Final = 1_772_416_800_000
_DAYS: Final = 21
_EACH: Final = 12
# Everybody but every third person has told her address and may be written to.
_STRANGER: Final = 3
_TICK: Final = 2 * HOUR
_SEED: Final = "past"
_PIPELINE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Life:
    """What Redis holds of one person: packed profile and addresses, next wake-up (0 = none)."""

    profile: bytes
    addresses: bytes | None
    wake: int


@dataclass(frozen=True, slots=True)
class Past:
    """People who have lived, busy ones first, and the model artefact trained on them."""

    lives: Sequence[Life]
    model: bytes
    events_each: int = _EACH


def campaigns_file() -> bytes:
    """Return the shipped campaigns, speaking, with a model that knows no people."""
    text = campaigns.shipped().replace(b'mode = "dry_run"', b'mode = "live"')
    return text.replace(b"allow_simulated_model = false", b"allow_simulated_model = true")


def live(people: int) -> Past:
    """Let ``people`` live three weeks of the reference mix, twelve messages each on average."""
    return asyncio.run(_live(people))


async def _live(people: int) -> Past:
    vectors: list[list[float]] = []

    def out(_: int, outgoing: Outgoing, __: InForce) -> None:
        if outgoing.topic == DECISIONS:
            features = decode_decision(outgoing.value).features
            if features:
                vectors.append(from_dict(features))

    file, words = campaigns_file(), templates.artefact()
    artefacts = MemoryArtefacts(in_force.build)
    artefacts.put(name_of(file), file)
    artefacts.put(name_of(words), words)
    world = World(artefacts, out)
    settings = SettingsRecord(
        campaigns=name_of(file), templates=name_of(words), model=None, pause={}, origin="bench"
    )
    await world.feed(0, 0, settings)
    await _days(world, people)
    await world.finish()
    held = world.store.partitions[0]
    lives = [
        Life(packed, held.addresses.get(name), decode_profile(packed).wake)
        for name, packed in sorted(held.users.items(), key=lambda item: int(item[0][1:]))
    ]
    if not vectors:
        message = "The people of the bench came to no decision: let more of them live."
        raise Refused(message)
    return Past(lives, from_lots(vectors, sorted(TRIGGERS), created_at=NOW))


async def _days(world: World, people: int) -> None:
    parse = sources.parser("segment", source_clock=True)
    count = people * _EACH
    begin, length = NOW - (_DAYS + 1) * DAY, _DAYS * DAY
    offset, next_tick = 1, begin
    known = [f"u{number}" for number in range(people) if number % _STRANGER]
    told_first = [identify(user, begin, _SEED) for user in known]
    lived = messages(count, people, start=begin, gap=length / count, seed=_SEED)
    for number, told in enumerate(chain(told_first, lived)):
        while told.at >= next_tick:
            await world.feed(0, offset, Tick(now=next_tick, origin="bench"))
            offset, next_tick = offset + 1, next_tick + _TICK
        for event in parse(told.value, Position("past", 0, 0, number), told.at):
            await world.feed(0, offset, event)
            offset += 1
    while next_tick <= NOW:
        await world.feed(0, offset, Tick(now=next_tick, origin="bench"))
        offset, next_tick = offset + 1, next_tick + _TICK


# --- into Redis ---------------------------------------------------------------------------------


def settle(client: "redis.Redis", past: Past, users: int, partitions: int) -> None:
    """Give every one of ``users`` the life of somebody as busy as herself."""
    share = len(past.lives) / users
    for first in range(0, users, _PIPELINE):
        pipeline = client.pipeline(transaction=False)
        profiles: dict[bytes, bytes] = {}
        wakes: dict[bytes, dict[str, float]] = {}
        for number in range(first, min(first + _PIPELINE, users)):
            name = f"u{number}"
            at = keys_of(partition_of(name.encode(), partitions))
            life = past.lives[int(number * share)]
            profiles[at.user(name)] = life.profile
            if life.addresses is not None:
                profiles[at.addresses(name)] = life.addresses
            if life.wake:
                wakes.setdefault(at.wakes, {})[name] = life.wake
        pipeline.mset(profiles)
        for key, due in wakes.items():
            pipeline.zadd(key, due)
        pipeline.execute()


__all__ = ["NOW", "Life", "Past", "campaigns_file", "live", "settle"]
