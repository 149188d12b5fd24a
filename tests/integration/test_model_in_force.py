"""A LightGBM model, trained by our own training, put in force in a running worker."""

from typing import Any

import msgspec
import pytest

from models import manifest
from streams.replay.compare import canonical
from tests.support.agreement import assert_agrees, wait_folded
from tests.support.oracle import expected
from tests.support.running import Shop, shipped, wait_until
from tests.support.traffic import traffic
from tests.unit.models.world import trained, world

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

ALLOWED = {"allow_simulated_model = false": "allow_simulated_model = true"}
PRIOR = 0.1  # of the shipped cart campaign
REFUSED = "rekindle_models_refused_total 1.0"  # counted once a second


def weighed(shop: Shop) -> list[dict[str, Any]]:
    """Return the cart decisions in which at least one channel was scored."""
    return [
        decision
        for decision in shop.values("decisions")
        if decision["campaign"] == "cart"
        and any(view["p0"] is not None for view in decision["channels"].values())
    ]


def scores(decisions: list[dict[str, Any]]) -> set[float]:
    views = [view for decision in decisions for view in decision["channels"].values()]
    return {view["p0"] for view in views if view["p0"] is not None}


def test_a_model_applied_while_the_worker_runs_scores_from_then_on(shop: Shop) -> None:
    artefact = trained(world(2_000, seed=3))
    model = manifest.unpack(artefact).manifest
    records = list(traffic(6_000))  # 200 minutes; carts come due after 60
    shop.apply(shipped(replace=ALLOWED))

    with shop.worker("decide") as worker:
        shop.load(records[:3_600])
        wait_folded(shop)
        before = weighed(shop)
        shop.apply(shipped(replace=ALLOWED), model=artefact)
        shop.load(records[3_600:])
        wait_folded(shop)
        after = weighed(shop)
        metrics = worker.get("/metrics")[1]

    assert before
    assert scores(before) == {PRIOR}
    assert all(decision["model"] is None for decision in before)
    known = {decision["decision_id"] for decision in before}
    scored = [decision for decision in after if decision["decision_id"] not in known]
    assert {tuple(decision["model"]) for decision in scored} == {(model.name, model.version)}
    assert len(scores(scored)) > 10, "a model tells shoppers apart"
    assert "rekindle_scoring_failures_total 0.0" in metrics
    # The same log in another process, in other chunks: the same scores to the last byte.
    assert_agrees(shop)


def test_a_simulated_model_is_refused_by_a_shop_that_does_not_allow_it(shop: Shop) -> None:
    shop.apply(shipped(), model=trained(world(2_000, seed=3)))
    shop.load(list(traffic(1_500)))

    with shop.worker("decide") as worker:
        wait_folded(shop)
        wait_until(lambda: REFUSED in worker.get("/metrics")[1], "the refusal is counted")

    assert scores(weighed(shop)) == {PRIOR}
    wanted = expected(shop.read("events"), shop.read("artefacts"))
    told = [
        value
        for (topic, _), run in wanted.written.items()
        if topic == "decisions"
        for _, value in run
    ]
    assert canonical(told) == canonical(record.value for record in shop.read("decisions"))


def test_an_expired_model_goes_on_and_one_that_cannot_be_used_gives_way_to_the_prior(
    shop: Shop,
) -> None:
    made = manifest.unpack(trained(world(2_000, seed=3)))
    expired = msgspec.structs.replace(made.manifest, expires_at=1)
    foreign = msgspec.structs.replace(made.manifest, version="v2", schema_hash="0" * 64)
    records = list(traffic(6_000))
    # `apply` refuses both: these reached the log by another way, as in a disaster's haste
    shop.apply(shipped(replace=ALLOWED), model=manifest.pack(expired, made.model))

    with shop.worker("decide") as worker:
        shop.load(records[:3_600])
        wait_folded(shop)
        before = weighed(shop)
        shop.apply(shipped(replace=ALLOWED), model=manifest.pack(foreign, made.model))
        shop.load(records[3_600:])
        wait_folded(shop)
        after = weighed(shop)
        wait_until(lambda: REFUSED in worker.get("/metrics")[1], "the refusal is counted")

    assert before
    assert {tuple(decision["model"]) for decision in before} == {("order", "v1")}
    known = {decision["decision_id"] for decision in before}
    later = [decision for decision in after if decision["decision_id"] not in known]
    assert later, "the worker decides on"
    assert all(decision["model"] is None for decision in later)
    assert scores(later) == {PRIOR}
    assert_agrees(shop)
