"""Runs one Faust app until a signal or its own crash ends it, and lets it end in order.

Not mode's own worker: that one logs a user's mistake as a traceback, prints on Ctrl-C and sleeps
two seconds while it ends.
"""

import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import suppress

import faust

from engine.errors import Refused

log = logging.getLogger(__name__)

# Out within 10 s of the signal, whatever hangs.
_LONGEST_END = 9.0


async def live(app: faust.Service, first_to_end: Sequence[faust.Service] = ()) -> None:
    """Run ``app`` to its end; raises what it could not start with, and Refused if that ended it.

    A bug ends the process with exit code 1; its traceback is in the log by then.

    ``first_to_end`` are stopped before it and all at once: each may have work to finish, and one
    after the other they would take too long.
    """
    asked = _signalled()
    starting = asyncio.ensure_future(app.start())
    try:
        await _first(starting, asked)
        if starting.done():
            await starting
            await _first(asyncio.ensure_future(app.wait_until_stopped()), asked)
    finally:
        asked.cancel()
        await _end(app, starting, first_to_end)
    if isinstance(app.crash_reason, Refused):
        raise app.crash_reason
    if app.crash_reason is not None:
        log.critical("a bug has ended the process; nothing in flight was acknowledged")
        raise SystemExit(1)


def _signalled() -> asyncio.Future[None]:
    """Return what is done once SIGTERM or Ctrl-C asked us to end; a second one changes nothing."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def ask() -> None:
        if not asked.done():
            asked.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask)
    return asked


async def _first(*futures: asyncio.Future[None]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _end(
    app: faust.Service, starting: asyncio.Future[None], first_to_end: Sequence[faust.Service]
) -> None:
    starting.cancel()
    with suppress(asyncio.CancelledError, Exception):  # it was raised already, or does not matter
        await starting
    try:
        async with asyncio.timeout(_LONGEST_END):
            begun = [service for service in first_to_end if service.started]
            await asyncio.gather(*[service.stop() for service in begun])
            await app.stop()
    except TimeoutError:
        log.warning("not all ended within %g s; what is in flight is done again", _LONGEST_END)


__all__ = ["live"]
