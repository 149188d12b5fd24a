"""What a recorded run is asked when it is over: does it replay, and what would "send always" do."""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import orjson

from engine.events import SettingsRecord
from streams.demo import files
from streams.log.topics import DECISIONS
from streams.replay.compare import canonical
from streams.replay.origins import recorded
from streams.replay.placed import Log
from streams.replay.run import Options, Result, replay

T = TypeVar("T")
_REPLAYED: Final = "replayed.jsonl"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay of the log came to; ``same``: it decided what the worker did, byte for byte."""

    same: bool
    due: dict[str, int]


@dataclass(frozen=True, slots=True)
class Always:
    """What would have been sent if whatever is allowed were said; ``cost`` in ``currency``."""

    messages: dict[str, int]
    cost: float
    currency: str


def look_back(folder: Path) -> tuple[Replayed, Always]:
    """Replay a run twice, on two cores at once; writes ``armed.json`` for the recount."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        asked: Future[Replayed] = pool.submit(_started, replayed, folder)
        other: Future[Always] = pool.submit(_started, always, folder)
        return asked.result(), other.result()


def _started(work: Callable[[Path], T], folder: Path) -> T:
    # as in a worker: the imports are never garbage
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    return work(folder)


def replayed(folder: Path) -> Replayed:
    """Replay a run as it was."""
    result = asyncio.run(_replay(folder, Options(decisions=folder / _REPLAYED)))
    (folder / "armed.json").write_bytes(orjson.dumps(result.report.armed))
    return Replayed(_same_decisions(folder), dict(result.report.due))


def always(folder: Path) -> Always:
    """Replay a run under a file that sends always; the model, which weighs, is left out."""
    result = asyncio.run(_replay(folder, Options(campaigns=files.always()), model=False))
    previews = result.preview.campaigns.values()
    messages: dict[str, int] = {}
    for preview in previews:
        for channel, count in preview.would_get.items():
            messages[channel] = messages.get(channel, 0) + count
    currency = next((one.currency for one in previews if one.currency), "")
    return Always(messages, sum(one.cost for one in previews), currency)


async def _replay(folder: Path, options: Options, *, model: bool = True) -> Result:
    origin = recorded(folder)
    return await replay(origin if model else replace(origin, log=_unweighed(origin.log)), options)


async def _unweighed(log: Log) -> Log:
    async for placed in log:
        record = placed.record
        if isinstance(record, SettingsRecord):
            record = msgspec.structs.replace(record, model=None)
        yield placed._replace(record=record)


def _same_decisions(folder: Path) -> bool:
    # a record written twice by a killed worker has the same position: readers take it once
    live = dict.fromkeys((folder / f"{DECISIONS}.jsonl").read_bytes().splitlines())
    again = (folder / _REPLAYED).read_bytes().splitlines()
    return canonical(live) == canonical(again)


__all__ = ["Always", "Replayed", "look_back"]
