"""What we use of Faust and aiokafka and their documentation does not promise.

Both are pinned exactly. Whoever raises a pin finds here which calls to look at: each line is a
call as our code makes it, and what of the behaviour a signature cannot show is tested below it.
"""

import asyncio
import inspect
from importlib.metadata import version
from typing import Any

import aiokafka
import faust
import mode
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.channels import Channel
from faust.transport.base import Producer
from faust.transport.consumer import Consumer
from mode.utils.queues import FlowControlEvent

PINS = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"}

SELF = object()

# callable, positional arguments, keyword arguments: as we call it
CALLS: list[tuple[Any, str, tuple[Any, ...], tuple[str, ...]]] = [
    (faust.App, "channel", (SELF,), ("maxsize",)),
    (faust.App, "agent", (SELF, "channel"), ("name", "concurrency")),
    (faust.App, "service", (SELF, "class or instance"), ()),
    (faust.App, "timer", (SELF, 1.0), ("name",)),
    (faust.App, "task", (SELF,), ()),
    (faust.App, "crash", (SELF, "error"), ()),
    (Channel, "put", (SELF, "value"), ()),
    (FlowControlEvent, "resume", (SELF,), ()),
    (faust.Service, "task", ("function",), ()),
    (faust.Service, "timer", (1.0,), ("name",)),
    (faust.Service, "on_start", (SELF,), ()),
    (faust.Service, "on_stop", (SELF,), ()),
    (faust.Service, "crash", (SELF, "error"), ()),
    (aiokafka.AIOKafkaProducer, "create_batch", (SELF,), ()),
    (aiokafka.AIOKafkaProducer, "send_batch", (SELF, "batch", "topic"), ("partition",)),
    (aiokafka.AIOKafkaProducer, "flush", (SELF,), ()),
    (BatchBuilder, "append", (SELF,), ("timestamp", "key", "value", "headers")),
    (BatchBuilder, "record_count", (SELF,), ()),
    (aiokafka.AIOKafkaConsumer, "subscribe", (SELF, ["topic"]), ("listener",)),
    (aiokafka.AIOKafkaConsumer, "getmany", (SELF, "tp", "tp"), ("timeout_ms", "max_records")),
    (aiokafka.AIOKafkaConsumer, "seek", (SELF, "tp", 0), ()),
    (aiokafka.AIOKafkaConsumer, "highwater", (SELF, "tp"), ()),
    (aiokafka.AIOKafkaConsumer, "beginning_offsets", (SELF, ["tp"]), ()),
    (aiokafka.AIOKafkaConsumer, "end_offsets", (SELF, ["tp"]), ()),
    (aiokafka.AIOKafkaConsumer, "commit", (SELF, {}), ()),
    (aiokafka.ConsumerRebalanceListener, "on_partitions_assigned", (SELF, ["tp"]), ()),
    (aiokafka.ConsumerRebalanceListener, "on_partitions_revoked", (SELF, ["tp"]), ()),
    (AIOKafkaAdminClient, "create_topics", (SELF, ["new"]), ()),
    (AIOKafkaAdminClient, "describe_topics", (SELF, ["topic"]), ()),
    (AIOKafkaAdminClient, "describe_configs", (SELF, ["resource"]), ()),
    (AIOKafkaAdminClient, "describe_cluster", (SELF,), ()),
    (NewTopic, "__init__", (SELF, "name", 1, 1), ("topic_configs",)),
    (NewPartitions, "__init__", (SELF, 1), ()),
]

CLIENT_OPTIONS = {
    aiokafka.AIOKafkaProducer: {
        "bootstrap_servers",
        "acks",
        "enable_idempotence",
        "max_batch_size",
        "linger_ms",
        "request_timeout_ms",
    },
    aiokafka.AIOKafkaConsumer: {
        "bootstrap_servers",
        "group_id",
        "group_instance_id",
        "enable_auto_commit",
        "auto_offset_reset",
        "session_timeout_ms",
        "heartbeat_interval_ms",
        "rebalance_timeout_ms",
        "fetch_max_wait_ms",
        "metadata_max_age_ms",
        "max_partition_fetch_bytes",
        "isolation_level",
    },
}


@pytest.mark.parametrize("distribution", PINS)
def test_the_pinned_version_is_the_one_that_runs(distribution: str) -> None:
    assert version(distribution) == PINS[distribution]


@pytest.mark.parametrize(
    ("owner", "name", "positional", "keywords"),
    CALLS,
    ids=[f"{owner.__name__}.{name}" for owner, name, *_ in CALLS],
)
def test_a_call_is_accepted_as_we_make_it(
    owner: Any, name: str, positional: tuple[Any, ...], keywords: tuple[str, ...]
) -> None:
    inspect.signature(getattr(owner, name)).bind(*positional, **dict.fromkeys(keywords))


@pytest.mark.parametrize("client", CLIENT_OPTIONS, ids=lambda client: client.__name__)
def test_a_client_takes_the_options_we_set(client: Any) -> None:
    assert CLIENT_OPTIONS[client] <= set(inspect.signature(client).parameters)


def test_a_supervisor_that_ends_the_process_can_be_chosen() -> None:
    assert issubclass(mode.CrashingSupervisor, mode.SupervisorStrategy)


class Quiet(faust.App):
    """The app as we build it."""

    class BootStrategy(faust.App.BootStrategy):  # type: ignore[valid-type,misc]
        enable_kafka = False


def _started(app: Any) -> list[object]:
    return list(app.boot_strategy.server())


def test_faust_opens_no_kafka_connection_when_told_so() -> None:
    kafka = (Consumer, Producer)
    assert any(isinstance(s, kafka) for s in _started(faust.App("loud", broker="kafka://unused")))
    app = Quiet("quiet", broker="kafka://unused", agent_supervisor=mode.CrashingSupervisor)
    assert not any(isinstance(s, kafka) for s in _started(app))
    supervisor: object = app.conf.agent_supervisor
    assert supervisor is mode.CrashingSupervisor


async def test_a_channel_carries_plain_values_once_flow_control_is_resumed() -> None:
    app = Quiet("quiet", broker="kafka://unused")
    channel: Any = app.channel(maxsize=0)
    values = aiter(channel)
    putting = asyncio.create_task(channel.put(("partition", [1, 2])))
    await asyncio.sleep(0.01)
    assert not putting.done(), "without a Faust consumer nobody else opens the channels"
    app.flow_control.resume()
    assert await asyncio.wait_for(anext(values), 5) == ("partition", [1, 2])
    await putting


def test_a_full_batch_says_so() -> None:
    batch = BatchBuilder(batch_size=200, compression_type=0)
    accepted = 0
    while batch.append(timestamp=None, key=b"k", value=b"v" * 50, headers=[("v", b"1")]):
        accepted += 1
        assert accepted < 100
    assert batch.record_count() == accepted > 0
