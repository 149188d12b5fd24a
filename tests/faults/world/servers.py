"""The broker and the Redis of a fault run: reached by workers through relays, by us directly."""

import shutil
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import redis

from tests.support.kafka import KafkaBroker
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer

# A copy of Redis older than this is of no use for a fall-back.
_REMEMBERED: Final = 8.0
_EVERY: Final = 0.1


class Broker(KafkaBroker):
    """A broker with a second listener whose advertised address is a relay's.

    A client that comes through the relay is told the relay's address again, so that all it does
    goes through it.
    """

    def __init__(self, relay: int) -> None:
        """``relay``: the port that stands in front of :attr:`behind`."""
        super().__init__(settings={"group.initial.rebalance.delay.ms": "0"})
        self.behind = free_port()
        self.relayed = f"127.0.0.1:{relay}"
        lines = self._config.read_text("utf-8").splitlines()
        more = {
            "listeners=": f",RELAYED://127.0.0.1:{self.behind}",
            "advertised.listeners=": f",RELAYED://{self.relayed}",
            "listener.security.protocol.map=": ",RELAYED:PLAINTEXT",
        }
        changed = [
            line + next((end for name, end in more.items() if line.startswith(name)), "")
            for line in lines
        ]
        changed.append("inter.broker.listener.name=PLAINTEXT")
        self._config.write_text("\n".join(changed) + "\n", "utf-8")


class FallingRedis(RedisServer):
    """A Redis that can lose its last seconds, as a machine does that writes every second.

    Its append-only file is written in order, so that any beginning of it is a state Redis once
    was in: a fall-back is the file cut where it ended a while ago.
    """

    def __init__(self) -> None:
        """Listen on a loopback port, with an append-only file flushed every second."""
        super().__init__(tcp=True)
        self._sizes: deque[tuple[float, Path, int]] = deque()
        self._watching: threading.Thread | None = None
        self._over = threading.Event()

    def watch(self) -> None:
        """Begin to note how long the append-only file is."""
        self._watching = threading.Thread(target=self._note, daemon=True)
        self._watching.start()

    def close(self) -> None:
        """End the server and forget it."""
        self._over.set()
        if self._watching is not None:
            self._watching.join(5)
        super().close()

    def fall_back(self, seconds: float) -> dict[str, Any]:
        """Kill it, cut its file to what it was ``seconds`` ago and start it.

        Returns how much was cut; nothing when the file was rewritten meanwhile.
        """
        then = time.monotonic() - seconds
        self.kill()
        file = self._file()
        size = file.stat().st_size
        older = [length for at, path, length in list(self._sizes) if path == file and at <= then]
        kept = max(older, default=size)
        with file.open("r+b") as open_file:
            open_file.truncate(kept)
        self._sizes.clear()
        self.start()
        return {"seconds": seconds, "bytes_lost": size - kept, "file": file.name}

    def memory(self, limit: int) -> None:
        """Set maxmemory, bytes; 0 = as much as there is."""
        with redis.Redis.from_url(self.url) as client:
            client.config_set("maxmemory", limit)

    def used(self) -> int:
        """Return the bytes in use."""
        with redis.Redis.from_url(self.url) as client:
            info: Any = client.info("memory")
            return int(info["used_memory"])

    def keep(self, to: Path) -> None:
        """Copy the log of the server."""
        shutil.copy(self.directory / "redis.log", to)

    def _file(self) -> Path:
        parts = sorted((self.directory / "appendonlydir").glob("*.incr.aof"), key=_number)
        return parts[-1] if parts else self.directory / "appendonly.aof"

    def _note(self) -> None:
        while not self._over.wait(_EVERY):
            now = time.monotonic()
            try:
                file = self._file()
                self._sizes.append((now, file, file.stat().st_size))
            except OSError:  # it is being rewritten or not there yet
                continue
            while self._sizes and now - self._sizes[0][0] > _REMEMBERED:
                self._sizes.popleft()


def _number(path: Path) -> int:
    return int(path.name.split(".")[-3])
