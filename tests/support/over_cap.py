"""A second message to somebody who has just had the one allowed, as a foreign writer would."""

import asyncio
from uuid import uuid4

import msgspec

from engine.actions import Action, decode, encode
from streams.log.producer import Producer, Record
from streams.log.reader import POSITION
from tests.support.running import Shop

# Behind every position of a test's log: readers take it for news.
_BEHIND_ALL = b"1000000.1"


def over_cap(shop: Shop) -> None:
    """Repeat the newest message on push under ids of its own."""
    last = max(shop.read("actions.push"), key=lambda record: record.timestamp)
    action: Action = decode(last.value)
    other = msgspec.structs.replace(action, action_id=str(uuid4()), decision_id=str(uuid4()))

    async def write() -> None:
        producer = Producer(shop.deployment.kafka)
        record = Record(last.key, encode(other), ((POSITION, _BEHIND_ALL),))
        await producer.run(shop.prefix + "actions.push", last.partition, [record])
        await producer.stop()

    asyncio.run(write())
