"""How well the shipped training code learns on public shops; prints a table, asserts nothing.

.venv/bin/python -m tests.benchmarks.bench_learning

REKINDLE_TEST_DATA names the folder of the data sets. Their reference figures were measured with
LightGBM by hand, before this code was written.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from models.manifest import Interval, Metrics
from models.training.metrics import auc, ece10
from tests.support.real_learning import PREFIXES, SEED, SHOPS, cart_prefixes, decided, learned
from tests.support.real_learning import missing as not_here

REFERENCE: Final = {"onlineretail": ".771", "cdnow": ".722"}


def _row(what: str, protocol: str, figures: Metrics, reference: str) -> str:
    cells = (
        what,
        protocol,
        f"{figures.rows:,}",
        _interval(figures.base_rate),
        _interval(figures.auc),
        _interval(figures.ece10),
        reference,
    )
    return f"| {' | '.join(cells)} |"


def _interval(told: Interval | None) -> str:
    if told is None:
        return "-"
    return f"{told.estimate:.3f} [{told.low:.3f}, {told.high:.3f}]"


def _repeat_purchases() -> Iterator[str]:
    for name, shop in SHOPS.items():
        if reason := not_here(shop.file):
            yield f"NOT RUN: {reason}"
            continue
        with tempfile.TemporaryDirectory(prefix="rekindle-bench-") as made:
            folder = Path(made) / name
            decided(name, folder)
            manifest = learned(folder)
        sizes = ", ".join(f"{name} {rows:,}" for name, rows in manifest.rows.items())
        figures = manifest.metrics["post_purchase_7d"]
        yield _row(name, "day 7 / 30 d, newest fifth", figures, REFERENCE[name])
        yield f"  {sizes}; {manifest.rounds} rounds"


def _carts() -> Iterator[str]:
    if reason := not_here(PREFIXES):
        yield f"NOT RUN: {reason}"
        return
    found = cart_prefixes()
    yield _row("retailrocket", "cart, 5 folds of visitors", found.metrics(seed=SEED), ".636")
    for name, figure in (("auc", auc), ("ece10", ece10)):
        folds = found.per_fold(figure)
        told = ", ".join(f"{value:.3f}" for value in folds)
        yield f"  {name} by fold: {told}; mean {np.mean(folds):.3f}"


def main() -> None:
    for line in _carts():
        print(line, flush=True)
    for line in _repeat_purchases():
        print(line, flush=True)


if __name__ == "__main__":
    main()
