"""The fault run as part of the tests: a minute and every broken worker under CI, else half one."""

import pytest

from tests.conftest import IN_CI
from tests.faults.checker.mutants import MUTANTS
from tests.faults.run import Outcome, one, try_mutants
from tests.faults.trials import TRIALS, plain
from tests.support.kafka import KafkaUnavailable, fetch
from tests.support.redis_server import available_binaries

SECONDS = 60.0 if IN_CI else 30.0


@pytest.fixture
def own_servers() -> None:
    """A run starts a Kafka and a Redis of its own; here they are only looked for."""
    if not available_binaries():
        pytest.skip("no redis-server: apt-get install redis-server")
    try:
        fetch()
    except KafkaUnavailable as missing:
        pytest.skip(f"no real Kafka: {missing}")


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_beyond_a_cap_whatever_dies(own_servers: None) -> None:
    outcome = Outcome()
    findings = one(plain(1, SECONDS), outcome)
    told = outcome.told({})
    assert not findings.broken, dict(findings.cases)
    assert not outcome.undrained
    # a run in which nothing happened proves nothing
    assert told["kills"] >= 20, told
    assert told["redis_kills"] >= 4, told
    assert told["events"] >= SECONDS * 500, told
    for name in ("decisions", "actions", "reminders", "charged", "dead_letters", "accepted"):
        assert told["counts"].get(name), (name, told)


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not IN_CI, reason="takes three minutes: `make faults` runs it")
def test_every_broken_worker_is_noticed_for_the_right_reason(own_servers: None) -> None:
    caught = try_mutants(tuple(TRIALS))
    assert all(caught.values()), caught


def test_every_broken_worker_has_its_trial() -> None:
    assert set(MUTANTS) == set(TRIALS)
    assert all(trial.plan.mutant == name for name, trial in TRIALS.items())
