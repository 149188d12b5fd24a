"""She left something in a cart: speak after a while, unless she buys it or takes it out."""

from collections.abc import Iterator, Sequence

from engine.changes import Change
from engine.events import (
    CartViewed,
    CheckoutStarted,
    Event,
    Line,
    OrderCompleted,
    ProductAdded,
    ProductRemoved,
)
from engine.profile import CartLine, Profile, Trigger
from engine.triggers import Arm, Context, Disarm


class CartAbandonment:
    """One trigger per cart. Edits restart the delay, within a hard limit after the first arming."""

    kind = "cart_abandonment"
    reacts_to: tuple[type, ...] = (
        ProductAdded,
        ProductRemoved,
        CartViewed,
        CheckoutStarted,
        OrderCompleted,
    )
    once_per_order = False

    def react(
        self, profile: Profile, event: Event, change: Change, context: Context
    ) -> Sequence[Arm | Disarm]:
        """Arm, move or end the trigger of every cart the event touched."""
        return list(self._answers(profile, event, change, context))

    def _answers(
        self, profile: Profile, event: Event, change: Change, context: Context
    ) -> Iterator[Arm | Disarm]:
        ordered = isinstance(event, OrderCompleted)
        for cart_id in change.carts:
            if not _held(profile, cart_id):
                reason = "converted" if ordered else "emptied"
                yield Disarm(context.campaign.id, self.kind, cart_id, reason)
            elif not ordered:
                yield Arm(self._armed(profile, event, cart_id, context))
            elif self._is_another_wish(profile, event, cart_id, context):
                yield Disarm(context.campaign.id, self.kind, cart_id, "converted")
                yield Arm(self._armed(profile, event, cart_id, context, anew=True))

    def _is_another_wish(
        self, profile: Profile, event: Event, cart_id: str, context: Context
    ) -> bool:
        """Return whether all that is left was put in after an order that arrives late.

        Otherwise what an order leaves in a cart is nobody's new wish.
        """
        old = profile.trigger(context.campaign.id, self.kind, cart_id)
        begun = _begun(profile, cart_id)
        return old is not None and old.armed_at <= event.occurred_at < begun

    def _armed(
        self,
        profile: Profile,
        event: Event,
        cart_id: str,
        context: Context,
        *,
        anew: bool = False,
    ) -> Trigger:
        campaign = context.campaign
        old = None if anew else profile.trigger(campaign.id, self.kind, cart_id)
        cart = profile.cart(cart_id)
        # What touched the cart may have arrived before what first filled it.
        changed_at = cart.changed_at if cart is not None else 0
        armed_at, edited_at = event.occurred_at, max(event.occurred_at, changed_at)
        if anew:
            armed_at, edited_at = _begun(profile, cart_id), changed_at
        told_at, episode = event.received_at, event.event_id
        if old is not None:
            armed_at, edited_at = min(old.armed_at, armed_at), max(old.edited_at, edited_at)
            told_at, episode = max(old.told_at, told_at), old.episode
        due = min(edited_at + campaign.delay, armed_at + campaign.hard_limit)
        due = max(due, told_at + context.policy.settle)
        return Trigger(
            campaign=campaign.id,
            kind=self.kind,
            key=cart_id,
            episode=episode,
            armed_at=armed_at,
            edited_at=edited_at,
            told_at=told_at,
            due_at=due,
            wake_at=due,
        )

    def holds(self, profile: Profile, trigger: Trigger) -> str | None:
        """Return None while the cart holds something, else how it came to be empty."""
        if _held(profile, trigger.key):
            return None
        bought = any(order.at >= trigger.armed_at for order in profile.orders)
        return "converted" if bought else "emptied"

    def items(self, profile: Profile, trigger: Trigger) -> list[Line]:
        """Return what is in the cart, what she touched last first."""
        held = sorted(_held(profile, trigger.key), key=lambda line: line.product_id)
        held.sort(key=lambda line: line.changed_at, reverse=True)
        return [
            Line(line.product_id, line.quantity, line.price, line.name, line.currency)
            for line in held
        ]


def _held(profile: Profile, cart_id: str) -> list[CartLine]:
    cart = profile.cart(cart_id)
    return cart.held() if cart is not None else []


def _begun(profile: Profile, cart_id: str) -> int:
    """Return when the oldest change that still counts was made."""
    return min((line.changes[0][0] for line in _held(profile, cart_id)), default=0)


RULE = CartAbandonment()
