"""Topics as an auditor sees them: bytes the real engine wrote in memory, to read or tamper with.

A tape is what the broker would hold: per topic and partition the records in order, each with its
broker time and headers. Tampering makes a new tape; :func:`audit` reads one to its end.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final, Self

from engine.events import Record, SettingsRecord, Tick
from engine.memory import MemoryStore
from engine.policy import Policy, Settings
from engine.times import from_iso, iso
from monitoring.audit import reading, terms
from monitoring.audit.balance import Fault, totals
from monitoring.audit.lane import Lane
from monitoring.audit.state import State
from monitoring.audit.terms import Terms
from monitoring.audit.verdicts import Finding
from rules import templates
from streams import in_force
from streams.log import codec
from tests.support.world import Lane as Worker
from tests.support.world import World, partition_of

CHANNELS: Final = ("push", "sms", "email")
# Later than any broker time: a topic is known to its end.
_ALWAYS: Final = 1 << 60


@dataclass(frozen=True)
class Kept:
    """One record of a topic: broker time (ms), ``x-pos`` or None, value."""

    at: int
    position: bytes | None
    value: bytes

    @property
    def json(self) -> Any:
        """Return the value read as JSON."""
        return json.loads(self.value)

    def but(self, **changes: Any) -> "Kept":
        """Return it with fields of its value replaced."""
        return replace(self, value=json.dumps(self.json | changes).encode())


@dataclass
class Tape:
    """Topics (without prefix) by partition, and campaigns files by sha256."""

    partitions: int
    topics: dict[tuple[str, int], list[Kept]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    terms: dict[str, Terms] = field(default_factory=dict)

    def of(self, topic: str) -> Iterator[tuple[int, int, Kept]]:
        """Yield (partition, index, record) of a topic."""
        for partition in range(self.partitions):
            for index, kept in enumerate(self.topics.get((topic, partition), ())):
                yield partition, index, kept

    def changed(self, change: Callable[[str, Kept], Iterable[Kept]]) -> Self:
        """Return a tape in which each record is replaced by what ``change(topic, it)`` yields."""
        topics = {
            place: [new for kept in records for new in change(place[0], kept)]
            for place, records in self.topics.items()
        }
        return replace(self, topics=topics)

    def first(self, topic: str, wanted: Callable[[Any], bool] = lambda _: True) -> Kept:
        """Return the first record of a topic whose value is ``wanted``."""
        return next(kept for _, _, kept in self.of(topic) if wanted(kept.json))


@dataclass(frozen=True)
class Audit:
    """What an audit found on a tape."""

    findings: list[Finding]
    faults: list[Fault]
    passed: Counter[str]
    triggers: dict[str, dict[str, int]]
    unjudged: int
    unreadable: int

    @property
    def verdicts(self) -> Counter[str]:
        """Return the violations by verdict."""
        return Counter(finding.verdict for finding in self.findings)

    @property
    def clean(self) -> bool:
        """Return whether nothing at all is wrong or could not be judged."""
        return not (self.findings or self.faults or self.unjudged or self.unreadable)


# --- recording ----------------------------------------------------------------------------------


def record(records: Iterable[Record], campaigns: bytes, *, partitions: int = 4) -> Tape:
    """Let the real engine and the real rules work off ``records`` with a campaigns file in force.

    Every action is reported as accepted a minute later, as a gateway would.
    """
    sha, words = sha256(campaigns).hexdigest(), templates.artefact()
    settings = Settings(campaigns=sha, templates=sha256(words).hexdigest())
    force = in_force.build(settings, {sha: campaigns, settings.templates or "": words})
    store = MemoryStore()
    tape = Tape(partitions, files={sha: campaigns})
    workers = [Worker(store, partition) for partition in range(partitions)]
    logs: list[list[tuple[int, Record]]] = [[] for _ in workers]
    for log in logs:
        log.append((0, SettingsRecord(campaigns=sha)))
    for each in records:
        for partition in _places(each, partitions):
            logs[partition].append((len(logs[partition]), each))
    for worker, log in zip(workers, logs, strict=True):
        worker.enter()
        worker.run(log, force)
        _write(tape, worker, log)
    return tape


def of_world(world: World) -> Tape:
    """Return what a world in memory wrote, with its policy in force from the beginning."""
    policy = world.force.policy
    assert policy is not None
    tape = Tape(len(world.lanes), terms={"policy": terms_of(policy)})
    for worker, log in zip(world.lanes, world.logs, strict=True):
        _write(tape, worker, log)
    return tape


def terms_of(policy: Policy) -> Terms:
    """Return a policy as the audit reads its file."""
    hours = policy.quiet_hours
    return Terms(
        app=policy.app,
        timezone=policy.timezone,
        settle=policy.settle,
        share=policy.holdout.share,
        epoch=policy.holdout.epoch,
        quiet=(hours.start, hours.end),
        testers=policy.testers,
        caps=tuple(
            terms.Cap(cap.name, cap.kind, cap.window, cap.limit, cap.channel) for cap in policy.caps
        ),
        campaigns=tuple(
            terms.Campaign(campaign.id, campaign.trigger, campaign.hard_limit)
            for campaign in policy.campaigns.values()
        ),
    )


def _places(record: Record, partitions: int) -> Iterable[int]:
    if isinstance(record, Tick | SettingsRecord):
        return range(partitions)
    return (partition_of(record.user_id, partitions),)


def _write(tape: Tape, worker: Worker, log: Sequence[tuple[int, Record]]) -> None:
    at, times = 0, []
    for _, each in log:
        at = max(at, _time(each))
        times.append(at)
    partition = worker.partition
    tape.topics["events", partition] = [
        Kept(when, None, codec.write(each)) for when, (_, each) in zip(times, log, strict=True)
    ]
    for entry in worker.out:
        kept = Kept(times[entry.id.offset] + 1, str(entry.id).encode(), entry.value)
        tape.topics.setdefault((entry.topic, partition), []).append(kept)
        if entry.topic.startswith("actions."):
            told = Kept(kept.at + 1, None, _accepted(kept.json))
            tape.topics.setdefault(("feedback", partition), []).append(told)


def _time(record: Record) -> int:
    if isinstance(record, Tick):
        return record.now
    return 0 if isinstance(record, SettingsRecord) else record.received_at


def _accepted(action: Mapping[str, Any]) -> bytes:
    return json.dumps(
        {
            "feedback_id": f"f-{action['action_id']}",
            "action_id": action["action_id"],
            "user_id": action["user_id"],
            "channel": action["channel"],
            "provider": "webhook",
            "type": "accepted",
            "provider_code": "200",
            "occurred_at": iso(from_iso(action["delivery"]["created_at"]) + 60_000),
        }
    ).encode()


# --- auditing -----------------------------------------------------------------------------------


def audit(tape: Tape, *, every: int = 1_000) -> Audit:
    """Audit a tape to its end; ``every``: so many records are read before each look."""
    lanes = [a_lane(tape, partition) for partition in range(tape.partitions)]
    findings: list[Finding] = []
    for lane in lanes:
        findings += follow(lane, tape, every=every)
    return Audit(
        findings,
        [fault for lane in lanes for fault in lane.faults],
        sum((lane.passed for lane in lanes), Counter()),
        totals(lane.state.balance for lane in lanes),
        sum(lane.unjudged for lane in lanes),
        sum(lane.arrivals.unreadable for lane in lanes),
    )


def a_lane(tape: Tape, partition: int, state: State | None = None) -> Lane:
    """Return a lane of a tape, at its beginning or where a checkpoint left it."""
    files = {sha: terms.read(content) for sha, content in tape.files.items()} | tape.terms
    if state is None and tape.terms:
        state = State(campaigns=next(iter(tape.terms)))
    lane = Lane(partition, CHANNELS, files.get, state)
    lane.arrivals.end, lane.arrivals.end_at = len(tape.topics["events", partition]), _ALWAYS
    return lane


def follow(lane: Lane, tape: Tape, *, every: int = 1_000) -> list[Finding]:
    """Feed a lane with its partition of a tape, a piece of every topic at a time."""
    findings: list[Finding] = []
    topics = ["events", "decisions", *[f"actions.{name}" for name in CHANNELS]]
    left = {name: list(tape.topics.get((name, lane.partition), ())) for name in topics}
    at = {name: lane.state.after.get(name, 0) for name in topics}
    reports = list(tape.topics.get(("feedback", lane.partition), ()))
    while any(at[name] < len(left[name]) for name in topics):
        for name in topics:
            for kept in left[name][at[name] : at[name] + every]:
                if not lane.arrivals.hungry(name):
                    break
                take(lane, name, at[name], kept)
                at[name] += 1
        findings += lane.work()
        reports = _reports(lane, reports, findings)
    for waiting in lane.arrivals.actions.values():
        waiting.read_through = _ALWAYS
    findings += lane.work(end=True)
    for kept in reports:
        findings += lane.report(reading.report(kept.value), kept.at, end=True) or ()
    return findings


def begin(lane: Lane, tape: Tape, records: int) -> list[Finding]:
    """Feed a lane with the first so many records of each topic, and let it judge what it can."""
    for topic in ("events", "decisions", *[f"actions.{name}" for name in CHANNELS]):
        for index, kept in enumerate(tape.topics.get((topic, lane.partition), ())[:records]):
            take(lane, topic, index, kept)
    return lane.work()


def _reports(lane: Lane, reports: list[Kept], findings: list[Finding]) -> list[Kept]:
    for index, kept in enumerate(reports):
        told = lane.report(reading.report(kept.value), kept.at)
        if told is None:
            return reports[index:]
        findings += told
    return []


def take(lane: Lane, topic: str, offset: int, kept: Kept) -> None:
    """Give a lane one record."""
    if topic == "events":
        lane.arrivals.event(offset, kept.at, kept.value)
    elif topic == "decisions":
        lane.arrivals.decision(offset, kept.at, kept.position, kept.value)
    else:
        channel = topic.removeprefix("actions.")
        lane.arrivals.action(channel, offset, kept.at, kept.position, kept.value)


__all__ = [
    "CHANNELS",
    "Audit",
    "Kept",
    "Tape",
    "a_lane",
    "audit",
    "begin",
    "follow",
    "of_world",
    "record",
    "take",
    "terms_of",
    "totals",
]
