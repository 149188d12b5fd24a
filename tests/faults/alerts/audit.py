"""Faults that the audit finds in the topics, and faults that keep it from looking."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from engine.times import from_iso, iso
from streams.state.keys import keys_of
from tests.faults.alerts.trial import Fault
from tests.support.redis_cluster import open_redis
from tests.support.running import wait_until
from tests.support.set_up import SetUp

_PUSH, _EMAIL = "actions.push", "actions.email"
# Where shoppers are whose zone nobody told: it is night there, and in some hours it is not.
_THERE: Final = datetime.now(ZoneInfo("Asia/Shanghai"))
_NIGHT: Final = {
    'from = "21:00"': f'from = "{_THERE - timedelta(hours=1):%H}:00"',
    'to = "08:00"': f'to = "{_THERE + timedelta(hours=4):%H}:00"',
}


# --- what should not stand in the topics ----------------------------------------------------------


@contextmanager
def _foreign_writer(world: SetUp) -> Iterator[None]:
    """Write to people past all rules, as somebody who found the topic and sends on his own."""
    action = wait_until(lambda: world.shop.values(_PUSH)[-1:], "somebody was written to")[0]
    withheld = wait_until(lambda: _withheld(world), "somebody is withheld from")
    written = [
        action,  # once more
        _own(action, action["user_id"]),  # she has had the one that is allowed
        _own(action, withheld),
        _own(action, "nobody-ever-asked-her"),
    ]
    _write(world, _PUSH, written)
    yield


@contextmanager
def _night_writer(world: SetUp) -> Iterator[None]:
    action = wait_until(lambda: world.shop.values(_PUSH)[-1:], "somebody was written to")[0]
    world.shop.apply(world.campaigns(_NIGHT))
    _write(world, _PUSH, [_own(action, action["user_id"])])
    yield


def _withheld(world: SetUp) -> str:
    """Return somebody who would have had a push message and is one of the holdout."""
    for decision in world.shop.values("decisions"):
        if decision["reason"] == "would_send_holdout":
            return str(decision["user_id"])
    return ""


def _own(action: Mapping[str, Any], user: str) -> dict[str, Any]:
    """Return a message of somebody else's, under ids of his own."""
    now = int(time.time() * 1000)
    delivery = {**action["delivery"], "created_at": iso(now)}
    own = {"action_id": str(uuid4()), "decision_id": str(uuid4())}
    return {**action, **own, "user_id": user, "delivery": delivery}


def _write(world: SetUp, topic: str, values: list[dict[str, Any]]) -> None:
    """Without ``x-pos``, as a foreign writer would: the worker's own place stays true."""
    records = [(value["user_id"].encode(), json.dumps(value).encode()) for value in values]
    world.shop.publish(topic, records)


@contextmanager
def _late_reader(world: SetUp) -> Iterator[None]:
    """Carry every push message after its time, as a gateway of one's own that never looks at it."""

    def expired() -> list[dict[str, Any]]:
        now = int(time.time() * 1000)
        actions = world.shop.values(_PUSH)
        return [one for one in actions if from_iso(one["delivery"]["expires_at"]) < now]

    late = wait_until(expired, "a message has lain beyond its time")
    _write(world, "feedback", [_accepted(action) for action in late])
    yield


def _accepted(action: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "v": 1,
        "feedback_id": str(uuid4()),
        "action_id": action["action_id"],
        "user_id": action["user_id"],
        "channel": action["channel"],
        "provider": "ours",
        "type": "accepted",
        "provider_code": str(uuid4()),
        "occurred_at": iso(int(time.time() * 1000)),
    }


# --- what should, and does not --------------------------------------------------------------------


@contextmanager
def _actions_deleted(world: SetUp) -> Iterator[None]:
    """Empty a topic before the audit has read it, as retention that is shorter than its pause."""
    audit = world.audit.server
    audit.pause()
    began = sum(world.shop.ends(_EMAIL))
    wait_until(lambda: sum(world.shop.ends(_EMAIL)) > began + 20, "messages it has not read")
    _empty(world, _EMAIL)
    audit.resume()
    yield


def _empty(world: SetUp, topic: str) -> None:
    ends = dict(enumerate(world.shop.ends(topic)))
    upto = {
        TopicPartition(world.shop.prefix + topic, at): RecordsToDelete(before_offset=end)
        for at, end in ends.items()
    }

    async def delete(admin: AIOKafkaAdminClient) -> None:
        await admin.delete_records(upto)

    world.kafka.administer(delete)


@contextmanager
def _profiles_deleted(world: SetUp) -> Iterator[None]:
    """Delete people whose carts wait for the morning; they come back, and are met as strangers."""
    world.traffic(2.0)
    wait_until(lambda: _deferred(world), "carts wait for the morning")
    redis = open_redis(world.shop.deployment.redis)
    people = keys_of(0).user("*").replace(b"{0}", b"*")
    redis.delete(*redis.scan_iter(match=people))
    world.came = 0
    world.traffic(2.0)
    yield


def _deferred(world: SetUp) -> bool:
    told = {one["user_id"] for one in world.shop.values("decisions") if one["outcome"] == "defer"}
    return len(told) > 20


# --- nobody looks ---------------------------------------------------------------------------------


@contextmanager
def _audit_away(world: SetUp) -> Iterator[None]:
    """Write what should not be while no audit runs: the next one finds it before it is scraped."""
    action = wait_until(lambda: world.shop.values(_PUSH)[-1:], "somebody was written to")[0]
    world.audit.stop()
    _write(world, _PUSH, [_own(action, action["user_id"])])
    world.audit = world.shop.start_audit(REKINDLE_WORKER_ID="audit")
    world.stack.callback(world.audit.stop)
    yield


@contextmanager
def _watchers_killed(world: SetUp) -> Iterator[None]:
    world.audit.kill()
    world.observer.kill()
    yield


FAULTS: tuple[Fault, ...] = (
    Fault(
        "foreign-writer",
        "somebody else wrote into `actions.push`: what stood there already, to somebody who had "
        "her message, to one of the holdout, to one who never agreed",
        (
            "ActionsDuplicated",
            "ActionsUndecided",
            "CapViolation",
            "WithheldViolation",
            "ConsentViolation",
        ),
        _foreign_writer,
    ),
    Fault(
        "writer-at-night",
        "somebody else wrote into `actions.push` in quiet hours",
        ("QuietHoursViolation",),
        _night_writer,
    ),
    Fault(
        "late-reader",
        "a gateway of one's own carried messages that had expired",
        ("ExpiredHandedOver",),
        _late_reader,
        environ={"REKINDLE_GATEWAY_PUSH": "none"},
        replace={'deliver_within = "2h"': 'deliver_within = "5s"'},
    ),
    Fault(
        "actions-deleted",
        "the records of `actions.email` were deleted while the audit stood still",
        ("ActionsLost",),
        _actions_deleted,
        within=150.0,
    ),
    Fault(
        "profiles-deleted",
        "the profiles of people whose carts waited for the morning were deleted in Redis",
        ("TriggersUnbalanced",),
        _profiles_deleted,
        shoppers=False,
        replace=_NIGHT,
    ),
    Fault(
        "audit-away",
        "somebody else wrote into `actions.push` while no audit ran",
        ("ActionsUndecided", "CapViolation"),
        _audit_away,
        within=120.0,
    ),
    Fault(
        "watchers-killed",
        "the only audit and the only observer were ended with -9",
        ("AuditStale", "AuditSilent", "AnomalyDetectorStale"),
        _watchers_killed,
        shortened={
            "AuditSilent": (("[1h]", "[10s]"), ("> 3600", "> 10"), ("offset 1h", "offset 10s"))
        },
    ),
)
