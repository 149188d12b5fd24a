"""Training: it finds a truth that is known, says what it does not know, and repeats itself."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from engine import decisions as log
from engine.errors import Refused
from engine.times import DAY
from models.features import NAMES, SCHEMA_HASH
from models.manifest import checksum, manifest_json, pack, unpack
from models.scorer import build
from models.training.fit import fit, params_for
from models.training.metrics import auc
from models.training.split import by_time
from models.training.train import train
from tests.unit.models.shop import LOCAL
from tests.unit.models.world import WINDOWS, World, trained, world


def test_a_known_truth_is_found(known_world: World, artefact: bytes) -> None:
    figures = unpack(artefact).manifest.metrics["all"]
    truth, newest = known_world, slice(-figures.rows, None)
    best = auc(np.array(truth.converted)[newest], np.array(truth.chance)[newest])
    assert best is not None
    assert figures.auc is not None
    assert figures.base_rate is not None
    assert figures.mean_predicted is not None
    assert figures.auc.estimate > best - 0.03
    assert figures.auc.low > 0.6
    assert figures.mean_predicted == pytest.approx(figures.base_rate.estimate, abs=0.06)


def test_the_manifest_says_what_was_done(artefact: bytes) -> None:
    manifest, model = unpack(artefact).manifest, unpack(artefact).model
    assert manifest.features == list(NAMES)
    assert manifest.schema_hash == SCHEMA_HASH
    assert manifest.checksum == checksum(model)
    assert manifest.trigger_kinds == ["cart_abandonment"]
    assert sum(manifest.rows.values()) + sum(manifest.left_out.values()) == 4_000
    assert manifest.left_out.keys() == {"window_over_a_cut"}
    assert 0 < manifest.rounds <= 250
    assert model.count("\nTree=") == manifest.rounds
    assert manifest.mean_order == 100.0
    assert manifest.warnings == []
    assert len(manifest.golden) == 16
    assert set(manifest.metrics) == {"all", "cart_abandonment", "nothing_sent"}


def test_the_same_input_gives_the_same_bytes(known_world: World, artefact: bytes) -> None:
    assert trained(known_world) == artefact


def test_an_artefact_survives_the_round_trip(artefact: bytes) -> None:
    read = unpack(artefact)
    assert pack(read.manifest, read.model) == artefact
    assert msgspec.json.decode(manifest_json(read.manifest))["name"] == "order"


def test_no_golden_row_is_a_person(known_world: World, artefact: bytes) -> None:
    people = {tuple(log.decode(value).features.values()) for value in known_world.decisions}
    golden = [tuple(golden.row) for golden in unpack(artefact).manifest.golden]
    assert len(set(golden)) == 16
    assert not people & set(golden)


def test_what_was_trained_can_be_served(artefact: bytes) -> None:
    assert build(artefact, allow_simulated=True, local=LOCAL)


# --- too little ---------------------------------------------------------------------------------


def _train(decisions: list[bytes], drawn: World) -> bytes:
    return trained(World(decisions, drawn.events, [], []))


def _all_sent(value: bytes) -> bytes:
    decision = log.decode(value)
    return log.encode(
        msgspec.structs.replace(decision, outcome="send", reason="sent", channel="push")
    )


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: [], "nothing to learn from"),
        (lambda d: d[:: len(d) // 100], "too little to learn from"),
        (lambda d: [_all_sent(value) for value in d], "holdout or exploration"),
    ],
)
def test_too_little_to_learn_from_is_refused_with_one_sentence(
    known_world: World, spoil: Callable[[list[bytes]], list[bytes]], says: str
) -> None:
    with pytest.raises(Refused, match=says) as refused:
        _train(spoil(known_world.decisions), known_world)
    assert "\n" not in str(refused.value)


def test_without_closed_windows_there_is_nothing_to_learn(known_world: World) -> None:
    with pytest.raises(Refused, match="open_window 4000"):
        train(
            known_world.decisions,
            [],
            WINDOWS,
            name="order",
            version="v1",
            created_at=0,
            provenance="real",
            seed=1,
        )


def test_a_rare_trigger_keeps_the_prior_and_the_manifest_says_so(known_world: World) -> None:
    rare = world(60, kind="post_purchase_30d", seed=3)
    drawn = [
        log.encode(msgspec.structs.replace(log.decode(value), decision_id=f"rare-{number}"))
        for number, value in enumerate(rare.decisions)
    ]
    manifest = unpack(_train([*known_world.decisions, *drawn], known_world)).manifest
    assert manifest.trigger_kinds == ["cart_abandonment"]
    assert manifest.left_out["kind_too_rare"] == 60
    assert [w for w in manifest.warnings if w.startswith("post_purchase_30d keeps the prior")]


# --- a leak -------------------------------------------------------------------------------------


def _leaking(drawn: World) -> World:
    """Return a world whose vectors were read when the outcome was known: she was seen, ordering."""
    decisions = []
    for value, converted in zip(drawn.decisions, drawn.converted, strict=True):
        decision = log.decode(value)
        seen = {**decision.features, "since_seen_s": 3600.0 if converted else 90_000.0}
        decisions.append(log.encode(msgspec.structs.replace(decision, features=seen)))
    return World(decisions, drawn.events, drawn.chance, drawn.converted)


@pytest.fixture(scope="module")
def leaking(known_world: World) -> World:
    return _leaking(known_world)


def test_a_feature_that_knows_the_outcome_blocks_the_model(leaking: World) -> None:
    spoilt = trained(leaking)
    (reason,) = unpack(spoilt).manifest.blocked
    assert reason.startswith("cart_abandonment has an AUC of 0.99")
    assert "--without since_seen_s" in reason
    with pytest.raises(Refused, match="Model order/v1 is blocked: cart_abandonment") as refused:
        build(spoilt, allow_simulated=True, local=LOCAL)
    assert "\n" not in str(refused.value)


def test_a_model_that_knows_much_and_not_too_much_is_not_blocked(artefact: bytes) -> None:
    assert unpack(artefact).manifest.blocked == []


def test_without_the_leak_the_same_decisions_give_an_honest_model(
    leaking: World, artefact: bytes
) -> None:
    mended = unpack(trained(leaking, without=["since_seen_s"])).manifest
    assert mended.blocked == []
    assert mended.without == ["since_seen_s"]
    # nobody's last visit is known in the honest world, so nothing else has changed
    assert mended.metrics == unpack(artefact).manifest.metrics


def test_a_feature_that_is_none_cannot_be_left_out(known_world: World) -> None:
    with pytest.raises(Refused, match="There is no feature shoe_size"):
        trained(known_world, without=["shoe_size"])


# --- parts --------------------------------------------------------------------------------------


def test_no_label_reaches_into_the_next_slice() -> None:
    at = np.arange(0, 60 * DAY, DAY // 4)
    window = np.where(np.arange(len(at)) % 3, DAY, 7 * DAY)
    slices = by_time(at, window)
    ends = at + window
    assert ends[slices.train].max() <= at[slices.calibrate].min()
    assert ends[slices.calibrate].max() <= at[slices.test].min()
    assert not (slices.train & slices.calibrate).any()
    assert slices.test.sum() == pytest.approx(len(at) / 5, abs=1)


@pytest.mark.parametrize(
    ("rows", "leaf", "leaves"), [(100, 20, 7), (2_000, 100, 7), (9_000, 200, 15)]
)
def test_small_data_gets_a_small_model(rows: int, leaf: int, leaves: int) -> None:
    params = params_for(rows, 1)
    assert (params["min_data_in_leaf"], params["num_leaves"]) == (leaf, leaves)


def test_a_plain_matrix_can_be_fitted() -> None:
    draw = np.random.default_rng(1)
    rows = draw.normal(size=(2_000, 3))
    converted = draw.random(2_000) < 1 / (1 + np.exp(-rows[:, 0]))
    fitted = fit(
        rows[:1500],
        converted[:1500],
        names=["a", "b", "c"],
        seed=1,
        stop_by=(rows[1500:], converted[1500:]),
    )
    found = auc(converted[1500:], fitted.raw(rows[1500:]))
    assert found is not None
    assert found > 0.7
