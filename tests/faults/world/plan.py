"""What a run of faults is made of, and what it leaves behind for whoever checks it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

# Kinds of faults a plan may ask for; each takes the number of times it is to happen.
KILL: Final = "kill"  # kill -9 of a worker at a random moment; it comes back under its name
KILL_AT: Final = "kill_at"  # kill -9 at a labelled point (launcher.LABELS), each in turn
REPLACE: Final = "replace"  # kill -9; another worker, with another name, takes over
FREEZE: Final = "freeze"  # SIGSTOP longer than the session timeout, then SIGCONT: a zombie
ROLL: Final = "roll"  # SIGTERM and start again, one worker after the other
SCALE: Final = "scale"  # one more worker under load, and away again
NOBODY: Final = "nobody"  # all workers down while shoppers go on buying
REDIS_KILL: Final = "redis_kill"  # kill -9 of Redis and a start from its append-only file
REDIS_BACK: Final = "redis_back"  # Redis put back to a consistent copy 1 to 3 s older
REDIS_FULL: Final = "redis_full"  # Redis at maxmemory for some seconds
REDIS_CUT: Final = "redis_cut"  # every connection to Redis cut at once, and refused for a moment
REDIS_SLOW: Final = "redis_slow"  # every byte to and from Redis late
KAFKA_STOP: Final = "kafka_stop"  # the broker stopped, and started again after a while
KAFKA_CUT: Final = "kafka_cut"  # every connection of the workers to Kafka cut
KAFKA_SLOW: Final = "kafka_slow"  # every byte between workers and Kafka late
GATEWAY_SLOW: Final = "gateway_slow"  # the gateway takes longer than its callers wait
GATEWAY_ILL: Final = "gateway_ill"  # the gateway answers 500 (carried or not), or 503
KINDS: Final = (
    KILL,
    KILL_AT,
    REPLACE,
    FREEZE,
    ROLL,
    SCALE,
    NOBODY,
    REDIS_KILL,
    REDIS_BACK,
    REDIS_FULL,
    REDIS_CUT,
    REDIS_SLOW,
    KAFKA_STOP,
    KAFKA_CUT,
    KAFKA_SLOW,
    GATEWAY_SLOW,
    GATEWAY_ILL,
)


@dataclass(frozen=True)
class Plan:
    """One run: everything that is drawn, is drawn from ``seed``.

    ``seconds`` of load at ``rate`` messages per second by ``users`` shoppers; faults are spread
    over those seconds: kind to how many. ``mutant`` names an entry of
    ``tests.faults.checker.mutants.MUTANTS``, installed in every worker. ``kafka_stop`` is how long
    a stopped broker stays away, s. ``labels``: where ``kill_at`` kills; none = everywhere in turn.
    """

    seed: int
    seconds: float
    rate: float
    users: int
    partitions: int
    workers: int
    mutant: str | None = None
    faults: Mapping[str, int] = field(default_factory=dict)
    kafka_stop: float = 10.0
    labels: Sequence[str] = ()
    drain: float = 180.0


class Sent(NamedTuple):
    """A message the load generator was told is written; ``at`` ms, ``tries`` 1 = at first."""

    at: int
    partition: int
    offset: int
    key: str
    value: bytes
    tries: int


class Read(msgspec.Struct, frozen=True, array_like=True):
    """A record of a topic; named as aiokafka's, so that ``position_of`` reads it as well."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class GatewayCall(msgspec.Struct, frozen=True):
    """A hand-over as the gateway saw it, written down before it was answered.

    ``repeated`` whether this channel had seen the action before; ``carried`` whether a person got
    something by this very call (a channel with idempotency keys carries an action once, the others
    each time they say yes); ``answer`` the status it then tried to answer.
    """

    action_id: str
    channel: str
    at: int
    answer: int
    carried: bool
    repeated: bool
    body: str


class FaultDone(msgspec.Struct, frozen=True):
    """A fault that was injected; ``at`` ms; ``detail`` what exactly, for whoever reads it."""

    kind: str
    at: int
    detail: dict[str, Any]


class Recovery(msgspec.Struct, frozen=True):
    """How long it took from a fault's end (a start, a SIGCONT) until every lane worked again.

    ``what``: ``start`` (fork to the first lane entered), ``ready`` (fork to /readyz 200).
    """

    kind: str
    what: str
    seconds: float


@dataclass
class Ran:
    """A run that is over: healed, drained, and read into ``directory``; nothing is in memory.

    ``drained`` is None, or what was not quiescent when the time for it was over. Redis and Kafka
    are alive while ``running`` is not left. ``campaigns`` is the text of the file in force;
    ``deaths``: how many workers died at each labelled point.
    """

    directory: Path
    plan: Plan
    prefix: str
    bootstrap: str
    redis_url: str
    campaigns: str
    faults: Sequence[FaultDone]
    recoveries: Sequence[Recovery]
    logs: Sequence[Path]
    versions: Mapping[str, str]
    drained: str | None
    began: int
    ended: int
    counts: Mapping[str, int] = field(default_factory=dict)
    deaths: Mapping[str, int] = field(default_factory=dict)

    def sent(self) -> Iterator[Sent]:
        """Yield what the generator had acknowledged, in the order of acknowledgement."""
        with (self.directory / "sent.jsonl").open("rb") as lines:
            for line in lines:
                at, partition, offset, key, value, tries = msgspec.json.decode(line)
                yield Sent(at, partition, offset, key, value.encode("latin-1"), tries)

    def topic(self, name: str) -> Iterator[Read]:
        """Yield a topic (without prefix), partition after partition in order of offset.

        There are ``events.raw``, ``events``, ``decisions``, ``actions.push`` and so on,
        ``feedback``, ``dead-letters`` and ``artefacts``.
        """
        decoder = msgspec.msgpack.Decoder(Read)
        with (self.directory / "topics" / name).open("rb") as file:
            while head := file.read(4):
                yield decoder.decode(file.read(int.from_bytes(head, "big")))

    def topics(self) -> list[str]:
        """Return the names of all topics, without prefix."""
        return sorted(path.name for path in (self.directory / "topics").iterdir())

    def calls(self) -> Iterator[GatewayCall]:
        """Yield what the gateway was asked, in its order."""
        with (self.directory / "gateway.jsonl").open("rb") as lines:
            for line in lines:
                yield msgspec.json.decode(line, type=GatewayCall)
