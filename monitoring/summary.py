"""What one process says of itself once a second, and how it is written down.

Every process of a deployment leaves its summary where the others find it; whoever is asked for
the live page shows all of them. Nobody asks another process over HTTP.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field
from prometheus_client import CollectorRegistry

Kind = Literal["worker", "observe", "audit"]

# A character of a label's value that Prometheus writes with a backslash before it.
_ESCAPE: Final = re.compile(r"\\(.)")

# Samples of the client library that say nothing to a reader of the page.
_UNTOLD: Final = ("process_virtual_memory_bytes", "process_max_fds", "python_")


class Summary(Struct, frozen=True, kw_only=True):
    """One process as it stands; times are wall ms.

    ``samples``: what a scrape would show of its registry, name and labels as scraped, without
    what is zero: a bucket, a counter or a gauge that is missing stands at 0. ``findings``: the
    sentences of its health. ``facts``: what only this kind of process knows, as JSON.
    """

    kind: Kind
    name: str
    at: int
    started_at: int
    version: str = ""
    http: str = ""
    samples: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Summary)


def encode(summary: Summary) -> bytes:
    """Return the summary as JSON."""
    return _encoder.encode(summary)


def decode(content: bytes) -> Summary:
    """Read a summary; raises ValueError for what is none. Fields we do not know are left out."""
    return _decoder.decode(content)


def samples_of(registry: CollectorRegistry) -> dict[str, float]:
    """Return the samples of a registry that are not zero, under their names as scraped.

    May run in a thread: it takes milliseconds for a thousand series.
    """
    found = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.value and not sample.name.startswith(_UNTOLD):
                found[scraped(sample.name, sample.labels)] = float(sample.value)
    return found


def scraped(name: str, labels: Mapping[str, str]) -> str:
    """Return a series as Prometheus writes it: ``name{label="value"}``."""
    if not labels:
        return name
    told = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{told}}}"


@lru_cache(maxsize=16_384)
def taken_apart(series: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return name and labels of a series as scraped; raises ValueError for what is none."""
    name, opened, rest = series.partition("{")
    if not opened:
        return name, ()
    labels = []
    at = 0
    while rest[at : at + 1] != "}":
        label, quoted, tail = rest[at:].partition('="')
        end = _closing(tail)
        if not quoted or end < 0:
            message = f"{series!r} is no series"
            raise ValueError(message)
        labels.append((label, _plain(tail[:end])))
        at += len(label) + len(quoted) + end + 1
        at += rest[at : at + 1] == ","
    return name, tuple(labels)


def _closing(text: str) -> int:
    """Return where the quote that ends a value stands; -1 = nowhere."""
    at = text.find('"')
    while at > 0:
        slashes = at - len(text[:at].rstrip("\\"))
        if slashes % 2 == 0:
            return at
        at = text.find('"', at + 1)
    return at


def _escaped(value: str) -> str:
    if '"' not in value and "\\" not in value and "\n" not in value:
        return value
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _plain(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], value)


__all__ = ["Kind", "Summary", "decode", "encode", "samples_of", "scraped", "taken_apart"]
