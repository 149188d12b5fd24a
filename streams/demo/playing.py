"""The course of a demo: which hours, when the worker is killed, when it learns."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

import orjson

from engine.errors import Refused
from engine.profile import decode as decode_profile
from engine.times import DAY, HOUR
from models.registry import Entry, Registry
from rules import templates
from streams import control, learning
from streams.demo import files
from streams.demo.embedded import PARTITIONS
from streams.demo.lockstep import Lockstep
from streams.demo.recorder import Tape
from streams.demo.shop import Shop
from streams.demo.watching import Watching
from streams.demo.worker import WorkerProcess
from streams.log.topics import ARTEFACTS, DECISIONS, EVENTS
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.keys import keys_of

CAMPAIGNS: Final = "campaigns.toml"
# At 20 o'clock in Shanghai, when most reminders are due.
_KILL_HOUR: Final = 12
# The worker is killed on day 20 of 60, and learns when half of the days are over.
_KILL_AFTER, _LEARN_AFTER = 1 / 3, 1 / 2
_MODEL: Final = "reminder"


@dataclass(slots=True)
class Played:
    """How a run went; ``model`` None = there was too little to learn from, as ``unlearned`` says.

    ``recovery``: s from each kill until the tick it interrupted was committed.
    """

    model: Entry | None = None
    unlearned: str = ""
    recovery: list[float] = field(default_factory=list)


class Play:
    """One run of a shop against a worker, recorded into a folder."""

    def __init__(
        self, shop: Shop, environ: Mapping[str, str], folder: Path, say: Callable[[str], None]
    ) -> None:
        """``environ``: settings of the worker; ``say`` takes lines that stay."""
        self._shop = shop
        self._folder = folder
        self._deployment = Deployment.from_env(environ)
        self._days = (shop.end - shop.start) // DAY
        self._worker = WorkerProcess(environ, folder / "worker.log")
        self._lockstep = Lockstep(self._deployment, shop, self._worker.check)
        self._tape = Tape(
            self._deployment.kafka, self._deployment.topic_prefix, folder, self._lockstep.watch
        )
        self._watching = Watching(self._days * 24, say)
        self.played = Played()

    async def run(self) -> None:
        """Play it from the first hour to the last."""
        doomed = int(self._days * _KILL_AFTER) * 24 + _KILL_HOUR
        learns = int(self._days * _LEARN_AFTER) * 24
        try:
            await self._apply(files.learning(), templates.artefact())
            self._worker.start()
            await self._lockstep.start(self._tape)
            with self._watching:
                for number in range(1, self._days * 24 + 1):
                    now = self._shop.start + number * HOUR
                    await (self._killed(now) if number == doomed else self._lockstep.hour(now))
                    self._watching.hour(now, self._lockstep.happened)
                    if number == learns:
                        await self._learn(now)
            await self._lockstep.settle(self._shop.end)
            await _write_open(self._deployment, self._folder)
        finally:
            self._worker.stop()
            await self._tape.stop()
            await self._lockstep.stop()

    def _day(self, now: int) -> int:
        return (now - 1 - self._shop.start) // DAY + 1

    async def _apply(self, campaigns: bytes, words: bytes | None = None) -> None:
        (self._folder / CAMPAIGNS).write_bytes(campaigns)
        await control.apply(self._deployment, campaigns=campaigns, templates=words, origin="demo")

    async def _killed(self, now: int) -> None:
        """Play an hour in which the worker is killed with -9 while it decides."""
        killed_at = 0.0

        def kill() -> None:
            nonlocal killed_at
            killed_at = monotonic()
            self._worker.kill()
            self._worker.start()

        await self._lockstep.hour(now, kill)
        took = monotonic() - killed_at
        self.played.recovery.append(took)
        self._watching.lasting(
            self._day(now), f"worker killed with -9 while it decided; done again {took:.0f} s later"
        )

    async def _learn(self, now: int) -> None:
        """Train on what was decided so far, and put the model in force while the worker runs."""
        prefix, day = self._deployment.topic_prefix, self._day(now)
        await self._tape.catch_up(*[prefix + name for name in (EVENTS, DECISIONS, ARTEFACTS)])
        try:
            entry = await asyncio.to_thread(self._trained, now, day)
        except Refused as refusal:
            self.played.unlearned = str(refusal)
            self._watching.lasting(day, "too little to learn from: the prior goes on")
        else:
            self.played.model = entry
            artefact = Registry(self._deployment.models).load(f"{_MODEL}/{entry.manifest.version}")
            await control.apply(self._deployment, model=artefact, origin="demo")
            rows = sum(entry.manifest.rows.values())
            self._watching.lasting(
                day, f"a model learned from {rows:,} own decisions{_auc(entry)}; in force"
            )
        await self._apply(files.settled())

    def _trained(self, now: int, day: int) -> Entry:
        # in a loop of its own, beside the one that records
        return asyncio.run(
            learning.train(
                self._deployment,
                recorded=str(self._folder),
                provenance="simulator",
                name=_MODEL,
                version=f"day-{day}",
                seed=1,
                created_at=now,
            )
        )


def _auc(entry: Entry) -> str:
    overall = entry.manifest.metrics.get("all")
    return "" if overall is None or overall.auc is None else f", AUC {overall.auc.estimate:.2f}"


async def _write_open(deployment: Deployment, folder: Path) -> None:
    """Write how many triggers are armed in Redis now, per campaign, for the recount."""
    still: Counter[str] = Counter()
    redis = RedisConnection(deployment.redis)
    try:
        for partition in range(PARTITIONS):
            keys = await redis.call("KEYS", keys_of(partition).user("*"))
            for packed in await redis.call("MGET", *keys) if keys else ():
                still.update(trigger.campaign for trigger in decode_profile(packed).triggers)
    finally:
        await redis.close()
    (folder / "open.json").write_bytes(orjson.dumps(still))


__all__ = ["CAMPAIGNS", "Play", "Played"]
