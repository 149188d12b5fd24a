"""One live worker as an SRE sees it: every family filled, a log without persons, whole traces."""

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from engine import controls
from monitoring.metrics import WORKER
from streams import control as acting
from tests.support.processes import free_port
from tests.support.receiver import Receiver
from tests.support.running import Running, Shop, shipped, wait_until
from tests.unit.models.world import trained, world

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

USER, TOKEN, MAIL = "user-4711-lee", "token-4711-lee", "ann.lee.4711@example.com"
SECRET = "a secret of many letters"

# Seconds instead of hours; no night, no chance.
SOON = {
    'settle = "2m"': 'settle = "1s"',
    'delay = "1h"': 'delay = "2s"',
    "share = 0.05": "share = 0.0",
    "share = 0.10": "share = 0.0",
    'from = "21:00"': 'from = "00:00"',
    'to = "08:00"': 'to = "00:00"',
    "allow_simulated_model = false": "allow_simulated_model = true",
}


class Collector:
    """An OTLP/HTTP collector that keeps the spans it is sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        keep = self._keep

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                keep(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def _keep(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def _track(event: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": USER, "event": event, "properties": properties}


def _shopping() -> list[dict[str, Any]]:
    """Return a reachable shopper who fills a cart, and a message that is refused."""
    traits = {"push_opt_in": True, "email": MAIL}
    device = {"device": {"token": TOKEN}, "timezone": "Asia/Shanghai"}
    shoe = {"product_id": "p1", "name": "Shoe", "price": 300, "currency": "CNY"}
    return [
        {"type": "identify", "userId": USER, "traits": traits, "context": device},
        _track("Consent Changed", channel="push", granted=True, source="app"),
        _track("Product Added", **shoe, cart_id="cart-1"),
        _track("Product Viewed", name="no product id"),
    ]


def _samples(worker: Running) -> dict[str, float]:
    found = {}
    for line in worker.get("/metrics")[1].splitlines():
        if line.startswith("rekindle_"):
            name, _, value = line.rpartition(" ")
            found[name.removeprefix("rekindle_")] = float(value)
    return found


def _reminded(worker: Running, receiver: Receiver, collector: Collector) -> dict[str, float]:
    """Let the shopper come, and return what was counted once everything had been told."""
    wait_until(lambda: worker.get("/readyz")[0] == 200, "the worker is ready")
    worker.post("/v1/batch", {"batch": _shopping()})
    wait_until(lambda: receiver.messages, "the reminder is handed over")
    wait_until(lambda: collector.named("deliver"), "the traces are sent")

    def counted() -> dict[str, float] | None:
        found = _samples(worker)
        return found if found.get('outbox_entries{partition="0"}') == 0 else None

    found: dict[str, float] = wait_until(counted, "what stands is sampled")
    return found


def test_an_sre_sees_everything_and_nobody(live_shop: Shop) -> None:
    live_shop.apply(shipped(replace=SOON), model=trained(world(2_000, seed=3)))
    # first it is out of service, which is said in the log
    with (
        Collector() as collector,
        Receiver(free_port(), SECRET, lambda n: 202 if n else 503) as receiver,
        live_shop.worker(
            REKINDLE_LOG="json",
            REKINDLE_TRACE=collector.url,
            REKINDLE_TRACE_SHARE="1",
            REKINDLE_GATEWAY_PUSH=f"webhook:{receiver.url}",
            REKINDLE_WEBHOOK_SECRET_PUSH=SECRET,
            REKINDLE_TOPIC_PREFIX=live_shop.prefix,
        ) as worker,
    ):
        samples = _reminded(worker, receiver, collector)
        _what_is_held_back_is_shown(worker, live_shop)
    log = worker.log

    _every_family_is_filled(samples, live_shop.prefix)
    _the_log_names_nobody(log)
    _the_trace_is_whole(collector, live_shop)


def _every_family_is_filled(samples: dict[str, float], prefix: str) -> None:
    families = {name.partition("{")[0] for name in samples}
    for metric in WORKER:
        ends = {"histogram": "_count", "info": "_info"}
        assert metric.name + ends.get(metric.kind, "") in families, metric.name
    raw, events = f"{prefix}events.raw", f"{prefix}events"
    for topic in (raw, events, f"{prefix}actions.push", f"{prefix}feedback"):
        for partition in range(4):
            labels = f'{{partition="{partition}",topic="{topic}"}}'
            assert samples["lag_records" + labels] == 0
            assert samples["lag_seconds" + labels] == 0
    for name in (
        'last_tick_timestamp_seconds{partition="0"}',
        f'source_last_record_timestamp_seconds{{topic="{raw}"}}',
        "ingest_delay_seconds_count",
        'redis_command_seconds_count{op="commit"}',
        'redis_command_seconds_count{op="acquire"}',
        'redis_command_seconds_count{op="claim"}',
        'redis_command_seconds_count{op="mget"}',
        'redis_command_seconds_count{op="zrangebyscore"}',
        'produce_seconds_count{topic="events"}',
        'produce_seconds_count{topic="decisions"}',
        'produce_seconds_count{topic="actions.push"}',
        'produce_seconds_count{topic="feedback"}',
        'produce_seconds_count{topic="other"}',
        'rebalances_total{agent="decide"}',
        "model_score_ratio_count",
        "model_inference_seconds_count",
        "model_trained_timestamp_seconds",
        'send_share_ratio{channel="push"}',
        'handover_seconds_count{channel="push"}',
    ):
        assert samples[name] > 0, name
    assert samples['paused{by="operator",name="channel:push"}'] == 0
    assert samples['handover_seconds_count{channel="push"}'] == 2


def _what_is_held_back_is_shown(worker: Running, shop: Shop) -> None:
    now = int(time.time() * 1_000)
    pause = controls.pause("channel:sms", actor="audit", at=now, reason="over a cap")
    throttle = controls.throttle("channel:email", 0.5, actor="operator:quinn", at=now)
    for control in (pause, throttle):
        asyncio.run(acting.act(shop.deployment, control))

    wait_until(
        lambda: _samples(worker)['send_share_ratio{channel="email"}'] == 0.5, "it is in force"
    )
    samples = _samples(worker)
    assert samples['paused{by="audit",name="channel:sms"}'] == 1
    assert samples['send_share_ratio{channel="sms"}'] == 0
    assert samples['send_share_ratio{channel="push"}'] == 1
    assert "quinn" not in "".join(samples)


def _the_log_names_nobody(log: str) -> None:
    lines = [json.loads(line) for line in log.splitlines()]
    assert all(
        {"at", "level", "logger", "message", "worker"} <= line.keys() and line["worker"] == "one"
        for line in lines
    )
    said = [line["message"] for line in lines]
    assert any("answered 503" in message for message in said), said
    for secret in (USER, TOKEN, MAIL, "4711"):
        assert secret not in log


def _the_trace_is_whole(collector: Collector, shop: Shop) -> None:
    (delivered,) = collector.named("deliver")
    trace = {span.name: span for span in collector.spans if span.trace_id == delivered.trace_id}
    assert trace.keys() == {"intake", "fold", "decide", "deliver"}
    assert not trace["intake"].parent_span_id
    for before, after in (("intake", "fold"), ("fold", "decide"), ("decide", "deliver")):
        assert trace[after].parent_span_id == trace[before].span_id, after
        assert trace[after].end_time_unix_nano >= trace[before].start_time_unix_nano
    assert len(collector.named("intake")) >= 3
    told = {each.key: each.value.string_value for each in delivered.attributes}
    assert told == {"rekindle.channel": "push", "rekindle.result": "accepted"}
    (acted,) = shop.read("actions.push")
    header = dict(acted.headers)["traceparent"].decode()
    assert header == f"00-{delivered.trace_id.hex()}-{trace['decide'].span_id.hex()}-01"
    assert b"traceparent" not in acted.value
    assert not any("4711" in str(span) for span in collector.spans)
