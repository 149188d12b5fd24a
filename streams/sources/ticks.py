"""The ticks of a source that is its own clock: the one place that says when a loader ticks.

Loaders, demo and replay all take them from here, so a file decides the same wherever it is read.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from engine.events import Event, Record, Tick
from engine.times import DAY, HOUR, MINUTE

FINE: Final = 5 * MINUTE
COARSE: Final = HOUR
LONG: Final = 7 * DAY
# A day-30 reminder is due at its order's hour; quiet hours may hold it until the next morning.
AFTERWARDS: Final = 31 * DAY
ORIGIN: Final = "loader"


def tick_times(first_ms: int, last_ms: int, spacing: int | None = None) -> Iterator[int]:
    """Return the tick times of a source whose records arrive from ``first_ms`` to ``last_ms``.

    Every 5-minute boundary while it runs, every hour if it runs longer than a week (``spacing``
    overrules both), up to the first boundary at or after its end; then hourly for 31 days.
    """
    step = spacing or (COARSE if last_ms - first_ms > LONG else FINE)
    at = _boundary(first_ms, step)
    end = _boundary(last_ms, step)
    while at <= end:
        yield at
        at += step
    at = _boundary(end + 1, COARSE)
    end = _boundary(last_ms + AFTERWARDS, COARSE)
    while at <= end:
        yield at
        at += COARSE


def _boundary(at: int, step: int) -> int:
    """Return the first multiple of ``step`` at or after ``at``."""
    return -(-at // step) * step


def merge(events: Iterable[Event], ticks: Iterable[int]) -> Iterator[Record]:
    """Return events and ticks in the order of the log.

    An event received at or before T stands before the tick of T: in doubt a purchase beats its
    reminder. The events come in order of arrival; a late one comes as late as it arrived.
    """
    times = iter(ticks)
    upcoming = next(times, None)
    for event in events:
        while upcoming is not None and upcoming < event.received_at:
            yield Tick(now=upcoming, origin=ORIGIN)
            upcoming = next(times, None)
        yield event
    while upcoming is not None:
        yield Tick(now=upcoming, origin=ORIGIN)
        upcoming = next(times, None)


def with_ticks(read: Callable[[], Iterable[Event]], spacing: int | None = None) -> Iterator[Record]:
    """Return a source with its ticks; ``read`` is called twice, first to see how long it runs."""
    first = last = None
    for event in read():
        first = event.received_at if first is None else min(first, event.received_at)
        last = event.received_at if last is None else max(last, event.received_at)
    if first is None or last is None:
        return iter(())
    return merge(read(), tick_times(first, last, spacing))
