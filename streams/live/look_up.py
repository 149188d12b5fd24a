"""What support asks about one person: how she stands, what waits, and what was decided lately.

State comes from Redis at once. Decisions come from the end of her partition of ``decisions``, and
no further back than a few seconds of reading go: a page is no place to wait for a whole log.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from msgspec import Struct

from engine import decisions as log
from engine.decisions import Decision
from engine.errors import Refused
from engine.policy import Policy
from engine.ports import Artefacts, Case
from engine.profile import Profile, Trigger, decode
from engine.times import iso
from rules.frequency import fill
from streams import person
from streams.last_decisions import pseudonym
from streams.log.reader import Bounds, Reader
from streams.log.topics import DECISIONS, partition_of
from streams.sentence import line, sentence
from streams.settings import Deployment
from streams.state.store import RedisStore

# Decisions told, records read at once on the way back, and seconds until that ends.
MOST: Final = 20
_BLOCK: Final = 5_000
_LONGEST: Final = 8.0
# Characters a user id may have in a request.
_LONGEST_ID: Final = 1_000


class CapFill(Struct, frozen=True):
    """One cap: ``used`` of ``limit``; ``free_at`` in ISO 8601 when it is full."""

    name: str
    used: int
    limit: int
    free_at: str | None


class Waiting(Struct, frozen=True):
    """One armed trigger; times in ISO 8601, UTC."""

    campaign: str
    about: str
    armed_at: str
    due_at: str
    wake_at: str
    decided: int


class Told(Struct, frozen=True):
    """One decision about her."""

    at: str
    campaign: str
    outcome: str
    reason: str
    sentence: str
    line: str


class LookedUp(Struct, frozen=True, kw_only=True):
    """``user``: her pseudonym, by which the page's tail is searched. ``lines``: as `user show`.

    ``until``: of the log, how far back decisions were looked for; None = to its beginning.
    """

    user: str
    lines: list[str]
    triggers: list[Waiting]
    caps: list[CapFill]
    decisions: list[Told]
    until: str | None


class LookUp:
    """Answers for any person of the deployment, whichever worker owns her; one at a time."""

    def __init__(
        self,
        deployment: Deployment,
        store: RedisStore,
        artefacts: Artefacts,
        partitions: Callable[[], Awaitable[int]],
        wall: Callable[[], int],
    ) -> None:
        """``partitions`` of ``events``, as Kafka has them; ``wall``: ms."""
        self._deployment = deployment
        self._store = store
        self._artefacts = artefacts
        self._partitions = partitions
        self._wall = wall
        self._one = asyncio.Lock()

    async def about(self, user_id: str, key: bytes) -> LookedUp:
        """Tell what is known; ``key`` of pseudonyms. Raises Refused for a stranger, Unavailable."""
        if not user_id or len(user_id) > _LONGEST_ID:
            message = f"Name one person: a user id of 1 to {_LONGEST_ID} characters."
            raise Refused(message)
        async with self._one:
            count = await self._partitions()
            if not count:
                message = "There is no topic of events yet: run rekindle topics create."
                raise Refused(message)
            return await self._found(user_id, partition_of(user_id.encode(), count), key)

    async def _found(self, user_id: str, place: int, key: bytes) -> LookedUp:
        stored = await self._store.load(place, [user_id], ())
        packed = stored[user_id].profile
        if packed is None:
            message = "Nothing is known about this person: no event of hers was folded yet."
            raise Refused(message)
        profile = decode(packed)
        policy, now = await self._in_force(place)
        # A loop of its own: thousands of records decoded here would hold every partition we own.
        made, until = await asyncio.to_thread(self._decisions, user_id, place)
        return LookedUp(
            user=pseudonym(user_id, key),
            lines=list(person.lines(user_id, profile)),
            triggers=[_waiting(trigger) for trigger in profile.triggers],
            caps=[] if policy is None else _caps(user_id, profile, policy, now),
            decisions=[_told(decision, policy) for decision in made],
            until=until,
        )

    async def _in_force(self, place: int) -> tuple[Policy | None, int]:
        """Return the campaigns file of her partition and its time."""
        head = await self._store.head(place)
        now = self._wall()
        if head is None:
            return None, now
        if self._deployment.clock == "source":
            now = head.now
        force = self._artefacts.resolve(head.settings)
        return (None if force is None else force.policy), now

    def _decisions(self, user_id: str, place: int) -> tuple[list[Decision], str | None]:
        return asyncio.run(last_decisions(self._deployment, user_id, place))


async def last_decisions(
    deployment: Deployment, user_id: str, place: int, longest: float = _LONGEST
) -> tuple[list[Decision], str | None]:
    """Return her last decisions, newest first, and until when the log was read backwards.

    ``longest``: s after which it is enough; None = the log was read to its beginning, or to the
    last decision that is told. Raises Unavailable.
    """
    wanted, topic = user_id.encode(), deployment.topic_prefix + DECISIONS
    reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
    found: list[Decision] = []
    end_by = monotonic() + longest
    try:
        bounds = await reader.bounds(topic, place)
        end = bounds.end
        while end > bounds.begin and len(found) < MOST:
            begin = max(bounds.begin, end - _BLOCK)
            block = [each async for each in reader.span(topic, place, Bounds(begin, end))]
            hers = [each.value for each in block if each.key == wanted and each.value is not None]
            found += [log.decode(value) for value in reversed(hers)]
            end = begin
            if monotonic() > end_by and end > bounds.begin:
                reached = block[0].timestamp if block else 0
                return found[:MOST], iso(reached)
        return found[:MOST], None
    finally:
        await reader.stop()


def _waiting(trigger: Trigger) -> Waiting:
    return Waiting(
        trigger.campaign,
        trigger.key,
        iso(trigger.armed_at),
        iso(trigger.due_at),
        iso(trigger.wake_at),
        trigger.attempt,
    )


def _caps(user_id: str, profile: Profile, policy: Policy, now: int) -> list[CapFill]:
    """Return how full every cap is; caps look at the person alone, never at the reason to speak."""
    campaign = next(iter(policy.campaigns.values()), None)
    if campaign is None:
        return []
    reason = Trigger(campaign.id, campaign.trigger, "", "", now, now, now, now, now)
    case = Case(user_id, profile, reason, campaign, policy, now, dry_run=True)
    told = []
    for cap in policy.caps:
        state = fill(cap, case)
        full = state.used >= cap.limit
        told.append(CapFill(cap.name, state.used, cap.limit, iso(state.free_at) if full else None))
    return told


def _told(decision: Decision, policy: Policy | None) -> Told:
    return Told(
        decision.at,
        decision.campaign,
        decision.outcome,
        decision.reason,
        sentence(decision, policy),
        line(decision, policy),
    )


__all__ = ["LookUp", "LookedUp", "last_decisions"]
