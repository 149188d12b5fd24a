"""A fleet that speaks: two workers, an observer and an audit that leave their summaries in Redis.

What they say is made up; how it is said, carried, put together and served is the product's own.
"""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from monitoring.figures import told
from monitoring.health import Health
from monitoring.page.history import LIVE
from monitoring.summary import Summary, scraped
from streams import fleet
from streams.http.server import HttpServer, reserve
from streams.live.feed import Feed
from streams.live.hub import Hub
from streams.live.routes import PublicRoutes
from streams.state.connection import RedisConnection

MINUTE: Final = 60_000
HOUR: Final = 3_600_000
DAY: Final = 86_400_000
SOURCE: Final = "rekindle.events.raw"
CHANNELS: Final = ("email", "push", "sms")
_FAST: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5)
_SLOW: Final = (0.05, 0.25, 1.0, 2.0, 5.0, 30.0, 300.0)
_LATE: Final = (0.1, 1.0, 2.0, 10.0, 60.0, 3600.0)

# Of a hundred decisions.
REASONS: Final = {
    "sent": 21,
    "no_consent": 24,
    "not_worth_it": 19,
    "converted": 12,
    "cap:any-24h": 8,
    "quiet_hours": 6,
    "would_send_holdout": 5,
    "cooldown": 4,
    "template_failed": 1,
}
_SENTENCES: Final = {
    "sent": "sent by push: 0.9 % more orders, worth 0.17 EUR",
    "no_consent": "not sent: she has not allowed it",
    "not_worth_it": "not sent: 0.1 % more orders by sms, worth less than it costs",
    "converted": "ended: she bought before the reminder was due",
    "cap:any-24h": "not sent: the cap any-24h allows 2, and 2 had been sent",
    "quiet_hours": "held back: it is night where she is (until 2026-03-02 08:00 UTC)",
    "would_send_holdout": "not sent: she is in the holdout group, who are never spoken to",
    "cooldown": "not sent: this campaign spoke to her a short while ago",
    "template_failed": "not sent: the words could not be made",
}
_OUTCOMES: Final = {"sent": "send", "quiet_hours": "defer", "converted": "disarm"}


@dataclass
class Words:
    """What people may name as they like, and what therefore must never be read as HTML."""

    campaigns: tuple[str, str] = ("cart", "post-purchase")
    user: str = "f379ba996014"
    sentence: str | None = None
    source: str = SOURCE
    pause_reason: str = "bounces 4.1 % of 1,204, limit 2 %"
    product: str = "Runner 3"
    finding: str | None = None


@dataclass
class Fleet:
    """Counts as time passes.

    ``silent``: names of processes that have stopped speaking. ``simulated_from`` (ms): the time
    is that of the data from then on, an hour at each word.
    """

    words: Words = field(default_factory=Words)
    silent: set[str] = field(default_factory=set)
    sold_out: list[str] = field(default_factory=list)
    violations: int = 0
    simulated_from: int | None = None
    started_at: int = 0
    _counts: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    _tail: list[dict[str, Any]] = field(default_factory=list)
    _steps: int = 0

    def summaries(self, now: int, seconds: float) -> list[Summary]:
        """Let ``seconds`` of traffic pass and return what all who speak say at ``now`` (ms)."""
        self.started_at = self.started_at or now - 3 * DAY
        self._steps += 1
        for worker in ("worker-1", "worker-2"):
            self._work(worker, now, seconds)
        self._observe(seconds)
        self._audit(now, seconds)
        found = [
            *(self._worker(name, now) for name in ("worker-1", "worker-2")),
            self._summary("observe", "observe", now, told.as_facts(self._facts(now))),
            self._summary("audit", "audit", now, {}),
        ]
        return [each for each in found if each.name not in self.silent]

    def _add(self, who: str, name: str, more: float, /, **labels: str) -> None:
        series = scraped(f"rekindle_{name}", labels)
        self._counts[who][series] = self._counts[who].get(series, 0.0) + more

    def _put(self, who: str, name: str, value: float, /, **labels: str) -> None:
        self._counts[who][scraped(f"rekindle_{name}", labels)] = value

    def _observed(
        self, who: str, name: str, value: float, bounds: tuple[float, ...], /, **labels: str
    ) -> None:
        for bound in (*bounds, math.inf):
            if value <= bound:
                text = "+Inf" if bound == math.inf else str(bound)
                self._add(who, f"{name}_bucket", 1, **labels, le=text)
        self._add(who, f"{name}_count", 1, **labels)
        self._add(who, f"{name}_sum", value, **labels)

    # --- workers ----------------------------------------------------------------------------

    def _work(self, worker: str, now: int, seconds: float) -> None:
        wave = 1 + 0.25 * math.sin(self._steps / 20) + 0.04 * math.sin(self._steps * 2.3)
        events = 34.0 * seconds * wave
        self._add(worker, "intake_records_total", events, topic=self.words.source)
        self._add(worker, "intake_records_total", 0.3 * seconds, topic="rekindle.feedback")
        self._add(
            worker, "dead_letters_total", 0.02 * seconds, topic=self.words.source, reason="no_user"
        )
        kinds = {"product_viewed": 0.6, "searched": 0.2, "product_added": 0.12}
        for kind, share in {**kinds, "checkout_started": 0.05, "order_completed": 0.03}.items():
            self._add(worker, "events_folded_total", events * share, type=kind)
        for campaign, share in zip(self.words.campaigns, (0.06, 0.01), strict=True):
            self._add(worker, "triggers_armed_total", events * share, campaign=campaign)
            self._add(worker, "triggers_due_total", events * share * 0.8, campaign=campaign)
        self._decide(worker, now, seconds)
        self._stand(worker, now)

    def _decide(self, worker: str, now: int, seconds: float) -> None:
        for reason, share in REASONS.items():
            for campaign, part in zip(self.words.campaigns, (0.7, 0.3), strict=True):
                more = share * seconds / 80 * part
                self._add(worker, "decisions_total", more, campaign=campaign, reason=reason)
        for channel in CHANNELS:
            more = REASONS["sent"] * seconds / 240
            self._add(worker, "actions_total", more, channel=channel)
            for result, part in (("accepted", 0.96), ("bounced", 0.04)):
                self._add(worker, "handovers_total", more * part, channel=channel, result=result)
        self._observed(worker, "event_to_action_seconds", 0.4, _SLOW, channel="push")
        self._observed(worker, "handover_seconds", 0.08, _FAST, channel="push")
        self._observed(worker, "decision_lateness_seconds", 0.7, _LATE)
        for stage in ("take", "commit", "produce"):
            self._observed(worker, "chunk_seconds", 0.004, _FAST, stage=stage)
        self._tell(worker, now)

    def _tell(self, worker: str, now: int) -> None:
        reasons = list(REASONS)
        reason = reasons[(self._steps + len(worker)) % len(reasons)]
        entry = {
            "id": f"{worker}-{self._steps}",
            "at": now - 300,
            "user": self.words.user,
            "campaign": self.words.campaigns[self._steps % 2],
            "trigger": "cart_abandoned",
            "outcome": _OUTCOMES.get(reason, "suppress"),
            "reason": reason,
            "channel": "push" if reason == "sent" else None,
            "worth": 0.17 if reason == "sent" else None,
            "sentence": self.words.sentence or _SENTENCES[reason],
        }
        self._tail = [entry, *self._tail][:50]

    def _stand(self, worker: str, now: int) -> None:
        events = f"{SOURCE.split('.')[0]}.events"
        waits = 0.4 + 0.3 * math.sin(self._steps)
        self._put(worker, "lag_records", 9, topic=events, partition="0")
        self._put(worker, "lag_seconds", waits, topic=events, partition="0")
        last = now / 1000 - 0.4
        self._put(worker, "source_last_record_timestamp_seconds", last, topic=self.words.source)
        for agent in ("intake", "decide", "deliver"):
            self._put(worker, "partitions_owned", 2, agent=agent)
        self._put(worker, "tick_gate_open", 1)
        self._put(worker, "settings_info", 1, settings_hash="9f31c0aa7d2e", mode="live")
        model = {"name": "cart-uplift", "version": "3", "provenance": "real"}
        self._put(worker, "model_info", 1, **model)
        for channel, share in zip(CHANNELS, (1.0, 0.0, 0.6), strict=True):
            self._put(worker, "send_share_ratio", share, channel=channel)
        self._put(worker, "paused", 1, name="channel:push", by="brake")
        self._counts[worker]["process_resident_memory_bytes"] = 142e6

    def _worker(self, name: str, now: int) -> Summary:
        pause = {
            "name": "channel:push",
            "by": "brake",
            "share": 0.0,
            "reason": self.words.pause_reason,
            "since": now - 4 * MINUTE,
            "until": now + 30 * MINUTE,
        }
        facts = {
            "clock": "live" if self.simulated_from is None else "source",
            "now": now - 200 if self.simulated_from is None else self._simulated(),
            "next_due": now + 4_300,
            "pending": 18_230,
            "ticks": True,
            "sources": [self.words.source, "rekindle.feedback"],
            "campaigns": list(self.words.campaigns),
            "loop_gap_p99": 0.012,
            "redis_p99": 0.004,
            "cpu": 0.31,
            "tail": [each for each in self._tail if each["id"].startswith(name)],
            "pauses": [pause],
        }
        findings = [self.words.finding] if self.words.finding else []
        return self._summary("worker", name, now, facts, findings)

    def _simulated(self) -> int:
        return (self.simulated_from or 0) + self._steps * HOUR

    # --- observer and audit -----------------------------------------------------------------

    def _observe(self, seconds: float) -> None:
        for source, size in (("paid_search", 1.0), ("direct", 0.6)):
            steps = {"visit": 4.0, "product": 2.4, "cart": 0.7, "checkout": 0.4, "purchase": 0.2}
            for step, more in steps.items():
                size_of = more * size * seconds
                self._add("observe", "funnel_steps_total", size_of, source=source, step=step)
            self._add("observe", "orders_total", 0.2 * size * seconds, source=source)
        for channel in CHANNELS:
            self._add("observe", "send_cost_total", 0.01 * seconds, channel=channel)
        for metric, value in (("value", 68.0), ("expected", 66.0), ("band_low", 50.0)):
            self._put("observe", f"kpi_{metric}", value, kpi="events", dimension=self.words.source)
        self._put("observe", "kpi_band_high", 90.0, kpi="events", dimension=self.words.source)

    def _audit(self, now: int, seconds: float) -> None:
        for channel in CHANNELS:
            more = REASONS["sent"] * seconds / 120
            self._add("audit", "audit_actions_total", more, channel=channel, verdict="ok")
            horizon = now / 1000 - 2
            topic = f"rekindle.actions.{channel}"
            self._put("audit", "audit_horizon_timestamp_seconds", horizon, topic=topic)
        if self.violations:
            self._put(
                "audit",
                "audit_actions_total",
                float(self.violations),
                channel="sms",
                verdict="over_cap",
            )
        self._put("audit", "audit_last_success_timestamp_seconds", now / 1000 - 1)

    def _facts(self, now: int) -> told.Facts:
        until = now // MINUTE * MINUTE
        return told.Facts(
            until=until,
            since=until - DAY,
            currency="EUR",
            series=[self._series(until)],
            episodes=[self._episode(until)],
            acquisition=[
                told.AcquisitionRow(
                    source="paid_search", visits=8210, product=6020, cart=1400, checkout=610,
                    purchase=402, orders=410, order_value=36_100.5, cost=9_800.0, cpa=23.9,
                    roi=2.68,
                ),
                told.AcquisitionRow(
                    source="direct", visits=5120, product=3300, cart=900, checkout=420,
                    purchase=301, orders=305, order_value=27_110.0,
                ),
            ],
            behaviour=told.Behaviour(
                visits=13_330, views=41_020, cart_adds=3_010, checkouts=1_100, orders=715,
                order_value=63_210.5, views_per_visit=3.08, adds_per_view=0.0734,
                checkouts_per_add=0.365, orders_per_visit=0.0536, value_per_order=88.4,
            ),
            channels=[
                told.ChannelRow(
                    channel=channel, sent=4100, withheld=210, accepted=4080, delivered=4001,
                    bounced=40, failed=20, opened=800, clicked=190, complained=1, unsubscribed=9,
                    converted=61, revenue=5210.0, cost=4.1, roi=1269.7, lift=0.006, lift_low=0.001,
                    lift_high=0.011, treated_rows=21_000, treated_ordered=300, withheld_rows=1100,
                    withheld_ordered=9,
                )
                for channel in CHANNELS
            ],
            sales=told.Sales(
                products=[
                    told.ProductRow(
                        product_id="p17", name=self.words.product, category="shoes", quantity=91,
                        value=8100.0, stock=4,
                    )
                ]
            ),
            stock=told.Stock(
                products=420,
                states={
                    "low": 3, "in_stock": 400, "sold_out": 12, "unknown": 4, "unreadable": 1,
                },
                best={
                    "low": 1, "in_stock": 19 - len(self.sold_out),
                    "sold_out": len(self.sold_out), "unknown": 0, "unreadable": 0,
                },
                best_sold_out=self.sold_out,
                rows=[
                    told.StockRow(
                        product_id="p18", name=self.words.product, stock=0, per_day=9.5, days=0.0,
                    ),
                    told.StockRow(
                        product_id="p17", name=self.words.product, stock=4, per_day=13.0,
                        days=0.308,
                    ),
                ],
                low_days=3.0,
                best_sellers=20,
            ),
            controls=[
                told.ControlRow(
                    id="c1", at=now - 4 * MINUTE, actor="brake", action="pause",
                    target="channel:push", reason=self.words.pause_reason,
                )
            ],
        )  # fmt: skip

    def _series(self, until: int) -> told.Series:
        points = [
            told.Point(until - back * MINUTE, 4080.0, 4000.0, 3000.0, 5200.0)
            for back in range(59, -1, -1)
        ]
        return told.Series(
            kpi="event_rate",
            title="Events per minute",
            dimension={"source": self.words.source},
            unit="events/min",
            kind="level",
            direction="both",
            window_s=60,
            score=0.3,
            points=points,
        )

    def _episode(self, until: int) -> told.Episode:
        return told.Episode(
            anomaly_id="a1b2c3",
            kpi="hard_bounce",
            title="Share that bounces for good",
            dimension={"channel": "push"},
            state="opened",
            severity="warning",
            direction="up",
            unit="share",
            opened_at=until - 15 * MINUTE,
            last_seen_at=until,
            closed_at=None,
            value=0.041,
            expected=0.01,
            low=0.002,
            high=0.02,
            score=6.3,
            contributors=[told.Contributor({"channel": "push"}, 0.041, 0.01, 0.9)],
            causes=[told.Cause("deploy", until - 16 * MINUTE, "campaigns 4af1c2d9", "apply")],
        )

    def _summary(
        self,
        kind: Any,
        name: str,
        now: int,
        facts: dict[str, Any],
        findings: list[str] | None = None,
    ) -> Summary:
        return Summary(
            kind=kind,
            name=name,
            at=now,
            started_at=self.started_at,
            version="0.1.0",
            http="127.0.0.1:6066",
            samples=dict(self._counts[name]),
            findings=findings or [],
            facts=facts,
        )


class LiveServer:
    """The product's own hub, feed and routes on a port, fed by a fleet's summaries in Redis.

    ``read`` says how often frames are made; the fleet speaks once a second of wall time.
    """

    def __init__(self, redis_url: str, speaking: Fleet, wall: Callable[[], int]) -> None:
        self.fleet = speaking
        self.port = 0
        self._redis = RedisConnection(redis_url)
        self._clock = wall
        self._ahead = 0
        self._spoke_at = 0
        self._services: list[Any] = []
        self._speaking: asyncio.Task[None] | None = None
        self.hub: Hub | None = None
        self.feed: Feed | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/live"

    def wall(self) -> int:
        return self._clock() + self._ahead

    async def start(self, *, history: int = 0, routes: tuple[Any, ...] = ()) -> None:
        """Serve; ``history``: so many minutes of points are there from the beginning."""
        reserved = reserve("127.0.0.1", self.port)
        self.port = reserved.getsockname()[1]
        self.hub = Hub(lambda _: None, lambda _: None)
        self.feed = Feed(self._redis, self.hub, lambda: None, self.wall)
        await self._live_through(history)
        public = PublicRoutes(self.hub, self.feed, f"boot{self._ahead}")
        server = HttpServer(
            reserved,
            [*public.routes(), *routes],
            render=lambda: b"",
            health=lambda: Health(live=True, ready=True, findings=()),
            first_to_end=(self.hub.close,),
        )
        self._services = [server, self.feed]
        await self._speak()
        for service in self._services:
            await service.start()
        self._speaking = asyncio.create_task(self._keep_speaking())

    async def _live_through(self, minutes: int) -> None:
        """Let time pass by looks of ten seconds, as they are when nobody reads."""
        assert self.feed is not None
        self._ahead -= minutes * MINUTE
        for _ in range(minutes * MINUTE // LIVE.width):
            await self._speak()
            await self.feed.current()
            self._ahead += LIVE.width

    async def _speak(self) -> None:
        """Say what happened since the last time."""
        now = self.wall()
        passed = now - (self._spoke_at or now - 1000)
        self._spoke_at = now
        for summary in self.fleet.summaries(now, passed / 1000):
            await fleet.publish(self._redis, summary)

    async def _keep_speaking(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self._speak()

    async def fall_silent(self) -> None:
        """Stop making frames while connections stay open, as a process that is stuck."""
        assert self.feed is not None
        await self.feed.stop()

    async def stop(self) -> None:
        """End as a worker does."""
        if self._speaking is not None:
            self._speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._speaking
            self._speaking = None
        for service in self._services:
            await service.stop()
        self._services = []

    async def close(self) -> None:
        await self.stop()
        await self._redis.close()


@contextlib.asynccontextmanager
async def live_server(
    redis_url: str, wall: Callable[[], int], speaking: Fleet | None = None, *, history: int = 0
) -> AsyncIterator[LiveServer]:
    """Serve the live page of a fleet for as long as the block runs."""
    server = LiveServer(redis_url, speaking or Fleet(), wall)
    try:
        await server.start(history=history)
        yield server
    finally:
        await server.close()
