"""Two models on the same rows: the better one is named where the rows can tell, else none."""

import msgspec
import numpy as np
import pytest

from engine.errors import Refused
from engine.times import DAY
from models.booster import load
from models.calibration import Calibration
from models.features import NAMES
from models.manifest import pack, unpack
from models.training.comparing import Comparison, compare
from models.training.labels import Labelled, label
from models.training.metrics import auc, log_loss
from tests.unit.models.shop import LOCAL, NOW
from tests.unit.models.world import WINDOWS, trained, world

KIND = "cart_abandonment"


@pytest.fixture(scope="module")
def later() -> Labelled:
    """Rows of the same time, other draws: 4,000 over 60 days, the newest 800 new to the models."""
    drawn = world(4_000, seed=11)
    return label(drawn.decisions, drawn.events, WINDOWS)


@pytest.fixture(scope="module")
def twin() -> bytes:
    """A model of as many rows of the same truth, drawn anew."""
    return trained(world(4_000, seed=2), version="v2")


def _altered(artefact: bytes, **changes: object) -> bytes:
    read = unpack(artefact)
    return pack(msgspec.structs.replace(read.manifest, **changes), read.model)


def _doubled(artefact: bytes) -> bytes:
    """Return a model that ranks as the other and is far too sure of orders."""
    found = unpack(artefact).manifest.calibration[KIND]
    sure = Calibration(kind="platt", a=found.a, b=found.b + 1.0)
    return _altered(artefact, version="sure", calibration={KIND: sure})


def _compare(first: bytes, second: bytes, rows: Labelled) -> Comparison:
    return compare(first, second, rows, local=LOCAL)


def test_a_model_is_no_better_than_itself(artefact: bytes, later: Labelled) -> None:
    found = _compare(artefact, artefact, later)
    assert found.better is None
    assert found.verdict.startswith("There is no difference that ")
    assert all(tuple(map(float, (d.low, d.high))) == (0, 0) for d in found.difference.values())


@pytest.mark.parametrize("turned", [False, True])
def test_the_better_calibrated_model_is_named_whichever_comes_first(
    artefact: bytes, later: Labelled, turned: bool
) -> None:
    pair = (_doubled(artefact), artefact) if turned else (artefact, _doubled(artefact))
    found = _compare(*pair, later)
    assert found.better == "order/v1"
    assert found.verdict.startswith("order/v1 is better: its log-loss is 0.")
    apart = found.difference["log_loss"]
    assert (apart.high < 0) if turned else (apart.low > 0)
    assert found.difference["auc"].estimate == pytest.approx(0, abs=1e-6)
    assert found.second.mean_p0 != found.first.mean_p0


def test_two_models_of_equal_worth_cannot_be_told_apart(
    artefact: bytes, twin: bytes, later: Labelled
) -> None:
    assert unpack(twin).model != unpack(artefact).model
    assert _compare(artefact, twin, later).better is None


def test_figures_are_those_of_the_rows_neither_learned_from(
    artefact: bytes, later: Labelled
) -> None:
    found = _compare(artefact, artefact, later)
    unseen = unpack(artefact).manifest.window.unseen_from
    assert unseen is not None
    ours = (later.at >= unseen) & ~later.sent
    assert found.rows == int(ours.sum())
    assert found.users == len(np.unique(later.user[ours]))
    assert found.left_out["learned_from"] == int((later.at < unseen).sum())
    assert found.left_out["something_sent"] == int(((later.at >= unseen) & later.sent).sum())
    assert found.rows + sum(found.left_out.values()) == 4_000
    calibration = unpack(artefact).manifest.calibration[KIND]
    row = load(unpack(artefact).model, len(NAMES))
    said = np.array([
        calibration.probability(row.raw(vector)) for vector in later.vectors[ours].tolist()
    ])  # fmt: skip
    assert found.first.auc == pytest.approx(auc(later.converted[ours], said), abs=1e-6)
    assert found.first.log_loss == pytest.approx(log_loss(later.converted[ours], said), abs=1e-6)


def test_the_interval_of_a_difference_is_narrower_than_of_either(
    artefact: bytes, twin: bytes, later: Labelled
) -> None:
    """Paired: both models meet the same hard people, which cancels in the difference."""
    found = _compare(artefact, twin, later)
    apart, alone = found.difference["auc"], unpack(artefact).manifest.metrics["all"].auc
    assert alone is not None
    assert apart.high - apart.low < alone.high - alone.low


def test_what_both_learned_from_proves_nothing(artefact: bytes, later: Labelled) -> None:
    read = unpack(artefact).manifest
    window = msgspec.structs.replace(read.window, unseen_from=NOW + 61 * DAY)
    with pytest.raises(Refused, match="learned_from 4000") as refused:
        _compare(artefact, _altered(artefact, window=window), later)
    assert "\n" not in str(refused.value)


def test_an_old_model_knows_all_until_its_last_row(artefact: bytes, later: Labelled) -> None:
    read = unpack(artefact).manifest
    old = msgspec.structs.replace(read.window, unseen_from=None, last=NOW + 50 * DAY)
    found = _compare(artefact, _altered(artefact, window=old), later)
    assert found.left_out["learned_from"] == int((later.at <= NOW + 50 * DAY).sum())


def test_triggers_only_one_model_speaks_about_are_left_out(
    artefact: bytes, later: Labelled
) -> None:
    silent = _altered(artefact, trigger_kinds=["post_purchase_30d"])
    with pytest.raises(Refused, match="not_of_both"):
        _compare(artefact, silent, later)


def test_an_expired_model_may_be_compared_a_damaged_one_not(
    artefact: bytes, later: Labelled
) -> None:
    assert _compare(artefact, _altered(artefact, expires_at=1), later)
    with pytest.raises(Refused, match="checksum"):
        _compare(artefact, _altered(artefact, checksum="0" * 64), later)
