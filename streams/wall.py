"""The wall clock."""

from time import time


def now_ms() -> int:
    """Return ms since the epoch."""
    return int(time() * 1000)


__all__ = ["now_ms"]
