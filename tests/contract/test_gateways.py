"""The port Gateway: one suite for all of them, and what each answers to what happens to it."""

import asyncio
import base64
import hashlib
import hmac
import io
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from engine.actions import Action, decode, encode
from engine.errors import Refused, Unavailable
from streams.delivery.gateways import (
    Accepted,
    ConsoleGateway,
    Gateway,
    JsonlGateway,
    Rejected,
    Unknown,
    WebhookGateway,
    line,
    signature,
)
from tests.support.builders import START
from tests.support.world import World

SECRET = "a secret of a gateway"
STANDARD_KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def an_action() -> Action:
    """A real one: a cart reminder of the pipeline, with words in two scripts."""
    world = World()
    world.person()
    world.event(world.told().added("用户的鞋"))
    world.wait("2h")
    (action,) = world.sent
    return action


ACTION = an_action()


@dataclass
class Receiver:
    """A real HTTP server on loopback; ``answer`` says what it does with a request."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, await request.read()))
        return await self.answer(request)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/send?token=hush"
        finally:
            await runner.cleanup()


def answering(status: int, **headers: str) -> Receiver:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return Receiver(answer)


class GatewayContract:
    async def test_an_action_that_arrives_whole_is_accepted(self, gateway: Gateway) -> None:
        assert isinstance(await gateway.send(ACTION, START), Accepted)
        assert self.arrived() == [ACTION]

    async def test_many_actions_arrive_each_once_and_in_order(self, gateway: Gateway) -> None:
        actions = [msgspec.structs.replace(ACTION, action_id=f"a-{n}") for n in range(5)]
        for action in actions:
            await gateway.send(action, START)
        assert self.arrived() == actions

    async def test_it_says_who_it_is_and_closes_twice(self, gateway: Gateway) -> None:
        assert gateway.name
        assert gateway.idempotent in {True, False}
        await gateway.send(ACTION, START)
        await gateway.close()
        await gateway.close()

    def arrived(self) -> list[Action]:
        raise NotImplementedError


class TestConsole(GatewayContract):
    @pytest.fixture
    def gateway(self) -> Gateway:
        self.stream = io.StringIO()
        return ConsoleGateway(self.stream)

    def arrived(self) -> list[Action]:
        # a line is for people: it holds what a person must see, and one line per action
        lines = self.stream.getvalue().splitlines()
        assert all("u-1" in one and "push" in one and "用户的鞋" in one for one in lines)
        return [ACTION] if len(lines) == 1 else [self._named(n) for n, _ in enumerate(lines)]

    @staticmethod
    def _named(number: int) -> Action:
        return msgspec.structs.replace(ACTION, action_id=f"a-{number}")

    def test_no_address_and_no_line_break_reaches_the_console(self) -> None:
        content = msgspec.structs.replace(ACTION.content, title="a\nb\x1b[31m", body="c\rd")
        shown = line(msgspec.structs.replace(ACTION, content=content))
        assert shown.isprintable()
        assert ACTION.to.address not in shown


class TestJsonl(GatewayContract):
    @pytest.fixture
    def gateway(self, tmp_path: Path) -> Gateway:
        self.path = tmp_path / "actions.jsonl"
        return JsonlGateway(self.path)

    def arrived(self) -> list[Action]:
        return [decode(one) for one in self.path.read_bytes().splitlines()]

    async def test_two_processes_may_share_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "shared.jsonl"
        first, second = JsonlGateway(path), JsonlGateway(path)
        for _ in range(3):
            await first.send(ACTION, START)
            await second.send(ACTION, START)
        assert path.read_bytes() == (encode(ACTION) + b"\n") * 6
        assert path.stat().st_mode & 0o077 == 0
        await first.close()
        await second.close()

    async def test_a_file_that_cannot_be_written_is_waited_for(self, tmp_path: Path) -> None:
        gateway = JsonlGateway(tmp_path / "missing" / "actions.jsonl")
        with pytest.raises(Unavailable):
            await gateway.send(ACTION, START)
        (tmp_path / "missing").mkdir()
        assert isinstance(await gateway.send(ACTION, START), Accepted)
        await gateway.close()

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
    async def test_a_full_disk_is_waited_for(self) -> None:
        gateway = JsonlGateway(Path("/dev/full"))
        with pytest.raises(Unavailable, match="No space"):
            await gateway.send(ACTION, START)
        await gateway.close()


class TestWebhook(GatewayContract):
    @pytest.fixture
    async def gateway(self) -> AsyncIterator[Gateway]:
        self.receiver = answering(202)
        async with self.receiver.listening() as url:
            gateway = WebhookGateway(url, SECRET)
            yield gateway
            await gateway.close()

    def arrived(self) -> list[Action]:
        return [decode(body) for _, body in self.receiver.got]

    async def test_a_receiver_can_verify_what_it_got(self, gateway: Gateway) -> None:
        await gateway.send(ACTION, START + 999)

        ((headers, body),) = self.receiver.got
        assert headers["webhook-id"] == headers["idempotency-key"] == ACTION.action_id
        assert headers["webhook-timestamp"] == str(START // 1000)
        assert headers["content-type"] == "application/json"
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mark = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(mark).decode()}"
        assert json.loads(body)["to"]["address"] == ACTION.to.address

    async def test_a_secret_in_the_form_of_the_standard_is_decoded(self) -> None:
        receiver = answering(200)
        async with receiver.listening() as url:
            gateway = WebhookGateway(url, f"whsec_{STANDARD_KEY}")
            await gateway.send(ACTION, 1_614_265_330_000)
            await gateway.close()
        ((headers, body),) = receiver.got
        key = base64.b64decode(STANDARD_KEY)
        expected = signature(key, ACTION.action_id, 1_614_265_330, body)
        assert headers["webhook-signature"] == expected["webhook-signature"]

    def test_the_signature_is_that_of_standard_webhooks(self) -> None:
        # the example message of its documentation and of its libraries' tests
        headers = signature(
            base64.b64decode(STANDARD_KEY),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            b'{"test": 2432232314}',
        )
        expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        assert headers["webhook-signature"] == expected

    @pytest.mark.parametrize("status", [400, 401, 404, 410, 413, 422])
    async def test_what_is_refused_is_refused_for_good(self, status: int) -> None:
        async with answering(status).listening() as url:
            gateway = WebhookGateway(url, SECRET)
            answer = await gateway.send(ACTION, START)
            await gateway.close()
        assert answer == Rejected(f"http_{status}", permanent=True, code=str(status))

    @pytest.mark.parametrize("status", [408, 409, 425, 429, 503])
    async def test_a_busy_receiver_is_waited_for(self, status: int) -> None:
        async with answering(status).listening() as url:
            gateway = WebhookGateway(url, SECRET)
            with pytest.raises(Unavailable, match=str(status)):
                await gateway.send(ACTION, START)
            await gateway.close()

    @pytest.mark.parametrize("status", [500, 502, 504])
    async def test_a_receiver_that_broke_may_have_sent_it(self, status: int) -> None:
        async with answering(status).listening() as url:
            gateway = WebhookGateway(url, SECRET)
            with pytest.raises(Unknown, match=str(status)):
                await gateway.send(ACTION, START)
            await gateway.close()

    @pytest.mark.parametrize("status", [301, 307, 308])
    async def test_a_redirect_is_not_followed(self, status: int) -> None:
        # addresses go where the operator said and nowhere else
        elsewhere = answering(200)
        async with (
            elsewhere.listening() as other,
            answering(status, location=other).listening() as url,
        ):
            gateway = WebhookGateway(url, SECRET)
            with pytest.raises(Unavailable, match=str(status)):
                await gateway.send(ACTION, START)
            await gateway.close()
        assert elsewhere.got == []

    async def test_nobody_listening_is_waited_for(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            gateway = WebhookGateway(f"http://127.0.0.1:{taken.getsockname()[1]}/", SECRET)
            with pytest.raises(Unavailable):
                await gateway.send(ACTION, START)
            await gateway.close()

    async def test_a_receiver_that_never_answers_may_have_sent_it(self) -> None:
        done = asyncio.Event()

        async def answer(_: web.Request) -> web.StreamResponse:
            await done.wait()
            return web.Response()

        async with Receiver(answer).listening() as url:
            gateway = WebhookGateway(url, SECRET, timeout=0.2)
            with pytest.raises(Unknown):
                await gateway.send(ACTION, START)
            done.set()
            await gateway.close()

    async def test_a_connection_cut_before_the_answer_may_have_sent_it(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        async with Receiver(answer).listening() as url:
            gateway = WebhookGateway(url, SECRET)
            with pytest.raises(Unknown):
                await gateway.send(ACTION, START)
            await gateway.close()

    async def test_neither_secret_nor_address_nor_url_is_said_aloud(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        said = []
        async with answering(500).listening() as url:
            gateway = WebhookGateway(url, SECRET)
            with pytest.raises(Unknown) as unknown:
                await gateway.send(ACTION, START)
            said.append(str(unknown.value))
            await gateway.close()
        gateway = WebhookGateway(url, SECRET)
        with pytest.raises(Unavailable) as away:
            await gateway.send(ACTION, START)
        said += [str(away.value), repr(gateway), caplog.text]
        await gateway.close()
        for words in said:
            assert not {part for part in (SECRET, ACTION.to.address, "hush") if part in words}

    @pytest.mark.parametrize(
        ("url", "secret"), [("ftp://x", SECRET), ("http://x", ""), ("http://x", "whsec_*")]
    )
    def test_what_cannot_be_used_is_refused_at_the_start(self, url: str, secret: str) -> None:
        with pytest.raises(Refused) as refused:
            WebhookGateway(url, secret)
        assert "whsec_*" not in str(refused.value)
