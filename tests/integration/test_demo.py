"""The demo, small: a real worker on the embedded broker and Redis, killed once, and recounted."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from engine.errors import Refused
from streams.cli import main
from streams.demo.run import run
from tests.support import documents

README = documents.ROOT / "README.md"

DAYS, SHOPPERS = 16, 2_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo-run"


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    said: list[str] = []
    run(days=DAYS, shoppers=SHOPPERS, seed=5, keep=str(folder), as_json=True, out=said.append)
    found: dict[str, Any] = orjson.loads(said[-1])
    return found


def rekindle(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_a_small_demo_is_clean_and_its_replay_decides_the_same(told: dict[str, Any]) -> None:
    assert (told["lost"], told["duplicated"], told["unexplained"]) == (0, 0, 0)
    assert told["cap_violations"] == 0
    assert told["replayed"] is True
    assert told["kills"] == 1
    cart = told["triggers"]["cart_abandonment"]
    assert cart["armed"] == cart["closed"] + cart["open"] > 100
    assert sum(told["actions"].values()) == told["decisions"]["sent"] > 0


@pytest.mark.slow
def test_it_learns_on_the_way_and_the_worker_scores_with_it(
    told: dict[str, Any], folder: Path
) -> None:
    model = told["model"]
    assert model["provenance"] == "simulator"
    decisions = [orjson.loads(line) for line in (folder / "decisions.jsonl").open("rb")]
    scored = [one for one in decisions if one["model"] == [model["name"], model["version"]]]
    assert scored
    learnt_at = min(one["at"] for one in scored)
    assert learnt_at > f"2026-10-{5 + DAYS // 2:02}"


@pytest.mark.slow
def test_the_questions_of_the_readme_are_answered_by_what_it_left(
    told: dict[str, Any], folder: Path
) -> None:
    (block,) = [one for one in documents.blocks(README) if "needs-demo" in one.marks]
    person = told["stories"][0]["user_id"]
    answers = []
    for spoken in documents.session(block.text):
        _, (program, *words) = documents.words(spoken.command)
        assert program == "rekindle"
        asked = [re.sub(r"shopper-\d+", person, word) for word in words]
        answers.append(rekindle(*[word.replace("demo-run", str(folder)) for word in asked]))
    why, what_if, how = answers
    assert person in why
    assert "people spoken to:" in what_if
    assert "orders/1,000" in how


@pytest.mark.slow
def test_sending_always_would_have_sent_more(told: dict[str, Any]) -> None:
    assert sum(told["always"]["actions"].values()) > sum(told["actions"].values())


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Refused, match="empty folder"):
        run(days=1, shoppers=1, keep=str(tmp_path), out=lambda _: None)
    assert (tmp_path / "thesis.txt").exists()
