"""The prior: what a campaign assumes until a model is in force, with the features logged.

Features are logged from the first day, so that there is something to learn from.
"""

from dataclasses import dataclass

from engine.ports import Case, Score
from engine.triggers import LocalTime
from models.features import SCHEMA_HASH, as_dict, vector


def prior(
    case: Case, values: list[float] | None, *, mean_order: float | None = None, failed: bool = False
) -> Score:
    """Return the campaign's assumption as a score; ``values`` None = no vector could be made."""
    return Score(
        p0=case.campaign.prior_order_rate,
        features={} if values is None else as_dict(values),
        schema_hash="" if values is None else SCHEMA_HASH,
        mean_order=mean_order,
        failed=failed,
    )


@dataclass(frozen=True, slots=True)
class PriorScorer:
    """The Scorer while no model is in force."""

    local: LocalTime

    def score(self, case: Case) -> Score:
        """Return the campaign's prior and the features a model would have seen."""
        try:
            values = vector(case, None, self.local)
        except Exception:  # noqa: BLE001 - the port never raises; `failed` is counted by the step
            return prior(case, None, failed=True)
        return prior(case, values)
