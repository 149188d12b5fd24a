"""`models list|show|compare`, and what `apply --model` refuses before it touches the log."""

import json
from collections.abc import Callable
from pathlib import Path
from time import time

import msgspec
import pytest
from click.testing import CliRunner, Result

from engine.times import DAY, HOUR
from models.card import card_markdown
from models.manifest import Golden, Manifest, checksum, pack, unpack
from models.registry import Registry
from rules import campaigns
from streams import model_words
from streams.cli import main
from streams.log import codec
from streams.replay.recording import Recorder
from tests.support.recorded import artefact_name
from tests.unit.models.world import trained, world

# Nothing listens here: what gets so far as to ask for Kafka was not refused.
NOWHERE = {"REKINDLE_KAFKA": "127.0.0.1:1", "REKINDLE_REDIS": "redis://127.0.0.1:1/0"}
NOW = int(time() * 1000)


@pytest.fixture(scope="module")
def artefact() -> bytes:
    """A real model of this release, as fresh as the clock of this machine says."""
    made = unpack(trained(world(3_000, seed=1)))
    fresh = {"created_at": NOW - 8 * DAY, "expires_at": NOW + 52 * DAY + HOUR}
    return pack(msgspec.structs.replace(made.manifest, provenance="real", **fresh), made.model)


@pytest.fixture
def kept(tmp_path: Path, artefact: bytes) -> Path:
    """A directory of models that holds two versions of one name."""
    registry = Registry(tmp_path / "models")
    registry.save(artefact)
    registry.save(_altered(artefact, version="v2", created_at=NOW - 90 * DAY, expires_at=NOW - DAY))
    return registry.root


def rekindle(*arguments: str, models: Path | str = "none") -> Result:
    env = {**NOWHERE, "REKINDLE_MODELS": str(models)}
    return CliRunner().invoke(main, list(arguments), env=env, prog_name="rekindle")


def _altered(artefact: bytes, **changes: object) -> bytes:
    read = unpack(artefact)
    return pack(msgspec.structs.replace(read.manifest, **changes), read.model)


def _with_model(artefact: bytes, model: str) -> bytes:
    return pack(msgspec.structs.replace(unpack(artefact).manifest, checksum=checksum(model)), model)


def _other_leaves(artefact: bytes) -> bytes:
    first = unpack(artefact).manifest.golden[0]
    return _altered(artefact, golden=[Golden(first.row, first.raw + 1e-9)])


def _one_letter(artefact: bytes) -> bytes:
    text = unpack(artefact).model
    at = text.index("leaf_value=") + len("leaf_value=") + 3
    changed = text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]
    return pack(unpack(artefact).manifest, changed)


# --- looking ------------------------------------------------------------------------------------


def test_the_list_tells_age_expiry_provenance_and_auc_in_80_columns(kept: Path) -> None:
    shown = rekindle("models", "list", models=kept)
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("order/v1  ")
    assert lines[1].startswith("  real, made 8 days ago, expires in 52 days, AUC 0.")
    assert lines[2].startswith("order/v2  ")
    assert "made 90 days ago, expired 1 day ago" in lines[3]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("provenance", ["real", "simulator", "public"])
@pytest.mark.parametrize("age", [0, 59 * DAY, 130 * DAY])
def test_a_line_of_the_list_fits_whatever_the_age(kept: Path, provenance: str, age: int) -> None:
    [entry, _] = Registry(kept).list()
    manifest = msgspec.structs.replace(
        entry.manifest, version="20261103t020000", name="reminder", provenance=provenance
    )
    entry = type(entry)(entry.sha256, manifest, entry.path)
    lines = list(model_words.listed(entry, manifest.created_at + age))
    assert max(map(len, lines)) <= 80


def test_show_as_markdown_is_the_card(kept: Path, artefact: bytes) -> None:
    shown = rekindle("models", "show", "order/v1", "--markdown", models=kept)
    assert shown.output == card_markdown(unpack(artefact).manifest)
    assert shown.output == (kept / "order" / "v1" / "card.md").read_text()


def test_show_as_json_holds_the_card_beside_the_manifest(kept: Path) -> None:
    shown = json.loads(rekindle("models", "show", "order/v1", "--json", models=kept).output)
    assert shown["card"] == json.loads((kept / "order" / "v1" / "card.json").read_bytes())
    assert msgspec.convert(shown["manifest"], Manifest).name == "order"


def test_show_tells_the_calibration_and_what_the_model_leans_on(kept: Path) -> None:
    shown = rekindle("models", "show", "order/v1", models=kept).output
    assert "cart_abandonment: calibration platt, orders for each expected 1." in shown
    assert "leans on " in shown
    assert "cart_value 0." in shown


def test_a_card_is_either_a_page_or_json(kept: Path) -> None:
    shown = rekindle("models", "show", "order", "--json", "--markdown", models=kept)
    assert shown.exit_code == 2


# --- two side by side ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of the known world: its decisions, its orders and a campaigns file."""
    drawn, folder = world(3_000, seed=12), tmp_path_factory.mktemp("run")
    file = campaigns.shipped()
    with Recorder(folder) as recorder:
        recorder.record("artefacts", 0, 0, 0, artefact_name(file).encode(), file)
        for decision in drawn.decisions:
            recorder.record("decisions", 0, 0, 0, None, decision)
        for offset, event in enumerate(drawn.events):
            recorder.record("events", 0, offset, event.received_at, None, codec.write(event))
    return folder


def test_two_models_stand_side_by_side(kept: Path) -> None:
    shown = rekindle("models", "compare", "order/v1", "order/v2", models=kept)
    assert shown.exit_code == 0
    assert "not the same rows" in shown.output
    figures = Registry(kept).find("order/v1").manifest.metrics["all"]
    assert figures.auc is not None
    assert shown.output.count(f"{figures.auc.estimate:.3f} [") >= 2
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "is better" not in shown.output


def test_on_a_recorded_run_one_sentence_says_which_is_better(kept: Path, run: Path) -> None:
    shown = rekindle("models", "compare", "order/v1", "order/v2", "--from", str(run), models=kept)
    assert shown.exit_code == 0
    last = shown.output.splitlines()[-1]
    assert last.startswith("There is no difference that ")
    assert max(map(len, shown.output.splitlines())) <= 80


def test_the_comparison_is_there_for_machines(kept: Path, run: Path) -> None:
    arguments = ("models", "compare", "order/v1", "order/v2", "--json")
    without = json.loads(rekindle(*arguments, models=kept).output)
    assert without["comparison"] is None
    assert without["second"]["manifest"]["version"] == "v2"
    found = json.loads(rekindle(*arguments, "--from", str(run), models=kept).output)["comparison"]
    assert found["better"] is None
    assert found["rows"] > 200
    assert set(found["difference"]) == {"auc", "log_loss", "ece10"}


@pytest.mark.parametrize("spoil", ["decisions.jsonl", "artefacts"])
def test_a_run_without_decisions_or_campaigns_is_one_sentence(
    kept: Path, tmp_path: Path, spoil: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    if spoil == "artefacts":
        (empty / "decisions.jsonl").touch()
    shown = rekindle("models", "compare", "order", "order", "--from", str(empty), models=kept)
    assert shown.exit_code == 1
    assert len(shown.stderr.splitlines()) == 1


# --- what apply refuses -------------------------------------------------------------------------


def _apply(tmp_path: Path, artefact: bytes, *more: str) -> Result:
    path = tmp_path / "artefact.json"
    path.write_bytes(artefact)
    return rekindle("apply", "--model", str(path), *more)


def test_a_sound_model_gets_so_far_as_to_ask_for_kafka(tmp_path: Path, artefact: bytes) -> None:
    shown = _apply(tmp_path, artefact)
    assert shown.exit_code == 1
    assert "127.0.0.1:1" in shown.stderr


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda a: _altered(a, expires_at=NOW - 3 * DAY), "expired 3 days ago"),
        (lambda a: _altered(a, lightgbm_version="99.0.0"), "LightGBM 99.0.0"),
        (lambda a: _with_model(a, unpack(a).model + "#" * 8 * 1024 * 1024), "bytes, more than"),
        (lambda a: _with_model(a, unpack(a).model + "\nTree=0" * 501), "trees, more than 500"),
        (_other_leaves, "golden row 0"),
        (lambda a: _altered(a, schema_hash="0" * 64), "trained on other features"),
        (_one_letter, "checksum"),
        (lambda a: _with_model(a, "this is no model"), "cannot be loaded"),
        (lambda a: a[: len(a) // 2], "no model artefact"),
        (lambda a: _altered(a, blocked=["A feature knows the outcome."]), "is blocked"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_apply_refuses_a_model_that_must_not_be_used_with_one_sentence(
    tmp_path: Path, artefact: bytes, spoil: Callable[[bytes], bytes], says: str
) -> None:
    shown = _apply(tmp_path, spoil(artefact))
    assert shown.exit_code == 1
    [sentence] = shown.stderr.splitlines()
    assert says in sentence
    assert sentence.endswith(".")
    assert "127.0.0.1:1" not in sentence


@pytest.mark.parametrize("allowed", [False, True])
def test_a_simulated_model_needs_leave_of_the_file_it_is_applied_with(
    tmp_path: Path, artefact: bytes, allowed: bool
) -> None:
    file, words = tmp_path / "mine.toml", tmp_path / "words"
    words.mkdir()
    text = campaigns.shipped().decode()
    leave = "allow_simulated_model = "
    assert f"{leave}false" in text
    file.write_text(text.replace(f"{leave}false", f"{leave}{str(allowed).lower()}"))
    simulated = _altered(artefact, provenance="simulator")
    shown = _apply(tmp_path, simulated, str(file), "--templates", str(words))
    assert shown.exit_code == 1
    says = "127.0.0.1:1" if allowed else "simulated shop"
    assert says in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
