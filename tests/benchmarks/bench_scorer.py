"""How long one score takes, by part; prints figures, asserts nothing.

.venv/bin/python -m tests.benchmarks.bench_scorer [--rounds N]
"""

import argparse
import gc
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter_ns

import lightgbm
import numpy as np

from engine.ports import ModelRef
from models.booster import SlowRow, load
from models.calibration import Calibration
from models.fallback import PriorScorer
from models.features import NAMES, as_dict, vector
from models.scorer import ModelScorer
from tests.unit.models.golden_cases import cases
from tests.unit.models.shop import LOCAL

TREES, LEAVES = 200, 31


def _model() -> str:
    """Grow trees of the size production models have, over our own columns."""
    draw = np.random.default_rng(5)
    rows = draw.normal(size=(20_000, len(NAMES)))
    rows[draw.random(rows.shape) < 0.2] = np.nan
    label = (np.nansum(rows[:, :20], axis=1) + draw.normal(size=len(rows)) > 0).astype(float)
    params = {"objective": "binary", "num_leaves": LEAVES, "num_threads": 1, "verbosity": -1}
    return lightgbm.train(params, lightgbm.Dataset(rows, label), TREES).model_to_string()


def _time(name: str, call: Callable[[], object], rounds: int) -> None:
    for _ in range(rounds // 10):
        call()
    taken = np.empty(rounds)
    for number in range(rounds):
        start = perf_counter_ns()
        call()
        taken[number] = perf_counter_ns() - start
    p50, p99 = np.quantile(taken, [0.5, 0.99]) / 1000
    print(f"{name:44s} p50 {p50:8.1f} us   p99 {p99:8.1f} us")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=20_000)
    rounds: int = arguments.parse_args().rounds

    model = _model()
    start = perf_counter_ns()
    row = load(model, len(NAMES))
    print(
        f"{TREES} trees x {LEAVES} leaves, {len(NAMES)} features, {len(model) // 1000} kB of text"
    )
    print(f"load and prepare {(perf_counter_ns() - start) / 1e6:.1f} ms")
    case = cases()["with_cart"]
    values = vector(case, None, LOCAL)
    scorer = ModelScorer(
        row=row,
        provenance="real",
        ref=ModelRef("bench", "v1"),
        calibration={"cart_abandonment": Calibration()},
        mean_order=None,
        local=LOCAL,
    )
    slow = replace(scorer, row=SlowRow(model, len(NAMES)))
    gc.collect()
    gc.freeze()  # as the worker does after its imports
    _time("model call, fast path", lambda: row.raw(values), rounds)
    _time("model call, Booster.predict(num_threads=1)", lambda: slow.row.raw(values), rounds // 5)
    _time("vector of features", lambda: vector(case, None, LOCAL), rounds)
    _time("features by name", lambda: as_dict(values), rounds)
    _time("calibration", lambda: Calibration().probability(-1.234567891), rounds)
    _time("whole score(), model in force", lambda: scorer.score(case), rounds)
    _time("whole score(), prior", lambda: PriorScorer(LOCAL).score(case), rounds)


if __name__ == "__main__":
    main()
