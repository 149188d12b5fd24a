"""`rekindle bench`: what this machine makes of the whole job, measured on real parts."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, Final, NoReturn

import click

from engine.errors import Refused
from streams.bench import ground, machine, plan, repeated, telling
from streams.bench.plan import Plan
from streams.bench.whole_job import WholeJob, grow, measure
from streams.settings import Deployment

Say = Callable[[str], None]
Found = dict[str, Any]

# Parts that stand by themselves: module with `measure(deployment, *, quick, say)`, in order.
_ALONE: Final[Mapping[str, str]] = {
    "live": "streams.bench.live",
    "burst": "streams.bench.burst",
    "handovers": "streams.bench.handovers",
    "door": "streams.bench.door",
    "peers": "streams.bench.peers.side_by_side",
}
_OURS: Final[Mapping[str, str]] = {
    "restart": "streams.bench.restart",
    "idle": "streams.bench.idle",
    "soak": "streams.bench.soak",
}
# Memory is watched once; restart repeats what is not mere waiting by itself.
_ONCE: Final = ("restart", "soak")
# What the JSON always names; None = that part was not run.
_PROMISED: Final[Mapping[str, Any]] = {
    "whole_job": None,
    "ratio": None,
    "latency_ms": None,
    "lateness_ms": None,
    "bytes_per_user": None,
}


def run(
    *,
    sizes: Plan,
    only: Sequence[str] = plan.PARTS,
    as_json: bool = False,
    markdown: Path | None = None,
    note: str = "",
) -> None:
    """Measure the parts ``only`` names and tell; raises Refused when it must not or cannot.

    ``note`` is kept with the figures; ``markdown`` is a file the tables are written to.
    """
    here = _place("")
    ground.check(here)
    began = monotonic()
    found: Found = dict(_PROMISED)
    found["began"] = datetime.now(UTC).isoformat(timespec="seconds")
    found["runs"] = sizes.runs
    found["machine"] = machine.describe(here.redis, note)
    with _ending_in_order():
        _measure(found, sizes, only, _aloud(began))
    found["seconds"] = round(monotonic() - began, 1)
    tables = _tables(found, only)
    if markdown is not None:
        markdown.write_text(telling.as_markdown(tables), "utf-8")
    if as_json:
        click.echo(json.dumps(found))
    else:
        telling.on_terminal(tables)


def _measure(found: Found, sizes: Plan, only: Sequence[str], say: Say) -> None:
    job = WholeJob(_place, sizes, say)
    took: dict[str, float] = {}
    found["seconds_by_part"] = took
    for name in (part for part in plan.PARTS if part in only):
        began = monotonic()
        found |= _part(name, job, sizes, say)
        took[name] = round(monotonic() - began, 1)


def _part(name: str, job: WholeJob, sizes: Plan, say: Say) -> Found:
    if name == "whole":
        return measure(job, sizes)
    if name == "growth":
        return grow(job, sizes)
    runs = 1 if name in _ONCE else sizes.runs
    found = []
    for number in range(1, runs + 1):
        if runs > 1:
            say(f"{name}: run {number} of {runs}")
        # Topics are never named twice: Kafka goes on deleting after it has said that they are gone.
        found.append(_once(name, _clean(f"{name}-{number}"), sizes, say))
    return dict(repeated.middle(found))


def _once(name: str, deployment: Deployment, sizes: Plan, say: Say) -> Found:
    if name in _OURS:
        return dict(import_module(_OURS[name]).measure(deployment, sizes, say))
    return dict(import_module(_ALONE[name]).measure(deployment, quick=sizes.quick, say=say))


def _clean(name: str) -> Deployment:
    """Return a deployment of its own on a Redis that holds nothing; raises Refused."""
    deployment = _place(name)
    ground.check(deployment)
    return deployment


def _tables(found: Found, only: Sequence[str]) -> list[telling.Table]:
    tables = machine.tables(found)
    if {"whole", "growth"} & set(only):
        tables += import_module("streams.bench.whole_job").tables(found)
    for name, module in {**_OURS, **_ALONE}.items():
        if name in only:
            tables += import_module(module).tables(found)
    return tables


def _place(name: str) -> Deployment:
    """Return a deployment with topics of its own on the Kafka and Redis of the settings."""
    prefix = f"rekindle-bench-{os.getpid()}-{name}."
    return Deployment.from_env(Deployment.of_child(TOPIC_PREFIX=prefix, SOURCES=""))


def _aloud(began: float) -> Say:
    """Say on stderr what is going on, with the seconds since the start."""

    def say(text: str) -> None:
        click.echo(f"{monotonic() - began:5.0f} s  {text}", err=True)

    return say


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM end the bench as Ctrl-C does: what it made is taken away first."""

    def end(_: int, __: FrameType | None) -> NoReturn:
        message = "The bench was told to end; what it made in Kafka and Redis is taken away."
        raise Refused(message)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


__all__ = ["run"]
