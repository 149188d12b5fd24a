"""Events, profiles and policies with sensible defaults: a test names only what it is about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import msgspec

from engine import events as ev
from engine.events import Event, Line
from engine.policy import (
    Campaign,
    Cap,
    Channel,
    Exploration,
    Holdout,
    Mode,
    Policy,
    QuietHours,
)
from engine.profile import Cart, CartLine, Consent, Profile, Reach, Trigger
from engine.times import DAY, HOUR, MINUTE, from_iso

# A Wednesday, 10:00 in Shanghai: nobody is asleep.
START: Final = from_iso("2026-03-04T02:00:00+00:00")
USER: Final = "u-1"

_numbers = count(1)


def a_line(product: str = "p-1", quantity: int = 1, price: float | None = 100.0) -> Line:
    """One product for 100 CNY."""
    return Line(product, quantity, price, f"Name of {product}", "CNY" if price is not None else "")


# --- events -------------------------------------------------------------------------------------


@dataclass
class Told:
    """Builds the events of one user at one time; every event gets an id of its own."""

    user: str = USER
    at: int = START
    received_at: int | None = None
    history: bool = False
    source: ev.Position | None = None
    event_id: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: _numbers)

    def _common(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id or f"e-{next(self.numbers)}",
            "user_id": self.user,
            "occurred_at": self.at,
            "received_at": self.at if self.received_at is None else self.received_at,
            "history": self.history,
            "source": self.source,
        }

    def viewed(self, product: str = "p-1") -> Event:
        return ev.ProductViewed(product_id=product, **self._common())

    def added(
        self, product: str = "p-1", quantity: int = 1, price: float | None = 100.0, cart: str = ""
    ) -> Event:
        return ev.ProductAdded(
            line=a_line(product, quantity, price), cart_id=cart, **self._common()
        )

    def removed(self, product: str = "p-1", quantity: int | None = None, cart: str = "") -> Event:
        return ev.ProductRemoved(
            product_id=product, quantity=quantity, cart_id=cart, **self._common()
        )

    def cart(self, *products: str, cart: str = "", lines: list[Line] | None = None) -> Event:
        """A cart as seen in full; no products = she looked at an empty cart."""
        seen = [a_line(product) for product in products] if lines is None else lines
        return ev.CartViewed(cart_id=cart, lines=seen, **self._common())

    def checkout(self, checkout: str = "", cart: str = "", *products: str) -> Event:
        lines = [a_line(product) for product in products] or None
        return ev.CheckoutStarted(checkout_id=checkout, cart_id=cart, lines=lines, **self._common())

    def ordered(
        self,
        *products: str,
        order: str = "o-1",
        cart: str = "",
        checkout: str = "",
        lines: list[Line] | None = None,
        total: float | None = None,
    ) -> Event:
        bought = [a_line(product) for product in products] if lines is None else lines
        worth = sum((line.price or 0.0) * line.quantity for line in bought)
        return ev.OrderCompleted(
            order_id=order,
            cart_id=cart,
            checkout_id=checkout,
            lines=bought,
            total=worth or None if total is None else total,
            currency="CNY",
            **self._common(),
        )

    def refunded(self, order: str = "o-1", *products: str, total: float | None = None) -> Event:
        lines = [a_line(product) for product in products]
        return ev.OrderRefunded(order_id=order, lines=lines, total=total, **self._common())

    def cancelled(self, order: str = "o-1") -> Event:
        return ev.OrderCancelled(order_id=order, **self._common())

    def delivered(self, order: str = "o-1") -> Event:
        return ev.OrderDelivered(order_id=order, **self._common())

    def searched(self) -> Event:
        return ev.Searched(**self._common())

    def active(self, name: str = "Application Opened") -> Event:
        return ev.Active(name=name, **self._common())

    def identified(
        self,
        addresses: Mapping[str, str] | None = None,
        zones: Sequence[str] | None = ("Asia/Shanghai",),
        locale: str | None = "zh-CN",
    ) -> Event:
        known = all_addresses(self.user) if addresses is None else dict(addresses)
        named = list(zones) if zones is not None else None
        return ev.Identified(addresses=known, zones=named, locale=locale, **self._common())

    def consented(
        self, channel: str = "*", *, granted: bool = True, purpose: str = "marketing"
    ) -> Event:
        return ev.ConsentChanged(
            purpose=purpose, channel=channel, granted=granted, basis="test", **self._common()
        )

    def outcome(
        self, action_id: str, outcome: ev.OutcomeType, channel: str = "push", **more: Any
    ) -> Event:
        return ev.Outcome(
            action_id=action_id, channel=channel, outcome=outcome, **more, **self._common()
        )

    def sent_elsewhere(self, channel: str = "email") -> Event:
        return ev.SentElsewhere(channel=channel, **self._common())

    def queued(
        self,
        action_id: str,
        campaign: str = "cart",
        channel: str = "push",
        withheld: str = "",
    ) -> Event:
        return ev.ActionQueued(
            action_id=action_id,
            campaign=campaign,
            channel=channel,
            withheld=withheld,
            **self._common(),
        )

    def erased(self) -> Event:
        return ev.Erased(**self._common())


def all_addresses(user: str) -> dict[str, str]:
    return {"push": f"token-{user}", "email": f"{user}@example.org", "sms": f"+86-{user}"}


# --- profiles -----------------------------------------------------------------------------------


def a_cart(*products: str, cart: str = "", at: int = START, price: float = 100.0) -> Cart:
    """An open cart with one of each product."""
    lines = [CartLine(product, [(at, 1)], price, product, "CNY") for product in products]
    return Cart(cart, lines, changed_at=at)


def a_profile(
    *carts: Cart,
    zones: Sequence[str] = ("Asia/Shanghai",),
    consent: bool = True,
    reachable: Sequence[str] = ("push", "email", "sms"),
) -> Profile:
    """Somebody who may be spoken to on every channel."""
    return Profile(
        first_seen=START,
        last_seen=START,
        carts=list(carts),
        zones=list(zones),
        zones_at=START,
        consents=[Consent("marketing", "*", granted=True, at=START, basis="test")] * consent,
        reach={channel: Reach(channel.encode().ljust(8), START) for channel in reachable},
    )


def a_trigger(key: str = "", kind: str = "cart_abandonment", campaign: str = "cart") -> Trigger:
    """A cart trigger armed at START and due an hour later."""
    due = START + HOUR
    return Trigger(campaign, kind, key, f"episode-{key}", START, START, START, due, due)


# --- policies -----------------------------------------------------------------------------------

CHANNELS: Final = {
    "push": Channel(name="push", cost=0.0, patience=0.05, deliver_within=2 * HOUR),
    "email": Channel(name="email", cost=0.002, patience=0.02, deliver_within=12 * HOUR),
    "sms": Channel(name="sms", cost=0.05, patience=0.30, deliver_within=4 * HOUR),
}

SHIPPED_CAPS: Final = (
    Cap(name="any-24h", kind="rolling", window=DAY, limit=1),
    Cap(name="any-7d", kind="rolling", window=7 * DAY, limit=3),
    Cap(name="sms-7d", kind="rolling", window=7 * DAY, limit=1, channel="sms"),
)


def a_cart_campaign(**changes: Any) -> Campaign:
    """The campaign ``cart`` of the shipped file; push is the best channel by far."""
    return msgspec.structs.replace(
        Campaign(
            id="cart",
            version=1,
            trigger="cart_abandonment",
            channels=("push", "email", "sms"),
            template="cart",
            margin=0.3,
            conversion_window=DAY,
            prior_order_rate=0.10,
            lift={"push": 1.30, "email": 1.10, "sms": 1.10},
            cooldown=72 * HOUR,
            stale_after=14 * HOUR,
        ),
        **changes,
    )


def a_post_purchase_campaign(days: int, **changes: Any) -> Campaign:
    """The campaigns ``post-purchase-7d`` and ``post-purchase-30d``."""
    return msgspec.structs.replace(
        Campaign(
            id=f"post-purchase-{days}d",
            version=1,
            trigger=f"post_purchase_{days}d",
            channels=("push", "email"),
            template="post-purchase",
            margin=0.3,
            conversion_window=days * DAY,
            prior_order_rate=0.05,
            lift={"push": 1.30, "email": 1.20},
            cooldown=0,
            stale_after=2 * DAY,
            when_capped="hold",
        ),
        **changes,
    )


def shipped_campaigns() -> tuple[Campaign, ...]:
    """The three campaigns of the shipped file."""
    return a_cart_campaign(), a_post_purchase_campaign(7), a_post_purchase_campaign(30)


def a_policy(
    *campaigns: Campaign,
    mode: Mode = "live",
    caps: Sequence[Cap] = SHIPPED_CAPS,
    holdout: float = 0.0,
    exploration: float = 0.0,
    testers: Sequence[str] = (),
    quiet: QuietHours | None = None,
    settle: int = 2 * MINUTE,
    arbitration_window: int = MINUTE,
    app: str = "shop",
) -> Policy:
    """The shipped file in mode live, without holdout and exploration: who may be told, is told."""
    chosen = campaigns or shipped_campaigns()
    return Policy(
        app=app,
        mode=mode,
        currency="CNY",
        timezone="Asia/Shanghai",
        basket=180.0,
        channels=dict(CHANNELS),
        campaigns={campaign.id: campaign for campaign in chosen},
        caps=tuple(caps),
        testers=frozenset(testers),
        arbitration_window=arbitration_window,
        settle=settle,
        holdout=Holdout(share=holdout, epoch="2026Q1"),
        exploration=Exploration(share=exploration, channels=("push", "email")),
        quiet_hours=QuietHours() if quiet is None else quiet,
    )
