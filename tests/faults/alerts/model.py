"""Faults of models in force, and of a shop that is no longer the one a model learned from."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import lightgbm
import msgspec
import numpy as np

from engine.times import DAY
from models import manifest
from models.manifest import Artefact
from tests.faults.alerts import history
from tests.faults.alerts.trial import Fault
from tests.support.redis_cluster import open_redis
from tests.support.set_up import SetUp
from tests.unit.models.world import trained, world

_ALLOWED = {"allow_simulated_model = false": "allow_simulated_model = true"}


@cache
def _trained() -> Artefact:
    return manifest.unpack(trained(world(2_000, seed=3)))


def _in_force(made: Callable[[], bytes]) -> Callable[[SetUp], AbstractContextManager[None]]:
    """Return the fault that puts a model in force past the checks of ``rekindle apply``."""

    @contextmanager
    def breaks(world: SetUp) -> Iterator[None]:
        world.shop.apply(world.campaigns(), model=made())
        yield

    return breaks


def _of_another_release() -> bytes:
    made = _trained()
    return manifest.pack(msgspec.structs.replace(made.manifest, schema_hash="0" * 64), made.model)


def _old() -> bytes:
    made, at = _trained(), int(time.time() * 1000) - 15 * DAY
    return manifest.pack(msgspec.structs.replace(made.manifest, created_at=at), made.model)


def _beyond(value: str) -> str:
    """Return a number of as many signs, for a tree has its length, whose chance is none."""
    return f"1.{'0' * (len(value) - 6)}e308"


def _overflowing() -> bytes:
    """Return a model that gives its golden row the right score, and most others none.

    Leaves that it does not fall into hold what a training leaves there whose sums overflowed.
    """
    made = _trained()
    golden = made.manifest.golden[:1]
    rows = [[np.nan if one is None else one for one in known.row] for known in golden]
    booster = lightgbm.Booster(model_str=made.model)
    reached = np.asarray(booster.predict(np.array(rows), pred_leaf=True))
    lines, tree = made.model.split("\n"), 0
    for number, line in enumerate(lines):
        if line.startswith("leaf_value="):
            known = set(reached[:, tree].astype(int))
            leaves = line.removeprefix("leaf_value=").split(" ")
            lines[number] = "leaf_value=" + " ".join(
                one if leaf in known else _beyond(one) for leaf, one in enumerate(leaves)
            )
            tree += 1
    text = "\n".join(lines)
    told = msgspec.structs.replace(made.manifest, checksum=manifest.checksum(text), golden=golden)
    return manifest.pack(told, text)


@contextmanager
def _changed(world: SetUp) -> Iterator[None]:
    """Let an observer that knows nothing begin eight days back."""
    model = manifest.pack(_trained().manifest, _trained().model)
    world.shop.apply(world.campaigns(), model=model)
    world.observer.stop()
    open_redis(world.shop.deployment.redis).delete("rk:{observe}:state")
    now, file = int(time.time() * 1000), world.campaigns({"share = 0.05": "share = 1.0"})
    history.write(world.shop, now, file, model)
    since = f"--since={24 * history.DAYS}h"
    observer = world.shop.start_observer(since, REKINDLE_WORKER_ID="observe")
    try:
        observer.wait_ready()
        yield
        drifted = world.prometheus.query('ALERTS{alertname="ModelDrift"}')
        # the rest of the eighth day is as the week before: no feature may be said to have moved
        assert {one["metric"]["feature"] for one in drifted} == {"cart_top_share", "cart_value"}
    finally:
        observer.stop()


FAULTS: tuple[Fault, ...] = (
    Fault(
        "model-overflowing",
        "a model with leaves that overflow was put in force, none of which its golden row meets",
        ("ModelFallback",),
        _in_force(_overflowing),
        within=120.0,
        replace=_ALLOWED,
    ),
    Fault(
        "model-of-another-release",
        "a model that was trained on the features of another release was put in force",
        ("ModelRefused",),
        _in_force(_of_another_release),
        replace=_ALLOWED,
    ),
    Fault(
        "model-of-last-month",
        "a model that was trained fifteen days ago was put in force",
        ("ModelStale",),
        _in_force(_old),
        replace=_ALLOWED,
    ),
    Fault(
        "shop-changed",
        "in the log of eight days less than half as many ordered as the model foresaw, and on the "
        "last day the app left out what things cost",
        ("ModelDrift", "ModelMiscalibrated"),
        _changed,
        within=600.0,
        shoppers=False,
        replace=_ALLOWED,
    ),
)
