"""Brings decisions and events to the trainer, from a recorded run or from the topics."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import time
from typing import BinaryIO, cast

from engine.errors import InvalidEvent, Refused
from engine.events import Event, SettingsRecord, Tick
from engine.policy import Campaign
from engine.times import iso
from models.manifest import Metrics, Provenance
from models.registry import Entry, Registry
from models.training import comparing, crossval
from models.training import train as trainer
from models.training.comparing import Comparison
from models.training.labels import label
from rules import campaigns
from rules.zones import ZONES
from streams.log import codec
from streams.log.topics import ARTEFACTS, DECISIONS, EVENTS
from streams.replay import recording
from streams.replay.copying import copy_aside
from streams.settings import Deployment


async def train(
    deployment: Deployment,
    *,
    recorded: str | None,
    provenance: str,
    name: str,
    version: str | None,
    seed: int,
    without: Sequence[str] = (),
    created_at: int | None = None,
) -> Entry:
    """Train and keep a model; raises Refused when there is too little to learn from, Unavailable.

    ``without``: features it is not shown; ``created_at``: ms, None = now. The topics are first
    copied aside: training reads decisions and events one after the other.
    """
    with tempfile.TemporaryDirectory(prefix="rekindle-train-") as aside:
        folder = Path(recorded) if recorded else Path(aside)
        if not recorded:
            await copy_aside(deployment, folder, (DECISIONS, EVENTS, ARTEFACTS))
        created_at = int(time() * 1000) if created_at is None else created_at
        artefact = trainer.train(
            _lines(folder / f"{DECISIONS}.jsonl"),
            _events(folder),
            _windows(folder),
            name=name,
            version=version or iso(created_at)[:19].replace(":", "").replace("-", "").lower(),
            created_at=created_at,
            provenance=cast("Provenance", provenance),
            seed=seed,
            without=without,
            assumed=_assumed(folder),
        )
    return Registry(deployment.models).save(artefact)


async def measure(
    deployment: Deployment, *, recorded: str | None, folds: int, seed: int
) -> dict[str, Metrics]:
    """Measure by cross-validation over people, and keep no model; raises Refused, Unavailable."""
    with tempfile.TemporaryDirectory(prefix="rekindle-measure-") as aside:
        folder = Path(recorded) if recorded else Path(aside)
        if not recorded:
            await copy_aside(deployment, folder, (DECISIONS, EVENTS, ARTEFACTS))
        rows = label(_lines(folder / f"{DECISIONS}.jsonl"), _events(folder), _windows(folder))
    return crossval.of_decisions(rows, seed=seed, folds=folds)


def compare(deployment: Deployment, first: str, second: str, *, recorded: str) -> Comparison:
    """Score two kept models on the decisions of a recorded run; raises Refused."""
    registry, folder = Registry(deployment.models), Path(recorded)
    artefacts = registry.load(first), registry.load(second)
    rows = label(_lines(folder / f"{DECISIONS}.jsonl"), _events(folder), _windows(folder))
    return comparing.compare(*artefacts, rows, local=ZONES)


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
    for campaign in _campaigns(folder):
        windows[campaign.id] = max(campaign.conversion_window, windows.get(campaign.id, 0))
    if not windows:
        message = f"{folder} holds no campaigns file under artefacts/: nothing was ever applied."
        raise Refused(message)
    return windows


def _assumed(folder: Path) -> dict[str, dict[str, float]]:
    """Return the lifts assumed by campaign and channel; of two files the later version counts.

    Not what decisions were made with: that may have been measured in part from the same rows.
    """
    by_version = sorted(_campaigns(folder), key=lambda campaign: campaign.version)
    return {campaign.id: campaign.lift for campaign in by_version}


def _campaigns(folder: Path) -> Iterator[Campaign]:
    """Yield the campaigns of every campaigns file of the run, files in order of their hash."""
    for sha, content in sorted(recording.artefacts(folder).items()):
        try:
            policy = campaigns.load(content, f"campaigns {sha[:8]}")
        except Refused:  # a template set or a model
            continue
        yield from policy.campaigns.values()
