"""Three workers on a Redis Cluster: spread over it, and healed after a primary is lost."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from streams.state.keys import keys_of
from tests.support.agreement import assert_agrees, wait_folded, wait_for_progress
from tests.support.kafka import RunningKafka
from tests.support.redis_cluster import RedisCluster
from tests.support.running import Shop, shipped, wait_until
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

PARTITIONS = 6


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster(primaries=3, replicas=True) as started:
        yield started


@pytest.fixture
def shop(kafka: RunningKafka, cluster: RedisCluster, topic_prefix: str) -> Iterator[Shop]:
    made = Shop(
        kafka.bootstrap,
        cluster.url,
        topic_prefix,
        partitions=PARTITIONS,
        REKINDLE_CLOCK="source",
    )
    with made:
        yield made


def test_a_primary_killed_under_three_workers_costs_time_and_nothing_else(
    shop: Shop, cluster: RedisCluster
) -> None:
    shop.apply(shipped())
    records = list(traffic(4_000))
    shop.load(records[:1_000])

    with ExitStack() as stack:
        for name in ("first", "second", "third"):
            stack.enter_context(shop.worker("decide", ready=False, REKINDLE_WORKER_ID=name))
        wait_folded(shop)
        shop.load(records[1_000:2_500])
        wait_for_progress(shop)
        lost = cluster.primary_of(keys_of(0).meta)
        lost.kill()
        shop.load(records[2_500:])
        wait_until(lambda: _served_by_another(cluster, lost.port), "a replica was promoted")
        wait_folded(shop)
        lost.start()  # comes back as a replica of the one that took over
        cluster.wait_whole()
        wait_folded(shop)

    oracle = assert_agrees(shop)
    assert oracle.events == 4_000


def test_a_promoted_replica_without_the_tail_is_filled_again_from_the_log(
    shop: Shop, cluster: RedisCluster
) -> None:
    """Replication is asynchronous: what only the lost primary had is read again."""
    shop.apply(shipped())
    records = list(traffic(3_000))
    shop.load(records[:1_000])

    with ExitStack() as stack:
        workers = [
            stack.enter_context(shop.worker("decide", ready=False, REKINDLE_WORKER_ID=name))
            for name in ("first", "second", "third")
        ]
        wait_folded(shop)
        for worker in workers:  # the first may have folded all before the last one listens
            worker.wait_ready()
        # Whoever gets a partition later has nothing to doubt.
        wait_until(
            lambda: all(worker.get("/readyz")[0] == 200 for worker in workers), "each has a share"
        )
        primary = cluster.primary_of(keys_of(0).meta)
        replica = cluster.replica_of(primary)
        stood = cluster.offset_at(replica, 0)
        replica.cut_off()
        shop.load(records[1_000:2_000])
        wait_folded(shop)
        assert cluster.offset_at(primary, 0) > cluster.offset_at(replica, 0) == stood
        primary.kill()
        shop.load(records[2_000:])
        wait_until(lambda: _served_by_another(cluster, primary.port), "a replica was promoted")
        wait_folded(shop)
        doubts = sum(_doubts(worker.get("/metrics")[1]) for worker in workers)

    assert doubts > 0, "nobody noticed that the store fell back"
    assert_agrees(shop)


def _served_by_another(cluster: RedisCluster, port: int) -> bool:
    return cluster.primary_of(keys_of(0).meta).port != port


def _doubts(metrics: str) -> float:
    lines = [line for line in metrics.splitlines() if line.startswith("rekindle_lane_doubts_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
