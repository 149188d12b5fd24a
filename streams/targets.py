"""Tells Prometheus whom to scrape: a file of targets, out of what the processes say in Redis.

The format is that of ``file_sd_configs``. A process is in the file while its summary lives; one
that cannot be reached any more leaves it when its summary has lapsed, and not before, so that a
stalled worker is seen as down (``up == 0``) and not as gone.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import msgspec
from msgspec import Struct

from engine.errors import Refused, Unavailable
from monitoring.summary import Summary
from streams import fleet
from streams.state.connection import RedisConnection

JOB: Final = "rekindle"
# Prometheus looks at the file by inotify: the file changes only when something has changed.
EVERY: Final = 2.0


class Target(Struct, frozen=True):
    """One group of the file: an address and the labels of its series."""

    targets: list[str]
    labels: dict[str, str]

    def __str__(self) -> str:
        """Return it on one line."""
        return f"{self.labels['kind']} {self.labels['worker']} at {', '.join(self.targets)}"


def targets_of(summaries: Sequence[Summary]) -> list[Target]:
    """Return the targets, by kind and name; a process without an address has none."""
    return [
        Target(
            [summary.http],
            {"job": JOB, "kind": summary.kind, "worker": summary.name},
        )
        for summary in sorted(summaries, key=lambda each: (each.kind, each.name))
        if summary.http
    ]


def encode(targets: Sequence[Target]) -> bytes:
    """Return the file as JSON for people and for Prometheus."""
    return msgspec.json.format(msgspec.json.encode(list(targets)), indent=2) + b"\n"


def write(path: Path, content: bytes) -> bool:
    """Put ``content`` in the place of the file at once; False = it said that already.

    Raises Refused when it cannot be written.
    """
    try:
        if path.exists() and path.read_bytes() == content:
            return False
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
            try:
                new.write(content)
                new.flush()
                os.fchmod(new.fileno(), 0o644)  # Prometheus runs as somebody else
                Path(new.name).replace(path)
            except BaseException:
                with suppress(OSError):
                    Path(new.name).unlink()
                raise
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}."
        raise Refused(message) from error
    return True


async def follow(
    redis: RedisConnection,
    path: Path,
    told: Callable[[str], object],
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    """Keep the file up to date until cancelled; ``told`` hears a sentence for each change.

    While Redis is away the file stays as it is: the processes may well be there.
    """
    away = False
    while True:
        try:
            found = targets_of(await fleet.read(redis))
        except Unavailable as error:
            if not away:
                told(f"the file stays as it is: {error}")
            away = True
        else:
            away = False
            if write(path, encode(found)):
                told(f"{path}: {len(found)} targets")
        await sleep(EVERY)


__all__ = ["EVERY", "JOB", "Target", "encode", "follow", "targets_of", "write"]
