"""A model that knows the outcome, through the commands: kept, shown, and never put in force."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from engine import decisions as log
from models.registry import Registry
from streams.cli import main
from streams.log import codec
from streams.replay.recording import Recorder
from tests.unit.models.world import World, world

ROOT = Path(__file__).parents[3]
CAMPAIGNS = (ROOT / "docs/examples/campaigns.toml").read_bytes()


@pytest.fixture(scope="module")
def drawn() -> World:
    return world(2_000)


@pytest.fixture(scope="module")
def honest(drawn: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _recorded(tmp_path_factory.mktemp("honest"), drawn.decisions, drawn)


@pytest.fixture(scope="module")
def leaking(drawn: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose vectors were joined to the orders that came afterwards."""
    decisions = []
    for value, converted in zip(drawn.decisions, drawn.converted, strict=True):
        decision = log.decode(value)
        known = {**decision.features, "since_order_s": 60.0 if converted else None}
        decisions.append(log.encode(msgspec.structs.replace(decision, features=known)))
    return _recorded(tmp_path_factory.mktemp("leaking"), decisions, drawn)


def _recorded(folder: Path, decisions: list[bytes], drawn: World) -> Path:
    with Recorder(folder) as recorder:
        recorder.record("artefacts", 0, 0, 0, b"campaigns", CAMPAIGNS)
        for value in decisions:
            recorder.record("decisions", 0, 0, 0, None, value)
        for offset, event in enumerate(drawn.events):
            recorder.record("events", 0, offset, event.received_at, None, codec.write(event))
    return folder


def _rekindle(folder: Path, *arguments: str) -> Result:
    environ = {"REKINDLE_MODELS": str(folder / "models"), "REKINDLE_KAFKA": "127.0.0.1:1"}
    return CliRunner().invoke(main, list(arguments), env=environ, prog_name="rekindle")


def test_a_blocked_model_is_kept_and_shown_and_refused(leaking: Path) -> None:
    trained = _rekindle(leaking, "train", "--from", str(leaking), "--version", "v1")
    shown = _rekindle(leaking, "models", "show", "reminder")
    applied = _rekindle(leaking, "apply", "--model", "reminder")

    assert trained.exit_code == 0
    assert "BLOCKED: cart_abandonment has an AUC of 0.9" in trained.output
    assert "put it in force" not in trained.output
    assert "BLOCKED: cart_abandonment" in shown.output
    assert applied.exit_code == 1
    assert "Model reminder/v1 is blocked: cart_abandonment has an AUC of 0.9" in applied.output
    assert "train again with --without since_order_s" in applied.output
    assert "Traceback" not in applied.output


def test_doing_what_the_sentence_says_mends_it(leaking: Path) -> None:
    options = ("--from", str(leaking), "--version", "v2", "--without", "since_order_s")

    trained = _rekindle(leaking, "train", *options)

    assert trained.exit_code == 0
    assert "BLOCKED" not in trained.output
    assert "was not shown since_order_s" in trained.output
    assert "put it in force with: rekindle apply --model reminder/v2" in trained.output
    assert Registry(leaking / "models").find("reminder/v2").manifest.blocked == []


def test_a_feature_that_is_none_is_a_mistake_of_one_sentence(honest: Path) -> None:
    told = _rekindle(honest, "train", "--from", str(honest), "--without", "shoe_size")

    assert told.exit_code == 1
    assert "There is no feature shoe_size" in told.output
    assert "Traceback" not in told.output


def test_measuring_tells_figures_and_keeps_no_model(honest: Path) -> None:
    told = _rekindle(honest, "models", "measure", "--from", str(honest), "--folds", "3")
    figures = _rekindle(
        honest, "models", "measure", "--from", str(honest), "--folds", "3", "--json"
    )

    assert told.exit_code == 0
    assert told.output.startswith("over 3 folds of people")
    found = json.loads(figures.output)
    assert found.keys() == {"all", "cart_abandonment"}
    assert found["all"]["rows"] == 2_000
    assert found["all"]["auc"][0] > 0.6
    assert f"auc {found['all']['auc'][0]:.3f}" in told.output
    assert not list((honest / "models").glob("*"))
