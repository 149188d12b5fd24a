"""The demo, small: a real worker on the embedded broker and Redis, killed once, and recounted."""

from pathlib import Path

import orjson
import pytest

from engine.errors import Refused
from streams.demo.run import run


@pytest.mark.slow
def test_a_small_demo_is_clean_and_its_replay_decides_the_same(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "demo-run"
    run(days=2, shoppers=80, seed=5, keep=str(folder), as_json=True, out=said.append)
    told = orjson.loads(said[-1])
    assert (told["lost"], told["duplicated"], told["unexplained"]) == (0, 0, 0)
    assert told["cap_violations"] == 0
    assert told["replayed"] is True
    assert told["kills"] == 1
    cart = told["triggers"]["cart_abandonment"]
    assert cart["armed"] == cart["closed"] + cart["open"] > 10
    assert sum(told["actions"].values()) == told["decisions"]["sent"] > 0
    assert (folder / "events" / "0.jsonl").stat().st_size > 0
    assert (folder / "decisions.jsonl").stat().st_size > 0


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Refused, match="empty folder"):
        run(days=1, shoppers=1, keep=str(tmp_path), out=lambda _: None)
    assert (tmp_path / "thesis.txt").exists()
