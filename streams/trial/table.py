"""What many trials came to: means over seeds, paired seed by seed, for people and for machines."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean, stdev
from textwrap import wrap
from typing import Any, Final, Literal

from msgspec import Struct, to_builtins

from streams.demo.goods import CURRENCY
from streams.trial.run import Trial
from streams.trial.worth import LOST, Outcome

_WIDTH: Final = 80
_AGAINST: Final = "prior"
_JUDGED: Final = "model"
_BEST: Final = "oracle"
# Of five seeds that differ by chance alone, four in a hundred means lie further from nothing than
# three standard errors (Student's t, 4 degrees of freedom); with more seeds fewer do.
NOISE: Final = 3.0
LEAST_SEEDS: Final = 5

Verdict = Literal["better", "no different", "worse", "not told"]


class Row(Struct, frozen=True, kw_only=True):
    """One strategy in one world; money in CNY, all figures per 1,000 shoppers, means over seeds.

    ``worth`` of the messages on average over their lots, less the prior's of the same seed;
    ``gain``: value of everything that happened, less the prior's. ``error`` and ``gain_error``: the
    standard errors of these means, None = one seed. ``regret``: what the oracle's value had more;
    ``lost``: refusals of further messages.
    """

    world: str
    strategy: str
    seeds: int
    value: float
    worth: float
    error: float | None
    gain: float
    gain_error: float | None
    regret: float
    messages: float
    lost: float

    @property
    def verdict(self) -> Verdict:
        """Return how it stands against the prior: by the worth of the messages, which is surer.

        Where all that happened says otherwise by more than noise, that counts.
        """
        if self.error is None or self.gain_error is None or self.seeds < LEAST_SEEDS:
            return "not told"
        if self.gain < -NOISE * self.gain_error:
            return "worse"
        if abs(self.worth) <= NOISE * self.error:
            return "no different"
        return "better" if self.worth > 0 else "worse"


def rows(trials: Iterable[Trial]) -> list[Row]:
    """Return a row per world and strategy, in the order they were played."""
    worlds: dict[str, list[Trial]] = {}
    for trial in trials:
        worlds.setdefault(trial.asked.world, []).append(trial)
    return [
        _row(world, strategy, played)
        for world, played in worlds.items()
        for strategy in played[0].outcomes
    ]


def _row(world: str, strategy: str, played: Sequence[Trial]) -> Row:
    def per_thousand(figure: Callable[[dict[str, Outcome]], float]) -> list[float]:
        return [1000 * figure(trial.outcomes) / trial.asked.shoppers for trial in played]

    worths = per_thousand(lambda out: out[strategy].worth - out[_AGAINST].worth)
    gains = per_thousand(lambda out: out[strategy].value - out[_AGAINST].value)
    return Row(
        world=world,
        strategy=strategy,
        seeds=len(played),
        value=fmean(per_thousand(lambda out: out[strategy].value)),
        worth=fmean(worths),
        error=_error(worths),
        gain=fmean(gains),
        gain_error=_error(gains),
        regret=fmean(per_thousand(lambda out: out[_BEST].value - out[strategy].value)),
        messages=fmean(per_thousand(lambda out: out[strategy].messages)),
        lost=fmean(per_thousand(lambda out: out[strategy].lost)),
    )


def _error(found: Sequence[float]) -> float | None:
    return stdev(found) / len(found) ** 0.5 if len(found) > 1 else None


# --- for machines -------------------------------------------------------------------------------


def as_json(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the object of ``rekindle trial --json``: the rows, and every trial they rest on."""
    return {
        "provenance": "simulator",
        "currency": CURRENCY,
        "rows": [{**to_builtins(row), "verdict": row.verdict} for row in rows(trials)],
        "trials": [to_builtins(trial) for trial in trials],
    }


# --- for people ---------------------------------------------------------------------------------


def told(trials: Sequence[Trial]) -> Iterator[str]:
    """Yield the page, in lines of at most 80 characters."""
    found = rows(trials)
    yield from _banner(trials)
    yield ""
    yield f"{'':17}{'worth':>8}{'value':>17}{'messages':>18}{'refused':>9}{'regret':>9}"
    for world in dict.fromkeys(row.world for row in found):
        yield ""
        yield from _world(world, [row for row in found if row.world == world], trials)
    yield ""
    yield from _conclusion(found)


def _banner(trials: Sequence[Trial]) -> Iterator[str]:
    asked = trials[0].asked
    seeds = sorted({trial.asked.seed for trial in trials})
    chance = "shipped" if asked.explore is None else f"{asked.explore:.0%} over every channel"
    yield from wrap(
        "Simulated shops: the people are invented, so this says nothing about real ones. "
        f"{asked.shoppers:,} shoppers; the model learned from {asked.learn_days} days "
        f"(exploration: {chance}) and every strategy had the same next {asked.judge_days}; "
        f"seeds {_listed(seeds)}.",
        _WIDTH,
    )
    yield from wrap(
        f"{CURRENCY} per 1,000 shoppers against the prior, of the same seeds, with standard "
        "errors. Worth: what the messages bring on average over their lots. Value: margin on all "
        f"they paid and kept. Both less the price of the messages and {LOST:.0f} for each who "
        "refused more.",
        _WIDTH,
    )


def _listed(seeds: Sequence[int]) -> str:
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _world(world: str, found: Sequence[Row], trials: Sequence[Trial]) -> Iterator[str]:
    trained = [trial.trained for trial in trials if trial.asked.world == world]
    measured = [one.auc for one in trained if one.auc is not None]
    auc = f"AUC {fmean(measured):.2f}" if measured else "no model"
    refused = sum(bool(one.refused) for one in trained)
    if measured and refused:
        auc += f", no model in {refused} of {len(trained)}"
    yield f"{world} ({auc})"
    for row in found:
        yield (
            f"  {row.strategy:15}{_worth(row)}"
            f"{_against(row, row.gain, row.gain_error, wide=1)}{row.messages:>10,.0f}"
            f"{row.lost:>9.1f}{row.regret:>9,.0f}"
        )


def _worth(row: Row) -> str:
    """Return the worth; none for the oracle, who speaks where the lots fall well."""
    return f"{'':16}" if row.strategy == _BEST else _against(row, row.worth, row.error)


def _against(row: Row, found: float, error: float | None, wide: int = 0) -> str:
    """Return a difference to the prior with its error; a dash in the prior's own row."""
    shown = "-" if row.strategy == _AGAINST else f"{found:+,.0f}"
    give = "" if error is None or row.strategy == _AGAINST else f"±{error:,.0f}"
    return f"{shown:>{8 + wide}} {give:<7}"


def _conclusion(found: Sequence[Row]) -> Iterator[str]:
    judged = [row for row in found if row.strategy == _JUDGED]
    for verdict, says in _SAYS.items():
        worlds = [row.world for row in judged if row.verdict == verdict]
        if worlds:
            said = says.format(worlds=", ".join(worlds))
            yield from wrap(said, _WIDTH, break_on_hyphens=False)


_SAYS: Final[dict[Verdict, str]] = {
    "better": "The model beats the prior by more than noise in: {worlds}.",
    "no different": "The model and the prior differ by no more than noise in: {worlds}.",
    "worse": "The model LOSES to the prior by more than noise in: {worlds}.",
    "not told": f"Too few seeds to tell the model from the prior (at least {LEAST_SEEDS}): "
    "{worlds}.",
}


def loses(trials: Sequence[Trial]) -> bool:
    """Return whether the model is worse than the prior by more than noise in any world."""
    return any(row.strategy == _JUDGED and row.verdict == "worse" for row in rows(trials))


__all__ = ["LEAST_SEEDS", "NOISE", "Row", "as_json", "loses", "rows", "told"]
