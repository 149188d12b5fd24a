"""Streams of the live page on a real port, with readers as slow as they come."""

import asyncio
import gc
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest
from yarl import URL

from monitoring.health import Health
from monitoring.page.schema import Banner, Snapshot
from monitoring.page.snapshot import snapshot
from monitoring.summary import Summary
from streams import fleet
from streams.http.server import HttpServer, reserve
from streams.live import alerts as live_alerts
from streams.live import feed as live_feed
from streams.live import routes as live_routes
from streams.live.feed import Feed
from streams.live.hub import PATIENCE, QUEUE, Hub
from streams.live.routes import PublicRoutes
from streams.state.connection import RedisConnection
from tests.support.event_stream import EventStream
from tests.support.processes import free_port
from tests.support.prometheus import Alertmanager, Webhooks
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


class Port:
    """A port with the public routes of the page, and what its hub told of readers and drops."""

    def __init__(
        self,
        redis: RedisConnection,
        alerts: Callable[[], Awaitable[Sequence[Banner]]] | None = None,
    ) -> None:
        self.redis = redis
        self.entered = 0
        self.now = 1_700_000_000_000
        self.readers = 0
        self.dropped = 0
        self.hub = Hub(self._count, self._drop)
        self.feed = Feed(redis, self.hub, lambda: None, lambda: self.now, alerts)
        self.number = free_port()
        self.server = HttpServer(
            reserve("127.0.0.1", self.number),
            PublicRoutes(self.hub, self.feed, "boot").routes(),
            render=lambda: b"",
            health=lambda: Health(live=True, ready=True, findings=()),
            first_to_end=[self.hub.close],
        )
        self.url = f"http://127.0.0.1:{self.number}"

    def _count(self, readers: int) -> None:
        self.entered += readers > self.readers
        self.readers = readers

    def _drop(self, frames: int) -> None:
        self.dropped += frames

    async def show(self, times: int = 1) -> None:
        """Show frames of a fleet whose time goes on; readers get their turn in between."""
        for _ in range(times):
            self.now += 1_000
            await fleet.publish(self.redis, a_summary(self.now))
            self.hub.show(await self.feed.current())
            await asyncio.sleep(0)

    async def until(self, true: Callable[[], Any], showing: bool = False) -> None:
        async with asyncio.timeout(30):
            while not true():
                if showing:
                    await self.show()
                await asyncio.sleep(0.001)


def a_summary(at: int) -> Summary:
    tail = [
        {
            "id": f"{at}-{number}",
            "at": at,
            "user": "3f2a",
            "campaign": "cart",
            "trigger": "cart_abandonment",
            "outcome": "suppress",
            "reason": "no_consent",
            "channel": None,
            "worth": None,
            "sentence": "not sent: she has not allowed it",
        }
        for number in range(50)
    ]
    facts = {"clock": "live", "tail": tail}
    return Summary(kind="worker", name="a", at=at, started_at=1, facts=facts)


@pytest.fixture
async def port(a_redis: RedisServer) -> AsyncIterator[Port]:
    redis = RedisConnection(a_redis.url)
    made = Port(redis)
    await made.server.start()
    yield made
    await made.server.stop()
    await redis.close()


# --- reading -------------------------------------------------------------------------------------


async def test_a_reader_gets_the_whole_page_and_then_what_is_new(port: Port) -> None:
    await port.show()
    with EventStream(port.number) as stream:
        first = await asyncio.to_thread(stream.event)
        await port.show(2)
        second, third = [await asyncio.to_thread(stream.event) for _ in range(2)]

    assert [each.name for each in (first, second, third)] == ["snapshot", "frame", "frame"]
    assert [each.id for each in (first, second, third)] == ["boot-1", "boot-2", "boot-3"]
    assert len(first.data["tail"]["decisions"]) == 50
    new = {each["id"] for each in third.data["tail"]["decisions"]}
    assert len(new) == 50
    assert not new & {each["id"] for each in second.data["tail"]["decisions"]}
    assert all(len(t["history"]) <= 2 for t in third.data["health"]["tiles"])
    head = stream.head.lower()
    assert "x-accel-buffering: no" in head
    assert "cache-control: no-store" in head


async def test_who_comes_back_without_a_gap_is_not_sent_the_page_again(port: Port) -> None:
    await port.show(3)
    with EventStream(port.number, last="boot-3") as stream:
        await port.until(lambda: port.readers == 1)
        await port.show()
        event = await asyncio.to_thread(stream.event)

    assert (event.name, event.id) == ("frame", "boot-4")


@pytest.mark.parametrize("last", ["boot-1", "other-2", "other-3", "nonsense", "boot-99"])
async def test_who_missed_something_is_sent_the_whole_page(port: Port, last: str) -> None:
    await port.show(3)
    with EventStream(port.number, last=last) as stream:
        event = await asyncio.to_thread(stream.event)

    assert (event.name, event.id) == ("snapshot", "boot-3")


async def test_a_quiet_stream_is_kept_open(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_routes, "KEEPALIVE", 0.05)
    await port.show()
    with EventStream(port.number) as stream:
        blocks = [await asyncio.to_thread(stream.block) for _ in range(4)]

    assert blocks[0] == "retry: 2000"
    assert blocks[1].startswith("id: boot-1\nevent: snapshot\ndata: {")
    assert blocks[2:] == [": keepalive", ": keepalive"]


async def test_a_reader_who_goes_is_forgotten(port: Port) -> None:
    with EventStream(port.number) as stream:
        await asyncio.to_thread(stream.event)
        assert port.readers == 1
    await port.until(lambda: port.readers == 0, showing=True)


# --- slow readers --------------------------------------------------------------------------------


async def test_a_reader_who_never_reads_loses_frames_and_is_let_go(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_routes, "BLOCKED", 600.0)  # or that ends her stream, late
    with EventStream(port.number, buffer=4096) as deaf, EventStream(port.number) as good:
        await port.until(lambda: port.readers == 2)
        hearing = asyncio.create_task(_read_on(good))
        async with asyncio.timeout(15):
            while port.readers == 2:
                await port.show()
                # as fast as the good one reads, so that what is lost is lost to the deaf one
                await asyncio.sleep(0.005)

        assert port.dropped >= PATIENCE
        assert port.readers == 1
        assert await asyncio.to_thread(deaf.ended, 10.0)
        await port.hub.close()
        heard = await asyncio.wait_for(hearing, 30)

    names = [name for name, _ in heard]
    numbers = [number for _, number in heard]
    assert numbers == sorted(numbers)
    assert len(numbers) > QUEUE
    assert names.count("snapshot") <= 1 + port.dropped - PATIENCE


async def test_after_a_loss_the_whole_page_comes(port: Port) -> None:
    await port.show()
    with EventStream(port.number, buffer=4096) as stream:
        await port.until(lambda: port.readers == 1)
        await port.until(lambda: port.dropped >= 1, showing=True)
        events = [await asyncio.to_thread(stream.event)]
        while port.hub.latest is None or events[-1].id != f"boot-{port.hub.latest.number}":
            events.append(await asyncio.to_thread(stream.event))

    numbers = [int(each.id.partition("-")[2]) for each in events]
    gaps = [after for before, after in pairwise(numbers) if after > before + 1]
    assert gaps
    for event, number in zip(events, numbers, strict=True):
        assert event.name == ("snapshot" if number in gaps or number == numbers[0] else "frame")


async def test_a_write_that_blocks_for_long_ends_the_stream(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_routes, "BLOCKED", 0.2)
    with EventStream(port.number, buffer=4096) as deaf:
        await port.until(lambda: port.readers == 1)
        while port.readers:
            await port.show()
            await asyncio.sleep(0.02)
        assert await asyncio.to_thread(deaf.ended, 10.0)


async def test_fifty_readers_cost_no_memory_that_grows(port: Port) -> None:
    with ExitStack() as streams:
        readers = [streams.enter_context(EventStream(port.number)) for _ in range(50)]
        await port.until(lambda: port.readers == 50)
        tasks = [asyncio.create_task(_swallow(reader)) for reader in readers]
        await _show_steadily(port, 60)
        early = _memory()
        await _show_steadily(port, 240)
        late = _memory()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    print(f"50 readers: {early / 1e6:.1f} MB after 60 frames, {late / 1e6:.1f} MB after 300")
    assert late - early < 8e6


# --- who makes the frames ------------------------------------------------------------------------


async def test_nothing_is_rendered_while_nobody_reads_but_the_lines_go_on(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "UNREAD", 0.02)
    await port.feed.start()
    seen = set()

    def looked() -> bool:
        port.now += 20_000
        seen.add(port.feed._history.now)
        return len(seen) > 5

    await port.until(looked)
    assert port.hub.latest is None

    with EventStream(port.number) as stream:
        first = await asyncio.to_thread(stream.event)
    await port.feed.stop()
    assert len(first.data["health"]["tiles"][1]["history"]) >= 3


async def test_a_reader_wakes_the_feed_at_once_and_gets_a_frame_a_second(port: Port) -> None:
    await port.feed.start()
    with EventStream(port.number) as stream:
        await asyncio.to_thread(stream.event)
        port.now += 1_000
        second = await asyncio.to_thread(stream.event)
    await port.feed.stop()

    assert second.name == "frame"


async def test_readers_who_come_at_once_get_one_frame_that_was_made_once(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(*asked: Any) -> Snapshot:
        made.append(asked)
        return snapshot(*asked)

    monkeypatch.setattr(live_feed, "snapshot", counted)
    await fleet.publish(port.redis, a_summary(port.now))
    with ExitStack() as streams:
        readers = [streams.enter_context(EventStream(port.number)) for _ in range(20)]
        first = await asyncio.gather(*[asyncio.to_thread(reader.event) for reader in readers])
        await port.feed.current()

    assert [(each.name, each.id) for each in first] == [("snapshot", "boot-1")] * 20
    assert port.hub.latest is not None
    assert port.hub.latest.number == 1
    assert len(made) == 1


async def test_without_redis_the_page_shows_what_it_knew_as_stale(
    port: Port, a_redis: RedisServer
) -> None:
    await fleet.publish(port.redis, a_summary(port.now))
    known = await port.feed.current()
    a_redis.kill()
    port.now += 5_000
    without = await port.feed.current()

    assert known.header.state == "live"
    assert without.header.state == "stale"
    assert without.header.as_of == port.now - 5_000


async def test_a_bug_in_the_page_ends_no_worker(
    port: Port, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_feed, "UNREAD", 0.02)
    broken = a_summary(port.now)
    broken.facts["now"] = "yesterday"
    broken.facts["clock"] = "source"
    await fleet.publish(port.redis, broken)
    await port.feed.start()
    await port.until(lambda: "a bug: the live page cannot be made" in caplog.text)

    await fleet.publish(port.redis, a_summary(port.now + 5_000))
    port.now += 5_000
    await port.until(lambda: port.feed._history.now == port.now)
    assert port.feed.crash_reason is None
    await port.feed.stop()


# --- what Alertmanager tells ---------------------------------------------------------------------


async def test_what_alertmanager_tells_heads_the_page_and_is_not_said_twice(
    a_redis: RedisServer,
) -> None:
    redis, now = RedisConnection(a_redis.url), [1_700_000_000_000]
    with Webhooks() as web, Alertmanager(web.address) as real:
        url = f"http://{real.address.removeprefix('http://')}"
        asked = live_alerts.Alertmanager(url, lambda: now[0])
        feed = Feed(redis, Hub(print, print), lambda: None, lambda: now[0], asked.alerts)
        before = (await feed.current()).header.banners
        await _fire(url, alertname="NoWorkers", severity="page")
        await _fire(url, alertname="OverrideLeftOn", severity="ticket")
        await _fire(url, alertname="Watchdog", severity="none")

        async with asyncio.timeout(20):
            while len(after := (await feed.current()).header.banners) < 2:
                now[0] += 10_000
                await asyncio.sleep(0.1)
    now[0] += 10_000
    alone = (await feed.current()).header.banners
    await redis.close()

    assert [(each.runbook, each.source) for each in before] == [("NoWorkers", "worker")]
    assert [(each.runbook, each.severity, each.source) for each in after] == [
        ("NoWorkers", "page", "alertmanager"),
        ("OverrideLeftOn", "ticket", "alertmanager"),
    ]
    assert after[0].sentence == "NoWorkers fires in a test."
    assert after[0].since is not None
    assert [each.source for each in alone] == ["worker", "alertmanager"]
    assert "does not answer" in alone[1].sentence


async def _fire(url: str, **labels: str) -> None:
    summary = f"{labels['alertname']} fires in a test."
    alert = {"labels": labels, "annotations": {"summary": summary}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/v2/alerts", json=[alert]) as answer,
    ):
        assert answer.status == 200, await answer.text()


# --- the end -------------------------------------------------------------------------------------


async def test_a_port_with_open_streams_closes_at_once(a_redis: RedisServer) -> None:
    redis = RedisConnection(a_redis.url)
    port = Port(redis)
    await port.server.start()
    with EventStream(port.number, buffer=4096) as deaf, EventStream(port.number) as stream:
        await asyncio.to_thread(stream.event)
        await port.until(lambda: port.readers == 2)
        await port.until(lambda: port.dropped >= 1, showing=True)

        began = monotonic()
        await port.server.stop()
        took = monotonic() - began

        assert await asyncio.to_thread(stream.ended, 5.0)
        assert await asyncio.to_thread(deaf.ended, 5.0)
    await redis.close()
    print(f"closed in {took:.2f} s")
    assert took < 3.0


async def test_a_reader_for_whom_a_frame_was_being_made_at_the_end_holds_no_port(
    a_redis: RedisServer,
) -> None:
    redis, asked, answer = RedisConnection(a_redis.url), asyncio.Event(), asyncio.Event()

    async def slow() -> tuple[()]:
        asked.set()
        await answer.wait()
        return ()

    port = Port(redis, slow)
    await port.server.start()
    with EventStream(port.number) as stream:
        await asyncio.wait_for(asked.wait(), 10)
        ending = asyncio.create_task(port.server.stop())
        await port.until(lambda: port.hub.closed)
        answer.set()

        assert await asyncio.to_thread(stream.ended, 10.0)
        assert port.readers == 0
        assert not port.entered, "a reader who enters a closed hub is let go by nobody"
        await ending
    await redis.close()


# --- files ---------------------------------------------------------------------------------------


async def test_every_file_comes_with_strict_headers_and_is_not_sent_twice(port: Port) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/live", "/live/static/page.css", "/live/static/page.js"):
            async with session.get(port.url + path) as answer:
                assert answer.status == 200, path
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'self';")
                assert "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["Cache-Control"] == "no-cache"
                again = {"If-None-Match": answer.headers["ETag"]}
            async with session.get(port.url + path, headers=again) as answer:
                assert (answer.status, await answer.read()) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fhub.py",
        "%2e%2e/hub.py",
        ".hidden",
        "page.py",
        "panels",
        "panels%5cflow.js",
        "x.js",
    ],
)
async def test_nothing_but_files_of_the_page_is_served(port: Port, path: str) -> None:
    async with aiohttp.ClientSession() as session:
        url = URL(f"{port.url}/live/static/{path}", encoded=True)
        async with session.get(url) as answer:
            assert answer.status == 404
            assert (await answer.json())["code"] == "not_found"


def test_every_file_of_the_page_is_of_a_kind_that_is_served() -> None:
    static = Path(live_routes.__file__).with_name("static")
    found = {each.suffix for each in static.rglob("*") if each.is_file()}

    # without one: licences and checksums, which lie beside what they are of
    assert found - set(live_routes._TYPES) == {""}


# --- helpers of these tests ----------------------------------------------------------------------


async def _read_on(stream: EventStream) -> list[tuple[str, int]]:
    heard = []
    try:
        while True:
            event = await asyncio.to_thread(stream.event)
            heard.append((event.name, int(event.id.partition("-")[2])))
    except (EOFError, OSError, TimeoutError):
        return heard


async def _swallow(stream: EventStream) -> None:
    stream._socket.setblocking(False)
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(stream._socket, 1 << 20):
        continue


async def _show_steadily(port: Port, times: int) -> None:
    for _ in range(times):
        await port.show()
        await asyncio.sleep(0.01)


def _memory() -> int:
    """Return the resident memory of this process, bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
