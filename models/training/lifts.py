"""What a message does, measured: the odds ratio per trigger kind and channel, from the lots drawn.

Only decisions in which both the message and silence were possible are compared, each weighted by
how seldom that was done, and each against the chance of an order that the model foretells for
silence. What is served is drawn towards what the campaign assumed, as far as the rows are few.
"""

from collections.abc import Sequence
from math import exp, sqrt
from typing import Final

import numpy as np

from models.manifest import MeasuredLift
from models.training.arms import (
    arm,
    sent_chance,
    shrunken,
    silent_chance,
    variance,
    withheld_share,
)
from models.training.fit import fewest
from models.training.labels import NOTHING, Flags, Floats, Labelled

# Fewer rows, or fewer of either outcome, say less than the assumption: with 50 rows and 5 orders
# in each arm the interval of an odds ratio reaches from a quarter to four times.
LEAST_ROWS: Final = 50
LEAST_OUTCOMES: Final = 5
# How far an assumed lift may be off: at one order in ten, 0.2 in log-odds are two in a hundred.
SPREAD: Final = 0.2
_NORMAL_95: Final = 1.959964
_DIGITS: Final = 6

Lifts = dict[str, dict[str, MeasuredLift]]


def measure(rows: Labelled, kinds: Sequence[str], foretold: Floats) -> tuple[Lifts, list[str]]:
    """Return the lifts there is enough to say about, and a sentence for each other one.

    ``foretold``: log-odds of an order if nothing is sent, per row of these ``kinds``.
    """
    share = withheld_share(rows)
    found: Lifts = {}
    missing = []
    for kind in kinds:
        ours = np.asarray(rows.kind == rows.kinds.index(kind))
        for channel in sorted(rows.channels):
            column = rows.channels.index(channel)
            if not np.any(ours & ~np.isnan(rows.assumed[:, column])):
                continue  # it never could have spoken
            sent, untouched = _arms(rows, ours, column, share)
            sentence = _too_few(rows, sent, untouched)
            if sentence is None:
                measured = _lift(rows, column, sent, untouched, foretold, share)
                found.setdefault(kind, {})[channel] = measured
            else:
                missing.append(f"{kind} by {channel} keeps the assumed lift: {sentence}.")
    return found, missing


def _arms(rows: Labelled, ours: Flags, column: int, share: float) -> tuple[Flags, Flags]:
    """Return the rows that were sent this channel, and those left alone, where both could be."""
    both = ours & (rows.chance[:, column] > 0) & (silent_chance(rows, share) > 0)
    return both & (rows.done == column + 1), both & (rows.done == NOTHING)


def _too_few(rows: Labelled, sent: Flags, untouched: Flags) -> str | None:
    """Return what is missing for a measurement, or None."""
    counts = [int(np.count_nonzero(arm)) for arm in (sent, untouched)]
    lacking = [max(LEAST_ROWS - count, 0) for count in counts]
    if any(lacking):
        return (
            f"where both were possible it was sent {counts[0]} times and nothing was sent "
            f"{counts[1]} times (at least {LEAST_ROWS} each; {lacking[0]} and {lacking[1]} "
            "are missing)"
        )
    outcomes = [fewest(rows.converted[arm]) for arm in (sent, untouched)]
    if min(outcomes) < LEAST_OUTCOMES:
        return (
            f"of the rarer outcome there were {outcomes[0]} where it was sent and {outcomes[1]} "
            f"where nothing was (at least {LEAST_OUTCOMES} each)"
        )
    return None


def _lift(
    rows: Labelled,
    column: int,
    sent: Flags,
    untouched: Flags,
    foretold: Floats,
    share: float,
) -> MeasuredLift:
    treated = arm(rows, sent, foretold, sent_chance(rows, share, column))
    control = arm(rows, untouched, foretold, silent_chance(rows, share))
    estimate = treated.shift - control.shift
    spread = variance(treated, minus=control)
    prior = float(np.nanmean(np.log(rows.assumed[sent | untouched, column])))
    served = shrunken(estimate, spread, toward=prior, spread=SPREAD)
    reach = _NORMAL_95 * sqrt(spread)
    return MeasuredLift(
        odds_ratio=_ratio(served),
        estimate=_ratio(estimate),
        low=_ratio(estimate - reach),
        high=_ratio(estimate + reach),
        prior=_ratio(prior),
        treated=int(np.count_nonzero(sent)),
        untreated=int(np.count_nonzero(untouched)),
    )


def _ratio(log_odds: float) -> float:
    return round(exp(log_odds), _DIGITS)
