"""What loading and committing a chunk costs, per user: `python -m tests.benchmarks.bench_commit`.

Three ways on one server over loopback TCP: ours; redis-py as it comes, whose asyncio client packs
in Python; and a bare asyncio protocol on hiredis as the floor. Numbers are medians of rounds; CPU
is that of each process.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import hiredis
from redis.asyncio import Redis

from engine.ports import Commit, Head, OutboxId, Outgoing
from streams.state.connection import RedisConnection, Script
from streams.state.store import RedisStore
from tests.support.redis_server import RedisServer, available_binaries

ROUNDS = 200
USERS = 500
PROFILE = os.urandom(500)
DECISION = os.urandom(900)

Call = Callable[..., Awaitable[Any]]


class Bare(asyncio.Protocol):
    """One pipelined connection, the least Python can do."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: list[asyncio.Future[Any]] = []
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            self._waiting.pop(0).set_result(answer)

    async def call(self, *command: Any) -> Any:
        assert self._transport is not None
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        words = (*command[0].encode().split(), *command[1:])
        self._transport.write(hiredis.pack_command(words))
        async with asyncio.timeout(2):
            return await waiting


class Through(RedisConnection):
    """Our connection with another way of sending."""

    def __init__(self, url: str, call: Call) -> None:
        super().__init__(url)
        self._sent_by = call

    async def call(self, *command: bytes | str | int) -> Any:
        return await self._sent_by(*command)


def a_commit(offset: int, users: list[str]) -> Commit:
    """500 users, every second with a new wake-up, every tenth with a decision."""
    return Commit(
        offset,
        Head(offset + USERS, now=offset),
        profiles=dict.fromkeys(users, PROFILE),
        wakes={user: 1_700_000_000_000 + number for number, user in enumerate(users[::2])},
        outbox=[
            Outgoing(OutboxId(offset + number, 1), "decisions", user, DECISION)
            for number, user in enumerate(users[::10])
        ],
        trim=OutboxId(offset, 0),
    )


def _server_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure(name: str, store: RedisStore, pid: int) -> None:
    users = [f"user-{number:06d}" for number in range(USERS)]
    await store._redis.call("FLUSHALL")
    for script in ("acquire", "commit"):
        await store._redis.call("SCRIPT LOAD", Script.read(script).source)
    await store.acquire(0, "t")
    await store.commit(0, "t", a_commit(0, users))
    load, commit = [], []
    ours, theirs = time.process_time(), _server_cpu(pid)
    for turn in range(1, ROUNDS + 1):
        started = time.perf_counter()
        await store.load(0, users, ())
        loaded = time.perf_counter()
        work = a_commit(turn * USERS, users)
        ready = time.perf_counter()
        await store.commit(0, "t", work)
        commit.append(time.perf_counter() - ready)
        load.append(loaded - started)
    per = 1e6 / USERS
    client = (time.process_time() - ours) * per / ROUNDS
    server = (_server_cpu(pid) - theirs) * per / ROUNDS
    print(
        f"{name:22} load {statistics.median(load) * per:5.2f}  "
        f"commit {statistics.median(commit) * per:5.2f}  us per user (wall); "
        f"CPU {client:5.2f} client, {server:5.2f} server"
    )


async def _small(name: str, connection: RedisConnection) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(2_000):
        await connection.call("GET", b"rk:{0}:u:user-000001")
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"{name:22} one GET {wall / 2_000 * 1e6:5.0f} us (wall), {cpu / 2_000 * 1e6:5.0f} us CPU")


async def main() -> None:
    for build, binary in available_binaries().items():
        with RedisServer(binary, tcp=True) as server:
            ours = RedisConnection(server.url)
            stock = Redis.from_url(server.url, protocol=2)
            loop = asyncio.get_running_loop()
            transport, bare = await loop.create_connection(Bare, "127.0.0.1", server.port)
            ways = {
                "ours": ours,
                "redis-py as it comes": Through(server.url, stock.execute_command),
                "bare protocol": Through(server.url, bare.call),
            }
            print(f"--- {build}: {USERS} users a chunk, {ROUNDS} chunks")
            for name, connection in ways.items():
                await _measure(name, RedisStore(connection), server.pid)
                await _small(name, connection)
            transport.close()
            await stock.aclose()
            await ours.close()


if __name__ == "__main__":
    asyncio.run(main())
