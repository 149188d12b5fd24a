"""Memory twins of every port: what tests, replay and simulation run on, and the reference."""

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.actions import Content, Item
from engine.errors import Fenced, Stale
from engine.events import Line
from engine.policy import Settings
from engine.ports import (
    Case,
    Commit,
    HandOver,
    Head,
    InForce,
    OutboxId,
    Outgoing,
    Score,
    Stored,
)
from engine.times import DAY, HOUR


@dataclass(slots=True)
class _Partition:
    head: Head | None = None
    token: str | None = None
    users: dict[str, bytes] = field(default_factory=dict)
    addresses: dict[str, bytes] = field(default_factory=dict)
    wakes: dict[str, int] = field(default_factory=dict)
    order: list[tuple[int, str]] = field(default_factory=list)
    outbox: list[Outgoing] = field(default_factory=list)
    last: OutboxId = field(default_factory=lambda: OutboxId(0, 0))


def _copy(head: Head | None) -> Head | None:
    """Return a head of its own; only ``positions`` could be changed from outside."""
    return replace(head, positions=dict(head.positions)) if head is not None else None


class MemoryStore:
    """The reference of the port Store: partitions as dictionaries of one process."""

    def __init__(self) -> None:
        """Start empty."""
        self.partitions: dict[int, _Partition] = {}

    def _at(self, partition: int) -> _Partition:
        at = self.partitions.get(partition)
        if at is None:
            at = self.partitions[partition] = _Partition()
        return at

    async def acquire(
        self, partition: int, token: str, expected: str | None = None
    ) -> tuple[Head | None, list[Outgoing]]:
        """Write the token; see the port."""
        at = self._at(partition)
        if expected is not None and at.token not in (expected, token):
            message = f"partition {partition} has another owner"
            raise Fenced(message)
        at.token = token
        return _copy(at.head), list(at.outbox)

    async def head(self, partition: int) -> Head | None:
        """Return the head."""
        return _copy(self._at(partition).head)

    async def load(
        self, partition: int, users: Sequence[str], with_addresses: Collection[str]
    ) -> dict[str, Stored]:
        """Return what is stored of these users."""
        at = self._at(partition)
        return {
            user: Stored(
                at.users.get(user), at.addresses.get(user) if user in with_addresses else None
            )
            for user in users
        }

    async def due(self, partition: int, now: int, limit: int) -> list[str]:
        """Return users due at ``now`` in (wake-up, user) order."""
        due: list[str] = []
        for wake, user in self._at(partition).order:
            if wake > now or (limit and len(due) >= limit):
                break
            due.append(user)
        return due

    async def earliest(self, partition: int) -> int | None:
        """Return the earliest wake-up."""
        order = self._at(partition).order
        return order[0][0] if order else None

    async def commit(self, partition: int, token: str, commit: Commit) -> int | None:
        """Check token, offset and outbox, then apply all of it."""
        commit.check()
        at = self._at(partition)
        if at.token != token:
            message = f"partition {partition} has another owner"
            raise Fenced(message)
        begun = at.head is not None or commit.begins
        stands = at.head.offset if at.head is not None else commit.offset
        appended = commit.outbox[0].id > at.last if commit.outbox else True
        if not begun or stands != commit.offset or not appended:
            message = f"partition {partition} stands at {stands}, not at {commit.offset}"
            raise Stale(message)
        self._apply(at, commit)
        return await self.earliest(partition)

    @staticmethod
    def _apply(at: _Partition, commit: Commit) -> None:
        at.head = _copy(commit.head)
        at.users.update(commit.profiles)
        for user, addresses in commit.addresses.items():
            if addresses is None:
                at.addresses.pop(user, None)
            else:
                at.addresses[user] = addresses
        for user, wake in commit.wakes.items():
            before = at.wakes.pop(user, None)
            if before is not None:
                del at.order[bisect_left(at.order, (before, user))]
            if wake:
                at.wakes[user] = wake
                insort(at.order, (wake, user))
        at.outbox.extend(commit.outbox)
        if commit.outbox:
            at.last = commit.outbox[-1].id
        if commit.trim is not None:
            at.outbox = [entry for entry in at.outbox if entry.id > commit.trim]


class MemoryClaims:
    """The reference of the port Claims; ``clock`` gives ms."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """Start with nothing claimed."""
        self._clock = clock
        self._claimed: dict[tuple[int, str], int] = {}
        self._begun: dict[tuple[int, str], dict[str, bytes]] = {}

    async def claim(self, partition: int, channel: str, hand_over: HandOver, keep: int) -> bool:
        """Claim an action; False = claimed before."""
        key = partition, hand_over.action_id
        if self._claimed.get(key, 0) > self._clock():
            return False
        self._claimed[key] = self._clock() + keep
        self._begun.setdefault((partition, channel), {})[hand_over.action_id] = hand_over.value
        return True

    async def answered(self, partition: int, channel: str, action_id: str) -> None:
        """Note that the gateway has answered."""
        self._begun.get((partition, channel), {}).pop(action_id, None)

    async def begun(self, partition: int, channel: str) -> list[HandOver]:
        """Return what was begun and never answered."""
        begun = self._begun.get((partition, channel), {})
        return [HandOver(*entry) for entry in sorted(begun.items())]

    async def claimed(self, partition: int, action_id: str) -> bool:
        """Return whether an action is claimed."""
        return self._claimed.get((partition, action_id), 0) > self._clock()


class MemoryArtefacts:
    """The reference of the port Artefacts: files by hash, and a function that compiles them."""

    def __init__(self, build: Callable[[Settings, Mapping[str, bytes]], InForce]) -> None:
        """Start with no file; ``build`` makes what is in force of settings and files."""
        self.files: dict[str, bytes] = {}
        self._build = build
        self._built: dict[Settings, InForce] = {}

    def put(self, sha: str, content: bytes) -> None:
        """Add a file."""
        self.files[sha] = content

    def resolve(self, settings: Settings) -> InForce | None:
        """Return what is in force, None while a file is missing."""
        needed = (settings.campaigns, settings.templates, settings.model)
        if any(sha is not None and sha not in self.files for sha in needed):
            return None
        if settings not in self._built:
            self._built[settings] = self._build(settings, self.files)
        return self._built[settings]


class PriorScorer:
    """The reference of the port Scorer: the campaign's prior, no features."""

    def score(self, case: Case) -> Score:
        """Return the prior."""
        return Score(p0=case.campaign.prior_order_rate, features={}, schema_hash="")


class PlainRenderer:
    """The reference of the port Renderer: template name and product names."""

    def render(self, case: Case, channel: str, items: Sequence[Line]) -> Content:
        """Return the names of the items as words."""
        listed = [
            Item(
                product_id=line.product_id,
                name=line.name,
                price="" if line.price is None else f"{line.price:.2f}",
            )
            for line in items
        ]
        body = f"{channel}: " + ", ".join(item.name or item.product_id for item in listed)
        return Content(
            template=case.campaign.template, title=case.campaign.id, body=body, items=listed
        )


class UtcTime:
    """The reference of the port LocalTime: everybody lives in UTC."""

    def hour(self, zones: Sequence[str], fallback: str, at: int) -> int:  # noqa: ARG002 - port
        """Return the hour in UTC."""
        return at // HOUR % 24

    def weekday(self, zones: Sequence[str], fallback: str, at: int) -> int:  # noqa: ARG002 - port
        """Return the weekday in UTC; 1970-01-01 was a Thursday."""
        return (at // DAY + 3) % 7

    def days_later(
        self,
        zones: Sequence[str],  # noqa: ARG002 - port
        fallback: str,  # noqa: ARG002 - port
        at: int,
        days: int,
    ) -> int:
        """Return so many times 24 h later."""
        return at + days * DAY


__all__ = [
    "MemoryArtefacts",
    "MemoryClaims",
    "MemoryStore",
    "PlainRenderer",
    "PriorScorer",
    "UtcTime",
]
