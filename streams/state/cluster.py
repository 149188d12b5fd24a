"""A Redis Cluster: which node serves which slot, and how a command finds its way there.

redis-py's own cluster client sends a command again when a node does not answer, and an INCR under a
stalled node then counts twice. Here a command is sent again only after an answer that says that it
was not run: MOVED and ASK.
"""

import asyncio
import logging
from binascii import crc_hqx
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from redis import exceptions

from streams.state.server import Argument, Server

SLOTS: Final = 16_384

# A slot that moves answers MOVED once, ASK once more; what is still not there is a fault.
_REDIRECTIONS: Final = 5

_log = logging.getLogger(__name__)


class Node(NamedTuple):
    """Where a node of the cluster listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.host}:{self.port}"


@dataclass(slots=True)
class Layout:
    """Who serves what: ``primaries`` by slot, and every node that stands by."""

    primaries: dict[int, Node] = field(default_factory=dict)
    replicas: set[Node] = field(default_factory=set)

    @property
    def serving(self) -> list[Node]:
        """Return the primaries, each once."""
        return sorted(set(self.primaries.values()))


def slot_of(key: bytes) -> int:
    """Return the slot of a key: CRC16 (XMODEM) of what stands in its first braces, else of it."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return crc_hqx(key, 0) % SLOTS


class Cluster:
    """Sends each command to the node that serves its key.

    Raises what redis-py raises; after an error of a connection the layout is asked for anew.
    """

    def __init__(self, seeds: Sequence[Node], connect: Callable[[Node], Server]) -> None:
        """``seeds``: nodes to ask first; ``connect`` makes the server of a node."""
        self._seeds = list(seeds)
        self._connect = connect
        self._servers: dict[Node, Server] = {}
        self._layout: Layout | None = None
        self._asking = asyncio.Lock()

    async def send(self, command: Sequence[Argument], key: bytes | None) -> Any:
        """Send a command to the primary of ``key``; None = any primary."""
        layout = self._layout or await self.layout()
        node = layout.serving[0] if key is None else layout.primaries.get(slot_of(key))
        if node is None:
            message = f"CLUSTERDOWN no node serves slot {slot_of(key or b'')}"
            self._layout = None
            raise exceptions.ClusterDownError(message)
        asking = False
        for _ in range(_REDIRECTIONS):
            try:
                return await self._send_to(node, command, asking=asking)
            except exceptions.MovedError as moved:
                node, asking = _named(moved, node), False
                if self._layout is layout:
                    self._layout = None
            except exceptions.AskError as elsewhere:
                node, asking = _named(elsewhere, node), True
            except (exceptions.ConnectionError, exceptions.TimeoutError, OSError):
                self._layout = None
                raise
            except exceptions.ClusterDownError:
                self._layout = None
                raise
        message = f"the cluster sent us on {_REDIRECTIONS} times"
        raise exceptions.ConnectionError(message)

    async def everywhere(self, *command: Argument) -> dict[str, Any]:
        """Send a command to every node; a replica that does not answer is left out."""
        layout = await self.layout()
        found = {str(node): await self._send_to(node, command) for node in layout.serving}
        for node in sorted(layout.replicas):
            try:
                found[str(node)] = await self._send_to(node, command)
            except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as away:
                _log.warning("the replica %s does not answer: %s", node, away)
        return found

    async def serving(self, key: bytes | None) -> list[Server]:
        """Return the primary of ``key``; None = every primary."""
        layout = await self.layout()
        nodes = layout.serving if key is None else [layout.primaries[slot_of(key)]]
        return [self._server(node) for node in nodes]

    async def layout(self) -> Layout:
        """Return who serves what, asked for where it is not known."""
        async with self._asking:
            if self._layout is None:
                self._layout = await self._ask()
            return self._layout

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
        self._layout = None

    async def _ask(self) -> Layout:
        """Ask every node we ever heard of until one tells."""
        said: Exception = exceptions.ConnectionError("no node is known")
        for node in dict.fromkeys([*self._servers, *self._seeds]):
            try:
                layout = _read(await self._send_to(node, ("CLUSTER SLOTS",)), node)
            except exceptions.AuthenticationError:
                raise
            except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as away:
                said = away
                continue
            if layout.primaries:
                return layout
            said = exceptions.ClusterDownError("CLUSTERDOWN no slot is served by any node")
        raise said

    def _server(self, node: Node) -> Server:
        if node not in self._servers:
            self._servers[node] = self._connect(node)
        return self._servers[node]

    async def _send_to(
        self, node: Node, command: Sequence[Argument], *, asking: bool = False
    ) -> Any:
        return await self._server(node).send(command, asking=asking)


def _named(error: exceptions.AskError, asked: Node) -> Node:
    """Return the node an answer names; one without a host is the host that was asked."""
    return Node(error.host or asked.host, error.port)


def _read(told: Sequence[Any], asked: Node) -> Layout:
    """Read an answer of CLUSTER SLOTS: first slot, last slot, primary, replicas."""
    layout = Layout()
    for first, last, primary, *replicas in told:
        node = _node(primary, asked)
        layout.primaries |= dict.fromkeys(range(int(first), int(last) + 1), node)
        layout.replicas |= {_node(replica, asked) for replica in replicas}
    return layout


def _node(told: Sequence[Any], asked: Node) -> Node:
    host = told[0].decode() if isinstance(told[0], bytes) else told[0]
    return Node(host or asked.host, int(told[1]))


__all__ = ["SLOTS", "Cluster", "Layout", "Node", "slot_of"]
