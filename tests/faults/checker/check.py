"""The whole check of a run, partition by partition: what was sent against what is there.

Nothing here commits, drains or owns anything, and nothing of the product that does is imported.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.actions import Action
from engine.actions import decode as decode_action
from engine.decisions import decode as decode_decision
from streams import sources
from streams.log.topics import ACTIONS, CHANNELS, DECISIONS, EVENTS, FEEDBACK, RAW, partition_of
from tests.faults.checker import caps, handovers, intake, knowledge, outputs, stored
from tests.faults.checker.expected import expect
from tests.faults.checker.findings import Findings
from tests.faults.checker.intake import Place, Taken, Told
from tests.faults.checker.outputs import Entry
from tests.faults.world.plan import Ran, Read

_OUTPUTS: Final = (DECISIONS, *[ACTIONS + channel for channel in CHANNELS])


class Partitions:
    """A topic read once, partition after partition, with no more than one in memory."""

    def __init__(self, records: Iterator[Read]) -> None:
        """``records``: in order of partition and offset."""
        self._records = records
        self._next = next(records, None)

    def take(self, partition: int) -> list[Read]:
        """Return all of a partition; they are asked for in order."""
        found: list[Read] = []
        while self._next is not None and self._next.partition <= partition:
            if self._next.partition == partition:
                found.append(self._next)
            self._next = next(self._records, None)
        return found


@dataclass
class Book:
    """What is known of a whole run, before and while its partitions are looked at."""

    ran: Ran
    acknowledged: dict[int, dict[int, bytes]]
    strays: list[Read]
    files: dict[str, bytes]
    state: dict[int, stored.Stored]
    actions: dict[str, Action] = field(default_factory=dict)
    unreadable: dict[Place, str] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def home(self, user: str) -> int:
        """Return the partition a user's events belong to."""
        return partition_of(user.encode(), self.ran.plan.partitions)


def check(ran: Ran) -> Findings:
    """Check a run that is over; its Redis must still be there."""
    book = _open(ran)
    topics = {name: Partitions(ran.topic(name)) for name in (RAW, FEEDBACK, EVENTS, *_OUTPUTS)}
    for partition in range(ran.plan.partitions):
        _check(partition, {name: topic.take(partition) for name, topic in topics.items()}, book)
    findings = book.findings
    intake.letters(ran.topic("dead-letters"), book.unreadable, findings)
    feedback = (record.value or b"" for record in ran.topic(FEEDBACK))
    handovers.account(book.actions, ran.calls(), feedback, findings)
    findings.tell("actions", len(book.actions))
    return findings


def _open(ran: Ran) -> Book:
    acknowledged: dict[int, dict[int, bytes]] = defaultdict(dict)
    for sent in ran.sent():
        acknowledged[sent.partition][sent.offset] = intake.digest(sent.key.encode(), sent.value)
    strays = [
        record for record in ran.topic(RAW) if (record.key or b"") not in (record.value or b"")
    ]
    files = {
        (record.key or b"").decode(): record.value
        for record in ran.topic("artefacts")
        if record.value is not None
    }
    state = stored.read(ran.redis_url, ran.plan.partitions)
    return Book(ran, acknowledged, strays, files, state)


def _check(partition: int, records: dict[str, list[Read]], book: Book) -> None:
    findings = book.findings
    intake.kept(book.acknowledged.pop(partition, {}), records[RAW], findings)
    told = _told(partition, records, book)
    log = intake.match(records[EVENTS], told, findings)
    expected = asyncio.run(expect(partition, log, book.files))
    kept = {name: outputs.readers_rule(records[name], findings) for name in _OUTPUTS}
    for name, entries in kept.items():
        outputs.compare(f"{name}/{partition}", entries, expected.outputs.get(name, ()), findings)
    last = records[EVENTS][-1].offset + 1 if records[EVENTS] else 0
    there = book.state[partition]
    stored.compare(partition, there, expected.state, last, findings)
    decisions = [(at, decode_decision(value)) for at, value in kept[DECISIONS]]
    made = [decision for _, decision in decisions]
    outputs.closings(made, there.profiles, expected.report.armed, findings)
    outputs.distinct((decision.decision_id for decision in made), findings)
    findings.tell("decisions", len(made))
    if expected.in_force.policy is not None:
        caps.recount(log, made, expected.in_force.policy, findings)
    by_ticks = [(at, decision.user_id) for at, decision in decisions]
    knowledge.stale(log, told.appended, by_ticks, findings)
    _actions(log, kept, book)


def _told(partition: int, records: dict[str, list[Read]], book: Book) -> Told:
    told, prefix = Told(), book.ran.prefix
    segment, feedback = sources.parser("segment"), sources.parser(sources.FEEDBACK)

    def ours(user: str) -> bool:
        return book.home(user) == partition

    told.read(prefix + RAW, book.strays, segment, ours)
    told.read(prefix + RAW, records[RAW], segment, ours)
    told.read(prefix + FEEDBACK, records[FEEDBACK], feedback, ours)
    book.unreadable |= told.unreadable
    return told


def _actions(log: Sequence[Taken], kept: dict[str, list[Entry]], book: Book) -> None:
    made = [
        (at, decode_action(value))
        for name, entries in kept.items()
        if name != DECISIONS
        for at, value in entries
    ]
    outputs.distinct((action.action_id for _, action in made), book.findings)
    knowledge.bought(log, made, book.findings)
    book.actions |= {action.action_id: action for _, action in made}
