"""What Redis holds, read by a client of our own and by keys spelt anew; and how it compares."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from tests.faults.checker.expected import Notes
from tests.faults.checker.findings import Findings

_AT_ONCE = 1_000


@dataclass
class Stored:
    """One partition; ``offset`` next to be folded, None = never committed."""

    offset: int | None = None
    profiles: dict[str, bytes] = field(default_factory=dict)
    addresses: dict[str, bytes] = field(default_factory=dict)
    wakes: dict[str, int] = field(default_factory=dict)


def read(url: str, partitions: int) -> dict[int, Stored]:
    """Return the state of all partitions."""
    client: Any = redis.Redis.from_url(url)
    found: dict[int, Stored] = defaultdict(Stored)
    for at in range(partitions):
        offset = client.hget(f"rk:{{{at}}}:m", "o")
        found[at].offset = None if offset is None else int(offset)
        wakes = client.zrange(f"rk:{{{at}}}:w", 0, -1, withscores=True)
        found[at].wakes = {user.decode(): int(wake) for user, wake in wakes}
    keys: list[bytes] = []
    for key in client.scan_iter(b"rk:{*}:[ua]:*", count=_AT_ONCE):
        keys.append(key)
        if len(keys) >= _AT_ONCE:
            _values(client, keys, found)
            keys = []
    _values(client, keys, found)
    return found


def _values(client: Any, keys: list[bytes], found: dict[int, Stored]) -> None:
    for key, value in zip(keys, client.mget(keys) if keys else (), strict=True):
        _, tag, kind, user = key.decode().split(":", 3)
        at = found[int(tag[1:-1])]
        (at.profiles if kind == "u" else at.addresses)[user] = value


def compare(partition: int, there: Stored, wanted: Notes, end: int, findings: Findings) -> None:
    """Compare the state of one partition; ``end``: the offset after the last record."""
    if (there.offset or 0) != end:
        findings.broke("heads_differing", f"{partition} stands at {there.offset}, not at {end}")
    _differing("profiles_differing", partition, there.profiles, wanted.profiles, findings)
    _differing("addresses_differing", partition, there.addresses, wanted.addresses, findings)
    _differing("wakes_differing", partition, there.wakes, wanted.wakes, findings)
    findings.tell("profiles", len(wanted.profiles))


def _differing(
    name: str,
    partition: int,
    there: Mapping[str, object],
    wanted: Mapping[str, object],
    findings: Findings,
) -> None:
    for user in there.keys() | wanted.keys():
        if there.get(user) != wanted.get(user):
            findings.broke(name, f"{partition} {user}: {there.get(user)!r}")
