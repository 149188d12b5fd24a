"""What was sent against `events`: each event once, as it was sent, in its person's order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from engine.errors import InvalidEvent
from engine.events import Event, Position, Record, SettingsRecord, Tick
from streams.log import codec
from tests.faults.checker.findings import Findings
from tests.faults.world.plan import Read

Parse = Callable[[bytes, Position, int], list[Event]]
# Topic, partition and offset of a record.
Place = tuple[str, int, int]
# The last offset and ordinal by user, topic and partition.
Latest = dict[tuple[str, str, int], tuple[int, int]]


class Origin(NamedTuple):
    """Where an event was told: topic, partition, offset, and which event of that record."""

    topic: str
    partition: int
    offset: int
    ordinal: int


@dataclass
class Told:
    """What was told to one partition: events by origin, appended when (ms), and what is none."""

    events: dict[Origin, Event] = field(default_factory=dict)
    appended: dict[Place, int] = field(default_factory=dict)
    unreadable: dict[Place, str] = field(default_factory=dict)

    def read(
        self, topic: str, records: Iterable[Read], parse: Parse, ours: Callable[[str], bool]
    ) -> None:
        """Parse records as they stand in the log of the source ``topic`` (its whole name).

        ``ours``: whether a user's events belong into this partition of `events`.
        """
        for record in records:
            place = topic, record.partition, record.offset
            position = Position(topic, 0, record.partition, record.offset)
            try:
                events = parse(record.value or b"", position, record.timestamp)
            except InvalidEvent as error:
                self.unreadable[place] = error.reason
                continue
            self.appended[place] = record.timestamp
            for event in events:
                if ours(event.user_id):
                    self.events[origin_of(event)] = event


class Taken(NamedTuple):
    """One record of `events` as it should be: what was told, or a tick, or settings.

    ``appended``: ms, broker time of the record in `events`.
    """

    offset: int
    record: Record
    appended: int


def origin_of(event: Event) -> Origin:
    """Return where an event says it was told; one that says nothing is told nowhere."""
    at = event.source
    return Origin("", -1, -1, -1) if at is None else Origin(*_place(at), at.ordinal)


def _place(at: Position) -> Place:
    return at.source, at.partition, at.offset


def match(log: Iterable[Read], told: Told, findings: Findings) -> list[Taken]:
    """Compare; returns the log as it should be: repeats and inventions left out."""
    taken: list[Taken] = []
    seen: set[Origin] = set()
    latest: Latest = {}
    for read in log:
        try:
            record = codec.read_at(read.value or b"", read.timestamp)
        except InvalidEvent as error:
            findings.broke("events_unsent", f"{read.partition}/{read.offset}: {error}")
            continue
        if isinstance(record, Tick | SettingsRecord):
            findings.tell("ticks" if isinstance(record, Tick) else "settings")
            taken.append(Taken(read.offset, record, read.timestamp))
            continue
        origin = origin_of(record)
        wanted = told.events.get(origin)
        if wanted is None:
            findings.broke("events_unsent", f"{read.partition}/{read.offset}: {record}")
            continue
        if wanted != record:
            findings.broke("events_altered", f"{record} instead of {wanted}")
        if origin in seen:
            findings.tell("events_repeated")
            continue
        seen.add(origin)
        _in_order(wanted, origin, latest, findings)
        taken.append(Taken(read.offset, wanted, read.timestamp))
    for origin in told.events.keys() - seen:
        findings.broke("events_lost", told.events[origin])
    findings.tell("events", len(seen))
    return taken


def _in_order(
    event: Event,
    origin: Origin,
    latest: Latest,
    findings: Findings,
) -> None:
    """Nobody's events overtake each other on the way from one partition of their source."""
    key = event.user_id, origin.topic, origin.partition
    at = origin.offset, origin.ordinal
    if at <= latest.get(key, (-1, -1)):
        findings.broke("events_reordered", event)
    else:
        latest[key] = at


def letters(found: Iterable[Read], unreadable: Mapping[Place, str], findings: Findings) -> None:
    """Compare the dead letters with what could not be read."""
    seen: set[Place] = set()
    for letter in found:
        headers = {name: value.decode() for name, value in letter.headers}
        place = headers["topic"], int(headers["partition"]), int(headers["offset"])
        if place in seen:
            findings.tell("letters_repeated")
        elif unreadable.get(place) != headers["reason"]:
            findings.broke("letters_unexpected", f"{place}: {headers['reason']}")
        seen.add(place)
    for place, reason in unreadable.items():
        if place not in seen:
            findings.broke("letters_lost", f"{place}: {reason}")
    findings.tell("dead_letters", len(seen))


def kept(acknowledged: Mapping[int, bytes], raw: Sequence[Read], findings: Findings) -> None:
    """Compare one partition of the source with what its broker acknowledged.

    ``acknowledged``: :func:`digest` by offset.
    """
    there = {record.offset: digest(record.key, record.value) for record in raw}
    for offset, told in acknowledged.items():
        if there.get(offset) != told:
            findings.broke("sent_not_kept", f"offset {offset}")
    findings.tell("sent", len(acknowledged))
    findings.tell("sent_unacknowledged", len(there.keys() - acknowledged.keys()))


def digest(key: bytes | None, value: bytes | None) -> bytes:
    """Return eight bytes by which a message is recognised."""
    whole = b"%d|" % len(key or b"") + (key or b"") + (value or b"")
    return blake2b(whole, digest_size=8).digest()
