"""The runbooks of docs/operations.md, followed on real parts; each prints how long it took."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from engine import profile
from streams.state.keys import keys_of
from tests.support.agreement import assert_agrees, doubled_in_log, wait_folded
from tests.support.redis_server import RedisServer
from tests.support.running import Shop, shipped, wait_until
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.fixture
def a_redis() -> Iterator[RedisServer]:
    with RedisServer(tcp=True, aof=False) as server:
        yield server


@contextmanager
def told(step: str) -> Iterator[None]:
    """Print how long a step took; never judged."""
    began = time.monotonic()
    yield
    print(f"{step}: {time.monotonic() - began:.1f} s")


def test_a_backup_restored_is_brought_to_now_from_the_log(
    shop: Shop, a_redis: RedisServer, tmp_path: Path
) -> None:
    shop.apply(shipped())
    records = list(traffic(6_000))
    shop.load(records[:2_000])
    with shop.worker("decide"):
        wait_folded(shop)
        with told("backup (BGSAVE and copy)"):
            backup = _backup(a_redis, tmp_path)
        shop.load(records[2_000:])
        wait_folded(shop)
    now = _ends(shop)

    with told("restore, start, and replay of what came after the backup"):
        a_redis.kill()
        shutil.copy(backup, a_redis.directory / "dump.rdb")
        a_redis.start()
        assert shop.folded() < now
        with shop.worker("decide"):
            wait_folded(shop)

    assert_agrees(shop)
    assert doubled_in_log(shop) == 0


def test_a_redis_that_is_lost_is_built_anew_from_the_log(shop: Shop, a_redis: RedisServer) -> None:
    shop.apply(shipped())
    shop.load(list(traffic(6_000)))
    with shop.worker("decide"):
        wait_folded(shop)

    with told("losing Redis entirely, and building it anew"):
        a_redis.kill()
        for file in a_redis.directory.glob("*.rdb"):
            file.unlink()
        a_redis.start()
        assert shop.folded() == 0
        with shop.worker("decide"):
            wait_folded(shop)

    assert_agrees(shop)
    assert doubled_in_log(shop) == 0


def test_a_full_redis_takes_nothing_half_and_goes_on_when_it_has_room(
    shop: Shop, a_redis: RedisServer
) -> None:
    shop.apply(shipped())
    records = list(traffic(6_000, users=2_000))
    shop.load(records[:1_000])
    client = redis.Redis.from_url(a_redis.url)

    with shop.worker("decide") as worker:
        wait_folded(shop)
        client.config_set("maxmemory", str(int(client.info("memory")["used_memory"]) + 50_000))
        shop.load(records[1_000:])
        status, body = wait_until(
            lambda: (found := worker.get("/readyz"))[0] == 503 and "is away" in found[1] and found,
            "the worker says that Redis is away",
        )
        assert status == 503
        assert "Redis" in body
        assert shop.folded() < _ends(shop)
        with told("Redis full: from more memory to nothing left to do"):
            client.config_set("maxmemory", "0")
            wait_folded(shop)
            wait_until(lambda: worker.get("/readyz")[0] == 200, "the worker is ready")

    assert_agrees(shop)


def test_a_profile_of_a_newer_release_stops_its_partition_with_one_sentence(
    shop: Shop, a_redis: RedisServer
) -> None:
    shop.apply(shipped())
    records = list(traffic(1_000))
    shop.load(records[:500])
    client = redis.Redis.from_url(a_redis.url)
    with shop.worker("decide"):
        wait_folded(shop)
    key = next(client.scan_iter(keys_of(0).user("*")))
    older = client.get(key)
    assert isinstance(older, bytes)
    client.set(key, _of_version(older, profile.VERSION + 1))
    user = key.rpartition(b":")[2]
    shop.load(
        [record for record in records[500:] if getattr(record, "user_id", "") == user.decode()]
    )

    with shop.worker("decide") as worker:
        _, body = wait_until(
            lambda: (found := worker.get("/readyz"))[0] == 503 and "version" in found[1] and found,
            "the worker refuses what a newer release wrote",
        )

    assert "start the release of rekindle that wrote it" in body
    client.set(key, older)  # as when the newer release runs again
    shop.load(records[500:])
    with shop.worker("decide"):
        wait_folded(shop)
    assert_agrees(shop)


def _backup(server: RedisServer, into: Path) -> Path:
    client = redis.Redis.from_url(server.url)
    before = client.lastsave()
    client.bgsave()
    wait_until(
        lambda: (
            not client.info("persistence")["rdb_bgsave_in_progress"]
            and (server.directory / "dump.rdb").exists()
            and client.lastsave() >= before
        ),
        "the snapshot is written",
    )
    return Path(shutil.copy(server.directory / "dump.rdb", into))


def _ends(shop: Shop) -> int:
    return sum(shop.ends("events"))


def _of_version(packed: bytes, version: int) -> bytes:
    """The same profile as a release with another version writes it: the byte after the length."""
    return packed[:3] + bytes([version]) + packed[4:]
