"""The model card: made of the manifest alone, complete, and the same as JSON and as a page."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.card import Card, card, card_json, card_markdown, observed_to_expected
from models.features import NAMES
from models.manifest import Bin, Manifest, MeasuredLift, Metrics, Provenance, unpack
from models.training import train as trainer
from models.training.fit import fit
from models.training.importance import importance
from models.training.reliability import bins

KIND = "cart_abandonment"
LIFT = MeasuredLift(
    odds_ratio=1.21, estimate=1.4, low=0.9, high=2.2, prior=1.1, treated=1_200, untreated=340
)


@pytest.fixture(scope="module")
def manifest(artefact: bytes) -> Manifest:
    return unpack(artefact).manifest


def test_the_card_of_a_trained_model_is_complete(manifest: Manifest) -> None:
    said = card(manifest)
    [trigger] = said.triggers
    assert said.overall == manifest.metrics[trainer.OVERALL]
    assert said.silent == manifest.metrics[trainer.NOTHING_SENT]
    assert trigger.kind == KIND
    assert trigger.metrics == manifest.metrics[KIND]
    assert sum(bin_.rows for bin_ in trigger.reliability) == manifest.rows["test"]
    assert len(trigger.reliability) == 10
    assert said.made_with.checksum == manifest.checksum
    assert said.expires_at > said.created_at > said.data.last > (said.data.unseen_from or "9")


def test_what_moves_the_answers_is_what_moves_the_world(manifest: Manifest) -> None:
    # the world's orders depend on these three and on nothing else
    important = card(manifest).triggers[0].importance
    assert {name for name, _ in important[:3]} == {"cart_value", "views_1d", "orders_known"}
    moved = [by for _, by in important]
    assert moved == sorted(moved, reverse=True)


def test_the_page_says_what_the_data_says(manifest: Manifest) -> None:
    blocked = msgspec.structs.replace(
        manifest,
        blocked=["A feature knows the outcome."],
        warnings=["Another trigger keeps the prior."],
        without=["hour"],
        lifts={KIND: {"push": LIFT}},
    )
    page = card_markdown(blocked)
    auc = manifest.metrics[KIND].auc
    assert auc is not None
    for wanted in (
        "# Model order/v1",
        "**Blocked**: A feature knows the outcome.",
        "- Another trigger keeps the prior.",
        "Not shown to it: hour.",
        "| push | 1.21 | 1.40 [0.90, 2.20] | 1.10 | 1,200 | 340 |",
        f"{auc.estimate:.3f} [{auc.low:.3f}, {auc.high:.3f}]",
        f"LightGBM {manifest.lightgbm_version}, {manifest.rounds} trees, seed {manifest.seed}",
        manifest.checksum,
    ):
        assert wanted in page
    for bin_ in manifest.reliability[KIND]:
        assert f"| {bin_.rows:,} | {bin_.mean_predicted:.3f} |" in page


@pytest.mark.parametrize(
    ("provenance", "says"),
    [
        ("real", "decisions logged by a shop"),
        ("simulator", "no evidence about real customers"),
        ("public", "says little about your customers"),
    ],
)
def test_every_card_says_what_its_provenance_means(
    manifest: Manifest, provenance: Provenance, says: str
) -> None:
    assert says in card_markdown(msgspec.structs.replace(manifest, provenance=provenance))


def test_the_json_card_reads_back_to_the_same_card(manifest: Manifest) -> None:
    assert msgspec.json.decode(card_json(manifest), type=Card) == card(manifest)


def test_a_model_made_before_the_card_was_still_has_one(artefact: bytes) -> None:
    content = msgspec.json.decode(artefact)
    for newer in ("blocked", "without", "reliability", "importance", "lifts", "silence"):
        del content["manifest"][newer]
    del content["manifest"]["window"]["unseen_from"]
    old = unpack(msgspec.json.encode(content)).manifest
    page = card_markdown(old)
    assert "Measured on the newest fifth of the time" in page
    assert "was not measured; the campaign's assumption speaks" in page
    assert card(old).triggers[0].reliability == []


# --- its figures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    # exact Poisson limits of a count, by chi-squared quantiles (Garwood)
    ("count", "low", "high"),
    [(0, 0.0, 3.6889), (10, 4.7954, 18.3904), (50, 37.1113, 65.9188), (400, 361.758, 441.184)],
)
def test_orders_for_each_expected_carry_a_poisson_interval(
    count: int, low: float, high: float
) -> None:
    figures = Metrics(rows=1_000, positives=count, users=900, mean_predicted=0.05)
    ratio = observed_to_expected(figures)
    assert ratio is not None
    assert ratio.estimate == pytest.approx(count / 50)
    assert ratio.low == pytest.approx(low / 50, rel=0.01)
    assert ratio.high == pytest.approx(high / 50, rel=0.01)


def test_where_nothing_was_expected_there_is_no_ratio() -> None:
    assert observed_to_expected(Metrics(rows=0, positives=0, users=0)) is None
    assert observed_to_expected(Metrics(rows=9, positives=0, users=9, mean_predicted=0.0)) is None


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.20001, 0.7])), min_size=1, max_size=60
    )
)
def test_bins_hold_every_row_once_and_rise(rows: list[tuple[bool, float]]) -> None:
    converted, predicted = np.array([y for y, _ in rows]), np.array([p for _, p in rows])
    found = bins(converted, predicted)
    assert 1 <= len(found) <= 10
    assert sum(bin_.rows for bin_ in found) == len(rows)
    assert sum(bin_.positives for bin_ in found) == int(converted.sum())
    said = [bin_.mean_predicted for bin_ in found]
    assert said == sorted(said)


def test_equal_chances_share_a_bin() -> None:
    assert bins(np.array([True, False, False, False]), np.full(4, 0.25)) == [Bin(4, 1, 0.25)]
    assert bins(np.zeros(0, dtype=bool), np.zeros(0)) == []


def test_contributions_add_up_to_the_answer() -> None:
    """With one row the mean is the row's own: the contributions are the trees' exact sums."""
    draw = np.random.default_rng(4)
    vectors = draw.normal(size=(2_000, len(NAMES)))
    vectors[:, 1:] = np.nan
    converted = draw.random(2_000) < 1 / (1 + np.exp(-vectors[:, 0]))
    fitted = fit(vectors, converted, names=list(NAMES), seed=1)
    row = vectors[np.argmax(vectors[:, 0])][None, :]
    found = importance(fitted, row, NAMES)
    assert set(found) == {NAMES[0]}
    average = float(np.mean(fitted.raw(vectors)))
    assert found[NAMES[0]] == pytest.approx(float(fitted.raw(row)[0]) - average, abs=0.05)
    assert importance(fitted, vectors[:0], NAMES) == {}
