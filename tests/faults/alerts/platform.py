"""Faults of Redis, Kafka, the processes, and of whoever watches the watchers."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from redis import Redis

from tests.faults.alerts.trial import Fault, firing
from tests.faults.alerts.workers import scraped
from tests.support.set_up import SetUp

# A second worker of an autoscaler that hunts: coming and going are two rebalances.
_HUNTS = 4
_CROWD, _LOT = 40_000, 2_000
# Of every process half a minute was seen, which leads nowhere near what is too much.
_STEADY = """
    min(count_over_time(process_resident_memory_bytes{job="rekindle"}[30s])) > 25
    and max(predict_linear(process_resident_memory_bytes{job="rekindle"}[30s], 4 * 3600)) < 1024 ^ 3
"""


@contextmanager
def pulses(
    pause: Callable[[], None], resume: Callable[[], None], stands: float, runs: float
) -> Iterator[None]:
    """Let something stand and run, so many seconds each, again and again."""
    over = threading.Event()

    def beat() -> None:
        while not over.is_set():
            pause()
            time.sleep(stands)  # it is this that is the fault
            resume()
            over.wait(runs)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def well(alerts: Sequence[str], busy: str) -> Callable[[SetUp], object]:
    """Return whether there is something to judge (a query), and the judgement is good."""
    return lambda world: world.prometheus.query(busy) and not firing(world) & set(alerts)


# --- Redis ----------------------------------------------------------------------------------------


@contextmanager
def _redis_hangs(world: SetUp) -> Iterator[None]:
    world.redis.pause()
    yield
    world.redis.resume()


@contextmanager
def _exporter_ended(world: SetUp) -> Iterator[None]:
    world.exporter.stop()
    yield


@contextmanager
def _little_memory(world: SetUp) -> Iterator[None]:
    """Leave Redis a tenth more than it uses."""
    with Redis.from_url(world.redis.url) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] * 11 // 10)
    yield


@contextmanager
def _evicting(world: SetUp) -> Iterator[None]:
    """Do what a full Redis tempts to: workers ask for the policy when they start, not again."""
    with Redis.from_url(world.redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", client.info("memory")["used_memory"])
    yield


@contextmanager
def _redis_stalls(world: SetUp) -> Iterator[None]:
    with pulses(world.redis.pause, world.redis.resume, 0.1, 0.4):
        yield


# --- Kafka ----------------------------------------------------------------------------------------


@contextmanager
def _size_limited(world: SetUp) -> Iterator[None]:
    """Let a topic take no batch that is larger than a short line of text."""

    async def ask(admin: AIOKafkaAdminClient) -> None:
        wanted = ConfigResource(
            ConfigResourceType.TOPIC,
            world.shop.prefix + "decisions",
            configs={"max.message.bytes": "100"},
        )
        await admin.alter_configs([wanted])

    world.kafka.administer(ask)
    yield


@contextmanager
def _autoscaled(world: SetUp) -> Iterator[None]:
    """Let workers come and go, each with a name of its own, as those of an autoscaler."""
    for number in range(_HUNTS):
        name = f"scaled-{number}"
        before = _rebalances(world)
        with world.shop.worker("decide", REKINDLE_WORKER_ID=name):
            counted = f'sum(rekindle_rebalances_total{{agent="decide", worker="one"}}) > {before}'
            scraped(world, counted, "partitions were shared out with the newcomer")
    yield


def _rebalances(world: SetUp) -> float:
    found = world.prometheus.query('sum(rekindle_rebalances_total{agent="decide", worker="one"})')
    return float(found[0]["value"][1])


# --- processes ------------------------------------------------------------------------------------


@contextmanager
def _throttled(world: SetUp) -> Iterator[None]:
    with pulses(world.worker.server.pause, world.worker.server.resume, 0.6, 0.6):
        yield


@contextmanager
def _crowd(world: SetUp) -> Iterator[None]:
    """Let people come of whom the audit must know who may be written to, in lots."""
    for first in range(0, _CROWD, _LOT):
        world.shop.segment(
            *(
                {
                    "type": "identify",
                    "messageId": f"crowd-{number}",
                    "userId": f"crowd-{number}",
                    "traits": {"email": f"crowd-{number}@example.com", "email_opt_in": True},
                }
                for number in range(first, first + _LOT)
            )
        )
    yield


# --- who watches the watchers ---------------------------------------------------------------------


@contextmanager
def _rule_of_many(world: SetUp) -> Iterator[None]:
    """Add a rule of an operator's own that promtool lets pass and the data does not."""
    rule = {
        "record": "topic:lag_each:ratio",
        "expr": "rekindle_lag_seconds / on (topic) rekindle_lag_records",
    }
    world.prometheus.add_rules("own", [{"name": "own", "rules": [rule]}])
    yield


@contextmanager
def _token_expired(world: SetUp) -> Iterator[None]:
    world.webhooks.answers = 403
    yield


FAULTS = (
    Fault(
        "redis-hangs",
        "Redis was stopped in its work",
        ("RedisServerDown",),
        _redis_hangs,
    ),
    Fault(
        "redis-exporter-ended",
        "redis_exporter was ended",
        ("RedisServerDown",),
        _exporter_ended,
        shoppers=False,
    ),
    Fault(
        "redis-nearly-full",
        "Redis was left a tenth more memory than it used",
        ("RedisMemoryHigh",),
        _little_memory,
    ),
    Fault(
        "redis-evicts",
        "an operator let a full Redis evict (`CONFIG SET maxmemory-policy allkeys-lru`)",
        ("RedisMemoryHigh", "RedisEvicting"),
        _evicting,
    ),
    Fault(
        "redis-stalls",
        "Redis stood still for a tenth of a second, twice a second",
        ("RedisSlow",),
        _redis_stalls,
        # or what was slow while the processes started counts for five minutes
        shortened={"RedisSlow": [("[5m]", "[20s]")]},
        people=6,
        given=well(["RedisSlow"], "sum(increase(rekindle_redis_command_seconds_count[20s])) > 300"),
        within=120,
    ),
    Fault(
        "topic-of-short-messages",
        "`max.message.bytes` of `rekindle.decisions` was set to less than a decision",
        ("KafkaProduceErrors",),
        _size_limited,
        within=120,
    ),
    Fault(
        "autoscaler-hunts",
        "a second worker came and went, again and again",
        ("RebalanceStorm",),
        _autoscaled,
        within=180,
    ),
    Fault(
        "worker-throttled",
        "a worker was given no CPU for half of every second",
        ("EventLoopBlocked",),
        _throttled,
        shortened={"EventLoopBlocked": [("[5m]", "[20s]")]},
        people=6,
        given=well(["EventLoopBlocked"], "min(rekindle_event_loop_gap_seconds_count) > 20"),
        within=120,
    ),
    Fault(
        "crowd-comes",
        "forty thousand people came whom the audit must know",
        ("MemoryGrowth",),
        _crowd,
        shoppers=False,
        shortened={"MemoryGrowth": [("[2h]", "[30s]"), ("[15m]", "[20s]")]},
        # or what the processes took when they started would count
        given=well(["MemoryGrowth"], _STEADY),
        within=120,
    ),
    Fault(
        "rule-of-many",
        "a rule was added that finds several series where one is expected",
        ("RuleEvaluationFailing",),
        _rule_of_many,
        shoppers=False,
    ),
    Fault(
        "token-expired",
        "the receiver of notifications answered 403",
        ("NotificationsFailing",),
        _token_expired,
        within=150,
    ),
)
