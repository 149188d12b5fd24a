"""The rules of the reduced job in rekindle's words, and the one sentence its reminders say."""

import json
from typing import Final

# The other engines write one fixed title. Rendering the shipped e-mail costs as much as folding
# dozens of events, and the comparison is not about Liquid.
WORDS: Final = json.dumps(
    {
        "v": 1,
        "files": {
            "cart/en/email.liquid": (
                "subject: Something is still in your cart\n---\nSomething is still in your cart\n"
            )
        },
    }
).encode()


def campaigns(*, delay: str, hard_limit: str, settle: str, cap: str, limit: int) -> bytes:
    """Return a file of one campaign, one channel and one cap, in which nothing is left to chance.

    Durations as in any campaigns file; ``limit`` messages within ``cap``.
    """
    return f"""
version = 1
app = "bench"
mode = "live"
currency = "CNY"
timezone = "Asia/Shanghai"
basket = 180.0
settle = "{settle}"
[holdout]
share = 0.0
epoch = "bench"
[exploration]
share = 0.0
channels = ["email"]
[quiet_hours]
from = "00:00"
to = "00:00"
[channel.email]
cost = 0.0
patience = 0.000001
deliver_within = "12h"
[[cap]]
name = "only"
kind = "rolling"
window = "{cap}"
limit = {limit}
[[campaign]]
id = "cart"
version = 1
status = "live"
trigger = "cart_abandonment"
delay = "{delay}"
hard_limit = "{hard_limit}"
channels = ["email"]
template = "cart"
margin = 0.3
conversion_window = "24h"
cooldown = "0s"
stale_after = "14h"
when_quiet = "hold"
when_capped = "drop"
prior_order_rate = 0.10
[campaign.lift]
email = 2.0
""".encode()
