"""One person as Redis and the log know her, for somebody who asks."""

from collections.abc import Iterator
from typing import Any

import msgspec

from engine import decisions as log
from engine.decisions import Decision
from engine.errors import Refused
from engine.profile import Profile, decode
from engine.times import iso
from streams.log.producer import Producer
from streams.log.reader import Reader
from streams.log.topics import DECISIONS, EVENTS, partition_of
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.store import RedisStore


async def partition(deployment: Deployment, user_id: str) -> int:
    """Return where her events, and therefore her state, live; raises Unavailable, Refused."""
    producer = Producer(deployment.kafka)
    topic = deployment.topic_prefix + EVENTS
    try:
        count = await producer.partitions(topic)
    finally:
        await producer.stop()
    if not count:
        message = f"There is no topic {topic}: run rekindle topics create."
        raise Refused(message)
    return partition_of(user_id.encode(), count)


async def profile(deployment: Deployment, user_id: str) -> Profile:
    """Return the profile in Redis; raises Refused when there is none, Unavailable."""
    place = await partition(deployment, user_id)
    redis = RedisConnection(deployment.redis)
    try:
        stored = await RedisStore(redis).load(place, [user_id], ())
    finally:
        await redis.close()
    packed = stored[user_id].profile
    if packed is None:
        message = f"Nothing is known about {user_id}: no event of hers was folded yet."
        raise Refused(message)
    return decode(packed)


async def decisions(deployment: Deployment, user_id: str, place: int) -> list[Decision]:
    """Return the decisions about her that her partition still holds, oldest first."""
    key = user_id.encode()
    reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
    try:
        topic = deployment.topic_prefix + DECISIONS
        return [
            log.decode(record.value)
            async for record in reader.whole(topic, place)
            if record.key == key and record.value is not None
        ]
    finally:
        await reader.stop()


def recorded_decisions(path: str, user_id: str) -> list[Decision]:
    """Return the decisions about her in a recorded file; raises Refused with file and line."""
    found = []
    with open(path, "rb") as file:  # noqa: PTH123 - click gives plain text
        for number, line in enumerate(file, 1):
            try:
                decision = log.decode(line)
            except msgspec.DecodeError as error:
                message = f"{path}:{number}: not a decision ({error})."
                raise Refused(message) from error
            if decision.user_id == user_id:
                found.append(decision)
    return found


def as_json(profile: Profile) -> dict[str, Any]:
    """Return the profile with names; hashes of addresses and event ids are left out."""
    named: dict[str, Any] = {
        name: getattr(profile, name) for name in profile.__struct_fields__ if name != "event_ids"
    }
    for part in ("carts", "orders", "triggers", "sends", "consents"):
        named[part] = [msgspec.structs.asdict(entry) for entry in getattr(profile, part)]
    named["counters"] = msgspec.structs.asdict(profile.counters)
    named["reach"] = {
        channel: {"known": bool(reach.address), "at": reach.at, "suppressed": reach.suppressed}
        for channel, reach in profile.reach.items()
    }
    return named


def lines(user_id: str, profile: Profile) -> Iterator[str]:
    """Yield the profile as a person reads it."""
    yield f"{user_id}: first seen {iso(profile.first_seen)}, last {iso(profile.last_seen)}"
    if profile.erased_at:
        yield f"  erased {iso(profile.erased_at)}: only this remains"
    zones = ", ".join(profile.zones) or "unknown"
    yield f"  zone {zones}; locale {profile.locale or 'unknown'}"
    for channel, reach in sorted(profile.reach.items()):
        state = "suppressed" if reach.suppressed else "known" if reach.address else "unknown"
        yield f"  {channel}: address {state}"
    for consent in profile.consents:
        word = "allowed" if consent.granted else "forbidden"
        yield f"  {consent.purpose} on {consent.channel}: {word} {iso(consent.at)}"
    for cart in profile.carts:
        held = ", ".join(
            f"{line.quantity} x {line.name or line.product_id}" for line in cart.held()
        )
        yield f"  cart {cart.cart_id or '(unnamed)'}: {held or 'empty'}"
    for order in profile.orders:
        state = "stands" if order.stands else "does not stand"
        total = "" if order.total is None else f", {order.total:g} {order.currency}"
        yield f"  order {order.order_id}: {iso(order.at)}{total}, {state}"
    for trigger in profile.triggers:
        key = f" {trigger.key}" if trigger.key else ""
        yield f"  armed: {trigger.campaign}{key}, due {iso(trigger.due_at)}"
    for send in profile.sends:
        withheld = f" (withheld: {send.withheld})" if send.withheld else ""
        told = f"; {', '.join(send.outcomes)}" if send.outcomes else ""
        yield f"  charged: {iso(send.at)} {send.campaign} by {send.channel}{withheld}{told}"
