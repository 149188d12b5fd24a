"""What a recorded run is asked when it is over: does it replay, and what would "send always" do."""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
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


def look_back(folder: Path, meanwhile: Callable[[], T]) -> tuple[Replayed, Always, T]:
    """Replay a run twice, in two processes; writes ``armed.json`` for the recount.

    ``meanwhile`` is done in this one.
    """
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=seldom_gc) as pool:
        asked, other = pool.submit(replayed, folder), pool.submit(always, folder)
        found = meanwhile()
        return asked.result(), other.result(), found


def seldom_gc() -> None:
    """Look for garbage seldom, as a worker does: what is there already never is any."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


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


__all__ = ["Always", "Replayed", "look_back", "seldom_gc"]
