"""Tells whoever watches what a model said and how long it took; it says the same itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

from engine.ports import Case, InForce, Score
from models.scorer import ModelScorer

# Probability of an order, None = the model could not say; and seconds.
Told = Callable[[float | None, float], None]


@dataclass(frozen=True, slots=True)
class WatchedScorer:
    """A model in force that is listened to."""

    model: ModelScorer
    told: Told

    def score(self, case: Case) -> Score:
        """Return what the model says."""
        started = perf_counter()
        score = self.model.score(case)
        self.told(None if score.model is None else score.p0, perf_counter() - started)
        return score


def watched(force: InForce, told: Told) -> InForce:
    """Return the same in force, with its model listened to; the prior takes no time."""
    if not isinstance(force.scorer, ModelScorer):
        return force
    return replace(force, scorer=WatchedScorer(force.scorer, told))


__all__ = ["WatchedScorer", "watched"]
