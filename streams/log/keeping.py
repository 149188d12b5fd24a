"""How long and how safely Kafka keeps the topics, judged against what a restore needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from engine.errors import Unavailable
from engine.times import DAY, HOUR
from streams.log.topics import (
    ANOMALIES,
    ARTEFACTS,
    DEAD_LETTERS,
    PRODUCTS,
    connect,
    counts,
    expected,
)
from streams.settings import Deployment

_FOR_EVER = -1
# From this many copies on one broker may go at any time, and two must have acknowledged.
_SAFE = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """How one topic is kept: number of copies, and Kafka's settings by name."""

    copies: int
    settings: Mapping[str, str]

    def number(self, name: str, default: int) -> int:
        """Return a setting that is a number."""
        return int(self.settings.get(name) or default)


async def kept(deployment: Deployment) -> dict[str, Kept]:
    """Return how each topic there is is kept, ours and the sources; raises Unavailable."""
    admin = await connect(deployment)
    try:
        return await _kept(admin, deployment)
    except KafkaError as error:
        message = f"Kafka at {deployment.kafka} did not describe its topics: {error}."
        raise Unavailable(message) from error
    finally:
        await admin.close()


async def _kept(admin: AIOKafkaAdminClient, deployment: Deployment) -> dict[str, Kept]:
    ours = {deployment.topic_prefix + topic.name for topic in expected()}
    ours |= {source.topic for source in deployment.sources}
    names = sorted(ours & (await counts(admin)).keys())
    copies = {
        entry["topic"]: min(len(partition["replicas"]) for partition in entry["partitions"])
        for entry in await admin.describe_topics(names)
    }
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = {}
    for response in await admin.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            settings = {entry[0]: entry[1] for entry in entries}
            found[name] = Kept(copies[name], settings)
    return found


def too_short(topics: Mapping[str, Kept], prefix: str, oldest_backup: int) -> list[str]:
    """Return what retention would take from a restore of a backup this old (ms), one sentence each.

    What is read again after a restore is everything since the backup was taken.
    """
    problems = []
    for name, topic in sorted(topics.items()):
        if name in _kept_otherwise(prefix):
            continue
        retention = topic.number("retention.ms", _FOR_EVER)
        if retention != _FOR_EVER and retention <= oldest_backup:
            problems.append(
                f"{name} keeps {span(retention)}, and a backup {span(oldest_backup)} old needs "
                "more (REKINDLE_OLDEST_BACKUP): raise its retention.ms."
            )
        if topic.number("retention.bytes", _FOR_EVER) != _FOR_EVER:
            problems.append(
                f"{name} is cut by size as well (retention.bytes), so nobody knows how far back it "
                "goes: set it to -1."
            )
    return problems


def unsafe(topics: Mapping[str, Kept]) -> list[str]:
    """Return how an acknowledged record could be lost, one sentence each."""
    problems = []
    for name, topic in sorted(topics.items()):
        if topic.settings.get("unclean.leader.election.enable") == "true":
            problems.append(
                f"{name} may lose acknowledged records (unclean.leader.election.enable=true): set "
                "it to false."
            )
        if topic.copies >= _SAFE and topic.number("min.insync.replicas", 1) < _SAFE - 1:
            problems.append(
                f"{name} has {topic.copies} copies and acknowledges with one "
                "(min.insync.replicas=1): set it to 2."
            )
    return problems


def span(ms: int) -> str:
    """Return a time as people say it: ``90 d``, ``36 h``."""
    if ms == _FOR_EVER:
        return "everything"
    return f"{ms // DAY} d" if ms % DAY == 0 else f"{ms / HOUR:g} h"


def _kept_otherwise(prefix: str) -> set[str]:
    """Return what a restore reads otherwise or not at all: some are compacted."""
    return {prefix + name for name in (ARTEFACTS, DEAD_LETTERS, ANOMALIES, PRODUCTS)}


__all__ = ["Kept", "kept", "span", "too_short", "unsafe"]
