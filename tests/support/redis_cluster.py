"""A real Redis Cluster on loopback: primaries and, if asked, one replica each."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.cluster import ClusterNode

from streams.state.keys import keys_of
from tests.support.processes import Server, free_port
from tests.support.redis_server import available_binaries

# How soon a node counts as gone, ms: short, so that a fail-over takes about three seconds.
NODE_TIMEOUT = 1_500
_PATIENCE = 60.0
_CLUSTER = "redis+cluster://"


class ClusterServer:
    """One node; a restart finds its port, its data and its place in the cluster again."""

    def __init__(self, binary: str, directory: Path, *options: str) -> None:
        self.binary = binary
        self.port, self.bus = free_port(), free_port()
        self.directory = directory / str(self.port)
        self.directory.mkdir()
        # Where 6.2 has no such option it takes the port 10,000 above.
        self.options = options
        self.server: Server | None = None

    def start(self) -> None:
        command = [self.binary, "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--cluster-port", str(self.bus)] if _knows_bus_port(self.binary) else []
        command += ["--dir", str(self.directory), "--daemonize", "no", "--save", ""]
        command += ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]
        command += ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT)]
        command += ["--cluster-config-file", "nodes.conf", "--repl-diskless-sync-delay", "0"]
        # A replica is promoted however long ago it was cut off.
        command += ["--cluster-replica-validity-factor", "0"]
        self.server = Server([*command, *self.options], self.directory / "redis.log")
        self.server.wait_until(self._answers, seconds=20, name="redis-server")

    def kill(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server = None

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def cut_off(self) -> None:
        """Let nothing more of its primary reach this replica, as when the network parts them.

        (One that is merely stopped reads on from its socket when it wakes.)
        """
        with self.client() as client:
            client.config_set("masterauth", "no-such-password")
            client.client_kill_filter(_type="master")

    def client(self) -> Any:
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=True)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class RedisCluster:
    """Started on entry, stopped and forgotten on exit."""

    def __init__(self, *, primaries: int = 3, replicas: bool = False, options: str = "") -> None:
        binary = next(iter(available_binaries().values()), None)
        if binary is None:
            raise FileNotFoundError("no redis-server: apt-get install redis-server")
        self._stack = ExitStack()
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rk-rc-")))
        count = primaries * (2 if replicas else 1)
        self.servers = [ClusterServer(binary, directory, *options.split()) for _ in range(count)]
        self.replicas = replicas

    @property
    def url(self) -> str:
        nodes = [f"127.0.0.1:{server.port}" for server in self.servers]
        return _CLUSTER + ",".join(nodes)

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start()
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for server in self.servers:
            server.stop()
        self._stack.close()

    def client(self) -> Any:
        return open_redis(self.url)

    def primary_of(self, key: bytes) -> ClusterServer:
        """The node that serves a key now."""
        with self.client() as client:
            port = client.get_node_from_key(key.decode()).port
        return next(server for server in self.servers if server.port == port)

    def replica_of(self, primary: ClusterServer) -> ClusterServer:
        with primary.client() as client:
            port = client.info("replication")["slave0"]["port"]
        return next(server for server in self.servers if server.port == port)

    @staticmethod
    def offset_at(server: ClusterServer, partition: int) -> int:
        """The next offset of a partition as this node has it, replica or primary."""
        with server.client() as client:
            with suppress(redis.ResponseError):  # a primary knows no READONLY
                client.readonly()
            return int(client.hget(keys_of(partition).meta.decode(), "o") or 0)

    def move_slot(self, slot: int, here: ClusterServer, there: ClusterServer) -> None:
        """Move a slot with all its keys, as redis-cli --cluster reshard does."""
        with self.moving_slot(slot, here, there):
            pass

    @contextmanager
    def moving_slot(
        self, slot: int, here: ClusterServer, there: ClusterServer
    ) -> Iterator[Callable[[list[bytes]], None]]:
        """Move a slot; inside the block only what is migrated by hand lies there already."""
        with here.client() as old, there.client() as new:
            ids = old.cluster("MYID"), new.cluster("MYID")

            def migrate(keys: list[Any]) -> None:
                old.execute_command("MIGRATE", "127.0.0.1", there.port, "", 0, 5000, "KEYS", *keys)

            new.cluster("SETSLOT", slot, "IMPORTING", ids[0])
            old.cluster("SETSLOT", slot, "MIGRATING", ids[1])
            try:
                yield migrate
            finally:
                self._finish_move(slot, migrate, old, new, ids[1])
        self.wait_whole()

    @staticmethod
    def _finish_move(
        slot: int, migrate: Callable[[list[Any]], None], old: Any, new: Any, new_id: str
    ) -> None:
        while keys := old.cluster("GETKEYSINSLOT", slot, 100):
            migrate(keys)
        for client in (new, old):
            client.cluster("SETSLOT", slot, "NODE", new_id)

    def wait_whole(self) -> None:
        """Until every node that runs sees the same whole cluster, and its replicas are in step."""
        running = [server for server in self.servers if server.server is not None]
        _wait(lambda: all(_whole(server) for server in running), "the cluster is whole")
        if self.replicas:
            _wait(lambda: all(_in_step(server) for server in running), "replicas are in step")

    def _make(self) -> None:
        nodes = [f"127.0.0.1:{server.port}" for server in self.servers]
        copies = ["--cluster-replicas", "1" if self.replicas else "0"]
        made = subprocess.run(
            ["redis-cli", "--cluster", "create", *nodes, "--cluster-yes", *copies],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        self.wait_whole()


def open_redis(url: str) -> Any:
    """A blocking client of a server or a cluster, as REKINDLE_REDIS names it."""
    if not url.startswith(_CLUSTER):
        return redis.Redis.from_url(url)
    addresses = [node.split(":") for node in url.removeprefix(_CLUSTER).split(",")]
    node: Any = ClusterNode  # redis-py leaves it without annotations
    return redis.RedisCluster(startup_nodes=[node(host, int(port)) for host, port in addresses])


def _knows_bus_port(binary: str) -> bool:
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.partition("v=")[2].partition(".")[0]) >= 7


def _whole(server: ClusterServer) -> bool:
    with server.client() as client:
        told = client.cluster("INFO")
    return bool(told["cluster_state"] == "ok" and told["cluster_slots_ok"] == "16384")


def _in_step(server: ClusterServer) -> bool:
    with server.client() as client:
        told = client.info("replication")
    if told["role"] == "slave":
        return bool(told["master_link_status"] == "up")
    return bool(told["connected_slaves"] >= 1)


def _wait(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            if true():
                return
        except redis.RedisError:
            pass
        time.sleep(0.05)
    message = f"after {_PATIENCE:g} s still not: {what}"
    raise AssertionError(message)
