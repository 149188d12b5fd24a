"""What the topic ``anomalies`` holds, for people; and their verdicts into it."""

from uuid import uuid5

from msgspec import Struct

from engine.draws import NAMESPACE
from engine.errors import Refused
from engine.times import iso
from streams.log.producer import Producer, Record
from streams.log.reader import Reader
from streams.log.topics import ANOMALIES
from streams.observing import messages
from streams.observing.messages import AnomalyMessage, Verdict, VerdictMessage
from streams.settings import Deployment


class Row(Struct, frozen=True, kw_only=True):
    """One episode as it stands; times in ISO 8601, UTC. ``verdict``: the last, "" = none."""

    anomaly_id: str
    kpi: str
    title: str
    dimension: dict[str, str]
    state: str
    severity: str
    direction: str
    value: float | None
    expected: float | None
    unit: str
    score: float
    opened_at: str
    closed_at: str | None
    suppressed_by: str
    verdict: str
    by: str

    @property
    def open(self) -> bool:
        """Return whether it is still open."""
        return self.state != "closed"


async def episodes(deployment: Deployment) -> list[Row]:
    """Return the episodes the topic holds, newest first; raises Unavailable and Refused."""
    reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
    found: dict[str, AnomalyMessage] = {}
    said: dict[str, VerdictMessage] = {}
    try:
        async for record in reader.whole(deployment.topic_prefix + ANOMALIES):
            message = messages.read(record.value or b"")
            if isinstance(message, AnomalyMessage):
                found[message.anomaly_id] = message
            elif message is not None:
                said[message.anomaly_id] = message
    finally:
        await reader.stop()
    rows = [_row(one, said.get(name)) for name, one in found.items()]
    return sorted(rows, key=lambda row: (row.opened_at, row.anomaly_id), reverse=True)


def _row(message: AnomalyMessage, said: VerdictMessage | None) -> Row:
    return Row(
        anomaly_id=message.anomaly_id,
        kpi=message.kpi,
        title=message.title,
        dimension=message.dimension,
        state=message.state,
        severity=message.severity,
        direction=message.direction,
        value=message.value,
        expected=message.expected,
        unit=message.unit,
        score=message.score,
        opened_at=message.opened_at,
        closed_at=message.closed_at,
        suppressed_by=message.suppressed_by,
        verdict="" if said is None else said.verdict,
        by="" if said is None else said.by,
    )


async def judge(
    deployment: Deployment, anomaly_id: str, verdict: Verdict, *, by: str, at: int, note: str = ""
) -> Row:
    """Write an operator's verdict on an episode, which may be named by the beginning of its id.

    ``at``: ms. Returns the episode; raises Refused when none or several are meant, and
    Unavailable.
    """
    row = _meant(await episodes(deployment), anomaly_id)
    message = VerdictMessage(
        message_id=str(uuid5(NAMESPACE, f"verdict|{row.anomaly_id}|{verdict}|{by}|{at}")),
        anomaly_id=row.anomaly_id,
        kpi=row.kpi,
        dimension=row.dimension,
        verdict=verdict,
        by=by,
        at=iso(at),
        note=note,
    )
    record = Record(messages.key(row.kpi, row.dimension), messages.encode(message))
    producer = Producer(deployment.kafka)
    try:
        await producer.run(deployment.topic_prefix + ANOMALIES, 0, [record])
    finally:
        await producer.stop()
    return row


def _meant(rows: list[Row], anomaly_id: str) -> Row:
    found = [row for row in rows if row.anomaly_id.startswith(anomaly_id)]
    if len(found) == 1:
        return found[0]
    if found:
        message = f"{anomaly_id} begins {len(found)} ids: write more of it."
    else:
        message = f"There is no episode {anomaly_id}: `rekindle anomalies list` shows their ids."
    raise Refused(message)


__all__ = ["Row", "episodes", "judge"]
