"""The records of ``anomalies``: what the observer says of an episode, and what operators say of it.

One message per change of an episode's state; readers know it again by ``message_id``. Keyed by
``kpi|dimension``. No record holds anything about a person.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from engine.times import iso
from monitoring.figures.told import Cause, OperatorVerdict
from monitoring.figures.watch import Change

VERSION: Final = 1

Verdict = Literal["true", "false", "expected"]
Text = Annotated[str, Meta(max_length=200)]
Time = Annotated[str, Meta(description="ISO 8601, UTC", examples=["2026-11-26T22:24:00.000Z"])]


class Detector(Struct, frozen=True):
    """Which kind of detector spoke."""

    kind: Literal["level", "ratio", "absence"]


class Span(Struct, frozen=True):
    """The closed window the figures are of."""

    start: Time
    end: Time


class ContributorTold(Struct, frozen=True):
    """One dimension's share of the distance between value and expectation, 0 to 1."""

    dimension: dict[str, str]
    value: float
    expected: float
    share: float


class CauseTold(Struct, frozen=True):
    """What was done shortly before: a control or a deploy."""

    type: Literal["control", "deploy"]
    at: Time
    what: Text
    by: Text


class VerdictTold(Struct, frozen=True):
    """What an operator said of it."""

    value: Verdict
    by: Text
    at: Time
    note: Text = ""


class AnomalyMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="anomaly"):
    """One change of an episode.

    ``anomaly_id`` is a hash of KPI, dimension and opening time. ``score`` is -log10 of the chance
    that the series behaves so by itself. ``n``: events or trials behind the value.
    ``suppressed_by``: the known cause in force, "" = none.
    """

    schema_version: int = VERSION
    message_id: str
    anomaly_id: str
    state: Literal["opened", "updated", "closed"]
    kpi: Text
    title: Text
    dimension: dict[str, str]
    detector: Detector
    window: Span
    value: float | None
    expected: float | None
    band: tuple[float, float] | None
    unit: Text
    n: float
    score: float
    direction: Literal["up", "down"]
    severity: Literal["info", "warning", "critical"]
    opened_at: Time
    last_seen_at: Time
    closed_at: Time | None = None
    contributors: list[ContributorTold] = []
    suspected_cause: list[CauseTold] = []
    suppressed_by: str = ""
    verdict: VerdictTold | None = None
    runbook: str = ""
    observer: str = ""
    kpi_file: str = ""


class VerdictMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="verdict"):
    """What an operator says of an episode."""

    schema_version: int = VERSION
    message_id: str
    anomaly_id: str
    kpi: Text
    dimension: dict[str, str]
    verdict: Verdict
    by: Text
    at: Time
    note: Text = ""


Message = AnomalyMessage | VerdictMessage

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Message).decode


def key(kpi: str, dimension: dict[str, str]) -> bytes:
    """Return the key of a record."""
    return f"{kpi}|{'/'.join(dimension.values())}".encode()


def encode(message: Message) -> bytes:
    """Write a message as JSON; equal messages give equal bytes."""
    return _encode(message)


def read(value: bytes) -> Message | None:
    """Read a message; None for what this program never wrote, or a newer version of it."""
    try:
        message: Message = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return message if message.schema_version <= VERSION else None


def schema() -> bytes:
    """Return the JSON Schema of the topic's records."""
    found = msgspec.json.schema(Message)
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["title"] = "Records of the topic rekindle.anomalies"
    return msgspec.json.format(msgspec.json.encode(found, order="deterministic"), indent=2) + b"\n"


# --- writing ------------------------------------------------------------------------------------


def of_episode(change: Change, *, observer: str, kpi_file: str) -> AnomalyMessage:
    """Return the message of one change of an episode."""
    episode = change.episode
    band = None
    if episode.low is not None and episode.high is not None:
        band = episode.low, episode.high
    return AnomalyMessage(
        message_id=f"{episode.anomaly_id}-{change.number}",
        anomaly_id=episode.anomaly_id,
        state=episode.state,
        kpi=episode.kpi,
        title=episode.title,
        dimension=episode.dimension,
        detector=Detector(change.kind),
        window=Span(iso(change.window[0]), iso(change.window[1])),
        value=episode.value,
        expected=episode.expected,
        band=band,
        unit=episode.unit,
        n=round(change.n, 3),
        score=round(episode.score, 3),
        direction="up" if episode.direction == "up" else "down",
        severity=episode.severity,
        opened_at=iso(episode.opened_at),
        last_seen_at=iso(episode.last_seen_at),
        closed_at=None if episode.closed_at is None else iso(episode.closed_at),
        contributors=[
            ContributorTold(one.dimension, one.value, one.expected, round(one.share, 4))
            for one in episode.contributors
        ],
        suspected_cause=[_told(one) for one in episode.causes],
        suppressed_by=episode.suppressed_by,
        verdict=None if episode.verdict is None else _said(episode.verdict),
        runbook="KpiAnomaly",
        observer=observer,
        kpi_file=kpi_file,
    )


def _said(verdict: OperatorVerdict) -> VerdictTold:
    return VerdictTold(verdict.value, verdict.by, iso(verdict.at), verdict.note)


def _told(cause: Cause) -> CauseTold:
    return CauseTold(cause.type, iso(cause.at), cause.what, cause.by)


__all__ = [
    "VERSION",
    "AnomalyMessage",
    "Detector",
    "Message",
    "Verdict",
    "VerdictMessage",
    "encode",
    "key",
    "of_episode",
    "read",
    "schema",
]
