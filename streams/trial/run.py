"""One trial from its first day to its last: learn, part, let every strategy go its way, compare.

For the first days the shipped campaigns speak, with holdout and exploration, and a model is trained
on the decision log. Then the same world at the same moment goes on once per strategy: the same
people, the same lots, nobody held out, nothing explored. Only the scorer differs.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from typing import Final

from msgspec import Struct
from msgspec.structs import replace as changed

from engine.errors import Refused
from engine.policy import Exploration, Holdout, Policy, Settings
from engine.ports import InForce, Scorer
from engine.times import DAY, from_iso
from models import scorer as scorers
from models.manifest import unpack
from models.scorer import ModelScorer
from models.training.train import OVERALL, train
from rules import campaigns, templates
from rules.zones import ZONES
from streams import in_force
from streams.demo.files import HOLDOUT
from streams.demo.shop import Shop
from streams.demo.worlds import WORLDS
from streams.trial.play import Log, Play
from streams.trial.strategies import LikelyBuyers, Oracle, SendAlways, medians
from streams.trial.worth import Outcome, foreseen, outcome

# A Monday, so that the seasons of a week come out alike at any length.
START: Final = from_iso("2026-10-05T00:00:00Z")
STRATEGIES: Final = ("prior", "model", "send-always", "random", "propensity-only", "oracle")


class Asked(Struct, frozen=True, kw_only=True):
    """One trial: a world by name, a seed, how many shoppers, and the days of the two phases.

    ``explore``: share of decisions left to chance while learning, over every channel; None = share
    and channels of the shipped campaigns.
    """

    world: str
    seed: int
    shoppers: int
    learn_days: int = 30
    judge_days: int = 30
    explore: float | None = None


class Trained(Struct, frozen=True, kw_only=True):
    """What came of the training; ``refused``: the sentence why there is no model, "" = there is.

    ``auc`` is None where it could not be measured; ``lifts``: odds ratios by trigger kind and
    channel that the model puts in the place of what the campaigns assume.
    """

    rows: int = 0
    auc: float | None = None
    kinds: tuple[str, ...] = ()
    lifts: dict[str, dict[str, float]] = {}
    refused: str = ""


class Trial(Struct, frozen=True, kw_only=True):
    """What one trial came to: an outcome by strategy."""

    asked: Asked
    trained: Trained
    outcomes: dict[str, Outcome]


def run(asked: Asked) -> Trial:
    """Play one trial; equal questions give equal answers. Raises Refused for an unknown world."""
    if asked.world not in WORLDS:
        message = f"There is no world {asked.world!r}; there are {', '.join(WORLDS)}."
        raise Refused(message)
    return asyncio.run(_played(asked))


def run_all(
    asked: Sequence[Asked], done: Callable[[str], None], workers: int | None = None
) -> list[Trial]:
    """Play many trials on all cores (or so many ``workers``); returns them in the order asked.

    ``done`` is told each one that is over. Raises Refused for an unknown world.
    """
    workers = min(workers or os.cpu_count() or 1, len(asked))
    if workers <= 1:
        return [_announced(run(one), done) for one in asked]
    # A fork of a process that has threads may hang: the workers start afresh.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(run, one): place for place, one in enumerate(asked)}
        found: dict[int, Trial] = {}
        try:
            for over in as_completed(waiting):
                found[waiting[over]] = _announced(over.result(), done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[place] for place in range(len(asked))]


def _announced(trial: Trial, done: Callable[[str], None]) -> Trial:
    done(f"{trial.asked.world}, seed {trial.asked.seed}")
    return trial


async def _played(asked: Asked) -> Trial:
    parting = START + asked.learn_days * DAY
    end = parting + asked.judge_days * DAY
    world = WORLDS[asked.world]
    play = Play(Shop(asked.seed, asked.shoppers, (end - START) // DAY, START, world), START)
    shipped = _shipped()
    await play.until(parting, _learning(shipped, asked.explore))
    trained, model = _trained(play.log, shipped, parting, asked.seed)
    outcomes: dict[str, Outcome] = {}
    for strategy in STRATEGIES:
        own = play.fork()
        await own.until(end, _judged(shipped, strategy, own, model, play.log))
        outcomes[strategy] = outcome(own.shop.ledger(parting, end), _policy(shipped))
    return Trial(asked=asked, trained=trained, outcomes=outcomes)


# --- what is in force ---------------------------------------------------------------------------


def _shipped() -> InForce:
    """Return what the shipped campaigns and words put in force, live."""
    files = {sha256(file).hexdigest(): file for file in (campaigns.shipped(), templates.artefact())}
    rules, words = files
    return _under(in_force.build(Settings(campaigns=rules, templates=words), files), mode="live")


def _under(force: InForce, scorer: Scorer | None = None, **other: object) -> InForce:
    """Return what is in force with some things otherwise in its policy."""
    assert force.policy is not None
    return replace(force, policy=changed(force.policy, **other), scorer=scorer or force.scorer)


def _learning(shipped: InForce, explore: float | None) -> InForce:
    policy = _policy(shipped)
    chance = policy.exploration
    if explore is not None:
        chance = Exploration(explore, tuple(policy.channels))
    return _under(shipped, holdout=Holdout(HOLDOUT, policy.holdout.epoch), exploration=chance)


def _policy(force: InForce) -> Policy:
    assert force.policy is not None
    return force.policy


def _judged(
    shipped: InForce, strategy: str, play: Play, model: ModelScorer | None, learned: Log
) -> InForce:
    """Return what is in force for one strategy: nobody held out, nothing explored but at random."""
    epoch = _policy(shipped).holdout.epoch
    share = float(strategy == "random")
    return _under(
        shipped,
        _scorer(strategy, play, model, learned) or shipped.scorer,
        holdout=Holdout(0.0, epoch),
        exploration=Exploration(share, tuple(_policy(shipped).channels)),
    )


def _scorer(strategy: str, play: Play, model: ModelScorer | None, learned: Log) -> Scorer | None:
    """Return the scorer of a strategy; None = the prior speaks."""
    match strategy:
        case "model":
            return model
        case "send-always":
            return SendAlways()
        case "propensity-only" if model is not None:
            return LikelyBuyers(model, medians(model, learned.decisions))
        case "propensity-only":
            return SendAlways()
        case "oracle":
            return Oracle(partial(foreseen, play.shop))
        case _:
            return None


# --- learning -----------------------------------------------------------------------------------


def _trained(log: Log, shipped: InForce, at: int, seed: int) -> tuple[Trained, ModelScorer | None]:
    """Train on the first phase's own log, as `rekindle train` does; None = training was refused."""
    windows = {c.id: c.conversion_window for c in _policy(shipped).campaigns.values()}
    try:
        artefact = train(
            log.decisions,
            log.events,
            windows,
            name="trial",
            version="1",
            created_at=at,
            provenance="simulator",
            seed=seed,
        )
        model = scorers.build(artefact, allow_simulated=True, local=ZONES)
    except Refused as refused:
        return Trained(refused=str(refused)), None
    assert isinstance(model, ModelScorer)
    manifest = unpack(artefact).manifest
    auc = manifest.metrics[OVERALL].auc
    return (
        Trained(
            rows=sum(manifest.rows.values()),
            auc=None if auc is None else auc.estimate,
            kinds=tuple(manifest.trigger_kinds),
            lifts={
                kind: {channel: lift.odds_ratio for channel, lift in by_channel.items()}
                for kind, by_channel in manifest.lifts.items()
            },
        ),
        model,
    )


__all__ = ["STRATEGIES", "Asked", "Trained", "Trial", "run", "run_all"]
