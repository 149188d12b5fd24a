"""Bytes per user in Redis: what the server says it holds, and what single keys weigh."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, Final

import redis

from streams.log.topics import partition_of
from streams.state.keys import keys_of

_SAMPLE: Final = 1_000


def used(client: "redis.Redis") -> int:
    """Return the bytes the server has allocated."""
    told: Any = client.info("memory")
    return int(told["used_memory"])


def per_user(
    client: "redis.Redis", users: int, partitions: int, grown_by: int | None = None
) -> dict[str, float]:
    """Return bytes per user; ``grown_by``: what used_memory grew by when all came in.

    ``all_in`` is profile, key and wake-up without addresses, by MEMORY USAGE of a sample;
    ``all_in_by_used_memory`` is the growth of the whole server with the addresses taken off.
    """
    step = max(1, users // _SAMPLE)
    people = [f"u{number}" for number in range(0, users, step)]
    at = [keys_of(partition_of(name.encode(), partitions)) for name in people]
    packed = _asked(client, "STRLEN", [keys.user(n) for keys, n in zip(at, people, strict=True)])
    profiles = _usage(client, [keys.user(n) for keys, n in zip(at, people, strict=True)])
    addresses = _usage(client, [keys.addresses(n) for keys, n in zip(at, people, strict=True)])
    wakes = sum(_usage(client, [keys_of(p).wakes for p in range(partitions)], whole=True))
    known = [size for size in addresses if size]
    told: dict[str, float] = {
        "packed_median": median(packed),
        "packed_p99": sorted(packed)[int(len(packed) * 0.99)],
        "profile_median": median(profiles),
        "profile_mean": round(fmean(profiles), 1),
        "wake_up_mean": round(wakes / users, 1),
        "all_in_median": round(median(profiles) + wakes / users, 1),
        "all_in": round(fmean(profiles) + wakes / users, 1),
        "address_each": round(fmean(known), 1) if known else 0.0,
    }
    if grown_by is not None:
        told["all_in_by_used_memory"] = round(grown_by / users - fmean(addresses), 1)
    return told


def _usage(client: "redis.Redis", keys: Sequence[bytes], *, whole: bool = False) -> list[int]:
    options = ("SAMPLES", 0) if whole else ()
    return _asked(client, "MEMORY USAGE", keys, *options)


def _asked(client: "redis.Redis", command: str, keys: Sequence[bytes], *options: Any) -> list[int]:
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        # redis-py leaves this one method without annotations
        pipeline.execute_command(command, key, *options)  # type: ignore[no-untyped-call]
    return [int(size or 0) for size in pipeline.execute()]


__all__ = ["per_user", "used"]
