"""The campaigns file of a fault run: the shipped one with seconds in the place of hours.

Reminders become due, caps fill and empty, and cooldowns end within a run of a minute.
"""

from typing import Final

from rules import campaigns
from tests.faults.world.shoppers import DELAY

_HURRY: Final = (
    ('mode = "dry_run"', 'mode = "live"'),
    ('settle = "2m"', 'settle = "1s"'),
    ('arbitration_window = "60s"', 'arbitration_window = "2s"'),
    ('from = "21:00"', 'from = "00:00"'),
    ('to = "08:00"', 'to = "00:00"'),
    ('delay = "1h"', f'delay = "{DELAY // 1000}s"'),
    ('hard_limit = "4h"', 'hard_limit = "15s"'),
    ('conversion_window = "24h"', 'conversion_window = "1m"'),
    ('cooldown = "72h"', 'cooldown = "10s"'),
    ('stale_after = "14h"', 'stale_after = "10m"'),
    (
        'name = "any-24h"\nkind = "rolling"\nwindow = "24h"',
        'name = "any-20s"\nkind = "rolling"\nwindow = "20s"',
    ),
    (
        'name = "any-7d"\nkind = "rolling"\nwindow = "7d"',
        'name = "any-2m"\nkind = "rolling"\nwindow = "2m"',
    ),
    (
        'name = "sms-7d"\nkind = "rolling"\nwindow = "7d"',
        'name = "sms-40s"\nkind = "rolling"\nwindow = "40s"',
    ),
)


def hurried() -> str:
    """Return the text; fails when the shipped file no longer holds what is replaced."""
    text = campaigns.shipped().decode()
    for old, new in _HURRY:
        if old not in text:
            message = f"{old!r} is not in the shipped campaigns file"
            raise AssertionError(message)
        text = text.replace(old, new, 1)
    return text
