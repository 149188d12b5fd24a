"""The product in one process and in memory, played against a simulated shop hour by hour.

An hour does what the worker does: messages are parsed by the product's own readers, folded and
decided by its pipeline, judged again at hand-over and answered by feedback. Only the network is
left out, so nothing is lost, told twice or late. Times are ms, UTC.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

import orjson

from engine.actions import Action
from engine.actions import decode as decode_action
from engine.events import Event, OutcomeType, Position, Record, SettingsRecord, Tick
from engine.memory import MemoryStore
from engine.pipeline import DECISIONS, chunks, take
from engine.ports import Head, InForce, OutboxId
from engine.profile import Addresses, Profile, decode_addresses
from engine.profile import decode as decode_profile
from engine.times import HOUR, from_iso
from streams.delivery.feedback import about, encode
from streams.delivery.handover import objection
from streams.demo.shop import Shop
from streams.sources import feedback, segment
from streams.sources.ticks import ORIGIN

_PARTITION: Final = 0
_TOKEN: Final = "trial"  # noqa: S105 - names the one owner of a store nobody else can see
_APPS: Final = "apps"
_GATEWAYS: Final = "gateways"


@dataclass(slots=True)
class Log:
    """What a stretch of time brought, in order.

    ``decisions`` as written, ``events`` as folded.
    """

    decisions: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class Play:
    """A shop, and the state of the engine that speaks to its people.

    ``now``: the time of the last tick; ``log``: since the start, or since the fork.
    """

    def __init__(self, shop: Shop, start: int) -> None:
        """``start``: a whole hour, the one the shop starts at."""
        self.shop = shop
        self.now = start
        self.log = Log()
        self._store = MemoryStore()
        self._head = Head()
        self._trimmed: OutboxId | None = None
        self._told = {_APPS: 0, _GATEWAYS: 0}
        self._later: list[tuple[int, str, bytes]] = []

    def fork(self) -> "Play":
        """Return the same world at the same moment, free to go on otherwise, with an empty log."""
        log, self.log = self.log, Log()
        try:
            return deepcopy(self)
        finally:
            self.log = log

    async def until(self, end: int, force: InForce) -> None:
        """Play every hour up to ``end`` under what is in force."""
        await self._store.acquire(_PARTITION, _TOKEN)
        while self.now < end:
            await self._hour(self.now + HOUR, force)

    async def _hour(self, now: int, force: InForce) -> None:
        told = [orjson.dumps(one.message) for one in self.shop.hour(now)]
        await self._take([*self._from_apps(told), *self._from_gateways(now)], force)
        actions = await self._take([Tick(now=now, origin=ORIGIN)], force)
        self.now = now
        for action in sorted(actions, key=lambda action: action.action_id):
            await self._hand_over(action, force)

    # --- what comes in --------------------------------------------------------------------------

    def _from_apps(self, told: Iterable[bytes]) -> list[Event]:
        found: list[Event] = []
        for message in told:
            found += segment.parse(message, self._position(_APPS), self.now, clock="source")
        return found

    def _from_gateways(self, now: int) -> list[Event]:
        found: list[Event] = []
        while self._later and self._later[0][0] <= now:
            report = heappop(self._later)[2]
            found += feedback.parse(report, self._position(_GATEWAYS), now, clock="source")
        return found

    def _position(self, source: str) -> Position:
        """Return the place of the next message of a source, as if it had a topic of its own."""
        self._told[source] += 1
        return Position(source, 0, _PARTITION, self._told[source])

    # --- what is decided ------------------------------------------------------------------------

    async def _take(self, records: Sequence[Record], force: InForce) -> list[Action]:
        """Take the next records of the log; returns the actions they lead to."""
        for record in records:
            if not isinstance(record, Tick | SettingsRecord):
                self.log.events.append(record)
        first = self._head.offset
        actions = []
        for chunk in chunks(list(enumerate(records, first)), first):
            commit = (await take(self._store, _PARTITION, self._head, chunk, force)).commit
            commit.trim = self._trimmed  # what was read below needs no keeping
            await self._store.commit(_PARTITION, _TOKEN, commit)
            self._head = commit.head
            for outgoing in commit.outbox:
                self._trimmed = outgoing.id
                if outgoing.topic == DECISIONS:
                    self.log.decisions.append(outgoing.value)
                else:
                    actions.append(decode_action(outgoing.value))
        return actions

    # --- what goes out --------------------------------------------------------------------------

    async def _hand_over(self, action: Action, force: InForce) -> None:
        """Do what deliver does with a gateway that takes everything."""
        reason = await self._objection(action, force)
        if reason is not None:
            self._answer(action, "cancelled", reason)
            return
        self._answer(action, "accepted")
        for report in self.shop.react(action, self.now):
            at = from_iso(report["occurred_at"])
            self._report(at, report["feedback_id"], orjson.dumps(report))

    async def _objection(self, action: Action, force: InForce) -> str | None:
        user = action.user_id
        stored = (await self._store.load(_PARTITION, [user], [user]))[user]
        profile = Profile() if stored.profile is None else decode_profile(stored.profile)
        told = Addresses() if stored.addresses is None else decode_addresses(stored.addresses)
        return objection(action, profile, told, force, self.now)

    def _answer(self, action: Action, outcome: OutcomeType, reason: str = "") -> None:
        report = about(action, outcome, self.now, reason=reason)
        self._report(self.now, report.feedback_id, encode(report))

    def _report(self, at: int, ident: str, report: bytes) -> None:
        heappush(self._later, (at, ident, report))


__all__ = ["Log", "Play"]
