"""A second message to somebody who has just had the one allowed, as a foreign writer would."""

import asyncio
from uuid import uuid4

import msgspec

from engine.actions import decode, encode
from streams.log.producer import Producer, Record
from streams.log.reader import POSITION
from tests.support.running import Shop

# What gives a charge back: it counts for no cap any more.
_NOT_SENT = {"cancelled", "expired", "failed"}
# Behind every position of a test's log: readers take it for news.
_BEHIND_ALL = b"1000000.1"


def over_cap(shop: Shop) -> None:
    """Repeat the newest message on push that was not withdrawn, under ids of its own."""
    withdrawn = {v["action_id"] for v in shop.values("feedback") if v["type"] in _NOT_SENT}
    written = sorted(shop.read("actions.push"), key=lambda record: record.timestamp)
    sent = [(record, decode(record.value)) for record in written]
    last, action = [(r, a) for r, a in sent if a.action_id not in withdrawn][-1]
    other = msgspec.structs.replace(action, action_id=str(uuid4()), decision_id=str(uuid4()))

    async def write() -> None:
        producer = Producer(shop.deployment.kafka)
        record = Record(last.key, encode(other), ((POSITION, _BEHIND_ALL),))
        await producer.run(shop.prefix + "actions.push", last.partition, [record])
        await producer.stop()

    asyncio.run(write())
