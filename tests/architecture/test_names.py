"""Names that mean nothing, and calls that only one place may make."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "rules", "models", "streams", "monitoring")
MEANINGLESS = {"util", "utils", "helper", "helpers", "common", "manager", "base", "misc"}

# Where ruff lifts its ban only as a whole (pyproject.toml: streams/** reads clocks), these hold
# the rest of it: who may use the name, by the path's beginning.
HOMES = {
    "os.environ": ("streams/settings.py",),
    "os.environb": ("streams/settings.py",),
    "os.getenv": ("streams/settings.py",),
    "random": ("streams/demo/",),
}


def _files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = [path.relative_to(ROOT) for path in [*_files(), *sorted((ROOT / "tests").rglob("*"))]]
    wrong = [str(path) for path in named if MEANINGLESS & {path.stem, *path.parts}]
    assert not wrong, f"find the concept's name first: {wrong}"


@pytest.mark.parametrize("banned", sorted(HOMES))
def test_environment_and_chance_have_one_home(banned: str) -> None:
    wrong = [
        f"{_name(path)}:{line}"
        for path in _files()
        if not _name(path).startswith(HOMES[banned])
        for used, line in _names_used(ast.parse(path.read_text()))
        if used == banned or used.startswith(f"{banned}.")
    ]
    assert not wrong, f"{banned} is used outside {HOMES[banned]}: {wrong}"


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    wrong = [_name(p) for p in _files() if any(mark in p.read_text() for mark in marks)]
    assert not wrong, f"an open point is an issue, not a comment: {wrong}"


def _names_used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Dotted names as written (`os.environ`) and as imported (`from os import environ`)."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from ((f"{module}.{alias.name}", node.lineno) for alias in names)
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute):
                yield f"{owner}.{attribute}", node.lineno
            case _:
                pass


def test_the_search_for_names_finds_every_spelling() -> None:
    source = "import random\nfrom os import environ\nimport os\nos.getenv('x')\n"
    assert {name for name, _ in _names_used(ast.parse(source))} == {
        "random",
        "os",
        "os.environ",
        "os.getenv",
    }
