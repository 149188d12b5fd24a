"""The live page of a real worker on real Kafka and Redis, as a browser and a script read it."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import Any

import pytest

from engine.times import HOUR
from monitoring.summary import Summary
from streams import fleet
from streams.log.reader import Reader
from streams.observing import messages
from streams.state.connection import RedisConnection
from tests.support.event_stream import EventStream
from tests.support.running import Running, Shop, shipped, wait_until
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

TOKEN = "an operator's token of the test"
SOON = {
    'settle = "2m"': 'settle = "1s"',
    'delay = "1h"': 'delay = "2s"',
    "share = 0.05": "share = 0.0",
    "share = 0.10": "share = 0.0",
    'from = "21:00"': 'from = "00:00"',
    'to = "08:00"': 'to = "00:00"',
}
WHO = "u-secret-1"


def test_a_worker_shows_itself_and_lets_an_operator_act(live_shop: Shop) -> None:
    live_shop.apply(shipped(replace=SOON))
    with live_shop.worker(REKINDLE_OPERATOR_TOKEN=TOKEN) as worker:
        wait_until(lambda: worker.get("/readyz")[0] == 200, "the worker is ready")
        with EventStream(worker.port) as stream:
            first = stream.event()
            assert "text/event-stream" in stream.head
            assert first.name == "snapshot"
            assert first.data["clock"]["simulated"] is False
            worker.post("/v1/batch", {"batch": [*_reachable(WHO), _added(WHO, "cart-1")]})
            _wait_for(stream, worker, lambda page: page["tail"]["decisions"], "a decision")
        page = wait_until(lambda: _decided(worker), "the page counts the decision")

        _is_right(page)
        _knows_nobody(worker)
        _operator_looks_her_up(worker, page)
        _operator_pauses(worker, live_shop)
        _operator_judges_an_anomaly(worker, live_shop)
        _what_makes_no_sense_is_refused(worker)
        _strangers_are_refused(worker)


def test_a_worker_with_open_streams_ends_at_once(live_shop: Shop) -> None:
    with ExitStack() as streams:
        worker = live_shop.start()
        wait_until(lambda: "partitions" not in worker.get("/readyz")[1], "it owns partitions")
        opened = [streams.enter_context(EventStream(worker.port)) for _ in range(5)]
        deaf = streams.enter_context(EventStream(worker.port, buffer=4096))
        for stream in opened:
            stream.event()
        began = time.monotonic()
        ended_with = worker.stop()
        took = time.monotonic() - began
        assert deaf.ended(5)
    print(f"a worker with 6 open streams ended in {took:.2f} s")
    assert ended_with == 0
    assert took < 3.0, worker.log


def test_in_a_simulation_the_page_is_about_simulated_time(shop: Shop) -> None:
    shop.apply(shipped())
    with shop.worker() as worker:
        shop.load(list(traffic(400)))
        page = wait_until(lambda: _simulated(worker), "the page has the time of the data")
        assert page["clock"]["kept"] == 7 * 24 * HOUR
        assert page["clock"]["now"] < page["now"] - HOUR
        assert page["header"]["state"] == "live"
        times = [at for tile in page["health"]["tiles"] for at, _ in tile["history"]]
        assert all(at <= page["clock"]["now"] for at in times)


def _simulated(worker: Running) -> Any:
    page = _page(worker)
    return page if page["clock"]["simulated"] and page["clock"]["now"] > 0 else None


def _is_right(page: Any) -> None:
    assert page["header"]["state"] == "live"
    assert page["header"]["workers"] == 1
    assert [each["reason"] for each in page["decisions"]["reasons"]] == ["sent"]
    assert page["audit"]["state"] == "absent"
    tiles = {tile["name"]: tile for tile in page["health"]["tiles"]}
    assert tiles["violations"]["state"] == "unknown", "nobody audits, so nothing is green"
    assert tiles["oldest_record"]["state"] == "ok"
    (told,) = page["tail"]["decisions"]
    assert told["sentence"].startswith("sent by push")


def _knows_nobody(worker: Running) -> None:
    for path in ("/live", "/live/snapshot.json", "/metrics"):
        status, body = worker.get(path)
        assert status == 200
        assert WHO not in body
        assert "token-of" not in body
        assert "cart-1" not in body


def _operator_looks_her_up(worker: Running, page: Any) -> None:
    status, found = _ask(worker, "/live/user", {"user_id": WHO})
    assert status == 200
    assert found["user"] == page["tail"]["decisions"][0]["user"]
    assert [each["reason"] for each in found["decisions"]] == ["sent"]
    assert {cap["name"]: cap["used"] for cap in found["caps"]}["any-24h"] == 1
    assert any("cart cart-1" in line for line in found["lines"])
    status, unknown = _ask(worker, "/live/user", {"user_id": "nobody"})
    assert (status, unknown["code"]) == (422, "refused")


def _operator_pauses(worker: Running, shop: Shop) -> None:
    wish = {"action": "pause", "target": "channel:sms", "reason": "a drill", "name": "mia"}
    status, done = _ask(worker, "/live/control", wish)
    assert status == 200, done
    assert "channel:sms paused in 4 partitions" in done["sentence"]
    paused = wait_until(lambda: _sms(worker)["paused"], "the page shows the pause")
    assert paused[0]["by"] == "operator:mia"
    assert paused[0]["reason"] == "a drill"
    assert _sms(worker)["running"] == "paused"
    record = next(value for value in shop.values("events") if value.get("control"))
    assert record["control"]["actor"] == "operator:mia"
    assert _ask(worker, "/live/control", wish | {"action": "resume"})[0] == 200
    wait_until(lambda: _sms(worker)["running"] == "running", "the page shows it resumed")


def _operator_judges_an_anomaly(worker: Running, shop: Shop) -> None:
    asked = {"anomaly_id": "a-1", "verdict": "false", "note": "a campaign of ours", "name": "mia"}
    status, said = _ask(worker, "/live/verdict", asked)
    assert (status, said["code"]) == (422, "refused"), "no observer tells of this episode"

    asyncio.run(_observe(shop, {"anomaly_id": "a-1", "kpi": "k", "dimension": {"source": "s"}}))
    wait_until(lambda: _page(worker)["anomalies"]["open"], "the page shows the episode")
    status, said = _ask(worker, "/live/verdict", asked)
    assert (status, said["ok"]) == (200, True)
    record = asyncio.run(_last_anomaly(shop))
    assert record.key == b"k|s"
    message = messages.read(record.value)
    assert isinstance(message, messages.VerdictMessage)
    assert (message.anomaly_id, message.verdict) == ("a-1", "false")
    assert (message.by, message.note) == ("operator:mia", "a campaign of ours")


async def _observe(shop: Shop, episode: dict[str, Any]) -> None:
    """Leave the summary of an observer that has this episode open."""
    redis, now = RedisConnection(shop.deployment.redis), int(time.time() * 1000)
    facts = {"episodes": [episode | {"state": "opened"}]}
    told = Summary(kind="observe", name="o", at=now, started_at=now, facts=facts)
    await fleet.publish(redis, told)
    await redis.close()


async def _last_anomaly(shop: Shop) -> Any:
    reader, topic = Reader(shop.deployment.kafka), f"{shop.prefix}anomalies"
    try:
        bounds = await reader.bounds(topic, 0)
        return await reader.record(topic, 0, bounds.end - 1)
    finally:
        await reader.stop()


def _what_makes_no_sense_is_refused(worker: Running) -> None:
    wish = {"action": "pause", "target": "channel:sms", "reason": "a drill"}
    for wrong, code in (
        ({"target": "sms"}, "refused"),
        ({"target": "channel:fax"}, "refused"),
        ({"reason": " "}, "refused"),
        ({"minutes": 0}, "refused"),
        ({"action": "throttle"}, "refused"),
        ({"action": "delete"}, "bad_request"),
        ({"more": 1}, "bad_request"),
        ({"reason": "x" * 20_000}, "refused"),
    ):
        status, said = _ask(worker, "/live/control", wish | wrong)
        assert (status, said["code"]) == ({"refused": 422, "bad_request": 400}[code], code), wrong
    status, said = _ask(worker, "/live/control", wish, kind="text/plain")
    assert (status, said["code"]) == (415, "not_json")


def _strangers_are_refused(worker: Running) -> None:
    wish = {"action": "pause", "target": "channel:sms", "reason": "x"}
    for path in ("/live/control", "/live/user", "/live/verdict"):
        status, said = _ask(worker, path, wish, token=None)
        assert (status, said["code"]) == (401, "no_token")
    for wrong in range(5):
        status, said = _ask(worker, "/live/control", wish, token=f"wrong {wrong}")
        assert (status, said["code"]) == (401, "wrong_token")
    status, said = _ask(worker, "/live/control", wish)
    assert (status, said["code"]) == (429, "too_many_failures")


# --- asking --------------------------------------------------------------------------------------


def _page(worker: Running) -> Any:
    return json.loads(worker.get("/live/snapshot.json")[1])


def _decided(worker: Running) -> Any:
    page = _page(worker)
    return page if page["decisions"]["decided"] == 1 else None


def _sms(worker: Running) -> Any:
    return {each["name"]: each for each in _page(worker)["channels"]["channels"]}["sms"]


def _wait_for(stream: EventStream, worker: Running, true: Any, what: str) -> Any:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            page = stream.event().data
        except EOFError:
            pytest.fail(f"the stream ended: {worker.log}")
        if true(page):
            return page
    pytest.fail(f"no frame showed {what}")


def _ask(
    worker: Running,
    path: str,
    body: Any,
    token: str | None = TOKEN,
    kind: str = "application/json",
) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{worker.port}{path}", json.dumps(body).encode(), method="POST"
    )
    request.add_header("Content-Type", kind)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as told:
            return told.status, json.loads(told.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


# --- messages ------------------------------------------------------------------------------------


def _reachable(user: str) -> list[dict[str, Any]]:
    told = {"type": "identify", "userId": user, "traits": {"push_opt_in": True}}
    device = {"device": {"token": f"token-of-{user}"}, "timezone": "Asia/Shanghai"}
    consent = _track(user, "Consent Changed", channel="push", granted=True, source="app")
    return [told | {"context": device}, consent]


def _added(user: str, cart: str) -> dict[str, Any]:
    shoe = {"product_id": "p1", "name": "Shoe", "price": 300, "currency": "CNY"}
    return _track(user, "Product Added", **shoe, cart_id=cart)


def _track(user: str, event: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": event, "properties": properties}
