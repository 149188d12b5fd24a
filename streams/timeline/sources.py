"""Where a life is read from: the topics, a recorded run, a file of events or of decisions."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from engine.decisions import decode
from engine.errors import Refused
from engine.profile import ANONYMOUS
from rules import campaigns as campaigns_files
from rules import templates
from streams import person
from streams.log.topics import DECISIONS, EVENTS, partition_of
from streams.replay import origins, recording
from streams.settings import Deployment
from streams.timeline.life import Life, decided, lived

Read = Callable[[str], Awaitable[Life | None]]

_DECISIONS_FILE: Final = f"{DECISIONS}.jsonl"


async def of_deployment(
    deployment: Deployment, user_id: str, campaigns: bytes | None = None
) -> Life:
    """Return her life from the topics as they stand; raises Refused, Unavailable."""

    async def read(user: str) -> Life | None:
        place = await person.partition(deployment, user)
        made = await person.decisions(deployment, user, place)
        origin = await origins.topic(deployment, deployment.topic_prefix + EVENTS, place)
        return await lived(origin, user, made, campaigns=campaigns)

    return await _found(read, user_id, f"in the topics of {deployment.kafka}")


async def of_path(path: Path, user_id: str, campaigns: bytes | None = None) -> Life:
    """Return her life from the folder of a recorded run or from a file; raises Refused.

    A file of decisions tells these alone; one of events is decided as replay decides it, live and
    with ``campaigns`` or the shipped ones in force.
    """
    return await _found(_reader(path, campaigns), user_id, f"in {path}")


def _reader(path: Path, campaigns: bytes | None) -> Read:
    if path.is_dir():
        return _in_run(path, campaigns)
    return (_in_decisions if _holds_decisions(path) else _in_events)(path, campaigns)


def _in_decisions(path: Path, campaigns: bytes | None) -> Read:
    policy = None if campaigns is None else campaigns_files.load(campaigns, "the campaigns file")

    async def read(user: str) -> Life:
        return decided(user, person.recorded_decisions(str(path), user), policy)

    return read


def _in_run(folder: Path, campaigns: bytes | None) -> Read:
    async def read(user: str) -> Life | None:
        place = _place(folder, user)
        if place is None:
            return None
        file = folder / _DECISIONS_FILE
        made = person.recorded_decisions(str(file), user) if file.is_file() else None
        return await lived(origins.recorded(folder, place), user, made, campaigns=campaigns)

    return read


def _in_events(path: Path, campaigns: bytes | None) -> Read:
    artefacts = {
        "campaigns": campaigns or campaigns_files.shipped(),
        "templates": templates.artefact(),
    }

    async def read(user: str) -> Life | None:
        origin = origins.file(path, origins.guessed(path), artefacts, partitions=1)
        return await lived(origin, user, None, mode="live")

    return read


def _place(folder: Path, user_id: str) -> int | None:
    """Return the partition that holds events of hers, None = none does.

    The one her id belongs to is looked at first; the others in case the run had more partitions
    than left a file.
    """
    found = recording.partitions(folder)
    mark = msgspec.json.encode(user_id)
    first = partition_of(user_id.encode(), len(found))
    for entry in sorted(found, key=lambda entry: entry.partition != first):
        if mark in entry.path.read_bytes():
            return entry.partition
    return None


def _holds_decisions(path: Path) -> bool:
    """Return whether a file holds decisions; what is of no format of events counts as such."""
    with path.open("rb") as file:
        first = file.readline()
    try:
        decode(first)
    except msgspec.DecodeError:
        pass
    else:
        return True
    try:
        origins.guessed(path)
    except Refused:
        return True
    return False


async def _found(read: Read, user_id: str, where: str) -> Life:
    life = await read(user_id)
    if life is not None:
        return life
    anonymous = ANONYMOUS + user_id
    if not user_id.startswith(ANONYMOUS) and await read(anonymous) is not None:
        raise Refused(
            f"Nobody called {user_id} is known {where}, but somebody who never signed in is: "
            f"ask for {anonymous}."
        )
    raise Refused(
        f"Nothing is known about {user_id} {where}: no event of hers was folded and nothing was "
        "decided. Ask with the id your app sends as userId."
    )


__all__ = ["of_deployment", "of_path"]
