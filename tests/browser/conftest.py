"""One Chromium for all, and the live page of a fleet served by the product's own routes."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from tests.support.browser import MISSING, Browser, Page, find_chromium
from tests.support.fleet import LiveServer, live_server
from tests.support.live_page import opened, wall
from tests.support.redis_server import RedisServer, available_binaries


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip(MISSING)
    with Browser() as running:
        yield running


@pytest.fixture(scope="session")
def redis_of_pages() -> Iterator[str]:
    if not available_binaries():
        pytest.skip("no redis-server: apt-get install redis-server")
    with RedisServer(aof=False) as server:
        yield server.url


@pytest.fixture
def fleet_url(redis_of_pages: str) -> str:
    """The address of a Redis in which nobody speaks yet."""
    with redis.Redis.from_url(redis_of_pages) as client:
        client.flushall()
    return redis_of_pages


@pytest.fixture
async def served(fleet_url: str) -> AsyncIterator[LiveServer]:
    async with live_server(fleet_url, wall, history=3) as server:
        yield server


@pytest.fixture
async def page(browser: Browser, served: LiveServer) -> AsyncIterator[Page]:
    """The page in a window of 1280 x 800, live; whatever went wrong in it fails the test."""
    async with opened(browser, served.url) as page:
        yield page
