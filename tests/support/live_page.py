"""The live page in a browser: opened, live, and without a fault."""

import contextlib
import time
from collections.abc import AsyncIterator

from tests.support.browser import Browser, Page

LIVE = "document.getElementById('beacon')?.dataset.connection === 'live'"


def wall() -> int:
    """Return the time the page is about, in ms."""
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def opened(
    browser: Browser, url: str, *, width: int = 1280, height: int = 800, scheme: str = "light"
) -> AsyncIterator[Page]:
    """Open the page and wait until it shows news; whatever went wrong in it fails the test."""
    async with browser.page(url, width=width, height=height, scheme=scheme) as page:
        await page.until(LIVE)
        await page.until("document.querySelectorAll('#traffic canvas').length >= 2")
        yield page
        assert page.faults == []
