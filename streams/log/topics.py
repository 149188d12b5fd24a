"""The topics, spelt once: names, partition counts, creation and check."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from engine.errors import Refused, Unavailable
from streams.log.away import away
from streams.log.producer import Producer
from streams.settings import Deployment

EVENTS = "events"
RAW = "events.raw"
DECISIONS = "decisions"
ACTIONS = "actions."
FEEDBACK = "feedback"
ARTEFACTS = "artefacts"
DEAD_LETTERS = "dead-letters"
ANOMALIES = "anomalies"
PRODUCTS = "products"

CHANNELS = ("push", "sms", "email")
# Read whole, or by key alone: they need not lie beside `events`.
_ANY_COUNT = frozenset({FEEDBACK, PRODUCTS})

# partition = shard = unit of ownership: chosen once
PARTITIONS = 64


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic without prefix, and what it must be like; ``partitions`` None = as many as events.

    ``beside``: workers run without it, so that a shop of an older release, where it is missing,
    runs on.
    """

    name: str
    partitions: int | None = None
    compacted: bool = False
    beside: bool = False


def expected(channels: Sequence[str] = CHANNELS) -> list[Topic]:
    """Return the topics the product needs beside the sources of the apps."""
    return [
        Topic(EVENTS),
        *(Topic(ACTIONS + channel) for channel in channels),
        Topic(DECISIONS),
        Topic(FEEDBACK),
        Topic(ARTEFACTS, partitions=1, compacted=True),
        Topic(DEAD_LETTERS, partitions=1),
        Topic(ANOMALIES, partitions=1, beside=True),
        Topic(PRODUCTS, partitions=1, compacted=True, beside=True),
    ]


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, count: int) -> int:
    """Return the partition of a key: Kafka's default murmur2, as every producer of the log uses."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % count


async def connect(deployment: Deployment) -> AIOKafkaAdminClient:
    """Return a started admin client; raises Unavailable."""
    admin = AIOKafkaAdminClient(bootstrap_servers=deployment.kafka, request_timeout_ms=10_000)
    try:
        await admin.start()
    except KafkaConnectionError as error:
        await admin.close()
        raise away(deployment.kafka) from error
    return admin


async def counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Return the partition count of every topic there is."""
    names = await admin.list_topics()
    described = await admin.describe_topics([name for name in names if not name.startswith("__")])
    return {entry["topic"]: len(entry["partitions"]) for entry in described}


async def there(deployment: Deployment, names: Iterable[str]) -> dict[str, int]:
    """Return the partition count of each topic named, 0 where it is missing; raises Unavailable.

    A producer asked for a missing one would wait for it to appear; on an embedded broker that is
    how topics come about.
    """
    if deployment.embedded:
        producer = Producer(deployment.kafka)
        try:
            return {name: await producer.partitions(name) for name in names}
        finally:
            await producer.stop()
    admin = await connect(deployment)
    try:
        found = await counts(admin)
    except (KafkaError, OSError) as error:
        raise away(deployment.kafka) from error
    finally:
        await admin.close()
    return {name: found.get(name, 0) for name in names}


async def create(
    deployment: Deployment, partitions: int = PARTITIONS, replication: int | None = None
) -> list[str]:
    """Create the topics that are missing and return their names; never changes an existing one.

    ``replication`` None = 3, or as many brokers as there are: aiokafka cannot ask for the broker's
    default.
    """
    admin = await connect(deployment)
    try:
        there = await counts(admin)
        if replication is None:
            replication = min(3, len((await admin.describe_cluster())["brokers"]))
        missing = [
            NewTopic(
                name=deployment.topic_prefix + topic.name,
                num_partitions=topic.partitions or partitions,
                replication_factor=replication,
                topic_configs=_config(topic),
            )
            for topic in expected()
            if deployment.topic_prefix + topic.name not in there
        ]
        missing += [
            NewTopic(name, partitions, replication, topic_configs=_config(Topic(name)))
            for name, _ in deployment.sources
            if name not in there
        ]
        if missing:
            _accepted(await admin.create_topics(missing))
        return [topic.name for topic in missing]
    finally:
        await admin.close()


def _accepted(response: object) -> None:
    for name, code, *_ in getattr(response, "topic_errors", ()):
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            message = f"Kafka refused to create {name}: {error.__name__}."
            raise Refused(message)


def _config(topic: Topic) -> dict[str, str]:
    config = {"message.timestamp.type": "LogAppendTime"}
    if topic.compacted:
        config["cleanup.policy"] = "compact"
    if topic.name == ARTEFACTS:
        config["max.message.bytes"] = str(16 * 1024 * 1024)
    return config


async def check(deployment: Deployment, partitions: int | None = None) -> list[str]:
    """Return what is wrong with the topics, one sentence each that says how to mend it."""
    admin = await connect(deployment)
    try:
        there = await counts(admin)
        problems = _missing(deployment, there) + _uneven(deployment, there, partitions)
        return problems or await _misconfigured(admin, deployment, there)
    except KafkaError as error:
        message = f"Kafka at {deployment.kafka} did not describe its topics: {error}."
        raise Unavailable(message) from error
    finally:
        await admin.close()


def _missing(deployment: Deployment, there: Mapping[str, int]) -> list[str]:
    names = [deployment.topic_prefix + topic.name for topic in expected() if not topic.beside]
    names += [name for name, _ in deployment.sources]
    missing = sorted(set(names) - there.keys())
    if not missing:
        return []
    return [f"Missing topics: {', '.join(missing)}. Create them with: rekindle topics create"]


def _uneven(deployment: Deployment, there: Mapping[str, int], asked: int | None) -> list[str]:
    prefix = deployment.topic_prefix
    events = asked or there.get(prefix + EVENTS, 0)
    problems = []
    for topic in expected():
        name = prefix + topic.name
        wanted = topic.partitions or events
        wrong = name in there and there[name] != wanted
        if topic.name in _ANY_COUNT or not wrong:
            continue
        problems.append(
            f"{name} has {there[name]} partitions and must have {wanted}, as many as "
            f"{prefix}{EVENTS}: delete it and run rekindle topics create."
        )
    return problems


async def _misconfigured(
    admin: AIOKafkaAdminClient, deployment: Deployment, there: Mapping[str, int]
) -> list[str]:
    names = [deployment.topic_prefix + topic.name for topic in expected()]
    names = [name for name in names if name in there]
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    problems = []
    for response in await admin.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            values = {entry[0]: entry[1] for entry in entries}
            if values.get("message.timestamp.type") not in (None, "LogAppendTime"):
                problems.append(
                    f"{name} keeps the producers' times: set message.timestamp.type=LogAppendTime."
                )
            kept = name.removeprefix(deployment.topic_prefix)
            forgets = "compact" not in values.get("cleanup.policy", "compact")
            if forgets and kept in (ARTEFACTS, PRODUCTS):
                problems.append(f"{name} would forget {kept}: set cleanup.policy=compact.")
    return problems
