"""The demo from its first process to its last sentence."""

import asyncio
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import click
import orjson

from engine.errors import Refused
from engine.times import DAY, from_iso
from streams.demo import files, stories, story
from streams.demo.afterwards import look_back, seldom_gc
from streams.demo.companions import Companions
from streams.demo.embedded import FETCH_WAIT, EmbeddedBroker, EmbeddedRedis
from streams.demo.playing import CAMPAIGNS, Play, Played
from streams.demo.recount import recount
from streams.demo.shop import Shop
from streams.demo.worlds import WORLDS
from streams.log.topics import CHANNELS
from streams.loopback import free_port
from streams.settings import PREFIX

DAYS: Final = 60
SHOPPERS: Final = 4_000
FOLDER: Final = "demo-run"
# A Monday, so that the seasons of a week come out alike at any length.
START: Final = from_iso("2026-10-05T00:00:00Z")
_CART_WINDOW: Final = DAY
_MINE: Final = "mine.toml"
_KPIS: Final = "kpis.toml"
# The observer counts from the first hour on, though some have passed when it is there.
_SINCE: Final = "720h"
# ms for which its fetches and the audit's wait: most are empty, and each costs the broker's CPU.
_COMPANIONS_WAIT: Final = 200


def run(
    *,
    days: int | None = None,
    shoppers: int | None = None,
    seed: int = 1,
    world: str = "default",
    keep: str = FOLDER,
    as_json: bool = False,
    out: Callable[[str], None] = print,
) -> None:
    """Show the whole product on a simulated shop and leave the run in ``keep``.

    Raises Refused, Unavailable.
    """
    asked = _Asked(days or DAYS, shoppers or SHOPPERS, seed, world, _emptied(Path(keep)), keep)
    if not as_json:
        out(story.banner(seed, asked.days, asked.shoppers, world, files.HOLDOUT) + "\n")
    outcome = _played(asked, (lambda _: None) if as_json else out)
    if as_json:
        out(orjson.dumps(story.as_json(outcome)).decode())
    else:
        out("\n" + story.told(outcome, program(), _heading))
    if not (outcome.recount.clean and outcome.replayed.same):
        raise Refused("The demo found a fault in rekindle, see above: please report it.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for; ``keep`` as it was written."""

    days: int
    shoppers: int
    seed: int
    world: str
    folder: Path
    keep: str


def _emptied(folder: Path) -> Path:
    """Return the folder without what an earlier demo left; anything else in it is refused."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / CAMPAIGNS).exists() or not (folder / "events").is_dir():
            raise Refused(
                f"{folder} holds something else than a demo: name an empty folder with --keep."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _played(asked: _Asked, say: Callable[[str], None]) -> story.Outcome:
    began = monotonic()
    shop = Shop(asked.seed, asked.shoppers, asked.days, START, WORLDS[asked.world])
    played = _play(asked, shop, say)
    replayed, always, found = look_back(asked.folder, lambda: stories.find(asked.folder))
    (asked.folder / _MINE).write_bytes(files.stricter())
    rules = tomllib.loads((asked.folder / CAMPAIGNS).read_text())
    return story.Outcome(
        seed=asked.seed,
        world=asked.world,
        days=asked.days,
        shoppers=asked.shoppers,
        played=played,
        kinds={campaign["id"]: campaign["trigger"] for campaign in rules["campaign"]},
        prices={name: channel["cost"] for name, channel in rules["channel"].items()},
        replayed=replayed,
        recount=recount(asked.folder, asked.folder / CAMPAIGNS),
        always=always,
        stories=found,
        truth=shop.effect("cart", _CART_WINDOW),
        folder=asked.keep,
        seconds=monotonic() - began,
    )


def _play(asked: _Asked, shop: Shop, say: Callable[[str], None]) -> Played:
    with ExitStack() as servers:
        broker = servers.enter_context(EmbeddedBroker())
        redis = servers.enter_context(EmbeddedRedis())
        environ = _environ(broker.bootstrap, redis.url, asked.folder)
        say(f"live page, while it runs: http://{environ['REKINDLE_HTTP']}/live\n")
        servers.enter_context(_companions(environ, asked.folder))
        return asyncio.run(_to_the_end(shop, environ, asked.folder, say))


async def _to_the_end(
    shop: Shop, environ: Mapping[str, str], folder: Path, say: Callable[[str], None]
) -> Played:
    seldom_gc()
    play = Play(shop, environ, folder, say)
    await play.run()
    return play.played


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
        "REKINDLE_MODELS": f"{folder}/models",
        "REKINDLE_HTTP": f"127.0.0.1:{free_port()}",
        **gateways,
    }


def _companions(environ: Mapping[str, str], folder: Path) -> Companions:
    """Return the observer and the audit: no part of what is shown, but of what is looked at."""
    settings = {name.removeprefix(PREFIX): value for name, value in environ.items()}
    (folder / _KPIS).write_bytes(files.kpis())
    theirs = settings | {"FETCH_WAIT": f"{_COMPANIONS_WAIT}ms", "KPIS": str(folder / _KPIS)}
    worker = settings["WORKER_ID"]
    return Companions(theirs, worker, alone=True, since=_SINCE, logs=folder)


def _heading(text: str) -> str:
    """Return a line as a heading; colour is for terminals alone, and never needed."""
    return click.style(text, bold=True) if sys.stdout.isatty() else text


def program() -> str:
    """Return what the reader types to run us: the environment may not be on her path."""
    if shutil.which("rekindle") is not None:
        return "rekindle"
    started = Path(sys.argv[0])
    inside = started.is_absolute() and started.is_relative_to(Path.cwd())
    return str(started.relative_to(Path.cwd()) if inside else started)


__all__ = ["run"]
