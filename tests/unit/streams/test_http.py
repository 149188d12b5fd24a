"""The HTTP door on a real server on loopback; published records are collected in a list."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.errors import Unavailable
from engine.events import Position, ProductAdded
from streams.http import app
from streams.http.bodies import MAX_BODY
from streams.http.messages import MAX_MESSAGE
from streams.sources import segment
from streams.sources.reasons import Notes

NOW = 1_763_868_808_000
ADDED = {
    "messageId": "m-1",
    "event": "Product Added",
    "userId": "u-1",
    "properties": {"product_id": "p-1", "price": 9.5},
}


class Door:
    """A server with its routes, and what it published."""

    def __init__(self, write_key: str | None = None) -> None:
        self.published: list[tuple[bytes, bytes]] = []
        self.calls = 0
        self.away = False
        self.acknowledging = asyncio.Event()
        self.acknowledging.set()
        self.notes = Notes()
        self.url = ""
        self._routes = app.routes(self.publish, lambda: NOW, write_key=write_key, notes=self.notes)
        self._runner: web.AppRunner | None = None

    async def publish(self, records: list[tuple[bytes, bytes]]) -> None:
        self.calls += 1
        if self.away:
            raise Unavailable("no broker")
        await self.acknowledging.wait()
        self.published.extend(records)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(value) for _, value in self.published]

    async def open(self) -> None:
        application = web.Application()
        application.add_routes(self._routes)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"

    async def close(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    opened = Door()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def guarded() -> AsyncIterator[Door]:
    opened = Door(write_key="key-1")
    await opened.open()
    yield opened
    await opened.close()


async def post(
    door: Door, path: str, body: bytes | dict[str, Any], **headers: str
) -> tuple[int, Any, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.post(f"{door.url}/{path}", data=data, headers=sent) as answer,
    ):
        return answer.status, await answer.json(), answer.headers


async def test_a_track_is_answered_with_exactly_200_after_it_is_published(door: Door) -> None:
    status, told, _ = await post(door, "track", ADDED)
    assert (status, told) == (200, {"success": True})
    (key, value), *rest = door.published
    assert key == b"u-1"
    assert not rest
    (event, *_) = segment.parse(value, Position("raw", 0, 0, 0), NOW)
    assert isinstance(event, ProductAdded)


@pytest.mark.parametrize(("path", "kind"), [p for p in app.PATHS.items() if p[1]])
async def test_the_path_says_what_the_message_is(door: Door, path: str, kind: str) -> None:
    assert (await post(door, path, {"userId": "u-1", "event": "x"}))[0] == 200
    assert door.messages[0]["type"] == kind


async def test_a_message_that_says_its_type_keeps_it(door: Door) -> None:
    await post(door, "track", ADDED | {"type": "identify"})
    assert door.messages[0]["type"] == "identify"


async def test_what_a_batch_says_holds_for_each_of_its_messages(door: Door) -> None:
    batch = {
        "batch": [
            ADDED | {"type": "track", "context": {"locale": "de-DE"}},
            ADDED | {"type": "track", "sentAt": "2025-11-23T03:00:00Z"},
        ],
        "sentAt": "2025-11-23T03:33:28.000Z",
        "context": {"locale": "zh-CN", "timezone": "Asia/Shanghai"},
        "writeKey": "secret",
        "timestamp": "2025-11-23T03:33:28.000Z",
    }
    assert (await post(door, "batch", batch))[:2] == (200, {"success": True})
    first, second = door.messages
    assert first["sentAt"] == "2025-11-23T03:33:28.000Z"
    assert second["sentAt"] == "2025-11-23T03:00:00Z"
    assert first["context"] == {"locale": "de-DE", "timezone": "Asia/Shanghai"}
    assert second["context"]["locale"] == "zh-CN"
    assert "timestamp" not in first
    assert "writeKey" not in first
    assert door.calls == 1, "one request is one append"


async def test_messages_keep_the_order_of_their_batch(door: Door) -> None:
    batch = {"batch": [ADDED | {"messageId": f"m-{n}"} for n in range(200)]}
    await post(door, "b", batch)
    assert [m["messageId"] for m in door.messages] == [f"m-{n}" for n in range(200)]


async def test_a_device_keeps_its_order_through_a_log_in(door: Door) -> None:
    await post(door, "track", ADDED | {"anonymousId": "device-1"})
    await post(door, "track", {"event": "x", "anonymousId": "device-1"})
    assert {key for key, _ in door.published} == {b"device-1"}


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "application/json", "image/png"]
)
async def test_a_wrong_content_type_does_not_matter(door: Door, kind: str) -> None:
    body = gzip.compress(json.dumps({"batch": [ADDED]}).encode())
    answered = await post(door, "batch", body, Content_Encoding="gzip", Content_Type=kind)
    assert answered[:2] == (200, {"success": True})
    assert door.messages[0]["messageId"] == "m-1"


async def test_one_bad_message_does_not_take_the_others_with_it(door: Door) -> None:
    good = json.dumps(ADDED)
    bad = [
        "17",
        "null",
        '{"type":"track","event":"nobody"}',
        '{"userId":"  ","anonymousId":null}',
        '{"userId":"u-2","deep":' + "[" * 400 + "]" * 400 + "}",
        '{"userId":"u-2","long":"' + "x" * MAX_MESSAGE + '"}',
    ]
    body = '{"batch":[' + ",".join([good, *bad, good]) + "]}"
    status, told, _ = await post(door, "batch", body.encode())
    assert status == 200
    assert told == {"success": True, "accepted": 2, "quarantined": 6}
    assert door.notes["quarantined"] == 6


async def test_what_the_engine_cannot_read_is_passed_on_for_the_dead_letters(door: Door) -> None:
    status, told, _ = await post(door, "batch", {"batch": [{"type": "nonsense", "userId": "u-1"}]})
    assert (status, told) == (200, {"success": True})
    assert door.messages[0]["type"] == "nonsense"


async def test_poison_of_shipped_sdks_is_mended_and_the_batch_goes_on(door: Door) -> None:
    body = (
        b'{"batch":[{"userId":"u-1","event":"a","properties":{"price":NaN,"total":1e400}},'
        b'{"userId":"u-1","event":"Runner \\ud83d"},{"userId":"u-1","event":"\xff"}]}'
    )
    assert (await post(door, "batch", body))[:2] == (200, {"success": True})
    first, second, third = door.messages
    assert first["properties"] == {"price": None, "total": None}
    assert second["event"] == "Runner \ufffd"
    assert third["event"] == "\ufffd"


async def test_an_empty_batch_is_fine(door: Door) -> None:
    assert (await post(door, "batch", {"batch": []}))[:2] == (200, {"success": True})
    assert door.calls == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "not_json"),
        (b"", "empty"),
        (b"[]", "not_object"),
        (b"{}", "no_batch"),
        (b'{"batch":{}}', "no_batch"),
    ],
)
async def test_a_request_that_can_never_be_read_is_refused_with_code_and_message(
    door: Door, body: bytes, code: str
) -> None:
    status, told, _ = await post(door, "batch", body)
    assert (status, told["code"]) == (400, code)
    assert told["message"]
    assert not door.published


async def test_broken_gzip_is_the_clients_fault(door: Door) -> None:
    status, told, _ = await post(door, "batch", b"not gzip", Content_Encoding="gzip")
    assert (status, told["code"]) == (400, "broken_body")


async def test_torn_gzip_is_the_clients_fault(door: Door) -> None:
    body = gzip.compress(json.dumps({"batch": [ADDED] * 50}).encode())[:-40]
    status, told, _ = await post(door, "batch", body, Content_Encoding="gzip")
    assert status == 400
    assert told["code"]
    assert not door.published


async def test_other_codings_are_refused_in_words(door: Door) -> None:
    status, told, _ = await post(door, "batch", b"x", Content_Encoding="zstandard")
    assert (status, told["code"]) == (415, "unsupported_encoding")


async def test_more_than_4_mb_decoded_are_refused_however_small_they_travel(door: Door) -> None:
    bomb = gzip.compress(b'{"batch":["' + b"0" * (5 * MAX_BODY) + b'"]}')
    assert len(bomb) < MAX_BODY // 10
    status, told, _ = await post(door, "batch", bomb, Content_Encoding="gzip")
    assert (status, told["code"]) == (413, "too_large")


async def test_nearly_4_mb_are_accepted(door: Door) -> None:
    batch = {"batch": [ADDED | {"pad": "x" * 30_000} for _ in range(130)]}
    assert (await post(door, "batch", batch))[:2] == (200, {"success": True})
    assert len(door.published) == 130


async def test_while_kafka_is_away_clients_are_told_when_to_come_back(door: Door) -> None:
    door.away = True
    status, told, headers = await post(door, "track", ADDED, Origin="https://shop.example")
    assert (status, told["code"]) == (503, "unavailable")
    assert headers["Retry-After"] == "20"
    assert "Retry-After" in headers["Access-Control-Expose-Headers"]
    door.away = False
    assert (await post(door, "track", ADDED))[0] == 200


async def test_too_much_at_once_is_asked_to_wait_and_loses_nothing(door: Door) -> None:
    body = gzip.compress(json.dumps({"batch": [ADDED]}).encode())
    door.acknowledging.clear()
    fits = app.MAX_OPEN // MAX_BODY  # of compressed bodies, which count as the largest
    held = [
        asyncio.create_task(post(door, "batch", body, Content_Encoding="gzip")) for _ in range(fits)
    ]
    async with asyncio.timeout(20):
        while door.calls < fits:  # noqa: ASYNC110 - the calls count, not their order
            await asyncio.sleep(0.001)
    status, told, headers = await post(door, "batch", body, Content_Encoding="gzip")
    assert (status, told["code"], headers["Retry-After"]) == (429, "busy", "1")
    door.acknowledging.set()
    assert [answer[0] for answer in await asyncio.gather(*held)] == [200] * fits
    assert len(door.published) == fits


async def test_a_preflight_is_answered_for_every_path(door: Door) -> None:
    async with aiohttp.ClientSession() as client:
        for path in app.PATHS:
            asked = {
                "Origin": "https://shop.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,anonymousid",
            }
            async with client.options(f"{door.url}/{path}", headers=asked) as answer:
                assert answer.status == 200
                assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
                assert "anonymousid" in answer.headers["Access-Control-Allow-Headers"]
                assert int(answer.headers["Access-Control-Max-Age"]) >= 600


async def test_an_anonymous_id_may_come_in_its_header(door: Door) -> None:
    encoded = base64.b64encode(b"device-9").decode()
    await post(door, "track", {"event": "x", "userId": ""}, AnonymousId=encoded)
    await post(door, "track", {"event": "x", "userId": "u-1"}, AnonymousId=encoded)
    await post(door, "track", {"event": "x", "anonymousId": "a"}, AnonymousId="***")
    assert [key for key, _ in door.published] == [b"device-9", b"u-1", b"a"]


async def test_who_does_not_know_the_write_key_stays_out(guarded: Door) -> None:
    status, told, _ = await post(guarded, "track", ADDED)
    assert (status, told["code"]) == (401, "wrong_write_key")
    wrong = "Basic " + base64.b64encode(b"other:").decode()
    assert (await post(guarded, "track", ADDED, Authorization=wrong))[0] == 401
    assert not guarded.published


def _header(credentials: bytes) -> Callable[[], tuple[str, dict[str, Any], dict[str, str]]]:
    encoded = base64.b64encode(credentials).decode()
    return lambda: ("track", ADDED, {"Authorization": f"Basic {encoded}"})


@pytest.mark.parametrize(
    "request_of",
    [
        _header(b"key-1:"),
        _header(b"key-1"),
        lambda: ("track", ADDED | {"writeKey": "key-1"}, {}),
        lambda: ("track?writeKey=key-1", ADDED, {}),
    ],
    ids=["basic", "basic without colon", "body", "query"],
)
async def test_the_write_key_may_come_in_four_ways(
    guarded: Door, request_of: Callable[[], tuple[str, dict[str, Any], dict[str, str]]]
) -> None:
    path, body, headers = request_of()
    assert (await post(guarded, path, body, **headers))[0] == 200
    assert "writeKey" not in guarded.messages[0]
