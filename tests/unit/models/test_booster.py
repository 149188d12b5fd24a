"""One row through a model: the fast path gives Booster.predict's bits, and guards its pointer."""

import builtins
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from models import booster
from models.booster import BoosterError, FastRow, SlowRow, load
from models.features import NAMES
from models.manifest import unpack


@pytest.fixture(scope="module")
def model(artefact: bytes) -> str:
    return unpack(artefact).model


@pytest.fixture(scope="module")
def deep_model() -> str:
    """A model that splits on every column, NaN included; ours splits on the few that matter."""
    draw = np.random.default_rng(5)
    rows = draw.normal(size=(3_000, len(NAMES)))
    rows[draw.random(rows.shape) < 0.2] = np.nan
    label = (np.nansum(rows, axis=1) + draw.normal(size=len(rows)) > 0).astype(float)
    params = {"objective": "binary", "num_leaves": 31, "num_threads": 1, "verbosity": -1}
    return lightgbm.train(params, lightgbm.Dataset(rows, label), 60).model_to_string()


def test_the_fast_path_is_there_with_the_lightgbm_we_lock(model: str) -> None:
    assert isinstance(load(model, len(NAMES)), FastRow)


def test_the_fast_path_equals_predict_bit_for_bit(deep_model: str) -> None:
    draw = np.random.default_rng(11)
    rows = draw.normal(size=(1_000, len(NAMES))) * draw.choice([0.0, 1.0, 100.0], (1_000, 1))
    rows[draw.random(rows.shape) < 0.3] = np.nan
    rows[0] = np.nan
    whole = lightgbm.Booster(model_str=deep_model)
    expected = whole.predict(rows, raw_score=True, num_threads=1)
    fast, slow = load(deep_model, len(NAMES)), SlowRow(deep_model, len(NAMES))
    assert [fast.raw(row) for row in rows.tolist()] == np.asarray(expected).tolist()
    assert [slow.raw(row) for row in rows[:50].tolist()] == np.asarray(expected)[:50].tolist()


@pytest.mark.parametrize("kind", [SlowRow, FastRow])
@pytest.mark.parametrize("length", [0, len(NAMES) - 1, len(NAMES) + 1])
def test_a_row_of_the_wrong_length_never_reaches_the_library(
    model: str, kind: type[SlowRow] | type[FastRow], length: int
) -> None:
    row = SlowRow(model, len(NAMES)) if kind is SlowRow else load(model, len(NAMES))
    with pytest.raises(BoosterError, match=f"{length} values"):
        row.raw([0.0] * length)


def test_a_model_of_another_width_is_not_loaded(model: str) -> None:
    with pytest.raises(BoosterError, match=f"takes {len(NAMES)} features"):
        load(model, len(NAMES) + 1)
    with pytest.raises(BoosterError, match=f"takes {len(NAMES)} features"):
        SlowRow(model, len(NAMES) + 1)


def test_a_text_that_is_no_model_says_what_lightgbm_says() -> None:
    with pytest.raises(BoosterError, match=r"[Mm]odel"):
        load("this is no model", len(NAMES))
    with pytest.raises(BoosterError, match=r"[Mm]odel"):
        SlowRow("this is no model", len(NAMES))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[: len(text) // 2], id="cut in half"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="other line ends"),
        pytest.param(lambda text: text.replace("leaf_value=", "leaf_value=0", 1), id="a sign more"),
        pytest.param(lambda text: text.replace("leaf_value=", "xeaf_value=", 1), id="no leaves"),
        pytest.param(lambda text: text.replace("threshold=", "threshold=x", 1)[:-1], id="a word"),
    ],
)
def test_a_damaged_text_is_an_error_and_not_the_end_of_the_process(
    damage: Callable[[str], str], model: str
) -> None:
    """LightGBM calls std::terminate over each of these."""
    with pytest.raises(BoosterError, match="text of the model"):
        load(damage(model), len(NAMES))


def test_without_the_symbols_booster_predict_answers(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = load(model, len(NAMES))
    monkeypatch.setattr(booster, "_library", lambda: None)
    slow = load(model, len(NAMES))
    assert isinstance(slow, SlowRow)
    assert slow.raw([0.5] * len(NAMES)) == fast.raw([0.5] * len(NAMES))


def test_a_worker_with_a_model_in_force_needs_neither_the_package_nor_numpy(
    model: str, tmp_path: Path
) -> None:
    """They were a quarter of its start and 30 MB of its memory."""
    kept = tmp_path / "model.txt"
    kept.write_text(model)
    program = (
        "import sys, streams.worker\n"
        "from pathlib import Path\n"
        "from models import booster, features\n"
        "row = booster.load(Path(sys.argv[1]).read_text(), len(features.NAMES))\n"
        "print(row.raw([0.5] * len(features.NAMES)))\n"
        "print(sorted({'lightgbm', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(kept)], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert said == [str(load(model, len(NAMES)).raw([0.5] * len(NAMES))), "[]"]


def test_a_machine_without_the_openmp_runtime_is_told_what_to_install(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "lightgbm":
            raise OSError("libgomp.so.1: cannot open shared object file")
        return real(name, *more)

    monkeypatch.setattr(booster, "_library", lambda: None)
    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(BoosterError, match=r"install libgomp1; libgomp\.so\.1"):
        load(model, len(NAMES))


def test_models_come_and_go_without_disturbing_each_other(model: str, deep_model: str) -> None:
    kept = load(model, len(NAMES))
    row = [float("nan")] * len(NAMES)
    before = kept.raw(row)
    for _ in range(8):
        passing = load(deep_model, len(NAMES))
        passing.raw(row)
        del passing
        gc.collect()
        assert kept.raw(row) == before
