"""All that is known of one partition: what a checkpoint holds."""

from typing import Final

import msgspec
from msgspec import Struct

from monitoring.audit.actions import Book
from monitoring.audit.balance import Balance
from monitoring.audit.people import Person
from monitoring.audit.reading import Event, Origin, Position

VERSION: Final = 1


class State(Struct):
    """One partition.

    ``after``: next offset by topic (without prefix): of ``events`` what was read, as ``queue``
    holds what was not applied yet; of the others what was judged. ``last``: position of the last
    record by topic; ``origins``: highest place by source; ``recent``: ids of last events by user.
    ``ticks``: offset and writer of the last live ticks. ``applied``, ``decided``,
    ``first_decided``: offsets of ``events``. ``whole``: the log was followed from its first record
    ever, and was not moved from another.
    """

    v: int = VERSION
    whole: bool = True
    now: int = 0
    campaigns: str | None = None
    after: dict[str, int] = {}
    last: dict[str, tuple[int, int]] = {}
    origins: dict[str, Origin] = {}
    recent: dict[str, bytes] = {}
    people: dict[str, Person] = {}
    balance: Balance = msgspec.field(default_factory=Balance)
    book: Book = msgspec.field(default_factory=Book)
    queue: list[Event] = []
    ticks: list[tuple[int, str]] = []
    applied: int = 0
    decided: int = -1
    first_decided: int = -1

    def person(self, user: str) -> Person:
        """Return what is known of a person; somebody new is nobody yet."""
        found = self.people.get(user)
        if found is None:
            found = self.people[user] = Person()
        return found

    def above(self, topic: str, position: Position) -> bool:
        """Apply the readers' rule: return whether a record lies above the last, and note it."""
        if position <= self.last.get(topic, (-1, -1)):
            return False
        self.last[topic] = position.offset, position.ordinal
        return True


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(State).decode


def pack(state: State) -> bytes:
    """Write a state down."""
    return _pack(state)


def unpack(packed: bytes) -> State | None:
    """Read a state back; None when it was written by another version."""
    try:
        state = _unpack(packed)
    except msgspec.MsgspecError:
        return None
    return state if state.v == VERSION else None
