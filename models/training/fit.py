"""Fits one small LightGBM model to a plain matrix, bit for bit the same each time."""

from dataclasses import dataclass
from typing import Final

import lightgbm
import numpy as np

from models.training.labels import Flags, Floats

Params = dict[str, float | int | bool | str]

# Measured on public shops before this was built. No class weights: they leave the ranking
# as it is and destroy the calibration (ECE .25 against .014).
_FIXED: Final[Params] = {
    "objective": "binary",
    "learning_rate": 0.03,
    "lambda_l2": 10.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
MAX_ROUNDS: Final = 250
# Without enough outcomes to stop by: where stopping ended with 600 rows of a known truth (79).
_SMALL_ROUNDS: Final = 80
_PATIENCE: Final = 25
_FEW_LEAVES, _LEAVES = 7, 15
_MANY_ROWS: Final = 5_000
_LEAST_IN_LEAF, _MOST_IN_LEAF = 20, 200
_STOP_BY: Final = 20


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model in LightGBM's text format and how it came about."""

    text: str
    rounds: int
    params: Params
    booster: lightgbm.Booster

    def raw(self, vectors: Floats) -> Floats:
        """Return the raw scores of many rows."""
        if not len(vectors):
            return np.empty(0)
        scores = self.booster.predict(
            vectors, raw_score=True, num_iteration=self.rounds, num_threads=1
        )
        return np.asarray(scores, dtype=np.float64)


def params_for(rows: int, seed: int) -> Params:
    """Return the settings for so many training rows.

    A leaf holds at least 200 rows, on small data a twentieth of them and never fewer than 20; 15
    leaves from 5,000 rows, below 7.
    """
    return {
        **_FIXED,
        "num_leaves": _LEAVES if rows >= _MANY_ROWS else _FEW_LEAVES,
        "min_data_in_leaf": max(_LEAST_IN_LEAF, min(_MOST_IN_LEAF, rows // 20)),
        "seed": seed,
    }


def fit(
    vectors: Floats,
    converted: Flags,
    *,
    names: list[str],
    seed: int,
    stop_by: tuple[Floats, Flags] | None = None,
) -> Fitted:
    """Fit a binary model; NaN = missing.

    ``stop_by``: rows of a later time. With at least 20 of either outcome among them the rounds end
    where their log-loss is best (at most 250); otherwise there are 80.
    """
    params = params_for(len(converted), seed)
    data = lightgbm.Dataset(
        vectors, label=converted.astype(np.float64), feature_name=names, params=params
    )
    if stop_by is None or fewest(stop_by[1]) < _STOP_BY:
        booster = lightgbm.train(params, data, num_boost_round=_SMALL_ROUNDS)
        rounds = _SMALL_ROUNDS
    else:
        later = data.create_valid(stop_by[0], label=stop_by[1].astype(np.float64))
        booster = lightgbm.train(
            params,
            data,
            num_boost_round=MAX_ROUNDS,
            valid_sets=[later],
            callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
        )
        rounds = booster.best_iteration
    text = booster.model_to_string(num_iteration=rounds)
    return Fitted(text, rounds, params, booster)


def fewest(converted: Flags) -> int:
    """Return how many rows the rarer outcome has."""
    positives = int(np.count_nonzero(converted))
    return min(positives, len(converted) - positives)
