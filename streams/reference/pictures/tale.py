"""A tiny history told to the real engine: one partition in memory under the shipped campaigns."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import msgspec

from engine import actions, decisions
from engine import profile as profiles
from engine.actions import Action
from engine.decisions import Decision
from engine.events import ConsentChanged, Event, Identified, Record, SettingsRecord, Tick
from engine.memory import MemoryArtefacts, MemoryStore
from engine.pipeline import DECISIONS, Chunk, chunks, take
from engine.policy import Exploration, Holdout, Policy, Settings
from engine.ports import Commit, Head, InForce
from engine.profile import Profile
from engine.times import DAY, HOUR, from_iso
from rules import campaigns, templates
from rules.zones import day_start, wall
from streams import in_force

_PARTITION: Final = 0
_TOKEN: Final = "picture"  # noqa: S105 - names the one owner of a store nobody else can see
_ORIGIN: Final = "picture"
# Any day does; a Thursday without a change of clocks.
_DAY: Final = from_iso("2026-11-26T12:00:00+08:00")


@dataclass(frozen=True, slots=True)
class Step:
    """Records that were taken together, the commit that came of them, the head before it."""

    chunk: Chunk
    commit: Commit
    before: Head


class Tale:
    """One partition of `events` from its first record on.

    The shipped file starts in dry run, and its lots silence some people: here it is live and
    without lots, so that there is a message to look at.
    """

    def __init__(self) -> None:
        """Put the shipped files in force, as the log's first record."""
        self.steps: list[Step] = []
        self._store = MemoryStore()
        self._artefacts = MemoryArtefacts(_without_lots)
        self._head = Head()
        asyncio.run(self._store.acquire(_PARTITION, _TOKEN))
        files = [campaigns.shipped(), templates.artefact()]
        names = [sha256(content).hexdigest() for content in files]
        for name, content in zip(names, files, strict=True):
            self._artefacts.put(name, content)
        self.take(SettingsRecord(campaigns=names[0], templates=names[1], origin=_ORIGIN))

    @property
    def policy(self) -> Policy:
        """Return the campaigns file in force."""
        force = self._artefacts.resolve(self._head.settings)
        assert force is not None
        assert force.policy is not None
        return force.policy

    def take(self, *records: Record) -> None:
        """Append records to the log and take them as the owner of the partition does."""
        first = self._head.offset
        placed = list(enumerate(records, first))
        for chunk in chunks(placed, first):
            asyncio.run(self._taken(chunk))

    async def _taken(self, chunk: Chunk) -> None:
        force = self._artefacts.resolve(self._head.settings)
        assert force is not None
        taken = await take(self._store, _PARTITION, self._head, chunk, force)
        await self._store.commit(_PARTITION, _TOKEN, taken.commit)
        self.steps.append(Step(chunk, taken.commit, self._head))
        self._head = taken.commit.head

    def tick(self, now: int) -> None:
        """Append the tick of one moment."""
        self.take(Tick(now=now, origin=_ORIGIN))

    def tick_while_due(self, until: int) -> None:
        """Append a tick whenever something is due, up to ``until`` (ms)."""
        while (due := asyncio.run(self._store.earliest(_PARTITION))) is not None and due <= until:
            self.tick(due)

    def profile(self, user: str) -> Profile:
        """Return what is stored of a user."""
        stored = asyncio.run(self._store.load(_PARTITION, [user], ()))
        packed = stored[user].profile
        return profiles.decode(packed) if packed is not None else Profile()

    def decisions(self) -> list[Decision]:
        """Return every decision so far."""
        return [decisions.decode(value) for topic, value in self._out() if topic == DECISIONS]

    def actions(self) -> list[Action]:
        """Return every action so far."""
        return [actions.decode(value) for topic, value in self._out() if topic != DECISIONS]

    def _out(self) -> Iterator[tuple[str, bytes]]:
        for step in self.steps:
            for outgoing in step.commit.outbox:
                yield outgoing.topic, outgoing.value

    # --- her clock ------------------------------------------------------------------------------

    def at(self, hours: float) -> int:
        """Return the ms of so many hours after midnight of the tale's first day."""
        return day_start(self.policy.timezone, _DAY) + round(hours * HOUR)

    def clock(self, at: int) -> str:
        """Return a time as her clock shows it."""
        return f"{wall(self.policy.timezone, at):%H:%M}"

    def moment(self, at: int) -> str:
        """Return a time as her clock shows it, with the day where it is not the tale's first."""
        days = (at - self.at(0)) // DAY
        return f"{self.clock(at)} on day {days + 1}" if days else self.clock(at)

    # --- who she is -----------------------------------------------------------------------------

    def reachable(self, user: str, at: int) -> list[Event]:
        """Return the events of somebody who has said yes to messages and told her addresses."""
        addresses = {name: f"{name}-of-{user}" for name in self.policy.channels}
        return [
            ConsentChanged(
                event_id=f"yes-{user}",
                user_id=user,
                occurred_at=at,
                received_at=at,
                granted=True,
                basis="web_form",
            ),
            Identified(
                event_id=f"who-{user}",
                user_id=user,
                occurred_at=at,
                received_at=at,
                addresses=addresses,
                zones=[self.policy.timezone],
            ),
        ]


def _without_lots(settings: Settings, files: Mapping[str, bytes]) -> InForce:
    force = in_force.build(settings, files)
    if force.policy is None:
        return force
    policy = msgspec.structs.replace(
        force.policy, mode="live", holdout=Holdout(share=0.0), exploration=Exploration()
    )
    return replace(force, policy=policy)


__all__ = ["Step", "Tale"]
