"""README's first hour, typed as it stands: a decision, a change of mind, and its reasons."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from streams.settings import Deployment
from tests.support import documents
from tests.support.processes import Server, free_port

ROOT = documents.ROOT
BLOCKS = [b.text for b in documents.blocks(ROOT / "README.md") if "needs-broker" in b.marks]
SECONDS = 60


class Desk:
    """Two terminals: one in which ``up`` runs, and one in which the reader types."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.said = folder / "up.txt"
        shutil.copytree(ROOT / "docs/examples", folder / "docs/examples")
        self.environ = Deployment.of_child(HTTP=f"127.0.0.1:{self.port}")
        self.environ["PATH"] = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"

    def start(self, block: str) -> Server:
        """Type the first block; its last line goes on running."""
        *before, last = block.strip().splitlines()
        for line in before:
            self.type(line)
        _, words = documents.words(last)
        assert words[:2] == ["rekindle", "up"]
        return Server(
            ["/bin/sh", "-c", f"cd {self.folder} && exec {last}"], self.said, self.environ
        )

    def type(self, block: str, *, after: str = "") -> str:
        """Type a block in the second terminal and return what it says."""
        block = block.replace("localhost:6066", f"localhost:{self.port}")
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", f"{after}\n{block}"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        return done.stdout

    def waits_for(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not reached():
            assert time.monotonic() < deadline, f"{what}; up said:\n{self.said.read_text()}"
            time.sleep(0.1)  # between two looks at another process, never instead of one

    def reads(self, words: str) -> None:
        """Wait until ``up`` has said these words."""
        self.waits_for(lambda: words in self.said.read_text(), f"up never said {words!r}")

    def ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz") as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def watched(self) -> bool:
        """Return whether the live page hears of the worker, an observer and an audit."""
        with urlopen(f"http://127.0.0.1:{self.port}/live/snapshot.json") as answer:
            processes = json.load(answer)["workers"]["processes"]
        speaking = {one["kind"] for one in processes if one["state"] == "live"}
        return speaking == {"worker", "observe", "audit"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.slow
def test_the_first_hour_goes_as_the_readme_says(desk: Desk) -> None:
    assert shutil.which("curl"), "README's reader needs curl, and so does this test"
    begin, tell, change, why = BLOCKS
    up = desk.start(begin)
    try:
        desk.waits_for(desk.ready, "up was never ready")
        lost = desk.type("curl -s localhost:6066/v1/trak -d '{}'")
        assert "there is no POST /v1/trak here: POST to /v1/" in lost
        desk.type(tell)
        desk.reads("u-1: ")
        desk.reads("not sent: dry run; email would have been next")

        mine = desk.folder / "mine.toml"
        mine.write_text(mine.read_text().replace('mode = "dry_run"', 'mode = "live"'))
        (export,) = re.findall(r"export REKINDLE_.*", desk.said.read_text())
        changed = desk.type(change, after=export)
        assert "mode live" in changed
        desk.reads("first-minute: sent by email")
        desk.reads("email -> u-1 [first-minute]")

        story = desk.type(why, after=export)
        assert "put Trail shoe into her cart (499 CNY)" in story
        assert "not sent: dry run" in story.replace("\n         ", " ")
        assert "sent by email" in story
        assert "you@example.com" not in story
        desk.waits_for(desk.watched, "observer and audit never spoke")
    finally:
        up.stop()
