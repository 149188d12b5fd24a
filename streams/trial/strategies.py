"""Other ways to choose than the engine's own: each a scorer, so that all else is the product's.

A scorer says what a message is worth by the odds ratios it claims: :func:`claiming` finds those
under which the engine's own arithmetic comes to the worth a strategy wants. Guards, caps, quiet
hours, competition between campaigns and words stay as they are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from engine import decisions
from engine.ports import Case, Score, Scorer
from engine.sends import fatigue
from models.features import from_dict
from models.scorer import ModelScorer

# From here odds ratios reach every worth between losing the whole order and gaining it.
_EVEN: Final = 0.5
_LITTLE: Final = 0.001
_EDGE: Final = 1e-5
# What a strategy without prices gives a message, in the shop's currency, and takes off for each
# dearer channel: enough to speak at any patience, and too little to matter otherwise.
_SPEAK: Final = 1.0
_DEARER: Final = 0.01


def claiming(case: Case, worths: Mapping[str, float], p0: float = _EVEN) -> Score:
    """Return a score under which the engine finds these worths, by channel.

    A worth out of reach (more than the whole order) becomes the nearest there is; a channel that
    is not named is never worth it.
    """
    blank = Score(p0=p0, features={}, schema_hash="")
    basket = decisions.expected_basket(case, blank)
    stake = max(case.campaign.margin * basket, _EDGE)
    tired = 1.0 + fatigue(case.profile, case.now)
    lifts = {}
    for channel in case.campaign.channels:
        price = case.policy.channels[channel]
        wanted = worths.get(channel)
        spent = price.cost + price.patience * tired
        gain = -1.0 if wanted is None else (wanted + spent) / stake
        with_it = min(max(p0 + gain, _EDGE), 1.0 - _EDGE)
        lifts[channel] = with_it / (1.0 - with_it) * (1.0 - p0) / p0
    return Score(p0=p0, features={}, schema_hash="", lifts=lifts)


def _cheapest_first(case: Case, worth: float) -> dict[str, float]:
    """Return the same worth for every channel, a little less for each dearer one."""
    prices = case.policy.channels
    cheap = sorted(case.campaign.channels, key=lambda name: (prices[name].cost, name))
    return {name: worth - _DEARER * place for place, name in enumerate(cheap)}


@dataclass(frozen=True, slots=True)
class SendAlways:
    """Speaks whenever the guards allow it, on the cheapest channel that is open."""

    def score(self, case: Case) -> Score:
        """Claim that every message is worth it."""
        return claiming(case, _cheapest_first(case, _SPEAK))


@dataclass(frozen=True, slots=True)
class LikelyBuyers:
    """Speaks to those most likely to buy, as tools do that rank by propensity.

    ``above``: the chance of an order, by trigger kind, from which it speaks; a kind that the model
    does not speak about cannot be ranked, and everybody is spoken to.
    """

    model: Scorer
    above: Mapping[str, float]

    def score(self, case: Case) -> Score:
        """Claim a worth that grows with her chance of an order, and none below the bar."""
        p0 = self.model.score(case).p0
        if p0 < self.above.get(case.trigger.kind, 0.0):
            return claiming(case, {})
        return claiming(case, _cheapest_first(case, _SPEAK + p0))


def medians(model: ModelScorer, logged: Iterable[bytes]) -> dict[str, float]:
    """Return the median chance of an order over logged decisions, by kind the model speaks of."""
    found: dict[str, list[float]] = defaultdict(list)
    for decision in map(decisions.decode, logged):
        calibration = model.calibration.get(decision.trigger.kind)
        if calibration is not None and decision.features:
            raw = model.row.raw(from_dict(decision.features))
            found[decision.trigger.kind].append(calibration.probability(raw))
    return {kind: median(chances) for kind, chances in found.items()}


@dataclass(frozen=True, slots=True)
class Oracle:
    """Knows what one message would do: speaks exactly when that is worth its price.

    Myopic: it asks of this message alone, not what is left of her patience for the next one nor
    that the caps could be spent better later. ``foresees``: true worth (in the shop's currency) of
    speaking now, by case and channel.
    """

    foresees: Callable[[Case, str], float]

    def score(self, case: Case) -> Score:
        """Claim the truth."""
        true = {channel: self.foresees(case, channel) for channel in case.campaign.channels}
        # Named are only gains: rounding could make a little of a push that costs and does nothing.
        return claiming(case, {name: worth for name, worth in true.items() if worth > 0}, _LITTLE)


__all__ = ["LikelyBuyers", "Oracle", "SendAlways", "claiming", "medians"]
