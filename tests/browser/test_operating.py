"""A person at the page of a real worker on real Kafka: token, pause, resume, one user."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Browser, Page
from tests.support.kafka import RunningKafka
from tests.support.live_page import LIVE
from tests.support.redis_server import RedisServer
from tests.support.running import Running, Shop, shipped, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

TOKEN = "a token nobody guesses"
WHO = "u-secret-7"
SMS = "document.querySelector('[data-channel=sms]')"
ANSWER = "document.querySelector('#confirm .answer')"
SOON = {
    'settle = "2m"': 'settle = "1s"',
    'delay = "1h"': 'delay = "2s"',
    "share = 0.05": "share = 0.0",
    "share = 0.10": "share = 0.0",
    'from = "21:00"': 'from = "00:00"',
    'to = "08:00"': 'to = "00:00"',
}


@pytest.fixture
def shop(kafka: RunningKafka, topic_prefix: str) -> Iterator[Shop]:
    with (
        RedisServer(tcp=True, aof=False) as redis,
        Shop(kafka.bootstrap, redis.url, topic_prefix) as made,
    ):
        yield made


def test_an_operator_stops_a_channel_and_looks_somebody_up(browser: Browser, shop: Shop) -> None:
    shop.apply(shipped(replace=SOON))
    with shop.worker(REKINDLE_OPERATOR_TOKEN=TOKEN) as worker:
        wait_until(lambda: worker.get("/readyz")[0] == 200, "the worker is ready")
        worker.post("/v1/batch", {"batch": _messages()})
        asyncio.run(_at_the_page(browser, worker))
    controls = [value["control"] for value in shop.values("events") if value.get("control")]
    assert {each["action"] for each in controls} == {"pause", "resume"}
    assert {each["actor"] for each in controls} == {"operator:mia"}
    assert {each["target"] for each in controls} == {"channel:sms"}


async def _at_the_page(browser: Browser, worker: Running) -> None:
    url = f"http://127.0.0.1:{worker.port}/live"
    async with browser.page(url) as page:
        await page.until(LIVE)
        await page.until(f"{SMS}?.dataset.running === 'running'")
        await page.until("document.querySelector('#tail li')?.textContent.includes('sent by push')")
        await _a_wrong_token_changes_nothing(page)
        await _give(page, TOKEN)
        await _pause(page)
        await _resume(page)
        await _look_up(page)
        assert TOKEN not in await page.evaluate("location.href + document.body.innerHTML")
        assert WHO not in await page.evaluate("location.href")
        assert [asked for asked in page.requests if not asked.startswith(url)] == []
        refused = ("live/control", "live/user")  # what was asked wrongly on purpose
        assert [fault for fault in page.faults if not fault.endswith(refused)] == []


async def _give(page: Page, token: str) -> None:
    await page.click("#top [data-do=operator]")
    await page.until("document.activeElement.name === 'token'")
    await page.type(token)
    await page.press("Tab")
    await page.evaluate("document.activeElement.select()")
    await page.type("mia")
    await page.press("Enter")
    await page.until("document.querySelector('dialog[open]') === null")


async def _a_wrong_token_changes_nothing(page: Page) -> None:
    await page.click("[data-channel=sms] [data-action=pause]")  # without one it is asked for
    await page.until("!!document.querySelector('dialog#operator[open]')")
    await page.press("Escape")
    await _give(page, "guessed")
    await _ask(page, "pause", "a drill")
    await page.until(f"{ANSWER}.classList.contains('bad')")
    assert "not this one" in await page.evaluate(f"{ANSWER}.textContent")
    await page.press("Escape")
    await page.until("document.querySelector('dialog[open]') === null")
    assert await page.evaluate(f"{SMS}.dataset.running") == "running"


async def _ask(page: Page, action: str, reason: str) -> None:
    await page.click(f"[data-channel=sms] [data-do=ask][data-action={action}]")
    await page.until("document.activeElement.name === 'reason'")
    await page.press("Enter")  # without a reason nothing is asked of the server
    assert await page.evaluate("document.querySelector('#confirm').open")
    await page.type(reason)
    await page.press("Enter")


async def _pause(page: Page) -> None:
    await _ask(page, "pause", "a drill <b>of ours</b>")
    await page.until(f"{ANSWER}.classList.contains('ok')")
    assert "channel:sms" in await page.evaluate(f"{ANSWER}.textContent")
    await page.press("Enter")  # the focus is on Close
    await page.until("document.querySelector('dialog[open]') === null")
    await page.until(f"{SMS}.dataset.running === 'paused'")
    await page.until(f"{SMS}.innerText.includes('by mia')")
    assert "a drill <b>of ours</b>" in await page.evaluate(f"{SMS}.innerText")


async def _resume(page: Page) -> None:
    await _ask(page, "resume", "it was one")
    await page.until(f"{ANSWER}.classList.contains('ok')")
    await page.press("Escape")
    await page.until(f"{SMS}.dataset.running === 'running'")


async def _look_up(page: Page) -> None:
    await page.click("#person-id")
    await page.type("nobody")
    await page.press("Enter")
    await page.until("!!document.querySelector('#person .answer.bad')")
    await page.click("#person-id")
    await page.evaluate("document.activeElement.select()")
    await page.type(WHO)
    await page.press("Enter")
    pseudonym = "document.querySelector('#person code')?.textContent"
    await page.until(pseudonym)
    assert await page.evaluate(pseudonym) == await page.evaluate(
        "document.querySelector('#tail code').textContent"
    )
    text = await page.evaluate("document.querySelector('#person').innerText")
    assert "any-24h" in text
    assert "sent by push" in text
    await page.click("[data-do=forget-person]")
    await page.until(f"{pseudonym} === undefined")


def _messages() -> list[dict[str, Any]]:
    told = {"type": "identify", "userId": WHO, "traits": {"push_opt_in": True}}
    device = {"device": {"token": f"token-of-{WHO}"}, "timezone": "Asia/Shanghai"}
    shoe = {"product_id": "p1", "name": "Shoe", "price": 300, "currency": "CNY"}
    return [
        told | {"context": device},
        _track("Consent Changed", channel="push", granted=True, source="app"),
        _track("Product Added", **shoe, cart_id="cart-1"),
    ]


def _track(event: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": WHO, "event": event, "properties": properties}
