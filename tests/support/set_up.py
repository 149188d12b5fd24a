"""The set-up of docker-compose.yml without a container engine: the same services as processes.

Run it to look around: ``python -m tests.support.set_up``. Grafana is not among them: no package
index here has it. Alertmanager posts where it would mail.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from engine.times import HOUR, SECOND, iso
from tests.support.carrier import Carrier
from tests.support.kafka import KafkaBroker
from tests.support.prometheus import (
    Alertmanager,
    Prometheus,
    RedisExporter,
    Shortened,
    Told,
    Webhooks,
)
from tests.support.redis_server import RedisServer
from tests.support.running import Running, Shop, shipped

# What each service of the compose file is here; a test holds the two lists together.
SERVICES = {
    "kafka": "KafkaBroker",
    "redis": "RedisServer",
    "topics": "Shop",
    "apply": "Shop.apply",
    "worker": "rekindle worker",
    "audit": "rekindle audit",
    "observe": "rekindle observe",
    "targets": "rekindle targets --follow",
    "redis-exporter": "RedisExporter",
    "prometheus": "Prometheus",
    "alertmanager": "Alertmanager",
    "mail": "Webhooks",
}
ABSENT = {"grafana"}

# The shipped campaigns at any hour, with carts that are due at once.
_EAGER = {
    'from = "21:00"': 'from = "00:00"',
    'to = "08:00"': 'to = "00:00"',
    'settle = "2m"': 'settle = "1s"',
}
_PRODUCTS = 40
# Of the live page's buttons; all of this listens on loopback and ends with the process.
_TOKEN = "drill"


@dataclass
class SetUp:
    """All services, from entry to exit; ``traffic`` sends what shoppers of a small shop do."""

    heard: Callable[[Told], None] = lambda _: None
    interval: str = ""
    # For faults: see Prometheus.
    hurried: bool = False
    shortened: Shortened = field(default_factory=dict)
    # Of all processes; and what is replaced in the shipped campaigns file, besides `_EAGER`.
    environ: Mapping[str, str] = field(default_factory=dict)
    replace: Mapping[str, str] = field(default_factory=dict)
    # Whether all messages go to a provider who reports (`carrier`), not into a file.
    carried: bool = False
    # Who come at once, twice a second.
    people: int = 30
    # Called when Kafka and Redis run, and hold nothing yet.
    prepares: Callable[["SetUp"], None] = lambda _: None
    # Of the worker alone; and with what the observer is started.
    of_worker: Mapping[str, str] = field(default_factory=dict)
    observe: Sequence[str] = ()
    stack: ExitStack = field(default_factory=ExitStack)
    # Never the same people again: those who were written to are capped, and the shop falls silent.
    came: int = 0

    def __enter__(self) -> Self:
        enter = self.stack.enter_context
        targets = Path(enter(tempfile.TemporaryDirectory(prefix="rk-targets-")))
        self.kafka = enter(KafkaBroker())
        self.redis = enter(RedisServer(tcp=True, maxmemory="1gb"))
        self.prepares(self)
        environ = {"REKINDLE_OPERATOR_TOKEN": _TOKEN, **self.environ}
        if self.carried:
            self.carrier = Carrier()
            environ = {**self.carrier.environ, **environ}
        self.shop = enter(
            Shop(self.kafka.bootstrap, self.redis.url, "rekindle.", partitions=4, **environ)
        )
        if self.carried:
            enter(self.carrier.working(self.shop.publish))
        self.shop.apply(self.campaigns())
        self.worker = self._process(self.shop.start(ready=False, **self.of_worker))
        self.audit = self._process(self.shop.start_audit(REKINDLE_WORKER_ID="audit"))
        self.observer = self._process(
            self.shop.start_observer(*self.observe, REKINDLE_WORKER_ID="observe")
        )
        self.targets = self._process(self.shop.start_targets(targets / "rekindle.json"))
        self.exporter = enter(RedisExporter(self.redis.url))
        self.webhooks = enter(Webhooks(self.heard))
        self.alertmanager = enter(Alertmanager(self.webhooks.address))
        self.prometheus = enter(
            Prometheus(
                targets,
                self.alertmanager.address,
                shortened=self.shortened,
                interval=self.interval,
                hurried=self.hurried,
                redis=self.exporter.address,
            )
        )
        for running in (self.worker, self.audit, self.observer):
            running.wait_ready()
        return self

    def _process(self, running: Running) -> Running:
        self.stack.callback(running.stop)
        return running

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def campaigns(self, replace: Mapping[str, str] | None = None) -> str:
        """Return the campaigns file in force, with more replaced in what ships."""
        return shipped(replace={**_EAGER, **self.replace, **(replace or {})})

    def traffic(self, seconds: float) -> None:
        """Let people look, fill carts, order and write nonsense for so long, wall time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = int(time.time() * 1000)
            messages = list(_shoppers(self.came, self.people, now))
            self.shop.publish("events.raw", [(m["userId"].encode(), _json(m)) for m in messages])
            self.shop.publish("events.raw", [(b"nobody", b"this is no message")])
            self.came += self.people
            time.sleep(0.5)  # the pace of the shop; nobody waits for anything here

    def catalogue(self) -> None:
        """Tell what is left of the products that `traffic` speaks of.

        Of what sells one is low, of what nobody orders two are sold out.
        """
        products = [(f"p{number}", _left(number)) for number in range(_PRODUCTS)]
        self.shop.publish(
            "products",
            [
                (name.encode(), _json({"product_id": name, "stock": left}))
                for name, left in products
            ],
        )


def _left(number: int) -> int | None:
    """Return pieces; of the last product nobody tells it. Shoppers here buy thousands a day."""
    if number == _PRODUCTS - 1:
        return None
    return {3: 0, 13: 0, 8: 50}.get(number, 10_000_000)


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def _shoppers(first: int, people: int, now: int) -> Iterator[dict[str, Any]]:
    """Yield what a group of people does, hours ago: every fourth buys, the others leave a cart."""
    for number in range(first, first + people):
        user, at = f"shopper-{number}", now - 2 * HOUR
        yield _message(number, user, at, "identify", traits=_traits(user))
        for step, name in enumerate(_FUNNEL[: 4 if number % 4 else 5], 1):
            yield _message(number, user, at + step * SECOND, "track", event=name, **_goods(number))


_FUNNEL = ("Product Viewed", "Product Added", "Cart Viewed", "Checkout Started", "Order Completed")


def _message(number: int, user: str, at: int, kind: str, **said: Any) -> dict[str, Any]:
    medium = ("cpc", "email", "organic")[number % 3]
    return {
        "type": kind,
        "messageId": f"{user}-{at}",
        "userId": user,
        "timestamp": iso(at),
        "context": {
            "campaign": {"source": "google", "medium": medium},
            "device": {"token": f"token-{user}"},
        },
        **said,
    }


def _traits(user: str) -> dict[str, Any]:
    allowed = {f"{channel}_opt_in": True for channel in ("email", "push", "sms")}
    return {"email": f"{user}@example.com", "phone": "+8613800000000", **allowed}


def _goods(number: int) -> dict[str, Any]:
    product = {
        "product_id": f"p{number % _PRODUCTS}",
        "name": "Trail running shoe",
        "category": ("shoes", "bags", "hats")[number % 3],
        "price": 399.0,
        "currency": "CNY",
        "quantity": 1,
    }
    order = {"order_id": f"o-{number}", "total": 399.0, "products": [product]}
    return {"properties": {**product, **order}}


def _say(told: Told) -> None:
    """Print an alert as it reaches its receiver, with the wall time."""
    said = told.annotations.get("summary", "")
    name = told.labels["alertname"]
    now = iso(int(time.time() * 1000))
    # one write, or lines of two receivers mix
    print(f"{now} {told.receiver}: {name} {told.status}. {said}\n", end="", flush=True)


def main() -> None:
    """Run until Ctrl-C, with shoppers, say where to look, and every alert that reaches somebody."""
    with SetUp(_say) as running:
        print(f"live page     http://127.0.0.1:{running.worker.port}/live")
        print(f"Prometheus    http://{running.prometheus.address}")
        print(f"Alertmanager  http://{running.alertmanager.address}")
        settings = " ".join(f"{k}={v}" for k, v in running.shop.environ.items())
        print(f"settings      {settings}", flush=True)
        running.catalogue()
        with suppress(KeyboardInterrupt):
            running.traffic(float("inf"))


if __name__ == "__main__":
    main()
