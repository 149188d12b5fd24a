"""One whole run: real Kafka, Redis and workers; load and faults; heal, drain, read everything.

``python -m tests.faults.world.run --seconds 60`` carries out a small one and says what came of it.
"""

import asyncio
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from rules import templates
from streams import control
from streams.log import topics
from streams.settings import Deployment
from tests.faults.world import drain, load, settings
from tests.faults.world.crew import Crew
from tests.faults.world.faults import Faults
from tests.faults.world.gateway import Gateway
from tests.faults.world.plan import (
    KINDS,
    FaultDone,
    GatewayCall,
    Plan,
    Ran,
    Read,
    Recovery,
    Sent,
)
from tests.faults.world.relay import Relays
from tests.faults.world.servers import Broker, FallingRedis
from tests.faults.world.zygote import Zygote
from tests.support.processes import free_port

_PREFIX: Final = "faults."
_SECRET: Final = "a secret of the fault run"
# How long the generator may take to get acknowledged what it could not send in time, s.
_GENERATED: Final = 120.0

# A minute with something of everything; see ``_main``.
MINIATURE: Final[Mapping[str, int]] = {
    "kill": 16,
    "kill_at": 14,
    "freeze": 1,
    "redis_kill": 2,
    "redis_back": 1,
}


@contextmanager
def running(plan: Plan, directory: Path | None = None) -> Iterator[Ran]:
    """Carry the plan out and yield what came of it; Redis and Kafka end when it is left.

    ``directory``: where everything is left (must be empty); a temporary one without it.
    """
    with ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rk-world-")))
        directory.mkdir(parents=True, exist_ok=True)
        world = _World(plan, directory, stack)
        yield world.run()


class _World:
    """Everything that runs; ``stack`` ends it."""

    def __init__(self, plan: Plan, directory: Path, stack: ExitStack) -> None:
        self.plan = plan
        self.directory = directory
        ports = {"redis": free_port(), "kafka": free_port(), "gateway": free_port()}
        self.zygote = Zygote(directory / "zygote.log", os.environ)
        stack.callback(self.zygote.close)
        self.redis = stack.enter_context(FallingRedis())
        self.broker = stack.enter_context(Broker(ports["kafka"]))
        self.redis.watch()
        behind = {
            "redis": (ports["redis"], self.redis.port),
            "kafka": (ports["kafka"], self.broker.behind),
        }
        self.relays = Relays(behind, directory / "relay.log")
        stack.callback(self.relays.close)
        self.gateway = Gateway(
            ports["gateway"], directory / "gateway.jsonl", plan.seed, directory / "gateway.log"
        )
        stack.callback(self.gateway.close)
        environ = self._environ(f"redis://127.0.0.1:{ports['redis']}/0")
        self.crew = Crew(self.zygote, directory, environ, plan.mutant)
        stack.callback(self.crew.close)
        self.faults = Faults(plan, self.crew, self.redis, self.broker, self.relays, self.gateway)

    def _environ(self, url: str) -> dict[str, str]:
        channels = {
            f"REKINDLE_GATEWAY_{channel.upper()}": f"webhook:{self.gateway.url(channel)}"
            for channel in topics.CHANNELS
        }
        secrets = {
            f"REKINDLE_WEBHOOK_SECRET_{channel.upper()}": _SECRET for channel in topics.CHANNELS
        }
        return {
            "REKINDLE_KAFKA": self.broker.relayed,
            "REKINDLE_REDIS": url,
            "REKINDLE_TOPIC_PREFIX": _PREFIX,
            "REKINDLE_CLOCK": "live",
            "REKINDLE_MODELS": str(self.directory / "models"),
            **channels,
            **secrets,
        }

    # --- the run --------------------------------------------------------------------------------

    def run(self) -> Ran:
        """Prepare, harm, heal, drain and read."""
        campaigns = settings.hurried()
        self._prepare(campaigns)
        began = int(time.time() * 1000)
        generator = self._load()
        self.crew.begin(self.plan.workers)
        try:
            self.faults.run(time.monotonic())
            self._heal()
            generator.wait(self.plan.seconds + _GENERATED)
        finally:
            generator.kill()
            generator.wait()
        if generator.returncode:
            message = f"the generator failed: {(self.directory / 'load.log').read_text()[-500:]}"
            raise AssertionError(message)
        drained = self._drain()
        codes = self._dismiss()
        (self.directory / "topics").mkdir()
        counts = asyncio.run(
            drain.read_all(
                self.broker.bootstrap,
                _PREFIX,
                self.plan.partitions,
                self.directory / "topics",
            )
        )
        faults = sorted(self.faults.done, key=lambda done: done.at)
        (self.directory / "faults.jsonl").write_bytes(
            b"".join(msgspec.json.encode(done) + b"\n" for done in faults)
        )
        return Ran(
            directory=self.directory,
            plan=self.plan,
            prefix=_PREFIX,
            bootstrap=self.broker.bootstrap,
            redis_url=self.redis.url,
            campaigns=campaigns,
            faults=faults,
            recoveries=self.crew.recoveries,
            logs=sorted(self.directory.glob("*.log")),
            versions=_versions(self.redis),
            drained=drained,
            began=began,
            ended=int(time.time() * 1000),
            counts=counts | self._counts(codes),
            deaths=Counter(label for _, label, _ in self.crew.deaths()),
        )

    def _prepare(self, campaigns: str) -> None:
        deployment = Deployment.from_env(
            {
                "REKINDLE_KAFKA": self.broker.bootstrap,
                "REKINDLE_REDIS": self.redis.url,
                "REKINDLE_TOPIC_PREFIX": _PREFIX,
                "REKINDLE_WORKER_ID": "world",
            }
        )

        async def prepare() -> None:
            await topics.create(deployment, self.plan.partitions, 1)
            await control.apply(
                deployment, campaigns=campaigns.encode(), templates=templates.artefact()
            )

        asyncio.run(prepare())

    def _load(self) -> "subprocess.Popen[bytes]":
        return load.start(
            {
                "bootstrap": self.broker.bootstrap,
                "topic": _PREFIX + topics.RAW,
                "partitions": self.plan.partitions,
                "seed": self.plan.seed,
                "users": self.plan.users,
                "rate": self.plan.rate,
                "seconds": self.plan.seconds,
                "journal": str(self.directory / "sent.jsonl"),
            },
            self.directory / "load.log",
        )

    def _heal(self) -> None:
        """See to it that everything is whole: each fault mends itself, and this is the proof."""
        for name in ("redis", "kafka"):
            self.relays.tell(name, refuse=False, delay=0)
        self.gateway.tell(slow=0, ill=0)
        self.redis.memory(0)

    def _drain(self) -> str | None:
        still = drain.Still(self.broker.bootstrap, self.redis.url, _PREFIX, self.plan.partitions)
        left = asyncio.run(still.wait(self.plan.drain))
        return None if left is None else f"{left}; {self.crew.unready()}; see {self._keep_logs()}"

    def _keep_logs(self) -> Path:
        """Keep the logs of workers that do not come to rest, with what their tasks wait for."""
        self.crew.tell_tasks()
        kept = Path(tempfile.mkdtemp(prefix=f"rk-restless-{self.plan.seed}-"))
        time.sleep(2)  # they have no way to say that they have written it
        for log in self.directory.glob("*.log"):
            shutil.copy(log, kept)
        return kept

    def _dismiss(self) -> list[int]:
        return [self.crew.stop(worker) for worker in self.crew.workers if worker.wanted]

    def _counts(self, codes: list[int]) -> dict[str, int]:
        ends = Counter(end["code"] for end in self.crew.ends)
        return {
            "starts": self.crew.starts,
            "unclean ends": sum(code != 0 for code in codes),
            **{f"ended by itself with {code}": count for code, count in sorted(ends.items())},
        }


def _versions(redis: FallingRedis) -> dict[str, str]:
    told = subprocess.run(
        [redis.binary, "--version"], capture_output=True, text=True, check=True
    ).stdout.split()
    return {
        "rekindle": version("rekindle"),
        "python": platform.python_version(),
        "redis": next((word.removeprefix("v=") for word in told if word.startswith("v=")), "?"),
        "aiokafka": version("aiokafka"),
        "kernel": platform.release(),
    }


# --- by hand ------------------------------------------------------------------------------------


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--rate", default=1_000.0, show_default=True)
@click.option("--users", default=2_000, show_default=True)
@click.option("--partitions", default=8, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--mutant")
@click.option("--fault", "faults", multiple=True, metavar="KIND=N")
@click.option("--kafka-stop", default=10.0, show_default=True)
@click.option("--drain", "drain_within", default=180.0, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path))
def _main(*, faults: tuple[str, ...], keep: Path | None, drain_within: float, **given: Any) -> None:
    chosen = dict(fault.split("=") for fault in faults)
    wanted = {kind: int(count) for kind, count in chosen.items()} or dict(MINIATURE)
    with running(Plan(**given, faults=wanted, drain=drain_within), keep) as ran:
        click.echo(json.dumps(told(ran), indent=1, ensure_ascii=False))


def told(ran: Ran) -> dict[str, Any]:
    """Return a run as figures, for people."""
    ready: dict[str, list[float]] = {}
    for recovery in ran.recoveries:
        ready.setdefault(recovery.kind, []).append(recovery.seconds)
    return {
        "drained": ran.drained,
        "seconds": round((ran.ended - ran.began) / 1000, 1),
        "sent": sum(1 for _ in ran.sent()),
        "gateway calls": sum(1 for _ in ran.calls()),
        "counts": ran.counts,
        "faults": Counter(fault.kind for fault in ran.faults),
        "not reached": [
            fault.detail["order"] for fault in ran.faults if fault.detail.get("reached") is False
        ],
        "seconds to ready": {
            kind: {"n": len(all_), "p50": sorted(all_)[len(all_) // 2], "max": max(all_)}
            for kind, all_ in sorted(ready.items())
        },
        "versions": ran.versions,
        "directory": str(ran.directory),
    }


__all__ = [
    "KINDS",
    "FaultDone",
    "GatewayCall",
    "Plan",
    "Ran",
    "Read",
    "Recovery",
    "Sent",
    "running",
    "told",
]

if __name__ == "__main__":
    _main()
