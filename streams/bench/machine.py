"""What it was measured on: figures of two machines do not compare."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis

from streams.bench.telling import Table


def describe(redis_url: str, note: str = "") -> dict[str, Any]:
    """Return processor, load and versions; ``note``: what nobody can ask for, as Kafka's version.

    ``load_1m`` is that of the last minute before the bench; above a tenth of the cores, wall times
    and latencies are those of a busy machine, while CPU per event still means something.
    """
    with redis.Redis.from_url(redis_url) as client:
        server: Any = client.info("server")
        persistence: Any = client.info("persistence")
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rekindle": version("rekindle"),
        "commit": _commit(),
        "redis": str(server["redis_version"]),
        "redis_appends": bool(persistence["aof_enabled"]),
        "lightgbm": version("lightgbm"),
        "note": note,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str | None:
    """Return the commit of the source tree, with a plus when files differ; None = no git here."""
    git = shutil.which("git")
    here = Path(__file__).parent
    if git is None:
        return None
    told = subprocess.run(  # noqa: S603 - our own path, read only
        [git, "-C", str(here), "describe", "--always", "--dirty=+", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or None


def tables(found: dict[str, Any]) -> list[Table]:
    """Return what a reader must know before any figure."""
    machine = found["machine"]
    written = "every second to its append-only file" if machine["redis_appends"] else "nothing"
    rows = [
        ("processor", f"{machine['cpu']}, {machine['cores']} cores"),
        ("load before", str(machine["load_1m"])),
        ("system", machine["system"]),
        ("python, rekindle", f"{machine['python']}, {machine['rekindle']} ({machine['commit']})"),
        ("redis", f"{machine['redis']}, writes {written}"),
        ("measured", f"{found['began']}, {found['seconds']:.0f} s"),
        ("runs", f"{found['runs']}, of which medians are told; memory is watched once"),
    ]
    if machine["note"]:
        rows.append(("note", machine["note"]))
    return [Table("The machine", ("", "what"), rows)]


__all__ = ["describe", "tables"]
