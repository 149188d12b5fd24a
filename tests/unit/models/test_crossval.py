"""Cross-validation over people: nobody is predicted by a model that saw her, and it says so."""

import numpy as np
import pytest

from engine.errors import Refused
from engine.events import Event
from engine.times import DAY
from models.training.crossval import cross_validate, fold_of, of_decisions
from models.training.labels import Flags, Floats, label
from models.training.metrics import auc, ece10
from tests.unit.models.world import WINDOWS, World

NAMES = ["who", "what"]


def _people(rows: int, each: int, seed: int = 1) -> tuple[Floats, Flags, list[str]]:
    """Draw people with ``each`` rows and one answer per person, which nothing else tells."""
    draw = np.random.default_rng(seed)
    who = np.repeat(np.arange(rows // each), each)
    answer = draw.random(rows // each) < 0.3
    vectors = np.column_stack((who.astype(float), draw.normal(size=rows)))
    return vectors, answer[who], [f"u-{number}" for number in who]


def test_what_one_person_did_is_never_learned_and_told_of_herself() -> None:
    """Her number alone tells her answer to whoever has seen one of her rows."""
    vectors, converted, people = _people(6_000, each=30)
    honest = cross_validate(vectors, converted, people, names=NAMES, seed=1)
    apart = [f"{person}-{row}" for row, person in enumerate(people)]
    leaking = cross_validate(vectors, converted, apart, names=NAMES, seed=1)
    told, leaked = auc(converted, honest.predicted), auc(converted, leaking.predicted)
    assert told is not None
    assert leaked is not None
    assert told < 0.6
    assert leaked > 0.8


def test_all_rows_of_a_person_lie_in_one_fold_and_no_fold_is_empty() -> None:
    vectors, converted, people = _people(6_000, each=3)
    found = cross_validate(vectors, converted, people, names=NAMES, seed=1)
    for number in range(2_000):
        assert len(set(found.fold[3 * number : 3 * number + 3].tolist())) == 1
    assert np.bincount(found.fold).min() > 6_000 / 5 * 0.8
    assert len(found.per_fold(auc)) == 5


def test_a_persons_fold_does_not_depend_on_who_else_is_there() -> None:
    vectors, converted, people = _people(4_000, each=2)
    whole = cross_validate(vectors, converted, people, names=NAMES, seed=3)
    part = cross_validate(vectors[2_000:], converted[2_000:], people[2_000:], names=NAMES, seed=3)
    assert (part.fold == whole.fold[2_000:]).all()
    assert fold_of("u-7", seed=3, folds=5) == whole.fold[14]


def test_chances_are_calibrated_for_each_kind_on_its_own() -> None:
    draw = np.random.default_rng(2)
    rows = 12_000
    vectors = draw.normal(size=(rows, 2))
    kind = draw.integers(0, 2, rows)
    # the model is not told the kind; only the calibration can tell the two rates apart
    logit = vectors[:, 0] + np.where(kind == 1, 0.8, -1.5)
    converted = draw.random(rows) < 1 / (1 + np.exp(-logit))
    people = [f"u-{number}" for number in range(rows)]
    found = cross_validate(vectors, converted, people, names=NAMES, seed=1, kind=kind)
    for ours in (kind == 0, kind == 1):
        assert found.predicted[ours].mean() == pytest.approx(converted[ours].mean(), abs=0.02)
    figures = found.metrics(seed=1, rows=kind == 1)
    assert figures.rows == np.count_nonzero(kind == 1)
    assert figures.mean_predicted == pytest.approx(found.predicted[kind == 1].mean(), abs=1e-6)


def test_the_same_input_gives_the_same_figures_and_the_seed_moves_people() -> None:
    vectors, converted, people = _people(3_000, each=2)
    first = cross_validate(vectors, converted, people, names=NAMES, seed=1)
    again = cross_validate(vectors, converted, people, names=NAMES, seed=1)
    other = cross_validate(vectors, converted, people, names=NAMES, seed=2)
    assert (first.predicted == again.predicted).all()
    assert first.metrics(seed=1) == again.metrics(seed=1)
    assert (first.fold != other.fold).any()


def test_a_known_truth_is_found_in_logged_decisions(known_world: World) -> None:
    events: list[Event] = known_world.events
    found = of_decisions(label(known_world.decisions, events, WINDOWS), seed=1)
    best = auc(np.array(known_world.converted), np.array(known_world.chance))
    assert found.keys() == {"all", "cart_abandonment"}
    assert found["all"].rows == 4_000
    assert found["all"].auc is not None
    assert best is not None
    assert best - 0.03 < found["all"].auc.estimate < best + 0.01
    truth = ece10(np.array(known_world.converted), np.array(known_world.chance))
    assert truth is not None
    assert found["all"].ece10 is not None
    assert found["all"].ece10.estimate < truth + 0.02


# --- too little ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "folds", "says"),
    [(3_000, 2, "2 folds are too few"), (60, 5, "5 of either outcome are the least")],
)
def test_too_little_is_refused_with_one_sentence(rows: int, folds: int, says: str) -> None:
    vectors, converted, people = _people(rows, each=1)
    with pytest.raises(Refused, match=says) as refused:
        cross_validate(vectors, converted, people, names=NAMES, seed=1, folds=folds)
    assert "\n" not in str(refused.value)


def test_without_closed_windows_there_is_nothing_to_measure(known_world: World) -> None:
    open_ones = label(known_world.decisions, [], {"cart": 90 * DAY})
    with pytest.raises(Refused, match="nothing to measure"):
        of_decisions(open_ones, seed=1)
