"""Five generic top-level names are sound only while nobody else has them."""

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "rules", "models", "streams", "monitoring")


@pytest.mark.parametrize("package", PACKAGES)
def test_our_top_level_names_have_one_owner(package: str) -> None:
    # pip overwrites a folder of the same name without a word, and `pip check` stays green;
    # an editable install names no modules at all, so that "nobody" is as good as "we"
    assert set(packages_distributions().get(package, [])) <= {"rekindle"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    target = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = target.glob("rekindle-*.whl")
    with zipfile.ZipFile(file) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_packages(wheel: set[str]) -> None:
    present = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert present == {name for name in wheel if not name.startswith("rekindle-")}


def test_the_wheel_holds_types_scripts_and_defaults(wheel: set[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= wheel
    assert any(name.startswith("streams/state/") and name.endswith(".lua") for name in wheel)
    assert "rules/campaigns.toml" in wheel


def test_the_lock_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
