"""The demo from its first process to its last sentence."""

import asyncio
import re
import shutil
import socket
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import orjson
from rich.progress import Progress

from engine.errors import Refused
from engine.profile import decode as decode_profile
from engine.times import DAY, HOUR, from_iso
from rules import campaigns as rules_file
from rules import templates
from streams import control
from streams.demo import story
from streams.demo.embedded import FETCH_WAIT, PARTITIONS, EmbeddedBroker, EmbeddedRedis
from streams.demo.lockstep import Lockstep
from streams.demo.recorder import Tape
from streams.demo.recount import recount
from streams.demo.shop import Shop
from streams.demo.worker import WorkerProcess
from streams.log.topics import CHANNELS, DECISIONS
from streams.replay.compare import canonical
from streams.replay.origins import recorded
from streams.replay.run import Options, Result, replay
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.keys import keys_of

DAYS: Final = 35
SHOPPERS: Final = 300
HOLDOUT: Final = 0.2
# A Monday, so that the seasons of a week come out alike at any length.
START: Final = from_iso("2026-10-05T00:00:00Z")
_CART_WINDOW: Final = DAY
# In the middle of the run, at 20 o'clock in Shanghai, when most reminders are due.
_KILL_HOUR: Final = 12
_CAMPAIGNS: Final = "campaigns.toml"


def run(
    *,
    days: int | None = None,
    shoppers: int | None = None,
    seed: int = 1,
    keep: str | None = None,
    as_json: bool = False,
    out: Callable[[str], None] = print,
) -> None:
    """Show the whole product on a small simulated shop; raises Refused, Unavailable."""
    with ExitStack() as parts:
        if keep is None:
            folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="rekindle-demo-")))
        else:
            folder = _emptied(Path(keep))
        asked = _Asked(days or DAYS, shoppers or SHOPPERS, seed, folder, keep)
        if not as_json:
            out(story.banner(seed, asked.days, asked.shoppers, HOLDOUT) + "\n")
        outcome = asyncio.run(_played(asked))
        out(
            orjson.dumps(story.as_json(outcome)).decode()
            if as_json
            else story.told(outcome, program())
        )
        if not (outcome.recount.clean and outcome.replayed):
            raise Refused("The demo found a fault in rekindle, see above: please report it.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for; ``keep`` as it was written."""

    days: int
    shoppers: int
    seed: int
    folder: Path
    keep: str | None


def _emptied(folder: Path) -> Path:
    """Return the folder without what an earlier demo left; anything else in it is refused."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _CAMPAIGNS).exists() or not (folder / "events").is_dir():
            raise Refused(f"{folder} holds something else than a demo: name an empty folder.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def _played(asked: _Asked) -> story.Outcome:
    began = monotonic()
    campaigns = _campaigns()
    (asked.folder / _CAMPAIGNS).write_bytes(campaigns)
    shop = Shop(asked.seed, asked.shoppers, asked.days, START)
    with EmbeddedBroker() as broker, EmbeddedRedis() as redis:
        environ = _environ(broker.bootstrap, redis.url, asked.folder)
        kills = await _play(asked, shop, Deployment.from_env(environ), environ, campaigns)
    result = await _replayed(asked.folder)
    told = recount(asked.folder, asked.folder / _CAMPAIGNS)
    rules = tomllib.loads(campaigns.decode())
    return story.Outcome(
        seed=asked.seed,
        days=asked.days,
        shoppers=asked.shoppers,
        seconds=monotonic() - began,
        kills=kills,
        holdout=HOLDOUT,
        kinds={campaign["id"]: campaign["trigger"] for campaign in rules["campaign"]},
        due=dict(result.report.due),
        replayed=_same_decisions(asked.folder),
        recount=told,
        truth=shop.effect("cart", _CART_WINDOW),
        folder=asked.keep,
        witness=_witness(asked.folder),
    )


# --- settings -----------------------------------------------------------------------------------


def _environ(bootstrap: str, redis: str, folder: Path) -> dict[str, str]:
    gateways = {
        f"REKINDLE_GATEWAY_{channel.upper()}": f"jsonl:{folder}/gateway.{channel}.jsonl"
        for channel in CHANNELS
    }
    return {
        "REKINDLE_KAFKA": bootstrap,
        "REKINDLE_REDIS": redis,
        "REKINDLE_EMBEDDED": "yes",
        "REKINDLE_FETCH_WAIT": f"{FETCH_WAIT}ms",
        "REKINDLE_CLOCK": "source",
        "REKINDLE_WORKER_ID": "demo",
        "REKINDLE_HTTP": f"127.0.0.1:{_free_port()}",
        **gateways,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _campaigns() -> bytes:
    """Return the shipped campaigns, live for this shop, with a holdout that shows in 35 days."""
    text = rules_file.shipped().decode()
    for was, now in (
        (r'^mode = "dry_run"', 'mode = "live"'),
        (r"(?<=\[holdout\]\n)share = [0-9.]+", f"share = {HOLDOUT}"),
    ):
        text, changed = re.subn(was, now, text, count=1, flags=re.MULTILINE)
        if not changed:
            raise Refused(f"The shipped campaigns file has no {was!r} for the demo to change.")
    return text.encode()


# --- playing ------------------------------------------------------------------------------------


async def _play(
    asked: _Asked,
    shop: Shop,
    deployment: Deployment,
    environ: Mapping[str, str],
    campaigns: bytes,
) -> int:
    """Play the whole run; returns how often the worker was killed."""
    worker = WorkerProcess(environ, asked.folder / "worker.log")
    lockstep = Lockstep(deployment, shop, worker.check)
    tape = Tape(deployment.kafka, deployment.topic_prefix, asked.folder, watch=lockstep.watch)
    kills = 0

    def kill() -> None:
        nonlocal kills
        kills += 1
        worker.kill()
        worker.start()

    try:
        await control.apply(
            deployment, campaigns=campaigns, templates=templates.artefact(), origin="demo"
        )
        worker.start()
        await lockstep.start(tape)
        doomed = asked.days // 2 * 24 + _KILL_HOUR
        with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("simulated days", total=asked.days)
            for number in range(1, asked.days * 24 + 1):
                hour = START + number * HOUR
                await (lockstep.hour(hour, kill) if number == doomed else lockstep.hour(hour))
                progress.update(bar, completed=number / 24)
        await lockstep.settle()
        await _write_open(deployment, asked.folder)
    finally:
        worker.stop()
        await tape.stop()
        await lockstep.stop()
    return kills


async def _write_open(deployment: Deployment, folder: Path) -> None:
    """Write how many triggers are armed in Redis now, per campaign, for the recount."""
    still: Counter[str] = Counter()
    redis = RedisConnection(deployment.redis)
    try:
        for partition in range(PARTITIONS):
            for key in await redis.call("KEYS", keys_of(partition).user("*")):
                packed = await redis.call("GET", key)
                still.update(trigger.campaign for trigger in decode_profile(packed).triggers)
    finally:
        await redis.close()
    (folder / "open.json").write_bytes(orjson.dumps(still))


# --- looking back -------------------------------------------------------------------------------


async def _replayed(folder: Path) -> Result:
    """Replay the recorded log; writes what was armed in it, and its decisions."""
    options = Options(decisions=folder / "replayed.jsonl")
    result = await replay(recorded(folder), options)
    (folder / "armed.json").write_bytes(orjson.dumps(result.report.armed))
    return result


def _witness(folder: Path) -> str:
    """Return somebody who was sent something, else anybody there is a decision about."""
    lines = (folder / f"{DECISIONS}.jsonl").read_bytes().splitlines()
    about = [orjson.loads(line) for line in lines]
    sent = [decision for decision in about if decision["outcome"] == "send"]
    return str((sent or about or [{"user_id": ""}])[0]["user_id"])


def _same_decisions(folder: Path) -> bool:
    """Return whether the replay decided what the worker decided, byte for byte."""
    # a record written twice by a killed worker has the same position: readers take it once
    live = dict.fromkeys((folder / f"{DECISIONS}.jsonl").read_bytes().splitlines())
    again = (folder / "replayed.jsonl").read_bytes().splitlines()
    return canonical(live) == canonical(again)


def program() -> str:
    """Return what the reader types to run us: the environment may not be on her path."""
    if shutil.which("rekindle") is not None:
        return "rekindle"
    started = Path(sys.argv[0])
    inside = started.is_absolute() and started.is_relative_to(Path.cwd())
    return str(started.relative_to(Path.cwd()) if inside else started)


__all__ = ["run"]
