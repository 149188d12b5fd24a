"""Brings decisions and events to the trainer, from a recorded run or from the topics."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import time
from typing import BinaryIO, cast

from engine.errors import InvalidEvent, Refused
from engine.events import Event, SettingsRecord, Tick
from engine.times import iso
from models.manifest import Manifest, Provenance
from models.registry import Entry, Registry
from models.training import train as trainer
from rules import campaigns
from streams.log import codec
from streams.log.producer import Producer
from streams.log.reader import Reader
from streams.log.topics import ARTEFACTS, DECISIONS, EVENTS
from streams.replay import recording
from streams.settings import Deployment


async def train(
    deployment: Deployment,
    *,
    recorded: str | None,
    provenance: str,
    name: str,
    version: str | None,
    seed: int,
) -> Entry:
    """Train and keep a model; raises Refused when there is too little to learn from, Unavailable.

    The topics are first copied aside: training reads decisions and events one after the other.
    """
    with tempfile.TemporaryDirectory(prefix="rekindle-train-") as aside:
        folder = Path(recorded) if recorded else Path(aside)
        if not recorded:
            await _fetch(deployment, folder)
        created_at = int(time() * 1000)
        artefact = trainer.train(
            _lines(folder / f"{DECISIONS}.jsonl"),
            _events(folder),
            _windows(folder),
            name=name,
            version=version or iso(created_at)[:19].replace(":", "").replace("-", "").lower(),
            created_at=created_at,
            provenance=cast("Provenance", provenance),
            seed=seed,
        )
    return Registry(deployment.models).save(artefact)


async def _fetch(deployment: Deployment, folder: Path) -> None:
    """Record the three topics the trainer needs, as a recorded run."""
    prefix = deployment.topic_prefix
    reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
    producer = Producer(deployment.kafka)
    try:
        with recording.Recorder(folder) as recorder:
            for topic in (DECISIONS, EVENTS, ARTEFACTS):
                for partition in range(await producer.partitions(prefix + topic)):
                    async for record in reader.whole(prefix + topic, partition):
                        if record.value is not None:
                            recorder.record(
                                topic,
                                partition,
                                record.offset,
                                record.timestamp,
                                record.key,
                                record.value,
                            )
    finally:
        await producer.stop()
        await reader.stop()


def _lines(path: Path) -> Iterator[bytes]:
    if not path.is_file():
        message = f"There is no {path}: nothing was decided in this run."
        raise Refused(message)
    with path.open("rb") as file:
        yield from cast("BinaryIO", file)


def _events(folder: Path) -> Iterator[Event]:
    """Yield the events of all partitions; what cannot be read was dead-lettered live."""
    for found in recording.partitions(folder):
        for recorded in recording.records(found.path):
            with suppress(InvalidEvent):
                record = codec.read(bytes(recorded.value))
                if not isinstance(record, Tick | SettingsRecord):
                    yield record


def _windows(folder: Path) -> dict[str, int]:
    """Return the conversion windows (ms) of every campaigns file of the run, by campaign id.

    Two files that differ about one campaign: the longer window, so that no label closes early.
    """
    windows: dict[str, int] = {}
    for sha, content in sorted(recording.artefacts(folder).items()):
        try:
            policy = campaigns.load(content, f"campaigns {sha[:8]}")
        except Refused:  # a template set or a model
            continue
        for campaign in policy.campaigns.values():
            longest = max(campaign.conversion_window, windows.get(campaign.id, 0))
            windows[campaign.id] = longest
    if not windows:
        message = f"{folder} holds no campaigns file under artefacts/: nothing was ever applied."
        raise Refused(message)
    return windows


# --- telling -------------------------------------------------------------------------------------


def one_line(entry: Entry) -> str:
    """Return a model in one line."""
    manifest = entry.manifest
    overall = manifest.metrics.get("all")
    auc = "AUC not measured"
    if overall is not None and overall.auc is not None:
        auc = f"AUC {overall.auc.estimate:.3f} [{overall.auc.low:.3f}, {overall.auc.high:.3f}]"
    return (
        f"{manifest.name}/{manifest.version}  {entry.sha256[:12]}  {manifest.provenance}  "
        f"{sum(manifest.rows.values())} rows  {auc}"
    )


def described(entry: Entry) -> Iterator[str]:
    """Yield what a person should know before trusting a model."""
    manifest = entry.manifest
    yield one_line(entry)
    yield f"  kept in {entry.path}"
    yield f"  learned from {iso(manifest.window.first)} to {iso(manifest.window.last)}"
    yield f"  speaks about {', '.join(manifest.trigger_kinds)}; other triggers keep the prior"
    yield f"  rows {_counts(manifest.rows)}; left out {_counts(manifest.left_out) or 'none'}"
    yield from _measures(manifest)
    for warning in manifest.warnings:
        yield f"  warning: {warning}"


def _measures(manifest: Manifest) -> Iterator[str]:
    for slice_, figures in manifest.metrics.items():
        parts = [f"{figures.rows} rows", f"{figures.positives} orders"]
        for name in ("auc", "average_precision", "log_loss", "ece10"):
            interval = getattr(figures, name)
            if interval is not None:
                low, high = interval.low, interval.high
                parts.append(f"{name} {interval.estimate:.3f} [{low:.3f}, {high:.3f}]")
        yield f"  {slice_}: {', '.join(parts)}"


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.items())
