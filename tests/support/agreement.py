"""Compares what real workers left behind with what the log must come to."""

from streams.log.topics import ACTIONS, CHANNELS, DECISIONS
from tests.support.oracle import Expected, expected, readers_rule, stored, written
from tests.support.running import Shop, wait_until


def wait_folded(shop: Shop, seconds: float = 90.0) -> None:
    """Wait until every partition stands at the end of its log."""
    end = sum(shop.ends("events"))
    wait_until(lambda: shop.folded() >= end, f"all {end} records folded", seconds)


def wait_for_progress(shop: Shop) -> None:
    """Wait until some partition has gone on; looked at often, since a worker is fast.

    At a look every 0.1 s, 6,400 events were gone before a test could say stop.
    """
    before = shop.folded()
    wait_until(lambda: shop.folded() > before, "some progress", every=0.002)


def assert_agrees(shop: Shop) -> Expected:
    """Nothing lost, nothing doubled, nothing in another order; profiles and wake-ups equal.

    Returns what was expected, so that a test can ask that there was something to get wrong.
    """
    oracle = expected(shop.read("events"), shop.read("artefacts"))
    for topic in (DECISIONS, *[ACTIONS + channel for channel in CHANNELS]):
        there = written(topic, shop.read(topic))
        for partition in range(shop.partitions):
            wanted = oracle.written.get((topic, partition), [])
            raw = there.get((topic, partition), [])
            assert readers_rule(raw) == wanted, f"{topic}/{partition} differs"
    kept = stored(shop.deployment.redis, shop.partitions)
    assert kept.profiles == oracle.profiles
    assert kept.addresses == oracle.addresses
    assert kept.wakes == oracle.wakes
    return oracle


def doubled_in_log(shop: Shop) -> int:
    """Count records that stand in an output topic more than once."""
    doubled = 0
    for topic in (DECISIONS, *[ACTIONS + channel for channel in CHANNELS]):
        for raw in written(topic, shop.read(topic)).values():
            doubled += len(raw) - len(readers_rule(raw))
    return doubled
