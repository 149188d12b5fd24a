"""Looks at all the product stands on, and says of each in one sentence whether it is well."""

from collections.abc import AsyncIterator, Mapping
from time import time
from typing import Final

from msgspec import Struct

from engine.errors import Refused, Unavailable
from engine.ports import Head
from engine.times import SECOND
from models import scorer
from models.manifest import expired, unpack
from rules import campaigns
from rules.zones import ZONES
from streams import campaigns_file, standing
from streams.log import keeping, topics
from streams.log.producer import Producer
from streams.log.reader import Reader
from streams.settings import Deployment
from streams.state import policy as redis_policy
from streams.state.connection import RedisConnection
from streams.state.store import RedisStore

# Ticks more than 5 s away from the broker's time move nothing: half of it is a warning.
_CLOCK_OFF: Final = 2_500
# Of maxmemory: from here on it is a matter of days.
_FULL: Final = 0.9


class Finding(Struct, frozen=True):
    """One line of the doctor."""

    about: str
    ok: bool
    sentence: str


async def examine(deployment: Deployment) -> list[Finding]:
    """Return what was found; never raises for what is merely not well."""
    return [finding async for finding in _Doctor(deployment).findings()]


class _Doctor:
    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._redis = RedisConnection(deployment.redis)
        self._reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
        self._partitions = 0

    async def findings(self) -> AsyncIterator[Finding]:
        try:
            kafka = await self._kafka()
            yield kafka
            yield await self._topics() if kafka.ok else _unseen("topics", "Kafka")
            yield await self._products() if kafka.ok else _unseen("products", "Kafka")
            for finding in await self._kept(kafka):
                yield finding
            redis = await self._state()
            yield redis
            for finding in await self._redis_keeps(redis):
                yield finding
            yield await self._clock() if redis.ok else _unseen("clock", "Redis")
            if kafka.ok and redis.ok:
                heads = await self._heads()
                files = await self._files()
                yield self._campaigns(heads, files)
                yield self._model(heads, files)
                yield await self._held_back()
            else:
                yield _unseen("campaigns", "Kafka and Redis")
                yield _unseen("model", "Kafka and Redis")
                yield _unseen("controls", "Kafka and Redis")
        finally:
            await self._reader.stop()
            await self._redis.close()

    async def _kafka(self) -> Finding:
        if self._deployment.embedded:
            return await self._embedded()
        try:
            admin = await topics.connect(self._deployment)
        except Unavailable as away:
            return Finding("kafka", ok=False, sentence=str(away))
        try:
            there = await topics.counts(admin)
        finally:
            await admin.close()
        self._partitions = there.get(self._deployment.topic_prefix + topics.EVENTS, 0)
        sentence = f"answers at {self._deployment.kafka}, {len(there)} topics"
        return Finding("kafka", ok=True, sentence=sentence)

    async def _embedded(self) -> Finding:
        """Look at the embedded broker, which has no admin API."""
        producer = Producer(self._deployment.kafka)
        try:
            name = self._deployment.topic_prefix + topics.EVENTS
            self._partitions = await producer.partitions(name)
        except Unavailable as away:
            return Finding("kafka", ok=False, sentence=str(away))
        finally:
            await producer.stop()
        sentence = f"the embedded broker answers at {self._deployment.kafka}"
        return Finding("kafka", ok=True, sentence=sentence)

    async def _topics(self) -> Finding:
        if self._deployment.embedded:
            sentence = "not checked: the embedded broker makes them by first use"
            return Finding("topics", ok=True, sentence=sentence)
        try:
            problems = await topics.check(self._deployment)
        except Unavailable as away:
            problems = [str(away)]
        if problems:
            return Finding("topics", ok=False, sentence=" ".join(problems))
        name = self._deployment.topic_prefix + topics.EVENTS
        return Finding("topics", ok=True, sentence=f"{name} has {self._partitions} partitions")

    async def _products(self) -> Finding:
        """Tell whether anybody can say what is left; nobody has to, hence it is never bad."""
        topic = self._deployment.topic_prefix + topics.PRODUCTS
        if self._deployment.embedded:
            sentence = "not checked: the embedded broker makes their topic by first use"
            return Finding("products", ok=True, sentence=sentence)
        try:
            counts = await topics.there(self._deployment, [topic])
            held = 0
            for partition in range(counts[topic]):
                bounds = await self._reader.bounds(topic, partition)
                held += bounds.end - bounds.begin
        except Unavailable as away:
            return Finding("products", ok=False, sentence=str(away))
        if held:
            return Finding("products", ok=True, sentence=f"{topic} is told by the shop")
        why = "holds nothing" if counts[topic] else "is missing (rekindle topics create makes it)"
        sentence = f"{topic} {why}, so stock is not shown and nothing that is sold out is held back"
        return Finding("products", ok=True, sentence=sentence)

    async def _kept(self, kafka: Finding) -> list[Finding]:
        """Look at how long and how safely Kafka keeps the topics."""
        about = ("retention", "copies")
        if not kafka.ok:
            return [_unseen(name, "Kafka") for name in about]
        if self._deployment.embedded:
            sentence = "not checked: the embedded broker keeps all of it while it runs"
            return [Finding(name, ok=True, sentence=sentence) for name in about]
        try:
            kept = await keeping.kept(self._deployment)
        except Unavailable as away:
            return [Finding(name, ok=False, sentence=str(away)) for name in about]
        return [self._retention(kept), _copies(kept)]

    def _retention(self, kept: Mapping[str, keeping.Kept]) -> Finding:
        oldest, prefix = self._deployment.oldest_backup, self._deployment.topic_prefix
        problems = keeping.too_short(kept, prefix, oldest)
        if problems:
            return Finding("retention", ok=False, sentence=" ".join(problems))
        sentence = (
            f"every topic keeps more than {keeping.span(oldest)}, the age of the oldest backup "
            "(REKINDLE_OLDEST_BACKUP)"
        )
        return Finding("retention", ok=True, sentence=sentence)

    async def _redis_keeps(self, redis: Finding) -> list[Finding]:
        """Tell whether Redis writes to disk, and how much memory it may take."""
        if not redis.ok:
            return [_unseen(name, "Redis") for name in ("persistence", "memory")]
        servers = await redis_policy.servers(self._redis)
        return [_persistence(servers), _memory(servers)]

    async def _state(self) -> Finding:
        try:
            await redis_policy.check(self._redis)
        except (Refused, Unavailable) as bad:
            return Finding("redis", ok=False, sentence=str(bad))
        return Finding("redis", ok=True, sentence="answers and never evicts (noeviction)")

    async def _clock(self) -> Finding:
        before = time()
        seconds, micros = await self._redis.call("TIME")
        middle = (before + time()) / 2
        off = round((middle - int(seconds) - int(micros) / 1e6) * SECOND)
        sentence = f"{abs(off)} ms {'ahead of' if off > 0 else 'behind'} Redis's"
        if abs(off) > _CLOCK_OFF:
            return Finding(
                "clock",
                ok=False,
                sentence=f"{sentence}: ticks more than 5 s off are ignored, so run an NTP client "
                "on both machines.",
            )
        return Finding("clock", ok=True, sentence=sentence)

    async def _heads(self) -> list[Head]:
        store = RedisStore(self._redis)
        heads = [await store.head(partition) for partition in range(self._partitions)]
        return [head for head in heads if head is not None]

    async def _files(self) -> dict[str, bytes]:
        if not self._partitions:
            return {}
        topic = self._deployment.topic_prefix + topics.ARTEFACTS
        found = {}
        async for record in self._reader.whole(topic):
            if record.key is not None and record.value is not None:
                found[record.key.decode()] = record.value
        return found

    def _campaigns(self, heads: list[Head], files: dict[str, bytes]) -> Finding:
        in_force = {head.settings.campaigns for head in heads}
        if not heads or in_force == {None}:
            sentence = "none are in force, nothing will ever be sent: run rekindle apply."
            return Finding("campaigns", ok=False, sentence=sentence)
        if len(in_force) > 1 or len(heads) < self._partitions:
            sentence = (
                "not the same in every partition: a worker is still behind, or rekindle apply was "
                "interrupted and must be run again."
            )
            return Finding("campaigns", ok=False, sentence=sentence)
        name = in_force.pop()
        content = files.get(name or "")
        if content is None:
            sentence = f"file {name} is in force but not among the artefacts: apply it again."
            return Finding("campaigns", ok=False, sentence=sentence)
        try:
            policy = campaigns.load(content, f"campaigns {name}")
        except Refused as refused:
            return Finding("campaigns", ok=False, sentence=str(refused).replace("\n", " "))
        return Finding("campaigns", ok=True, sentence=campaigns_file.summary(policy))

    def _model(self, heads: list[Head], files: dict[str, bytes]) -> Finding:
        names = sorted({head.settings.model for head in heads} - {None}, key=str)
        if not names:
            sentence = "none in force, priors of the campaigns file speak"
            return Finding("model", ok=True, sentence=sentence)
        content = files.get(str(names[-1]))
        if content is None:
            sentence = f"{names[-1]} is in force but not among the artefacts: apply it again."
            return Finding("model", ok=False, sentence=sentence)
        try:
            simulated = self._simulated_allowed(heads, files)
            scorer.build(content, allow_simulated=simulated, local=ZONES)
        except Refused as refused:
            return Finding("model", ok=False, sentence=f"{refused} The prior speaks instead.")
        old = expired(unpack(content).manifest, int(time() * SECOND))
        if old is not None:
            return Finding("model", ok=False, sentence=f"{old} Until then it goes on scoring.")
        return Finding("model", ok=True, sentence=f"{str(names[-1])[:12]} in force")

    async def _held_back(self) -> Finding:
        """Tell what is paused or throttled; somebody wants it so, hence it is never bad."""
        now = await standing.seen(self._deployment, self._redis, self._partitions)
        told = [standing.told(row, now.partitions) for row in now.rows]
        sentence = "; ".join(told) or "nothing is paused or throttled"
        return Finding("controls", ok=True, sentence=sentence)

    @staticmethod
    def _simulated_allowed(heads: list[Head], files: dict[str, bytes]) -> bool:
        content = files.get(heads[0].settings.campaigns or "")
        return content is not None and campaigns.load(content, "campaigns").allow_simulated_model


def _copies(kept: Mapping[str, keeping.Kept]) -> Finding:
    problems = keeping.unsafe(kept)
    if problems:
        return Finding("copies", ok=False, sentence=" ".join(problems))
    fewest = min((topic.copies for topic in kept.values()), default=0)
    if fewest < 2:
        sentence = "one of each record: what is lost with the broker's disk is lost"
    else:
        sentence = f"at least {fewest} of each record, none lost by an election"
    return Finding("copies", ok=True, sentence=sentence)


def _persistence(servers: Mapping[str, Mapping[str, str]]) -> Finding:
    """Tell it, never refuse it: the log can rebuild all but the claims."""
    without = [_named(name) for name, facts in servers.items() if facts.get("aof_enabled") != "1"]
    failed = [
        _named(name)
        for name, facts in servers.items()
        if facts.get("aof_last_write_status", "ok") != "ok"
    ]
    if failed:
        sentence = f"{', '.join(failed)} cannot write the append-only file: look at its disk."
        return Finding("persistence", ok=False, sentence=sentence)
    if without:
        sentence = (
            f"{', '.join(without)} writes no append-only file, so a restart forgets which messages "
            "were handed over and rebuilds the rest from the log; set appendonly yes to keep it"
        )
        return Finding("persistence", ok=True, sentence=sentence)
    return Finding("persistence", ok=True, sentence="append-only file, written")


def _memory(servers: Mapping[str, Mapping[str, str]]) -> Finding:
    told, full = [], []
    for name, facts in servers.items():
        used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
        if most and used > _FULL * most:
            full.append(f"{_named(name)} uses {_mib(used)} of {_mib(most)}")
        told.append(f"{_mib(used)} of {_mib(most)}" if most else f"{_mib(used)}, no maxmemory")
    if full:
        sentence = (
            f"{', '.join(full)}: raise maxmemory now, for when it is full every partition on it "
            "stands still."
        )
        return Finding("memory", ok=False, sentence=sentence)
    return Finding("memory", ok=True, sentence=f"used: {'; '.join(told)}")


def _named(server: str) -> str:
    return f"Redis {server}" if server else "Redis"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _unseen(about: str, because: str) -> Finding:
    return Finding(about, ok=False, sentence=f"could not be looked at without {because}.")
