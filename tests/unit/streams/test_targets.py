"""Whom Prometheus scrapes: who says so in Redis, in a file that is whole at every moment."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.errors import Refused
from monitoring.summary import Kind, Summary
from streams import fleet
from streams.cli import main
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.targets import encode, follow, targets_of, write
from tests.support.redis_server import RedisServer


def summary(name: str, http: str = "10.0.0.1:6066", kind: Kind = "worker") -> Summary:
    return Summary(kind=kind, name=name, at=1, started_at=0, http=http)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer(tcp=True) as running:
        yield running


def rekindle(server: RedisServer, *arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(main, list(arguments), env={"REKINDLE_REDIS": server.url})
    return ran.exit_code, ran.output


async def publish(server: RedisServer, *summaries: Summary) -> None:
    redis = RedisConnection(server.url)
    await redis.call("FLUSHALL")
    for each in summaries:
        await fleet.publish(redis, each)
    await redis.close()


def test_each_process_is_a_target_with_its_kind_and_name() -> None:
    found = targets_of(
        [summary("b"), summary("a"), summary("audit", "h:1", "audit"), summary("mute", "")]
    )
    assert json.loads(encode(found)) == [
        {"targets": ["h:1"], "labels": {"job": "rekindle", "kind": "audit", "worker": "audit"}},
        *[
            {
                "targets": ["10.0.0.1:6066"],
                "labels": {"job": "rekindle", "kind": "worker", "worker": name},
            }
            for name in ("a", "b")
        ],
    ]


def test_prometheus_can_read_the_file(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: apt-get install prometheus")
    write(tmp_path / "targets.json", encode(targets_of([summary("a"), summary("b", "[::1]:6")])))
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs: [{job_name: rekindle, file_sd_configs: [{files: [targets.json]}]}]"
    )
    checked = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_file_is_replaced_at_once_and_only_when_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    assert write(path, b"[1]\n")
    first = path.stat()
    assert not write(path, b"[1]\n")
    assert path.stat().st_ino == first.st_ino
    with path.open("rb") as reader:
        assert write(path, b"[2]\n")
        assert reader.read() == b"[1]\n", "who reads meanwhile reads a whole file"
    assert path.read_bytes() == b"[2]\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["targets.json"]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"targets\.json cannot be written: No such file"):
        write(tmp_path / "nowhere" / "targets.json", b"[]")


@pytest.mark.redis
def test_the_command_writes_and_prints_them(server: RedisServer, tmp_path: Path) -> None:
    asyncio.run(publish(server, summary("one")))
    path = tmp_path / "targets.json"

    assert rekindle(server, "targets") == (0, "worker one at 10.0.0.1:6066\n")
    assert rekindle(server, "targets", "--file", str(path)) == (0, "")
    code, said = rekindle(server, "targets", "--json")

    assert code == 0
    assert json.loads(said)["targets"] == json.loads(path.read_bytes())


def test_following_needs_a_file(server: RedisServer) -> None:
    code, said = rekindle(server, "targets", "--follow")
    assert code == 2
    assert "--follow needs the --file" in said


@pytest.mark.redis
async def test_following_a_worker_that_died_stays_until_its_word_lapses(
    server: RedisServer, tmp_path: Path
) -> None:
    path, told = tmp_path / "targets.json", list[str]()
    await publish(server, summary("dead"))
    redis = RedisConnection(server.url)

    async def names() -> list[str]:
        content = await asyncio.to_thread(path.read_bytes) if path.exists() else b"[]"
        return [each["labels"]["worker"] for each in json.loads(content)]

    async def until(wanted: list[str]) -> None:
        deadline = time.monotonic() + 20
        while await names() != wanted:
            assert time.monotonic() < deadline, (await names(), told)
            await asyncio.sleep(0.01)

    async def soon(_: float) -> None:
        await asyncio.sleep(0.02)

    following = asyncio.create_task(follow(redis, path, told.append, soon))
    await until(["dead"])
    await fleet.publish(redis, summary("fresh"))
    await until(["dead", "fresh"])
    # as if its ten seconds were over
    for key in [key async for key in redis.scan(b"*dead*")]:
        await redis.call("PEXPIRE", key, 1)
    await until(["fresh"])
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    await redis.close()
    assert [said.rpartition(": ")[2] for said in told] == ["1 targets", "2 targets", "1 targets"]


@pytest.mark.redis
async def test_while_redis_is_away_the_file_stays_as_it_is(tmp_path: Path) -> None:
    path, told = tmp_path / "targets.json", list[str]()
    rounds = 0

    async def sleep(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            await asyncio.to_thread(running.kill)
        if rounds == 4:
            raise asyncio.CancelledError

    with RedisServer(tcp=True) as running:
        await publish(running, summary("one"))
        redis = RedisConnection(running.url, timeout=0.5)
        with pytest.raises(asyncio.CancelledError):
            await follow(redis, path, told.append, sleep)
        await redis.close()
    assert b'"one"' in path.read_bytes()
    assert [said.partition(":")[0] for said in told][1:] == ["the file stays as it is"]


def test_a_process_that_listens_everywhere_is_called_by_its_machines_name() -> None:
    def reached(http: str) -> str:
        return Deployment.from_env({"REKINDLE_HTTP": http}).reached_at

    assert reached("10.1.2.3:6066") == "10.1.2.3:6066"
    assert reached("[::1]:6066") == "[::1]:6066"
    for everywhere in ("0.0.0.0:7000", "[::]:7000"):
        host, _, port = reached(everywhere).rpartition(":")
        assert port == "7000"
        assert host not in ("0.0.0.0", "[::]", "")
