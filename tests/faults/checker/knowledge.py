"""What a decision knew: no reminder of what was bought, nothing older than five seconds."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine import events as ev
from engine.actions import Action
from engine.ports import OutboxId
from tests.faults.checker.findings import Findings
from tests.faults.checker.intake import Place, Taken, origin_of

_OLDEST: Final = 5_000  # ms: what reached Kafka before that must have been known


@dataclass
class _Basket:
    """When products were last put in, and when orders last took them; by the events' own times.

    An order that is told again took nothing again. Its second copy may bear a later time: what
    comes more than 5 s after it was sent is corrected by its delay, and a copy may be sent into an
    outage of Kafka. With one message in seven repeated, one thing put in between the two was taken
    for bought in 400,000 events.
    """

    orders: set[str] = field(default_factory=set)
    added: dict[tuple[str, str], int] = field(default_factory=dict)
    bought: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    def hear(self, event: ev.Event) -> None:
        """Take one event."""
        at = event.occurred_at
        match event:
            case ev.ProductAdded():
                self._put(event.cart_id, [event.line], at)
            case ev.CartViewed() | ev.CheckoutStarted():
                self._put(event.cart_id, event.lines or [], at)
            case ev.OrderCompleted() if event.order_id not in self.orders:
                self.orders.add(event.order_id)
                if event.cart_id:
                    self.ended[event.cart_id] = max(at, self.ended.get(event.cart_id, 0))
                else:
                    for line in event.lines:
                        taken = self.bought.get(line.product_id, 0)
                        self.bought[line.product_id] = max(at, taken)

    def _put(self, cart_id: str, lines: Iterable[ev.Line], at: int) -> None:
        for line in lines:
            key = cart_id, line.product_id
            self.added[key] = max(at, self.added.get(key, 0))

    def holds(self, cart_id: str, product_id: str) -> bool:
        """Return whether no order has taken the product since it was last put in."""
        return self.added.get((cart_id, product_id), 0) > self._taken(cart_id, product_id)

    def told(self, cart_id: str, said: Iterable[str]) -> str:
        """Return when each product was put into a cart, and when an order took it."""
        times = [
            f"{product} in at {self.added.get((cart_id, product), 0)}"
            f" and taken at {self._taken(cart_id, product)}"
            for product in said
        ]
        return f"cart {cart_id}: {'; '.join(times)}"

    def _taken(self, cart_id: str, product_id: str) -> int:
        return max(self.bought.get(product_id, 0), self.ended.get(cart_id, 0))


def bought(
    log: Sequence[Taken], actions: Iterable[tuple[OutboxId, Action]], findings: Findings
) -> None:
    """Count reminders of which nothing was left when the tick that decided came."""
    due: dict[int, list[Action]] = defaultdict(list)
    for at, action in actions:
        if action.trigger.kind == "cart_abandonment" and action.content.items:
            due[at.offset].append(action)
    baskets: dict[str, _Basket] = defaultdict(_Basket)
    for taken in log:
        for action in due.get(taken.offset, ()):
            basket, cart = baskets[action.user_id], action.trigger.key
            findings.tell("reminders")
            said = [item.product_id for item in action.content.items]
            if not any(basket.holds(cart, product) for product in said):
                told = f"{action.action_id} {action.user_id}, {basket.told(cart, said)}"
                findings.broke("bought_before_reminder", told)
        if not isinstance(taken.record, ev.Tick | ev.SettingsRecord):
            baskets[taken.record.user_id].hear(taken.record)


def stale(
    log: Sequence[Taken],
    appended: Mapping[Place, int],
    decided: Iterable[tuple[OutboxId, str]],
    findings: Findings,
) -> None:
    """Count decisions of ticks that did not know what had reached Kafka 5 s before.

    ``appended``: broker time by place in the source; ``decided``: position and user.
    """
    ticks: dict[int, tuple[int, int]] = {}
    waiting: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for taken in log:
        if isinstance(taken.record, ev.Tick):
            ticks[taken.offset] = taken.record.now, taken.appended
        elif not isinstance(taken.record, ev.SettingsRecord):
            origin = origin_of(taken.record)
            reached = appended.get((origin.topic, origin.partition, origin.offset))
            if reached is not None:
                waiting[taken.record.user_id].append((taken.offset, reached))
    for at, user in decided:
        tick = ticks.get(at.offset)
        if tick is None:  # an event closed it: no time had to pass
            continue
        now, written = tick
        later = min((r for offset, r in waiting[user] if offset > at.offset), default=written)
        findings.tell("decided_by_ticks")
        if later < now - _OLDEST:
            findings.broke("stale_decisions", f"{at} {user}: {now - later} ms")
        elif later < written - _OLDEST:
            findings.tell("stale_by_broker_time")
