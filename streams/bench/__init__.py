"""`rekindle bench`: what this machine makes of the whole job, measured on real parts."""

import json
import os
from collections.abc import Callable

import click

from streams.bench.live import Live
from streams.bench.whole_job import WholeJob
from streams.settings import Deployment

_USERS = 100_000
_EVENTS = 400_000
_QUICK = 60_000


def run(*, quick: bool, as_json: bool) -> None:
    """Measure and print; raises Refused when Kafka or Redis cannot be used for it."""
    say: Callable[[str], None] = _silent if as_json else _aloud
    found = WholeJob(_deployment("whole"), _QUICK if quick else _EVENTS, _USERS).run(say)
    # The comparison with other engines is not part of this release: see README.
    found["ratio"] = None
    found |= Live(_deployment("live"), seconds=8 if quick else 30).run(say)
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, figures in found.items():
        click.echo(f"{name}: {json.dumps(figures)}")


def _deployment(kind: str) -> Deployment:
    prefix = f"rekindle-bench-{kind}-{os.getpid()}."
    return Deployment.from_env(Deployment.of_child(TOPIC_PREFIX=prefix))


def _silent(_: str) -> None:
    """Say nothing: stdout holds one JSON object."""


def _aloud(text: str) -> None:
    click.echo(f"{text} …", err=True)
