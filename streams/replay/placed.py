"""A log as replay reads it: records with their places, and the artefacts beside them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.events import Record


class Placed(NamedTuple):
    """One record of one partition of the log."""

    partition: int
    offset: int
    record: Record


Log = AsyncIterator[Placed]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where records come from; ``files`` are the artefacts their settings records name.

    ``unreadable`` counts records that only a dead letter is left of; ``notes`` are sentences the
    reader of the result should know.
    """

    log: Log
    files: Mapping[str, bytes]
    unreadable: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
