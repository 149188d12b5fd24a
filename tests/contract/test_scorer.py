"""What every Scorer keeps: it never raises, never changes what it reads, and repeats itself."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from engine.memory import PriorScorer as MemoryScorer
from engine.ports import Scorer
from engine.profile import Profile, encode
from models import booster
from models.features import NAMES
from models.scorer import build
from tests.unit.models.golden_cases import cases
from tests.unit.models.shop import LOCAL, ask
from tests.unit.models.world import trained, world

Make = Callable[[pytest.MonkeyPatch], Scorer]


@pytest.fixture(scope="module")
def artefact() -> bytes:
    return trained(world(2_000, seed=2))


@pytest.fixture(params=["memory", "prior", "model", "model_without_fast_path"])
def scorer(
    request: pytest.FixtureRequest, artefact: bytes, monkeypatch: pytest.MonkeyPatch
) -> Scorer:
    match request.param:
        case "memory":
            return MemoryScorer()
        case "prior":
            return build(None, allow_simulated=True, local=LOCAL)
        case "model_without_fast_path":
            monkeypatch.setattr(booster, "_library", lambda: None)
    return build(artefact, allow_simulated=True, local=LOCAL)


@pytest.mark.parametrize("name", sorted(cases()))
def test_a_score_is_a_probability_with_what_it_rests_on(scorer: Scorer, name: str) -> None:
    score = scorer.score(cases()[name])
    assert 0.0 <= score.p0 <= 1.0
    assert not score.failed
    assert tuple(score.features) == (NAMES if score.schema_hash else ())


@pytest.mark.parametrize("name", sorted(cases()))
def test_equal_cases_give_equal_scores_in_any_order(scorer: Scorer, name: str) -> None:
    case = cases()[name]
    first = scorer.score(case)
    for other in cases().values():
        scorer.score(other)
    assert scorer.score(replace(case, profile=deepcopy(case.profile))) == first


@pytest.mark.parametrize("name", sorted(cases()))
def test_scoring_changes_nothing(scorer: Scorer, name: str) -> None:
    case = cases()[name]
    before, trigger = encode(case.profile), deepcopy(case.trigger)
    scorer.score(case)
    assert encode(case.profile) == before
    assert case.trigger == trigger


def test_a_profile_that_cannot_be_read_is_answered_by_the_prior(scorer: Scorer) -> None:
    broken = Profile()
    broken.counters.short = []
    case = ask(broken)
    assert scorer.score(case).p0 == case.campaign.prior_order_rate


def test_a_trigger_of_a_kind_never_heard_of_is_answered(scorer: Scorer) -> None:
    case = ask(Profile(), kind="invented", key="k")
    score = scorer.score(case)
    assert score.p0 == case.campaign.prior_order_rate
    assert not score.failed
