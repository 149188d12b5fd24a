"""The operator's token on a real server on loopback: who has it acts, who guesses must wait."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.times import MINUTE, SECOND
from streams.live.token import TRIES, UNSET, Gate

TOKEN = "a-token-of-some-length"


class Door:
    """A server with one route behind a gate, and a clock of the test."""

    def __init__(self, token: str | None) -> None:
        self.now, self.url = 0, ""
        self.gate = Gate(token, lambda: self.now)
        self.acted = 0

    async def enter(self, request: web.Request) -> web.Response:
        refusal = self.gate.refusal(request)
        if refusal is None:
            self.acted += 1
            return web.json_response({"ok": True})
        return refusal

    async def knock(self, header: str | None = None) -> tuple[int, Any, Any]:
        headers = {} if header is None else {"Authorization": header}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url, json={}, headers=headers) as answer,
        ):
            return answer.status, await answer.json(), answer.headers


@pytest.fixture
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    made = Door(getattr(request, "param", TOKEN))
    app = web.Application()
    app.add_routes([web.post("/act", made.enter)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/act"
    yield made
    await runner.cleanup()


async def test_who_has_the_token_acts(door: Door) -> None:
    status, said, _ = await door.knock(f"Bearer {TOKEN}")

    assert (status, said, door.acted) == (200, {"ok": True}, 1)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "no_token"),
        ("", "no_token"),
        ("Bearer ", "no_token"),
        (f"Basic {TOKEN}", "no_token"),
        (TOKEN, "no_token"),
        (f"Bearer {TOKEN}x", "wrong_token"),
        (f"Bearer {TOKEN[:-1]}", "wrong_token"),
        ("Bearer \xfc\xe9", "wrong_token"),
    ],
)
async def test_nobody_else_does(door: Door, header: str | None, code: str) -> None:
    status, said, headers = await door.knock(header)

    assert (status, said["code"], door.acted) == (401, code, 0)
    assert said["message"]
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("door", [None], indirect=True)
async def test_without_a_token_set_nobody_acts_and_the_answer_says_how_to_set_one(
    door: Door,
) -> None:
    status, said, _ = await door.knock("Bearer anything")

    assert (status, said, door.acted) == (403, {"code": "no_token_set", "message": UNSET}, 0)


async def test_who_guesses_must_wait_and_may_then_go_on(door: Door) -> None:
    for _ in range(TRIES):
        assert (await door.knock("Bearer wrong"))[0] == 401

    status, said, headers = await door.knock(f"Bearer {TOKEN}")
    assert (status, said["code"]) == (429, "too_many_failures")
    assert 0 < int(headers["Retry-After"]) <= MINUTE // SECOND
    assert door.acted == 0

    door.now += MINUTE
    assert (await door.knock(f"Bearer {TOKEN}"))[0] == 200


async def test_a_few_slips_in_a_long_while_cost_nothing(door: Door) -> None:
    for _ in range(3 * TRIES):
        assert (await door.knock("Bearer wrong"))[0] == 401
        door.now += MINUTE // 4

    assert (await door.knock(f"Bearer {TOKEN}"))[0] == 200


async def test_a_request_without_a_token_is_no_guess(door: Door) -> None:
    for _ in range(3 * TRIES):
        assert (await door.knock())[0] == 401

    assert (await door.knock(f"Bearer {TOKEN}"))[0] == 200
