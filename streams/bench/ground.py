"""Where a bench stands: topics and keys of its own, taken away afterwards, never a real shop."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import redis
from aiokafka.errors import KafkaError

from engine.errors import Refused, Unavailable
from rules import templates
from streams import control
from streams.log.topics import connect, counts, create
from streams.settings import Deployment

PARTITIONS: Final = 8
_MARK: Final = "rk:bench"
_AT_ONCE: Final = 5_000


def check(deployment: Deployment) -> None:
    """Refuse a machine that cannot be measured and a Redis that holds anything."""
    if not Path("/proc/self/stat").exists():
        message = (
            "The bench reads CPU times from /proc, which this system has not: run it on Linux."
        )
        raise Refused(message)
    try:
        with redis.Redis.from_url(deployment.redis) as client:
            held = int(client.dbsize())
    except redis.RedisError as error:
        message = f"Redis does not answer ({error}): name a running one in REKINDLE_REDIS."
        raise Refused(message) from error
    if held:
        message = (
            f"This Redis holds {held:,} keys already: name an empty database in REKINDLE_REDIS "
            "for the bench, for example redis://host/9; if a killed bench left them, empty it with "
            "redis-cli -n 9 flushdb."
        )
        raise Refused(message)


async def prepare(
    deployment: Deployment,
    file: bytes,
    partitions: int = PARTITIONS,
    model: bytes | None = None,
) -> None:
    """Create topics and put a campaigns file in force, and a model where one is given.

    Raises Refused for a Redis that holds anything and Unavailable without Kafka.
    """
    check(deployment)
    with redis.Redis.from_url(deployment.redis) as client:
        client.set(_MARK, deployment.topic_prefix)
    await create(deployment, partitions, 1)
    await control.apply(deployment, campaigns=file, templates=templates.artefact(), model=model)


async def clean(deployment: Deployment) -> None:
    """Take all topics under our prefix and all keys of this bench away."""
    forget(deployment)
    admin = await connect(deployment)
    try:
        prefix = deployment.topic_prefix
        ours = [name for name in await counts(admin) if name.startswith(prefix)]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()


def forget(deployment: Deployment) -> None:
    """Take away what the bench put into Redis; nothing where its mark does not stand."""
    with redis.Redis.from_url(deployment.redis) as client:
        if client.get(_MARK) != deployment.topic_prefix.encode():
            return
        some: list[bytes] = []
        for key in client.scan_iter("rk:*", count=_AT_ONCE):
            some.append(key)
            if len(some) >= _AT_ONCE:
                client.unlink(*some)
                some.clear()
        if some:
            client.unlink(*some)


@contextmanager
def standing(
    deployment: Deployment,
    file: bytes,
    partitions: int = PARTITIONS,
    model: bytes | None = None,
) -> Iterator[None]:
    """Prepare, and clean up however it ends: Ctrl-C as well."""
    check(deployment)  # before anything that would have to be taken away
    try:
        asyncio.run(prepare(deployment, file, partitions, model))
        yield
    finally:
        with suppress(Unavailable, KafkaError):  # a Kafka that went away took them along
            asyncio.run(clean(deployment))


__all__ = ["PARTITIONS", "check", "clean", "forget", "prepare", "standing"]
