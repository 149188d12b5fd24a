"""The checker of the fault runs shares nothing with the way a worker commits."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMITS = ("streams.state", "streams.agents", "streams.log.outbox", "engine.memory")
CHECKER = sorted(
    path
    for path in (ROOT / "tests/faults/checker").glob("*.py")
    # mutants are patched into workers; the checks' own tests may use any builder
    if path.stem != "mutants" and not path.stem.startswith("test_")
)


def test_the_checker_imports_nothing_that_commits() -> None:
    """Imported for real, in a process of its own, with all that comes along."""
    modules = [f"tests.faults.checker.{path.stem}" for path in CHECKER]
    assert "tests.faults.checker.check" in modules
    program = (
        f"import sys, {', '.join(modules)}\n"
        f"print(*[name for name in sys.modules if name.startswith({COMMITS!r})])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []
