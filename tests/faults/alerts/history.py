"""Eight days of a shop's log, decided by the real engine and written with the times of then.

So a cluster looks that was mirrored: records keep the times of the cluster they were taken from.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from engine.times import DAY, HOUR, MINUTE, SECOND, from_iso, iso
from streams.log.topics import partition_of
from tests.support.running import Shop

DAYS = 8
# A day; a baseline and a day are judged from 200 decisions on.
_PEOPLE = 300
# Of a topic whose producers tell the times; what is appended later gets the broker's again.
_TIMES = "message.timestamp.type"
_ORDERED = "Order Completed"

Record = tuple[int, bytes, bytes]


def write(shop: Shop, now: int, campaigns: str, model: bytes) -> None:
    """Write what was decided until ``now`` (ms), and the orders that followed, into the topics."""
    messages = list(_messages(now))
    ordered = [m for m in messages if m.get("event") == _ORDERED]
    raw = [(from_iso(m["timestamp"]), m["userId"].encode(), _json(m)) for m in ordered]
    # orders come hours after the decisions about them, and would be decided about for weeks
    before = [m for m in messages if m.get("event") != _ORDERED]
    decided = [one for one in _decided(shop.directory, before, campaigns, model) if one[0] < now]
    topics = {f"{shop.prefix}events.raw": raw, f"{shop.prefix}decisions": decided}
    asyncio.run(_write(shop.deployment.kafka, shop.partitions, topics))


def _messages(now: int) -> Iterator[dict[str, Any]]:
    """Yield what people do, in order: fill a cart; every fourth orders hours later.

    On the last day the app leaves out what things cost.
    """
    step, began = DAY // _PEOPLE, now - DAYS * DAY
    told: list[dict[str, Any]] = []
    for number in range(DAYS * _PEOPLE):
        at = began + number * step
        told += _visit(number, at, priced=at < now - DAY)
    yield from sorted(
        (one for one in told if from_iso(one["timestamp"]) < now), key=lambda one: one["timestamp"]
    )


def _visit(number: int, at: int, *, priced: bool) -> Iterator[dict[str, Any]]:
    cost = {"price": 100.0 + number % 10 * 40.0, "currency": "CNY"} if priced else {}
    goods = {"product_id": f"p{number % 40}", "quantity": 1 + number % 3, **cost}
    traits = {"email": f"u-{number}@example.com", "email_opt_in": True}
    yield _message(number, at, "identify", traits=traits)
    for views in range(1 + number % 4):
        viewed = at + views * MINUTE
        yield _message(number, viewed + SECOND, "track", event="Product Viewed", properties=goods)
    added = at + 10 * MINUTE
    yield _message(number, added, "track", event="Product Added", properties=goods)
    if number % 4 == 0:
        order = {"order_id": f"o-{number}", "total": 300.0, "currency": "CNY", "products": [goods]}
        ordered = added + 5 * HOUR
        yield _message(number, ordered, "track", event=_ORDERED, properties=order)


def _message(number: int, at: int, kind: str, **said: Any) -> dict[str, Any]:
    user = f"of-old-{number}"
    return {
        "type": kind,
        "messageId": f"{user}-{at}",
        "userId": user,
        "timestamp": iso(at),
        **said,
    }


def _json(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode()


def _decided(
    folder: Path, messages: Iterable[Mapping[str, Any]], campaigns: str, model: bytes
) -> list[Record]:
    """Return the decisions of the engine over these messages, in order."""
    source, file, artefact, out = (
        folder / name for name in ("old.jsonl", "old.toml", "old.model", "decisions.jsonl")
    )
    source.write_bytes(b"".join(_json(one) + b"\n" for one in messages))
    file.write_text(campaigns, "utf-8")
    artefact.write_bytes(model)
    command = [sys.executable, "-m", "streams.cli", "replay", str(source), "--format", "segment"]
    command += ["--campaigns", str(file), "--model", str(artefact), "--decisions", str(out)]
    command += ["--partitions", "1", "--tick", "15m"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    found = []
    for line in out.read_bytes().splitlines():
        decision = json.loads(line)
        found.append((from_iso(decision["at"]), decision["user_id"].encode(), line))
    return sorted(found)


async def _write(bootstrap: str, partitions: int, topics: Mapping[str, Iterable[Record]]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    await admin.start()
    await producer.start()
    try:
        await _times_of(admin, "CreateTime", topics)
        sent = [
            await producer.send(
                topic, value, key, partition=partition_of(key, partitions), timestamp_ms=at
            )
            for topic, records in topics.items()
            for at, key, value in records
        ]
        await asyncio.gather(*sent)
        await _times_of(admin, "LogAppendTime", topics)
    finally:
        await producer.stop()
        await admin.close()


async def _times_of(admin: AIOKafkaAdminClient, kind: str, topics: Iterable[str]) -> None:
    """Say whose times records get from now on."""
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, {_TIMES: kind}) for topic in topics]
    )
