"""What is paused or throttled now, by whom, why and until when; and how it came to that.

Now is told by Redis: the folded settings of every partition, and the kill switch beside them. How
it came to that is told by the log, which holds every control in every partition.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from engine import controls
from engine.controls import Held
from engine.errors import InvalidEvent, Unavailable
from engine.events import Control, SettingsRecord
from engine.policy import Settings
from engine.times import iso
from streams.control import in_partitions
from streams.delivery import kill
from streams.log import codec
from streams.log.producer import Producer
from streams.log.reader import Bounds, Reader
from streams.log.topics import EVENTS
from streams.sentence import actor_name, done_word, held_to, target_name
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.store import RedisStore
from streams.wall import now_ms

# Records per step on the way back through the log.
_BLOCK: Final = 10_000


class Row(Struct, frozen=True, kw_only=True):
    """One thing held back; times in ISO 8601, UTC.

    ``partitions`` in which it is in force, ``at_handover`` whether the kill switch has it.
    """

    target: str
    share: float
    by: str
    reason: str
    since: str | None
    until: str | None
    partitions: int
    at_handover: bool


class Standing(Struct, frozen=True, kw_only=True):
    """What is held back at ``now``, in a deployment of so many ``partitions``."""

    now: str
    partitions: int
    rows: list[Row]


class Change(Struct, frozen=True, kw_only=True):
    """One control of the log; times in ISO 8601, UTC. What was paused without a word has no id."""

    at: str
    target: str
    action: str
    actor: str
    reason: str = ""
    before: float | None = None
    after: float | None = None
    evidence: dict[str, float | str] = {}
    until: str | None = None
    id: str = ""


# --- now ----------------------------------------------------------------------------------------


async def now_of(deployment: Deployment, redis: RedisConnection, partitions: int) -> int:
    """Return the shop's time in ms: of this machine, or of its data where its clock is theirs.

    Raises Unavailable.
    """
    if deployment.clock == "live":
        return now_ms()
    store = RedisStore(redis)
    heads = [await store.head(partition) for partition in range(partitions)]
    return max((head.now for head in heads if head is not None), default=0)


async def standing(deployment: Deployment) -> Standing:
    """Return what is held back now; raises Unavailable."""
    redis, producer = RedisConnection(deployment.redis), Producer(deployment.kafka)
    try:
        count = await producer.partitions(deployment.topic_prefix + EVENTS)
        return await seen(deployment, redis, count)
    finally:
        await producer.stop()
        await redis.close()


async def seen(deployment: Deployment, redis: RedisConnection, partitions: int) -> Standing:
    """Return the same where the number of partitions is known; raises Unavailable."""
    now = await now_of(deployment, redis, partitions)
    switch = await kill.paused(redis)
    found = await in_partitions(redis, partitions)
    return Standing(now=iso(now), partitions=partitions, rows=rows(found, switch, now))


def rows(found: Sequence[Settings], switch: Sequence[Held], now: int) -> list[Row]:
    """Return what holds at ``now`` in at least one partition or at hand-over, by target."""
    told: dict[tuple[str, bool], Held] = {}
    counted: dict[tuple[str, bool], int] = {}
    for settings in found:
        at = settings.standing(now)
        for held in [*at.paused.values(), *at.throttled.values()]:
            key = held.target, held.share > 0
            told[key] = held
            counted[key] = counted.get(key, 0) + 1
    switched = controls.standing(tuple(switch), now).paused
    for target, held in switched.items():
        told.setdefault((target, False), held)
    return [
        _row(held, counted.get(key, 0), at_handover=key[0] in switched and not key[1])
        for key, held in sorted(told.items())
    ]


def _row(held: Held, partitions: int, *, at_handover: bool) -> Row:
    return Row(
        target=held.target,
        share=held.share,
        by=held.by,
        reason=held.reason,
        since=iso(held.since) if held.since else None,
        until=None if held.until is None else iso(held.until),
        partitions=partitions,
        at_handover=at_handover,
    )


# --- before -------------------------------------------------------------------------------------


async def changes(deployment: Deployment, last: int) -> list[Change]:
    """Return the ``last`` pauses, resumptions and throttles, newest first; raises Unavailable.

    Read backwards from the shortest partition of ``events``: every partition has them all.
    """
    reader, producer = (
        Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait),
        Producer(deployment.kafka),
    )
    topic = deployment.topic_prefix + EVENTS
    try:
        count = await producer.partitions(topic)
        bounds = [await reader.bounds(topic, partition) for partition in range(count)]
        if not bounds:
            return []
        shortest = min(range(count), key=lambda partition: bounds[partition].end)
        return await _backwards(reader, topic, shortest, bounds[shortest], last)
    finally:
        await reader.stop()
        await producer.stop()


async def _backwards(
    reader: Reader, topic: str, partition: int, bounds: Bounds, last: int
) -> list[Change]:
    found: list[Change] = []
    end = bounds.end
    while end > bounds.begin and len(found) < last:
        begin = max(bounds.begin, end - _BLOCK)
        block: list[Change] = []
        async for record in reader.span(topic, partition, Bounds(begin, end)):
            if record.key is None and record.value is not None:
                block += _changes(record.value, record.timestamp)
        found += reversed(block)
        end = begin
    return found[:last]


def _changes(value: bytes, at: int) -> list[Change]:
    """Return what a record without a user changes; ``at`` when the broker took it (ms)."""
    try:
        record = codec.read(value)
    except InvalidEvent:
        return []
    if not isinstance(record, SettingsRecord):
        return []
    if record.control is not None:
        return [change(record.control)]
    return [
        Change(
            at=iso(at),
            target=target,
            action="pause" if on else "resume",
            actor="",
            after=0.0 if on else None,
        )
        for target, on in record.pause.items()
    ]


def change(control: Control) -> Change:
    """Return a control as it is shown."""
    return Change(
        at=iso(control.at),
        target=control.target,
        action=control.action,
        actor=control.actor,
        reason=control.reason,
        before=control.before,
        after=control.after,
        evidence=control.evidence,
        until=None if control.expires_at is None else iso(control.expires_at),
        id=control.id,
    )


async def held_back(deployment: Deployment) -> list[str]:
    """Return a sentence for each pause and throttle; none where nobody can be asked."""
    try:
        now = await standing(deployment)
    except Unavailable:
        return []
    return [told(row, now.partitions) for row in now.rows]


# --- words --------------------------------------------------------------------------------------


def told(row: Row, partitions: int) -> str:
    """Return a row as one sentence."""
    parts = [f"{target_name(row.target)} is {held_to(row.share)}"]
    if row.by:
        parts.append(f"by {actor_name(row.by)}")
    if row.since:
        parts.append(f"since {minute(row.since)}")
    if row.until:
        parts.append(f"until {minute(row.until)}")
    said = " ".join(parts) + (f": {row.reason}" if row.reason else "")
    if row.share == 0 and not row.partitions:
        return f"{said} (at hand-over alone: {_MEND.format(target=row.target)})"
    if row.partitions < partitions:
        return f"{said} (in {row.partitions} of {partitions} partitions so far)"
    return said


_MEND: Final = "the log does not know it yet, or rekindle resume {target} must be repeated"


def told_change(one: Change) -> str:
    """Return a change as one line."""
    what = done_word(one.action, one.after)
    who = f" by {actor_name(one.actor)}" if one.actor else ""
    until = f" until {minute(one.until)}" if one.until else ""
    evidence = ", ".join(f"{name} {_figure(value)}" for name, value in one.evidence.items())
    why = "; ".join(part for part in (one.reason, evidence) if part)
    return f"{minute(one.at)} {target_name(one.target)} {what}{who}{until}" + (
        f": {why}" if why else ""
    )


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def minute(at: str) -> str:
    """Return an ISO time to the minute."""
    return f"{at[:10]} {at[11:16]} UTC"


__all__ = [
    "Change",
    "Row",
    "Standing",
    "change",
    "changes",
    "held_back",
    "now_of",
    "rows",
    "seen",
    "standing",
    "told",
    "told_change",
]
