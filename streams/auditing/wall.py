"""The wall clock of the audit."""

from time import time


def now_ms() -> int:
    """Return ms since the epoch."""
    return int(time() * 1000)
