"""What event names mean: e-commerce v2, the legacy names before it, and sends of other systems.

Keys are lower case with single spaces; a name that is not here is a sign of life.
"""

from functools import lru_cache
from typing import Final

from engine.events import OutcomeType

MEANINGS: Final = {
    "product viewed": "product_viewed",
    "viewed product": "product_viewed",
    "product added": "product_added",
    "added product": "product_added",
    "wishlist product added to cart": "product_added",
    "product removed": "product_removed",
    "removed product": "product_removed",
    "cart viewed": "cart_viewed",
    "viewed cart": "cart_viewed",
    "checkout started": "checkout_started",
    "started checkout": "checkout_started",
    "checkout step viewed": "checkout_started",
    "viewed checkout step": "checkout_started",
    "checkout step completed": "checkout_started",
    "completed checkout step": "checkout_started",
    "payment info entered": "checkout_started",
    "order completed": "order_completed",
    "completed order": "order_completed",
    "order updated": "order_completed",
    "updated order": "order_completed",
    "order refunded": "order_refunded",
    "refunded order": "order_refunded",
    "order cancelled": "order_cancelled",
    "order canceled": "order_cancelled",
    "cancelled order": "order_cancelled",
    "order delivered": "order_delivered",
    "order fulfilled": "order_delivered",
    "fulfilled": "order_delivered",
    "package delivered": "order_delivered",
    "products searched": "searched",
    "searched products": "searched",
    "product added to wishlist": "wishlisted",
    "consent changed": "consent_changed",
}

# Events in which a device says where it is and how it can be reached. Not every event: one more
# record for each of them would double the log. Whatever may arm a trigger is among them.
TELLING: Final = frozenset({"product_added", "checkout_started", "order_completed"})
# What a consent wrapper sends when she chooses.
PREFERENCE: Final = frozenset({"segment consent preference updated"})
TELLING_NAMES: Final = PREFERENCE | {
    "application installed",
    "application opened",
    "application updated",
}

# (channel, outcome): reports of a message. With our action id they are outcomes; without one, only
# the kind that every message has exactly once says that another system spoke.
REPORTS: Final[dict[str, tuple[str, OutcomeType]]] = {
    "email delivered": ("email", "delivered"),
    "email opened": ("email", "opened"),
    "email link clicked": ("email", "clicked"),
    "email bounced": ("email", "bounced"),
    "email marked as spam": ("email", "complained"),
    "unsubscribed": ("email", "unsubscribed"),
    "push notification received": ("push", "delivered"),
    "push notification tapped": ("push", "clicked"),
    "push notification bounced": ("push", "bounced"),
    "sms sent": ("sms", "accepted"),
    "sms delivered": ("sms", "delivered"),
    "sms link clicked": ("sms", "clicked"),
    "sms bounced": ("sms", "bounced"),
    "sms unsubscribed": ("sms", "unsubscribed"),
}
SPOKEN: Final = frozenset({"email delivered", "push notification received", "sms sent"})
REFUSED: Final = frozenset({"complained", "unsubscribed"})


@lru_cache(maxsize=4096)
def normal(name: str) -> str:
    """Return a name as it stands in these tables."""
    return " ".join(name.replace("_", " ").lower().split())
