"""How well models of one kind do on people they never saw: every row is predicted out of fold.

For data without a newest part to measure on: no absolute time, or too few outcomes in the newest
fifth. It cannot see that behaviour changes with time, so what is served is measured on time never
seen (:mod:`models.training.train`), and this is read beside it, never in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.draws import draw
from engine.errors import Refused
from models.features import NAMES
from models.manifest import Metrics
from models.training.calibrate import calibrate
from models.training.fit import fit
from models.training.labels import Flags, Floats, Ints, Labelled
from models.training.metrics import Figure, measure

FOLDS: Final = 5
# One fold is predicted, one ends the rounds and calibrates, and at least one is grown on.
_FEWEST_FOLDS: Final = 3
# Below this an intercept is all a calibration can find, and a fold says nothing about ranking.
_LEAST_OUTCOMES: Final = 5


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """One calibrated probability per row, by a model that saw no row of that person.

    ``fold``: in which fold a row was predicted; ``person`` numbers people, for intervals.
    """

    converted: Flags
    predicted: Floats
    fold: Ints
    person: Ints

    def metrics(self, *, seed: int, rows: Flags | None = None) -> Metrics:
        """Return the figures over all folds together, or over some ``rows`` of them.

        Probabilities of several models are ranked in one list, so a model that says too much for
        its fold costs here, as it would in service.
        """
        chosen = np.ones(len(self.converted), dtype=np.bool_) if rows is None else rows
        return measure(
            self.converted[chosen], self.predicted[chosen], self.person[chosen], seed=seed
        )

    def per_fold(self, figure: Figure) -> list[float]:
        """Return one figure for each fold that holds both outcomes; they tell the spread."""
        found = []
        for fold in range(int(self.fold.max()) + 1):
            ours = self.fold == fold
            mass = np.ones(int(np.count_nonzero(ours)))
            value = figure(self.converted[ours], self.predicted[ours], mass)
            if value is not None:
                found.append(value)
        return found


def cross_validate(
    vectors: Floats,
    converted: Flags,
    people: Sequence[str],
    *,
    names: list[str],
    seed: int,
    folds: int = FOLDS,
    kind: Ints | None = None,
) -> OutOfFold:
    """Predict every row by a model of the other folds; all rows of one person share a fold.

    As in training, the trees grow on one part (``folds`` - 2 folds), another part (the next fold)
    ends their rounds and calibrates them, per ``kind`` if given. A person's fold is a keyed hash of
    her id and ``seed``: new rows move nobody. Raises Refused when a fold lacks outcomes.
    """
    if folds < _FEWEST_FOLDS:
        raise Refused(f"{folds} folds are too few: one is predicted, one calibrates; give 3 or 5.")
    known, person = np.unique(np.asarray(people), return_inverse=True)
    of_person = np.array([fold_of(one, seed=seed, folds=folds) for one in known.tolist()])
    fold = of_person[person].astype(np.int64)
    _check_outcomes(converted, fold, folds)
    kinds = np.zeros(len(converted), dtype=np.int64) if kind is None else kind
    predicted = np.empty(len(converted))
    for number in range(folds):
        held, later = fold == number, fold == (number + 1) % folds
        fitted = fit(
            vectors[~held & ~later],
            converted[~held & ~later],
            names=names,
            seed=seed,
            stop_by=(vectors[later], converted[later]),
        )
        raw = fitted.raw(vectors)
        for one in np.unique(kinds[held]).tolist():
            ours, learned = held & (kinds == one), later & (kinds == one)
            calibration = calibrate(raw[learned], converted[learned])
            predicted[ours] = [calibration.probability(score) for score in raw[ours].tolist()]
    return OutOfFold(converted, predicted, fold, person.astype(np.int64))


def of_decisions(rows: Labelled, *, seed: int, folds: int = FOLDS) -> dict[str, Metrics]:
    """Return the figures over all decisions (``all``) and per trigger kind; raises Refused."""
    if not len(rows.at):
        raise Refused(
            "There is nothing to measure: no weighed decision has a conversion window that is over."
        )
    found = cross_validate(
        rows.vectors,
        rows.converted,
        [rows.users[user] for user in rows.user.tolist()],
        names=list(NAMES),
        seed=seed,
        folds=folds,
        kind=rows.kind,
    )
    per_kind = {
        kind: found.metrics(seed=seed, rows=rows.kind == number)
        for number, kind in enumerate(rows.kinds)
        if np.any(rows.kind == number)
    }
    return {"all": found.metrics(seed=seed), **dict(sorted(per_kind.items()))}


def fold_of(person: str, *, seed: int, folds: int) -> int:
    """Return the fold of a person, from 0; the same wherever and whenever it is asked."""
    return int(draw("rekindle", str(seed), "fold", person) * folds)


def _check_outcomes(converted: Flags, fold: Ints, folds: int) -> None:
    for number in range(folds):
        ours = converted[fold == number]
        orders = int(np.count_nonzero(ours))
        if min(orders, len(ours) - orders) < _LEAST_OUTCOMES:
            raise Refused(
                f"Fold {number + 1} of {folds} has {orders} orders in {len(ours)} rows, and "
                f"{_LEAST_OUTCOMES} of either outcome are the least: wait for more, or take fewer "
                "folds."
            )
