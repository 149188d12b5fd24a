"""Two models on the same rows, none of which either has learned from."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from msgspec import Struct

from engine.errors import Refused
from engine.ports import ModelRef
from engine.triggers import LocalTime
from models.manifest import Interval, Window, unpack
from models.scorer import ModelScorer, build
from models.training.fit import fewest
from models.training.labels import Flags, Floats, Ints, Labelled
from models.training.metrics import REPLICATES, Figure, auc, ece10, log_loss

# Fewer of either outcome give no AUC worth the name.
LEAST_OUTCOMES: Final = 5
_DIGITS: Final = 6


class Side(Struct, frozen=True, kw_only=True):
    """What one model did on the common rows; ``mean_p0`` is the mean chance it gave."""

    name: str
    version: str
    auc: float
    log_loss: float
    ece10: float
    mean_p0: float


class Comparison(Struct, frozen=True, kw_only=True):
    """Both models on ``rows`` decisions of ``users`` people, of ``kinds``.

    ``difference``: the second less the first, by figure, with the 95 % interval of a bootstrap in
    which both are scored on the same drawn people. ``better``: name/version of the model whose
    log-loss is lower for certain, None where these rows cannot tell. ``left_out``: decisions that
    were not compared on, by reason.
    """

    rows: int
    positives: int
    users: int
    kinds: list[str]
    left_out: dict[str, int]
    first: Side
    second: Side
    difference: dict[str, Interval]
    better: str | None
    verdict: str


# The figure that judges is the log-loss: the worth multiplies chances with money, so it is not
# enough to rank well.
_JUDGE: Final = "log_loss"
_FIGURES: Final[Mapping[str, Figure]] = {"auc": auc, _JUDGE: log_loss, "ece10": ece10}


def compare(
    first: bytes, second: bytes, rows: Labelled, *, local: LocalTime, seed: int = 1
) -> Comparison:
    """Score two artefacts on the rows of trigger kinds both speak about, as they would be served.

    Only decisions later than what either learned from count: a model knows its own past. And only
    those in which nothing was sent: that is what both foretell. Raises Refused for an artefact that
    must not be used (one that expired may), and when there is too little to compare on.
    """
    scorers = [build(artefact, allow_simulated=True, local=local) for artefact in (first, second)]
    a, b = (scorer for scorer in scorers if isinstance(scorer, ModelScorer))
    unseen = max(_unseen_from(unpack(artefact).manifest.window) for artefact in (first, second))
    kinds = sorted(set(a.calibration) & set(b.calibration) & set(rows.kinds))
    shared = np.isin(rows.kind, [rows.kinds.index(kind) for kind in kinds])
    new = rows.at >= unseen
    ours = shared & new & ~rows.sent
    left_out = {
        **rows.left_out,
        "learned_from": int(np.count_nonzero(~new)),
        "not_of_both": int(np.count_nonzero(new & ~shared)),
        "something_sent": int(np.count_nonzero(new & shared & rows.sent)),
    }
    converted, users = rows.converted[ours], rows.user[ours]
    _check(converted, left_out)
    said = [_served(scorer, rows, ours) for scorer in (a, b)]
    difference = _difference(converted, said[0], said[1], users, seed)
    better = _better(a.ref, b.ref, difference[_JUDGE])
    people = len(np.unique(users))
    return Comparison(
        rows=len(converted),
        positives=int(np.count_nonzero(converted)),
        users=people,
        kinds=kinds,
        left_out={reason: count for reason, count in left_out.items() if count},
        first=_side(a.ref, converted, said[0]),
        second=_side(b.ref, converted, said[1]),
        difference=difference,
        better=better,
        verdict=_verdict(better, difference[_JUDGE], len(converted), people),
    )


def _unseen_from(window: Window) -> int:
    """Return from when on (ms) decisions are new to a model; an old manifest tells only its end."""
    return window.last + 1 if window.unseen_from is None else window.unseen_from


def _check(converted: Flags, left_out: Mapping[str, int]) -> None:
    if fewest(converted) < LEAST_OUTCOMES:
        reasons = ", ".join(f"{why} {count}" for why, count in left_out.items() if count)
        raise Refused(
            f"There is too little to compare on: {len(converted)} decisions without a message that "
            f"neither model learned from, {fewest(converted)} of the rarer outcome (at least "
            f"{LEAST_OUTCOMES}; left out: {reasons or 'none'}); record a later run."
        )


def _served(scorer: ModelScorer, rows: Labelled, ours: Flags) -> Floats:
    """Return the chances given to the rows, in their order."""
    calibrations = [scorer.calibration.get(kind) for kind in rows.kinds]
    said = []
    for vector, kind in zip(rows.vectors[ours].tolist(), rows.kind[ours].tolist(), strict=True):
        calibration = calibrations[kind]
        assert calibration is not None, "only kinds that both speak about are scored"
        said.append(calibration.probability(scorer.row.raw(vector)))
    return np.array(said)


def _side(ref: ModelRef, converted: Flags, said: Floats) -> Side:
    return Side(
        name=ref.name,
        version=ref.version,
        auc=_rounded(auc(converted, said)),
        log_loss=_rounded(log_loss(converted, said)),
        ece10=_rounded(ece10(converted, said)),
        mean_p0=_rounded(float(said.mean())),
    )


def _difference(
    converted: Flags, one: Floats, other: Floats, users: Ints, seed: int
) -> dict[str, Interval]:
    """Return (other - one) of each figure; people are drawn whole and once for both models."""
    found: dict[str, list[float]] = {name: [] for name in _FIGURES}
    for weights in _draws(users, seed):
        for name, figure in _FIGURES.items():
            left, right = figure(converted, one, weights), figure(converted, other, weights)
            if left is not None and right is not None:
                found[name].append(right - left)
    return {
        name: Interval(
            _rounded(_figure(figure, converted, other) - _figure(figure, converted, one)),
            *(_rounded(float(edge)) for edge in np.quantile(found[name], [0.025, 0.975])),
        )
        for name, figure in _FIGURES.items()
    }


def _draws(users: Ints, seed: int) -> Iterator[Floats]:
    people, place = np.unique(users, return_inverse=True)
    chance = np.random.default_rng(seed)
    for _ in range(REPLICATES):
        drawn = chance.integers(0, len(people), len(people))
        yield np.bincount(drawn, minlength=len(people))[place].astype(np.float64)


def _figure(figure: Figure, converted: Flags, said: Floats) -> float:
    found = figure(converted, said, np.ones(len(said)))
    assert found is not None, "both outcomes are there, it was checked"
    return found


def _better(first: ModelRef, second: ModelRef, difference: Interval) -> str | None:
    if difference.low <= 0 <= difference.high:
        return None
    ref = second if difference.estimate < 0 else first
    return f"{ref.name}/{ref.version}"


def _verdict(better: str | None, difference: Interval, rows: int, people: int) -> str:
    counted = f"{rows:,} decisions of {people:,} people"
    if better is None:
        return f"There is no difference that {counted} could show."
    low, high = sorted((abs(difference.low), abs(difference.high)))
    return (
        f"{better} is better: its log-loss is {abs(difference.estimate):.4f} lower "
        f"[{low:.4f}, {high:.4f}] on {counted}."
    )


def _rounded(figure: float | None) -> float:
    assert figure is not None, "both outcomes are there, it was checked"
    return round(figure, _DIGITS)
