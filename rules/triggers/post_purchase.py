"""She bought some days ago: speak once about the newest order that still stands."""

from collections.abc import Iterator, Sequence

from engine.changes import Change
from engine.events import (
    Event,
    Line,
    OrderCancelled,
    OrderCompleted,
    OrderDelivered,
    OrderRefunded,
)
from engine.profile import Order, Profile, Trigger
from engine.triggers import Arm, Context, Disarm

_OrderEvent = OrderCompleted | OrderRefunded | OrderCancelled | OrderDelivered


class PostPurchase:
    """Hangs on the newest standing order by event time; one say per order and campaign.

    ``days`` are calendar days in her zone, from the order, or from its delivery when that came
    before the message was due.
    """

    reacts_to: tuple[type, ...] = (OrderCompleted, OrderRefunded, OrderCancelled, OrderDelivered)
    once_per_order = True

    def __init__(self, days: int) -> None:
        """Name the kind by its days."""
        self.kind = f"post_purchase_{days}d"
        self.days = days

    def react(
        self, profile: Profile, event: Event, change: Change, context: Context
    ) -> Sequence[Arm | Disarm]:
        """End what hangs on another order than the newest; arm or move the newest one's."""
        if not change.orders or not isinstance(event, _OrderEvent):
            return ()
        newest = _newest(profile)
        ended = list(self._ended(profile, newest, context))
        if newest is None or context.campaign.id in newest.spoken:
            return ended
        # Another order's event may only move what was armed: a late old order arms nothing.
        concerned = event.order_id == newest.order_id or bool(ended)
        armed = self._armed(profile, event, newest, context) if concerned else None
        return ended if armed is None else [*ended, armed]

    def _ended(self, profile: Profile, newest: Order | None, context: Context) -> Iterator[Disarm]:
        key = newest.order_id if newest is not None else None
        for trigger in profile.triggers:
            mine = trigger.campaign == context.campaign.id and trigger.kind == self.kind
            if mine and trigger.key != key:
                yield Disarm(trigger.campaign, self.kind, trigger.key, _why(profile, trigger.key))

    def _armed(self, profile: Profile, event: Event, order: Order, context: Context) -> Arm | None:
        """Return the trigger of ``order``; None when its time was over before it was armed."""
        campaign = context.campaign.id
        old = profile.trigger(campaign, self.kind, order.order_id)
        told_at, edited_at, episode = event.received_at, event.occurred_at, event.event_id
        due = self._due(profile, order, context)
        if old is None and due <= event.received_at:
            return None
        if old is not None:
            told_at, edited_at = max(told_at, old.told_at), max(edited_at, old.edited_at)
            episode = old.episode
            if isinstance(event, OrderRefunded):
                due = old.due_at  # what goes back leaves the window as it is
        due = max(due, told_at + context.policy.settle)
        return Arm(
            Trigger(
                campaign=campaign,
                kind=self.kind,
                key=order.order_id,
                episode=episode,
                armed_at=order.at,
                edited_at=edited_at,
                told_at=told_at,
                due_at=due,
                wake_at=due,
            )
        )

    def _due(self, profile: Profile, order: Order, context: Context) -> int:
        def later(anchor: int) -> int:
            zone = context.policy.timezone
            return context.local.days_later(profile.zones, zone, anchor, self.days)

        due = later(order.at)
        # A delivery before the order is a clock gone wrong, one after the due time is too late.
        return later(order.delivered_at) if order.at < order.delivered_at < due else due

    def holds(self, profile: Profile, trigger: Trigger) -> str | None:
        """Return None while it is the newest order that stands, else how that ended."""
        newest = _newest(profile)
        if newest is not None and newest.order_id == trigger.key:
            return None
        return _why(profile, trigger.key)

    def items(self, profile: Profile, trigger: Trigger) -> list[Line]:
        """Return the lines of the order that were not given back."""
        order = profile.order(trigger.key)
        return order.kept() if order is not None else []


def _newest(profile: Profile) -> Order | None:
    standing = profile.standing_orders()
    return max(standing, key=lambda order: (order.at, order.order_id), default=None)


def _why(profile: Profile, order_id: str) -> str:
    """Return why nothing hangs on this order: money went back, or a newer one took its place."""
    order = profile.order(order_id)
    return "refunded" if order is not None and not order.stands else "superseded"


DAY_7 = PostPurchase(7)
DAY_30 = PostPurchase(30)
